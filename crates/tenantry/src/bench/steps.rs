//! Steps that do nothing, and say so in about 200 bytes.

use std::time::Duration;

use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

use super::plan::{FAILS, FAILS_EVERY, Input, Output, STEPS};

/// What the name of a run begins with whose tenants are slow, in the steps of one worker.
pub(super) const SLOW: &str = "slow-";
const SLOW_STEPS: [usize; 2] = [8, 9];
const SLOW_TAKES: Duration = Duration::from_secs(2);

/// The `N`th step, counted from zero.
pub(super) struct Noop<const N: usize>;

impl<const N: usize> Step for Noop<N> {
    const NAME: StepName = StepName::new(STEPS[N]);
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant(
            ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "s12"][N],
            cx,
        )
    }

    async fn execute(&self, cx: &Cx, _: &Input) -> Answer<Output> {
        if N == FAILS && fails(cx.slug.as_str()) {
            return Err(Trouble::no(
                Code::FaultInjected,
                Class::Business,
                "every twentieth tenant fails here",
            ));
        }
        if SLOW_STEPS.contains(&N) && cx.slug.as_str().starts_with(&format!("b-{SLOW}")) {
            tokio::time::sleep(SLOW_TAKES).await;
        }
        Ok(Output { resource: format!("{}/{N}", cx.tenant), note: "x".repeat(120) })
    }

    async fn compensate(&self, _: &Cx, _: &Input, _: Option<&Output>) -> Answer<()> {
        Ok(())
    }

    async fn observe(&self, _: &Cx, _: &Input) -> Answer<Observed> {
        Ok(Observed::Absent)
    }
}

/// Whether the tenant of this slug (`b-<run>-<number>`) is one of those that fail.
pub(super) fn fails(slug: &str) -> bool {
    let number = slug.rsplit('-').next().and_then(|text| text.parse::<u64>().ok());
    number.is_some_and(|number| number % FAILS_EVERY == 0)
}
