//! The plans that are explored.

use tenantry_saga::{Plan, Then};

use crate::common::{gate, pivot, plan, step, wait};

const ONCE: (u8, u8) = (1, 1);
const TWICE: (u8, u8) = (2, 2);

pub(crate) fn one() -> &'static Plan {
    plan(vec![step("a", &[], Then::Compensate, TWICE)])
}

pub(crate) fn two() -> &'static Plan {
    plan(vec![step("a", &[], Then::Compensate, TWICE), step("b", &["a"], Then::Compensate, TWICE)])
}

pub(crate) fn three() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Compensate, TWICE),
        step("b", &["a"], Then::Compensate, TWICE),
        step("c", &["b"], Then::Compensate, TWICE),
    ])
}

pub(crate) fn diamond() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Compensate, ONCE),
        step("c", &["a"], Then::Compensate, ONCE),
        step("d", &["b", "c"], Then::Compensate, ONCE),
    ])
}

pub(crate) fn gated() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Compensate, TWICE),
        gate("review", &["a"], Then::Reject),
        step("b", &["review"], Then::Compensate, TWICE),
    ])
}

/// A gate beside a running step, refused into BLOCKED.
pub(crate) fn beside() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Hold, ONCE),
        gate("review", &[], Then::Hold),
        step("b", &["a", "review"], Then::Compensate, ONCE),
    ])
}

pub(crate) fn hold() -> &'static Plan {
    plan(vec![step("a", &[], Then::Hold, TWICE), step("b", &["a"], Then::Hold, ONCE)])
}

/// Two parallel steps whose failures let a person choose.
pub(crate) fn ask() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Ask, ONCE),
        step("b", &[], Then::Ask, ONCE),
        step("c", &["a", "b"], Then::Compensate, ONCE),
    ])
}

pub(crate) fn reject() -> &'static Plan {
    plan(vec![step("a", &[], Then::Reject, TWICE), step("b", &["a"], Then::Compensate, TWICE)])
}

pub(crate) fn degrade() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Degrade, TWICE),
        step("c", &["b"], Then::Compensate, ONCE),
    ])
}

/// A pivot, a wait, and a step beside the pivot whose failure would undo everything before it.
pub(crate) fn pivoted() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("beside", &[], Then::Compensate, ONCE),
        pivot(&["a"]),
        wait("rest", &["pivot"]),
        step("b", &["rest", "beside"], Then::Compensate, ONCE),
    ])
}
