//! The step on a real directory: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

mod guarded;
mod made;
mod world;

use tenantry_step::kit::{self, Failure};
use tenantry_worker_secrets::prepare;

use world::Safe;

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_with_keys_that_the_master_key_wraps() -> Result<(), Failure> {
    let world = Safe::new("standard");
    prepare(&world.dir.path().join("keys")).await.unwrap();
    kit::all(&world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_with_keys_that_a_key_of_the_tenants_own_wraps() -> Result<(), Failure> {
    kit::all(&Safe::new("enhanced")).await
}
