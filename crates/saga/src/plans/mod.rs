//! The plans themselves, one file for each kind.

mod provision;
mod provision_inputs;

use tenantry_contracts::{StepName, WorkerName};

use crate::{End, InputFn, Registry, Row, Rules, What, When};

pub use provision::PROVISION_1;

/// Every plan of the product, under these rules.
pub fn all(rules: Rules) -> Registry {
    Registry::new([&PROVISION_1], rules)
}

/// A row that asks a worker: three times in all, each for `limit_ms`; its undo five times. In every saga.
const fn step(
    name: &'static str,
    waits_for: &'static [&'static str],
    worker: WorkerName,
    step: StepName,
    input: InputFn,
    limit_ms: i64,
    end: End,
) -> Row {
    let what = What::Step { worker, step, input, attempts: 3, limit_ms, undo: (5, limit_ms) };
    Row { name, what, waits_for, when: When::Always, end }
}

/// A row that asks a person: `times` are when somebody is told that nobody decided, and when that is a *no*.
const fn gate(
    name: &'static str,
    waits_for: &'static [&'static str],
    role: &'static str,
    times: (i64, i64),
    when: When,
    end: End,
) -> Row {
    let what = What::Gate { role, binds: true, escalates_ms: times.0, expires_ms: times.1 };
    Row { name, what, waits_for, when, end }
}
