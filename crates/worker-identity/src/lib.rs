//! Worker `identity`: the tenant's record in the control plane, with its number, its namespace and its logical
//! partitions (seed 002).
//!
//! The number is drawn once and never given again, also where the tenant was undone. The namespace is named by slug
//! and environment, so a tenant can stand in several environments side by side.

mod provider;

use deadpool_postgres::Pool;
use tenantry_contracts::StepName;
use tenantry_contracts::steps::identity::{CREATE, Input, Output};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Observed, Resource, Step};

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_identity";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "identity.before-record",
    "identity.before-partitions",
    "identity.before-answer",
    "identity.before-removal",
    "identity.after-removal",
];

/// Step `identity.create`.
pub struct Identity {
    provider: Provider,
}

/// Makes what the worker needs for itself in the tenants' database: its fence, its records and the sequence of numbers.
/// Can be repeated and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Provider::new(pool.clone(), SCHEMA).prepare(provider::TABLES).await
}

impl Identity {
    /// The step, with its records in the tenants' database.
    pub fn new(pool: Pool) -> Self {
        Self { provider: Provider::new(pool, SCHEMA) }
    }
}

impl Step for Identity {
    const NAME: StepName = CREATE;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("identity", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        cx.point("identity.before-record").await?;
        let created = provider::create(&self.provider, cx, &self.resource(cx, input), input).await?;
        cx.point("identity.before-answer").await?;
        Ok(created)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("identity.before-removal").await?;
        provider::remove(&self.provider, cx, &self.resource(cx, input)).await?;
        cx.point("identity.after-removal").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        provider::observe(&self.provider, cx, input).await
    }

    async fn foresee(&self, cx: &Cx, _: &Input) -> Answer<Option<Output>> {
        provider::foresee(&self.provider, cx).await
    }
}
