//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

mod faults;
mod isolation;
mod made;
mod own_database;
mod pooled;
mod world;

use tenantry_step::kit::{self, Failure};

use world::{Owners, Sharers, Tenants};

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_where_tenants_have_schemas() -> Result<(), Failure> {
    kit::all(&Tenants::new("kit").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_where_tenants_have_databases() -> Result<(), Failure> {
    kit::all(&Owners::new("kit_database").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_where_tenants_share_tables() -> Result<(), Failure> {
    kit::all(&Sharers::new("kit_pooled").await).await
}
