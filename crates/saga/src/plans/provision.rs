//! How a tenant comes to be. Undoing runs this same table from the bottom up.

use tenantry_contracts::{Class, request::Kind};

use super::provision_inputs as inputs;
use super::{gate, step};
use crate::{End, Field, Plan, Row, Then, What, When};
use tenantry_contracts::steps::{
    capacity, config, credentials, database, identity, notify, policy, quota, receipt, secrets, storage,
    validate, verify,
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// A *no* before anything was made refuses the request.
const REFUSE: End = End::with(
    Then::Compensate,
    &[(Class::Validation, Then::Reject), (Class::Business, Then::Reject), (Class::Policy, Then::Reject)],
);
/// What stands in the way and is not ours, or is set up wrongly, waits for a person; all else is undone.
const MAKE: End = End::with(Then::Compensate, &[(Class::Conflict, Then::Hold), (Class::Config, Then::Hold)]);
/// After the pivot.
const ONWARD: End = End::always(Then::Hold);
/// A check or a reviewer that says no blocks, and what was made stays for whoever looks into it.
const REVIEW: End = End::always(Then::Hold);

/// The approvals that pack `governed` asks for, whatever template or fleet say (seed 000).
const ONBOARDING: When = When::All(&[
    When::Any(&[When::Pack("governed"), When::Approval("onboarding")]),
    When::Not(&When::Field(Field::Approval)),
]);
const SECURITY: When = When::Any(&[When::Pack("governed"), When::Approval("security")]);
const COMPLIANCE: When = When::All(&[
    When::Any(&[When::Pack("governed"), When::Approval("compliance")]),
    When::Not(&When::Approval("compliance-after")),
]);

/// Version 1.
pub static PROVISION_1: Plan = PLAN;

const PLAN: Plan = Plan {
    kind: Kind::Provision,
    version: 1,
    rows: &[
        step("policy", &[], policy::WORKER, policy::DECIDE, inputs::policy, MINUTE, REFUSE),
        step("validate", &["policy"], validate::WORKER, validate::REQUEST, inputs::validate, MINUTE, REFUSE),
        gate(
            "approval.onboarding",
            &["validate"],
            "platform-admin",
            (2 * DAY, 7 * DAY),
            ONBOARDING,
            End::always(Then::Reject),
        ),
        step(
            "capacity",
            &["approval.onboarding"],
            capacity::WORKER,
            capacity::RESERVE,
            inputs::capacity,
            MINUTE,
            End::with(Then::Compensate, &[(Class::Capacity, Then::Hold), (Class::Config, Then::Hold)]),
        ),
        step("identity", &["capacity"], identity::WORKER, identity::CREATE, inputs::identity, MINUTE, MAKE),
        step(
            "database",
            &["identity"],
            database::WORKER,
            database::PROVISION,
            inputs::database,
            5 * MINUTE,
            MAKE,
        ),
        step("storage", &["identity"], storage::WORKER, storage::ALLOCATE, inputs::storage, MINUTE, MAKE),
        step("secrets", &["identity"], secrets::WORKER, secrets::CREATE, inputs::secrets, MINUTE, MAKE),
        step("quota", &["identity"], quota::WORKER, quota::ASSIGN, inputs::quota, MINUTE, MAKE),
        step("config", &["identity"], config::WORKER, config::APPLY, inputs::config, MINUTE, MAKE),
        step(
            "verify",
            &["database", "storage", "secrets", "quota", "config"],
            verify::WORKER,
            verify::TENANT,
            inputs::verify,
            5 * MINUTE,
            REVIEW,
        ),
        gate("approval.security", &["verify"], "security-admin", (DAY, 3 * DAY), SECURITY, REVIEW),
        gate(
            "approval.compliance",
            &["approval.security"],
            "compliance-officer",
            (2 * DAY, 5 * DAY),
            COMPLIANCE,
            REVIEW,
        ),
        Row {
            name: "pivot",
            what: What::Pivot,
            waits_for: &["approval.compliance"],
            when: When::Always,
            end: ONWARD,
        },
        step(
            "credentials",
            &["pivot"],
            credentials::WORKER,
            credentials::DELIVER,
            inputs::credentials,
            MINUTE,
            ONWARD,
        ),
        step(
            "capacity.commit",
            &["pivot"],
            capacity::WORKER,
            capacity::COMMIT,
            inputs::capacity,
            MINUTE,
            ONWARD,
        ),
        step(
            "receipt",
            &["credentials", "capacity.commit"],
            receipt::WORKER,
            receipt::SEAL,
            inputs::receipt,
            MINUTE,
            ONWARD,
        ),
        step(
            "notify",
            &["receipt"],
            notify::WORKER,
            notify::SEND,
            inputs::notify,
            MINUTE,
            End::always(Then::Degrade),
        ),
        gate(
            "approval.compliance-after",
            &["receipt"],
            "compliance-officer",
            (2 * DAY, 5 * DAY),
            When::Approval("compliance-after"),
            REVIEW,
        ),
    ],
    // Seed 000's names.
    known_as: &[("identity", "tenant.created"), ("approval.security", "tenant.validated")],
};

const _: () = assert!(PLAN.is_sound());
