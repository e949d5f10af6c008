//! Worker `validate`: the request is sound, its template is found, what it will need is computed, and the names that
//! only one tenant can hold are claimed.
//!
//! The checks are pure (`catalogue`, `names`); the claims are the step's only effect.

mod catalogue;
mod names;
mod provider;

use deadpool_postgres::Pool;
use tenantry_contracts::steps::validate::{Input, Output, REQUEST, Template};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_validate";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "validate.before-claims",
    "validate.before-answer",
    "validate.before-release",
    "validate.after-release",
];

/// Step `validate.request`.
pub struct Validate {
    provider: Provider,
}

/// Makes what the worker needs for itself in the tenants' database: its fence and the table of claims. Can be repeated
/// and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Provider::new(pool.clone(), SCHEMA).prepare(provider::CLAIMS).await
}

impl Validate {
    /// The step, with its claims in the tenants' database.
    pub fn new(pool: Pool) -> Self {
        Self { provider: Provider::new(pool, SCHEMA) }
    }
}

impl Step for Validate {
    const NAME: StepName = REQUEST;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("validate", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let template = catalogue::template(&input.plan)?;
        let place = catalogue::place(input.residency.as_deref(), input.region.as_deref())?;
        let modules = catalogue::modules(&input.modules)?;
        if input.valid_until.is_some_and(|end| end <= cx.now) {
            let message = "the validity ends before the tenant could be made";
            return Err(Trouble::no_at(Code::ValidityEnded, Class::Validation, "/valid_until", message));
        }
        let wanted = provider::wanted(cx, input)?;
        cx.point("validate.before-claims").await?;
        let claims = provider::claim(&self.provider, cx, &self.resource(cx, input), &wanted).await?;
        cx.point("validate.before-answer").await?;
        Ok(Output {
            template: Template {
                name: template.name.clone(),
                digest: template.digest.clone(),
                isolation: template.isolation.clone(),
            },
            region: place.region.to_owned(),
            residency: place.residency.to_owned(),
            modules,
            requirements: template.requirements(input.seats, input.storage_bytes),
            claims,
        })
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("validate.before-release").await?;
        provider::release(&self.provider, cx, &self.resource(cx, input)).await?;
        cx.point("validate.after-release").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        provider::observe(&self.provider, cx, input).await
    }
}
