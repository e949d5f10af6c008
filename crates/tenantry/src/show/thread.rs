//! A small plan for the tests of what is shown: three workers and a pivot.

use tenantry_contracts::request::Kind;
use tenantry_contracts::steps::{credentials, database, validate};
use tenantry_contracts::{Class, StepName, WorkerName};
use tenantry_saga::{End, Plan, Registry, Row, Rules, Then, What, When};

const fn step(
    name: &'static str,
    waits_for: &'static [&'static str],
    worker: WorkerName,
    step: StepName,
    end: End,
) -> Row {
    let what = What::Step {
        worker,
        step,
        input: |view| view.input(&view.request().plan),
        attempts: 3,
        limit_ms: 300_000,
        undo: (5, 300_000),
    };
    Row { name, what, waits_for, when: When::Always, end }
}

/// The plan.
pub(crate) static THREAD: Plan = Plan {
    kind: Kind::Provision,
    version: 1,
    known_as: &[],
    rows: &[
        step(
            "validate",
            &[],
            validate::WORKER,
            validate::REQUEST,
            End::with(
                Then::Compensate,
                &[(Class::Validation, Then::Reject), (Class::Business, Then::Reject)],
            ),
        ),
        step(
            "database",
            &["validate"],
            database::WORKER,
            database::PROVISION,
            End::with(Then::Compensate, &[(Class::Conflict, Then::Hold), (Class::Config, Then::Hold)]),
        ),
        Row {
            name: "pivot",
            what: What::Pivot,
            waits_for: &["database"],
            when: When::Always,
            end: End::always(Then::Hold),
        },
        step("credentials", &["pivot"], credentials::WORKER, credentials::DELIVER, End::always(Then::Hold)),
    ],
};

/// A registry of it.
pub(crate) fn plans() -> Registry {
    Registry::new([&THREAD], Rules::default())
}
