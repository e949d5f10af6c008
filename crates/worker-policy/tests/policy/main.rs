//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

mod closed;
mod decisions;
mod opa;
mod seeds;
mod world;

use tenantry_step::kit::{self, Failure};
use tenantry_worker_policy::Engine;

use world::Decisions;

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Decisions::new("kit", Engine::built_in()).await).await
}
