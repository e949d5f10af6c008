//! How a tenant comes to be. Undoing runs this same table from the bottom up.

use tenantry_contracts::result::Failure;
use tenantry_contracts::steps::{credentials, database, validate};
use tenantry_contracts::{Class, Json, request::Kind};

use crate::{End, Plan, Row, Then, View, What, When};

const MINUTE: i64 = 60_000;

/// Version 1.
pub static PROVISION_1: Plan = PLAN;

const PLAN: Plan = Plan {
    kind: Kind::Provision,
    version: 1,
    rows: &[
        Row {
            name: "validate",
            what: What::Step {
                worker: validate::WORKER,
                step: validate::REQUEST,
                input: validate_input,
                attempts: 3,
                limit_ms: MINUTE,
                undo: (5, MINUTE),
            },
            waits_for: &[],
            when: When::Always,
            end: End::with(
                Then::Compensate,
                &[
                    (Class::Validation, Then::Reject),
                    (Class::Business, Then::Reject),
                    (Class::Policy, Then::Reject),
                ],
            ),
        },
        Row {
            name: "database",
            what: What::Step {
                worker: database::WORKER,
                step: database::PROVISION,
                input: database_input,
                attempts: 3,
                limit_ms: 5 * MINUTE,
                undo: (5, 5 * MINUTE),
            },
            waits_for: &["validate"],
            when: When::Always,
            end: End::with(Then::Compensate, &[(Class::Conflict, Then::Hold), (Class::Config, Then::Hold)]),
        },
        Row {
            name: "pivot",
            what: What::Pivot,
            waits_for: &["database"],
            when: When::Always,
            end: End::always(Then::Hold),
        },
        Row {
            name: "credentials",
            what: What::Step {
                worker: credentials::WORKER,
                step: credentials::DELIVER,
                input: credentials_input,
                attempts: 3,
                limit_ms: MINUTE,
                undo: (5, MINUTE),
            },
            waits_for: &["pivot"],
            when: When::Always,
            end: End::always(Then::Hold),
        },
    ],
};

const _: () = assert!(PLAN.is_sound());

fn validate_input(view: &View<'_>) -> Result<Json, Failure> {
    let request = view.request();
    view.input(&validate::Input {
        name: request.name.clone(),
        plan: request.plan.clone(),
        residency: request.residency.clone(),
        region: request.region.clone(),
        domain: request.domain.clone(),
        modules: request.modules.clone(),
        seats: request.seats,
        storage_bytes: request.storage_bytes,
        valid_until: request.valid_until,
    })
}

fn database_input(view: &View<'_>) -> Result<Json, Failure> {
    let request = view.request();
    let checked: validate::Output = view.output("validate")?;
    view.input(&database::Input {
        isolation: checked.template.isolation,
        modules: checked.modules,
        admin_email: request.admin.as_ref().map(|admin| admin.email.clone()),
        admin_role: request.admin.as_ref().and_then(|admin| admin.role.clone()),
        demo_data: request.demo_data,
        connections: checked.requirements.database_connections,
        settings: database::Settings {
            name: request.name.clone(),
            domain: request.domain.clone(),
            customisation: request.customisation.clone(),
            limits: checked.requirements,
        },
    })
}

fn credentials_input(view: &View<'_>) -> Result<Json, Failure> {
    let request = view.request();
    let made: database::Output = view.output("database")?;
    view.input(&credentials::Input {
        email: request.admin.as_ref().map(|admin| admin.email.clone()),
        name: request.name.clone(),
        schema: made.schema,
        admin_user: made.admin_user,
    })
}
