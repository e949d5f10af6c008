//! The plan of the seeded world: a parallel branch, a gate, a pivot, and every kind of end.

use tenantry_contracts::request::Kind;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Json};
use tenantry_saga::{End, Field, Plan, Registry, Row, Then, View, What, When};
use tenantry_step::Step;

use crate::steps::{CLERKS, Check, Crate, Label, Mail, Name, PORTERS, POSTMEN, Wish};

/// Long enough that the replay at the end of a run finds questions whose deadline still stands.
const LIMIT: i64 = 240_000;

static WORLD_1: Plan = PLAN;

const REFUSES: End = End::with(Then::Reject, &[(Class::Exhausted, Then::Compensate)]);
const UNDOES: End = End::with(Then::Compensate, &[(Class::Config, Then::Hold)]);

const PLAN: Plan = Plan {
    kind: Kind::Provision,
    version: 1,
    known_as: &[],
    rows: &[
        Row {
            name: "check",
            what: What::Step {
                worker: CLERKS,
                step: Check::NAME,
                input: wish,
                attempts: 5,
                limit_ms: LIMIT,
                undo: (8, LIMIT),
            },
            waits_for: &[],
            when: When::Always,
            end: REFUSES,
        },
        Row {
            name: "name",
            what: What::Step {
                worker: CLERKS,
                step: Name::NAME,
                input: wish,
                attempts: 5,
                limit_ms: LIMIT,
                undo: (8, LIMIT),
            },
            waits_for: &["check"],
            when: When::Always,
            end: UNDOES,
        },
        Row {
            name: "label",
            what: What::Step {
                worker: PORTERS,
                step: Label::NAME,
                input: wish,
                attempts: 5,
                limit_ms: LIMIT,
                undo: (8, LIMIT),
            },
            waits_for: &["check"],
            when: When::Always,
            end: UNDOES,
        },
        Row {
            name: "consent",
            what: What::Gate {
                role: "security-admin",
                binds: false,
                escalates_ms: 60_000,
                expires_ms: 300_000,
            },
            waits_for: &["check"],
            when: When::Field(Field::DemoData),
            end: End::always(Then::Compensate),
        },
        Row {
            name: "crate",
            what: What::Step {
                worker: PORTERS,
                step: Crate::NAME,
                input: wish,
                attempts: 5,
                limit_ms: LIMIT,
                undo: (8, LIMIT),
            },
            waits_for: &["name", "label", "consent"],
            when: When::Always,
            end: UNDOES,
        },
        Row {
            name: "pivot",
            what: What::Pivot,
            waits_for: &["crate"],
            when: When::Always,
            end: End::always(Then::Hold),
        },
        Row {
            name: "mail",
            what: What::Step {
                worker: POSTMEN,
                step: Mail::NAME,
                input: wish,
                attempts: 5,
                limit_ms: LIMIT,
                undo: (8, LIMIT),
            },
            waits_for: &["pivot"],
            when: When::Always,
            end: End::always(Then::Hold),
        },
    ],
};

const _: () = assert!(PLAN.is_sound());

/// The rows whose step cannot be repeated.
pub const ONCE: [&str; 1] = ["mail"];
/// What an ACTIVE tenant has, by the stems of the resources.
pub const EXPECTED: [&str; 3] = ["name", "crate", "label"];
/// Those of them whose provider checks the fencing number.
pub const FENCED: [&str; 2] = ["name", "crate"];

/// The plans of the seeded world.
pub fn plans() -> Registry {
    Registry::new([&WORLD_1], tenantry_saga::Rules::default())
}

fn wish(view: &View<'_>) -> Result<Json, Failure> {
    view.input(&Wish { switches: view.request().features.clone() })
}
