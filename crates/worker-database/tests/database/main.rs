//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

mod faults;
mod isolation;
mod made;
mod world;

use tenantry_step::kit::{self, Failure};

use world::Tenants;

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Tenants::new("kit").await).await
}
