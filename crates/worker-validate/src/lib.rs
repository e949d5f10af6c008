//! Worker `validate`: the request is sound, its template is found, what it will need is computed, and the names that
//! only one tenant can hold are claimed.
//!
//! The checks are pure (`plan`, `customisation`, `catalogue`, `names`) and all come before the first claim; the claims
//! are the step's only effect.

mod catalogue;
mod customisation;
mod names;
mod plan;
mod provider;

use std::sync::Arc;

use deadpool_postgres::Pool;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::validate::{Input, Output, REQUEST};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

pub use customisation::check;

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
    catalogue: Arc<Catalogue>,
    rules: customisation::Rules,
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
    /// The step, with its claims in the tenants' database. The rules of the templates are compiled here, once; see
    /// [`check`] for what is wrong with them.
    pub fn new(pool: Pool, catalogue: Arc<Catalogue>) -> Self {
        let rules = customisation::Rules::of(&catalogue);
        Self { provider: Provider::new(pool, SCHEMA), catalogue, rules }
    }

    /// Everything that can be refused without looking at other tenants, and the answer but for the claims.
    fn checked(&self, cx: &Cx, input: &Input) -> Answer<(Output, Vec<provider::Wanted>)> {
        let template = plan::template(&self.catalogue, &input.plan, input.template.as_deref())?;
        let place = catalogue::place(input.residency.as_deref(), input.region.as_deref())?;
        let modules = catalogue::modules(&input.modules, &template.modules)?;
        plan::check(template, input)?;
        let encryption = plan::encryption(template, input.encryption.as_deref())?;
        if input.valid_until.is_some_and(|end| end <= cx.now) {
            let message = "the validity ends before the tenant could be made";
            return Err(Trouble::no_at(Code::ValidityEnded, Class::Validation, "/valid_until", message));
        }
        if let Some(sealed) = &input.customisation {
            self.rules.check(template, &cx.open("customisation", sealed)?)?;
        }
        let wanted = provider::wanted(cx, input)?;
        let output = Output {
            template: template.pinned(),
            region: place.region.to_owned(),
            residency: place.residency.to_owned(),
            modules,
            encryption: encryption.to_owned(),
            requirements: template.requirements(input.seats, input.storage_bytes),
            claims: Vec::new(),
        };
        Ok((output, wanted))
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
        let (output, wanted) = self.checked(cx, input)?;
        cx.point("validate.before-claims").await?;
        let claims = provider::claim(&self.provider, cx, &self.resource(cx, input), &wanted).await?;
        cx.point("validate.before-answer").await?;
        Ok(Output { claims, ..output })
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("validate.before-release").await?;
        provider::release(&self.provider, cx, &self.resource(cx, input)).await?;
        cx.point("validate.after-release").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        provider::observe(&self.provider, cx, input).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let (output, wanted) = self.checked(cx, input)?;
        let claims = provider::foresee(&self.provider, cx, &wanted).await?;
        Ok(Some(Output { claims, ..output }))
    }
}
