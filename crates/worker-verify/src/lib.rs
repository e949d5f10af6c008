//! Worker `verify`: what was made is healthy, and nothing of it can be reached from another tenant.
//!
//! It makes nothing but its report. Checks look at what the other workers made; probes try, as the tenant or as a
//! stranger, what must be refused. A report stands for the input that it was made from, durations included, so that a
//! repeat answers the same.

mod database;
mod isolation;
mod provider;
mod records;
mod report;
mod secrets;
mod storage;

use std::path::PathBuf;

use deadpool_postgres::Pool;
use tenantry_contracts::steps::verify::{Input, Output, TENANT};
use tenantry_contracts::{MasterKey, StepName};
use tenantry_step::postgres::Databases;
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Observed, Resource, Step};

use provider::Outside;

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_verify";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "verify.before-checks",
    "verify.before-record",
    "verify.before-answer",
    "verify.before-remove",
    "verify.after-remove",
];

/// Step `verify.tenant`.
pub struct Verify {
    shelf: Shelf,
    outside: Outside,
}

/// Makes what the worker needs for itself in the tenants' database: its fence and its reports. Can be repeated and run
/// at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Shelf::new(pool.clone(), SCHEMA).prepare("").await
}

impl Verify {
    /// The step. `pool` leads into the tenants' database, with the account of the other workers; `databases` into the
    /// databases of tenants that have one of their own. `storage` and `secrets` are the directories of those workers,
    /// and `master` is the key that wraps the tenants' keys.
    pub fn new(
        pool: Pool,
        databases: Databases,
        storage: impl Into<PathBuf>,
        secrets: impl Into<PathBuf>,
        master: MasterKey,
    ) -> Self {
        let shelf = Shelf::new(pool.clone(), SCHEMA);
        let outside = Outside { pool, databases, storage: storage.into(), secrets: secrets.into(), master };
        Self { shelf, outside }
    }

    /// The report that stands for this input.
    async fn standing(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let mut client = self.shelf.connect(cx).await?;
        self.shelf.look(&mut client, cx).await?.standing(input)
    }
}

impl Step for Verify {
    const NAME: StepName = TENANT;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("verify", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        cx.point("verify.before-checks").await?;
        // No transaction is open while the outside is looked at.
        let report = match self.standing(cx, input).await? {
            Some(report) => report,
            None => self.outside.look(cx, input).await?,
        };
        cx.point("verify.before-record").await?;
        let mut client = self.shelf.connect(cx).await?;
        let place = self.shelf.begin(&mut client, cx, &self.resource(cx, input)).await?;
        let report = match place.standing(input)? {
            Some(first) => first,
            None => {
                place.put(input, &report).await?;
                report
            }
        };
        cx.point("verify.before-answer").await?;
        Ok(report)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("verify.before-remove").await?;
        let mut client = self.shelf.connect(cx).await?;
        self.shelf.begin(&mut client, cx, &self.resource(cx, input)).await?.remove().await?;
        cx.point("verify.after-remove").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        self.shelf.observe(cx, input, None::<&Output>).await
    }

    /// A report can be told only where it stands: what it says depends on what the other workers make.
    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        self.standing(cx, input).await
    }
}
