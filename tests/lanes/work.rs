//! The work: a saga of three steps that do nothing, served by a real worker. The last step says no to every tenth tenant,
//! whose saga is undone.

use serde::{Deserialize, Serialize};
use tenantry_contracts::request::Kind;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Code, Json, StepName, WorkerName};
use tenantry_saga::{End, Plan, Registry, Row, Then, View, What, When};
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

/// The one worker.
pub(crate) const WORKER: WorkerName = WorkerName::new("hands");
const STEPS: [&str; 3] = ["hands.one", "hands.two", "hands.three"];

const fn row(name: &'static str, step: usize, waits_for: &'static [&'static str]) -> Row {
    Row {
        name,
        what: What::Step {
            worker: WORKER,
            step: StepName::new(STEPS[step]),
            input,
            attempts: 3,
            limit_ms: 60_000,
            undo: (5, 60_000),
        },
        waits_for,
        when: When::Always,
        end: End::always(Then::Compensate),
    }
}

static THREE: Plan = PLAN;
const PLAN: Plan = Plan {
    kind: Kind::Provision,
    version: 1,
    known_as: &[],
    rows: &[row("one", 0, &[]), row("two", 1, &["one"]), row("three", 2, &["two"])],
};
const _: () = assert!(PLAN.is_sound());

/// The plan of three steps and nothing else.
pub(crate) fn registry() -> Registry {
    Registry::new([&THREE], tenantry_saga::Rules::default())
}

/// What a step is told.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Input {
    plan: String,
}

/// What a step answers.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(crate) struct Output {
    resource: String,
}

fn input(view: &View<'_>) -> Result<Json, Failure> {
    view.input(&Input { plan: view.request().plan.clone() })
}

/// The `N`th step, counted from zero.
pub(crate) struct Hand<const N: usize>;

impl<const N: usize> Step for Hand<N> {
    const NAME: StepName = StepName::new(STEPS[N]);
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant(["one", "two", "three"][N], cx)
    }

    async fn execute(&self, cx: &Cx, _: &Input) -> Answer<Output> {
        if N == 2 && fails(cx.slug.as_str()) {
            return Err(Trouble::no(Code::FaultInjected, Class::Business, "every tenth tenant fails here"));
        }
        Ok(Output { resource: format!("{}/{N}", cx.tenant) })
    }

    async fn compensate(&self, _: &Cx, _: &Input, _: Option<&Output>) -> Answer<()> {
        Ok(())
    }

    async fn observe(&self, _: &Cx, _: &Input) -> Answer<Observed> {
        Ok(Observed::Absent)
    }
}

/// Whether the tenant of this slug is one of those that fail.
pub(crate) fn fails(slug: &str) -> bool {
    slug.ends_with('3')
}
