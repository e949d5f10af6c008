//! Worker `capacity`: what the tenant will need is set aside from the region's pools before anything is made, and
//! becomes the tenant's own when it is active.
//!
//! A reservation lives as long as its saga: it has no time to live, and the undo of `capacity.reserve` frees it. Both
//! steps work on the one reservation of the tenant, so they have one resource and are fenced together.

mod pools;
mod provider;
mod sums;
mod usage;

use deadpool_postgres::Pool;
use tenantry_contracts::steps::capacity::{COMMIT, Committed, Input, RESERVE, Reserved};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

pub use pools::Pools;
pub use usage::{Usage, unbalanced, usage};

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_capacity";

/// Where a test, a drill or the demo can break these steps, in the order of the work.
pub const POINTS: &[&str] = &[
    "capacity.before-reserve",
    "capacity.half-reserved",
    "capacity.before-answer",
    "capacity.before-release",
    "capacity.half-released",
    "capacity.after-release",
    "capacity.before-commit",
    "capacity.after-commit",
    "capacity.before-return",
    "capacity.after-return",
];
/// Those of [`Reserve`].
pub const RESERVE_POINTS: &[&str] = POINTS.split_at(6).0;
/// Those of [`Commit`].
pub const COMMIT_POINTS: &[&str] = POINTS.split_at(6).1;

/// Step `capacity.reserve`.
pub struct Reserve {
    provider: Provider,
}

/// Step `capacity.commit`.
pub struct Commit {
    provider: Provider,
}

/// Makes what the worker needs for itself in the tenants' database: its fence, its reservations, and the pools as the
/// file says. Can be repeated and run at once. What is reserved stays reserved, also where a total was lowered.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool, pools: &Pools) -> Answer<()> {
    let more = format!("{} {}", provider::TABLES, provider::bring_up_to_date(pools));
    Provider::new(pool.clone(), SCHEMA).prepare(&more).await
}

fn resource(cx: &Cx) -> Resource {
    Resource::of_tenant("capacity", cx)
}

/// `*` stands for every region that the file does not name; it is none itself.
fn check(input: &Input) -> Answer<()> {
    if input.region == pools::ANY {
        let message = "this is no region; name the one whose pools are to give";
        return Err(Trouble::no_at(Code::RegionUnknown, Class::Validation, "/region", message));
    }
    Ok(())
}

impl Reserve {
    /// The step, with its pools in the tenants' database.
    pub fn new(pool: Pool) -> Self {
        Self { provider: Provider::new(pool, SCHEMA) }
    }
}

impl Step for Reserve {
    const NAME: StepName = RESERVE;
    type Input = Input;
    type Output = Reserved;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        resource(cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Reserved> {
        check(input)?;
        cx.point("capacity.before-reserve").await?;
        let reserved = provider::reserve(&self.provider, cx, &resource(cx), input).await?;
        cx.point("capacity.before-answer").await?;
        Ok(reserved)
    }

    async fn compensate(&self, cx: &Cx, _: &Input, _: Option<&Reserved>) -> Answer<()> {
        cx.point("capacity.before-release").await?;
        provider::release(&self.provider, cx, &resource(cx)).await?;
        cx.point("capacity.after-release").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        provider::observe_reserved(&self.provider, cx, input).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Reserved>> {
        check(input)?;
        provider::foresee_reserved(&self.provider, cx, input).await.map(Some)
    }
}

impl Commit {
    /// The step, with its pools in the tenants' database.
    pub fn new(pool: Pool) -> Self {
        Self { provider: Provider::new(pool, SCHEMA) }
    }
}

impl Step for Commit {
    const NAME: StepName = COMMIT;
    type Input = Input;
    type Output = Committed;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        resource(cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Committed> {
        cx.point("capacity.before-commit").await?;
        let committed = provider::commit(&self.provider, cx, &resource(cx), input).await?;
        cx.point("capacity.after-commit").await?;
        Ok(committed)
    }

    async fn compensate(&self, cx: &Cx, _: &Input, _: Option<&Committed>) -> Answer<()> {
        cx.point("capacity.before-return").await?;
        provider::take_back(&self.provider, cx, &resource(cx)).await?;
        cx.point("capacity.after-return").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        provider::observe_committed(&self.provider, cx, input).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Committed>> {
        provider::foresee_committed(&self.provider, cx, input).await
    }
}
