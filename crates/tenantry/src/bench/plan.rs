//! The measured work: a saga of twelve steps that do nothing, `1 -> 2 -> 3 -> {4, 5, 6} -> 7 -> 8 -> {9, 10} -> 11 -> 12`.
//!
//! Six workers own two steps each. Every twentieth tenant fails for good in step 8, and is undone.

use serde::{Deserialize, Serialize};
use tenantry_contracts::request::Kind;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Json, StepName, WorkerName};
use tenantry_saga::{End, Plan, Registry, Row, Then, View, What, When};

/// The workers of the benchmark.
pub(super) const WORKERS: [&str; 6] = ["bench1", "bench2", "bench3", "bench4", "bench5", "bench6"];

/// The steps; the worker of a step is its name up to the dot.
pub(super) const STEPS: [&str; 12] = [
    "bench1.s1",
    "bench1.s2",
    "bench2.s3",
    "bench2.s4",
    "bench3.s5",
    "bench3.s6",
    "bench4.s7",
    "bench4.s8",
    "bench5.s9",
    "bench5.s10",
    "bench6.s11",
    "bench6.s12",
];

/// The one that fails.
pub(super) const FAILS: usize = 7;

/// Every how many tenants one fails.
pub(super) const FAILS_EVERY: u64 = 20;

const fn row(name: &'static str, step: usize, waits_for: &'static [&'static str]) -> Row {
    Row {
        name,
        what: What::Step {
            worker: WorkerName::new(WORKERS[step / 2]),
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

static SAGA_12: Plan = PLAN;

const PLAN: Plan = Plan {
    kind: Kind::Provision,
    version: 1,
    known_as: &[],
    rows: &[
        row("s1", 0, &[]),
        row("s2", 1, &["s1"]),
        row("s3", 2, &["s2"]),
        row("s4", 3, &["s3"]),
        row("s5", 4, &["s3"]),
        row("s6", 5, &["s3"]),
        row("s7", 6, &["s4", "s5", "s6"]),
        row("s8", 7, &["s7"]),
        row("s9", 8, &["s8"]),
        row("s10", 9, &["s8"]),
        row("s11", 10, &["s9", "s10"]),
        row("s12", 11, &["s11"]),
    ],
};

const _: () = assert!(PLAN.is_sound());

/// The workers by name.
pub(super) fn workers() -> [WorkerName; 6] {
    WORKERS.map(WorkerName::new)
}

/// The registry of the benchmark: this plan and nothing else.
pub(super) fn registry() -> Registry {
    Registry::new([&SAGA_12], tenantry_saga::Rules::default())
}

/// What a step is told.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct Input {
    /// The plan of the request.
    pub(super) plan: String,
}

/// What a step answers: about 200 bytes of JSON.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
pub(super) struct Output {
    /// A name.
    pub(super) resource: String,
    /// Padding.
    pub(super) note: String,
}

fn input(view: &View<'_>) -> Result<Json, Failure> {
    view.input(&Input { plan: view.request().plan.clone() })
}
