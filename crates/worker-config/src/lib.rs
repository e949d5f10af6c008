//! Worker `config`: the tenant's effective configuration, made of its template and of what its request may change.
//!
//! What is in force is a pure function of both (`effective`). The record holds what others need to know of it; the
//! tenant's own words in it stand as sealed as they came, and every version that was ever in force stays by its digest.

mod effective;
mod provider;

use std::sync::Arc;

use deadpool_postgres::Pool;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::config::{APPLY, Input, Output};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

pub use effective::{Effective, effective};

use provider::Kept;

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_config";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] =
    &["config.before-record", "config.before-answer", "config.before-remove", "config.after-remove"];

/// Step `config.apply`.
pub struct Config {
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

impl Config {
    /// The step, with its records in the tenants' database.
    pub fn new(pool: Pool, catalogue: Arc<Catalogue>) -> Self {
        Self { shelf: Shelf::new(pool, SCHEMA), catalogue }
    }

    /// What would be in force.
    fn made_of(&self, cx: &Cx, input: &Input) -> Answer<Kept> {
        let template = self.catalogue.pinned(&input.template.digest).ok_or_else(|| {
            let message = "the template that the saga pinned is not among those that this worker has";
            Trouble::no_at(Code::TemplateMoved, Class::Config, "/template/digest", message)
        })?;
        let text = input.customisation.as_ref().map(|sealed| cx.open("customisation", sealed)).transpose()?;
        let customisation = match text {
            None => serde_json::Map::new(),
            Some(text) => serde_json::from_str(&text).map_err(|_| {
                let message = "expected one JSON object";
                Trouble::no_at(Code::FieldInvalid, Class::Validation, "/customisation", message)
            })?,
        };
        let Effective { output, .. } = effective(template, input, &customisation)?;
        Ok(Kept { output, customisation: input.customisation.clone() })
    }
}

impl Step for Config {
    const NAME: StepName = APPLY;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("config", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let kept = self.made_of(cx, input)?;
        cx.point("config.before-record").await?;
        let output = provider::keep(&self.shelf, cx, &self.resource(cx, input), input, kept).await?;
        cx.point("config.before-answer").await?;
        Ok(output)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("config.before-remove").await?;
        let mut client = self.shelf.connect(cx).await?;
        self.shelf.begin(&mut client, cx, &self.resource(cx, input)).await?.remove().await?;
        cx.point("config.after-remove").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        // A record can be looked at when its template or its key is gone.
        let want = self.made_of(cx, input).ok();
        self.shelf.observe(cx, input, want.as_ref()).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let kept = self.made_of(cx, input)?;
        provider::foresee(&self.shelf, cx, input, kept).await.map(Some)
    }
}
