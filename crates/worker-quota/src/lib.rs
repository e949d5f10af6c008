//! Worker `quota`: what the tenant may use in a day, by the tier of its template (seed 002: `TENANT_QUOTA_ASSIGNED`).
//!
//! The tiers are data: they stand in the templates, and the one that the saga pinned counts. What a change replaced is
//! kept for ever, with what came in its place.

mod provider;

use std::sync::Arc;

use deadpool_postgres::Pool;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::quota::{ASSIGN, Input, Output};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_quota";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "quota.before-record",
    "quota.before-write",
    "quota.before-answer",
    "quota.before-removal",
    "quota.after-removal",
];

/// Step `quota.assign`.
pub struct Quota {
    shelf: Shelf,
    catalogue: Arc<Catalogue>,
}

/// Makes what the worker needs for itself in the tenants' database: its fence, its records and their history. Can be
/// repeated and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Shelf::new(pool.clone(), SCHEMA).prepare(provider::HISTORY).await
}

impl Quota {
    /// The step, with its records in the tenants' database. `catalogue` must hold every template that a saga pinned.
    pub fn new(pool: Pool, catalogue: Arc<Catalogue>) -> Self {
        Self { shelf: Shelf::new(pool, SCHEMA), catalogue }
    }

    /// What the pinned template gives.
    ///
    /// # Errors
    /// `template_moved` where this worker does not have it.
    fn quota(&self, input: &Input) -> Answer<Output> {
        let Some(template) = self.catalogue.pinned(&input.template.digest) else {
            let message = format!(
                "template {} {} with digest {} is not among those that this worker has",
                input.template.name, input.template.version, input.template.digest
            );
            return Err(Trouble::no_at(Code::TemplateMoved, Class::Config, "/template/digest", message));
        };
        Ok(Output {
            tier: template.tier.clone(),
            requests_per_day: template.quota.requests_per_day,
            seats: input.seats,
            storage_bytes: input.storage_bytes,
        })
    }
}

impl Step for Quota {
    const NAME: StepName = ASSIGN;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("quota", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        cx.point("quota.before-record").await?;
        let resource = self.resource(cx, input);
        let quota = provider::assign(&self.shelf, cx, &resource, input, || self.quota(input)).await?;
        cx.point("quota.before-answer").await?;
        Ok(quota)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("quota.before-removal").await?;
        let mut client = self.shelf.connect(cx).await?;
        self.shelf.begin(&mut client, cx, &self.resource(cx, input)).await?.remove().await?;
        cx.point("quota.after-removal").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        // What stands can be looked at also where the template is gone.
        self.shelf.observe(cx, input, self.quota(input).ok().as_ref()).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let mut client = self.shelf.connect(cx).await?;
        let place = self.shelf.look(&mut client, cx).await?;
        match place.standing(input)? {
            Some(quota) => Ok(Some(quota)),
            None => self.quota(input).map(Some),
        }
    }
}
