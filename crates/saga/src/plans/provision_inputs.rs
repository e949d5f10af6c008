//! What the rows of `provision` are asked for, made from the request and the outputs of earlier rows.

use tenantry_contracts::Json;
use tenantry_contracts::result::Failure;
use tenantry_contracts::steps::{
    capacity as capacity_step, config as config_step, credentials as credentials_step,
    database as database_step, gate, identity as identity_step, notify as notify_step, policy as policy_step,
    quota as quota_step, receipt as receipt_step, secrets as secrets_step, storage as storage_step,
    validate as validate_step, verify as verify_step,
};

use crate::View;

type Input = Result<Json, Failure>;

pub(super) fn policy(view: &View<'_>) -> Input {
    let request = view.request();
    view.input(&policy_step::Input {
        query: policy_step::PROVISION.to_owned(),
        source: view.request_id().source.clone(),
        initiator: request.initiator.clone().unwrap_or_else(|| "admin".to_owned()),
        plan: request.plan.clone(),
        template: view.template().map(|template| template.name.clone()),
        residency: request.residency.clone(),
        region: request.region.clone(),
        seats: request.seats,
        storage_bytes: request.storage_bytes,
        encryption: request.encryption.clone(),
        retention_days: request.retention_days,
        features: request.features.clone(),
        integrations: request.integrations.clone(),
        modules: request.modules.clone(),
    })
}

pub(super) fn validate(view: &View<'_>) -> Input {
    let request = view.request();
    view.input(&validate_step::Input {
        name: request.name.clone(),
        plan: request.plan.clone(),
        template: view.template().map(|template| template.digest.clone()),
        residency: request.residency.clone(),
        region: request.region.clone(),
        domain: request.domain.clone(),
        modules: request.modules.clone(),
        seats: request.seats,
        storage_bytes: request.storage_bytes,
        encryption: request.encryption.clone(),
        features: request.features.clone(),
        integrations: request.integrations.clone(),
        customisation: request.customisation.clone(),
        valid_until: request.valid_until,
    })
}

fn checked(view: &View<'_>) -> Result<validate_step::Output, Failure> {
    view.output("validate")
}

pub(super) fn capacity(view: &View<'_>) -> Input {
    let checked = checked(view)?;
    view.input(&capacity_step::Input { region: checked.region, requirements: checked.requirements })
}

pub(super) fn identity(view: &View<'_>) -> Input {
    let checked = checked(view)?;
    view.input(&identity_step::Input {
        template: checked.template.name,
        region: checked.region,
        residency: checked.residency,
    })
}

pub(super) fn database(view: &View<'_>) -> Input {
    let request = view.request();
    let checked = checked(view)?;
    view.input(&database_step::Input {
        isolation: checked.template.isolation,
        modules: checked.modules,
        admin_email: request.admin.as_ref().map(|admin| admin.email.clone()),
        admin_role: request.admin.as_ref().and_then(|admin| admin.role.clone()),
        demo_data: request.demo_data,
        connections: checked.requirements.database_connections,
        settings: database_step::Settings {
            name: request.name.clone(),
            domain: request.domain.clone(),
            customisation: request.customisation.clone(),
            limits: checked.requirements,
        },
    })
}

pub(super) fn storage(view: &View<'_>) -> Input {
    let checked = checked(view)?;
    let quota_bytes = checked.requirements.storage_bytes;
    view.input(&storage_step::Input { region: checked.region, quota_bytes })
}

pub(super) fn secrets(view: &View<'_>) -> Input {
    let checked = checked(view)?;
    view.input(&secrets_step::Input { level: checked.encryption, generation: 1 })
}

pub(super) fn quota(view: &View<'_>) -> Input {
    let checked = checked(view)?;
    view.input(&quota_step::Input {
        template: checked.template,
        seats: checked.requirements.seats,
        storage_bytes: checked.requirements.storage_bytes,
    })
}

pub(super) fn config(view: &View<'_>) -> Input {
    let request = view.request();
    let checked = checked(view)?;
    view.input(&config_step::Input {
        template: checked.template,
        customisation: request.customisation.clone(),
        domain: request.domain.clone(),
        features: request.features.clone(),
        integrations: request.integrations.clone(),
        modules: checked.modules,
        retention_days: request.retention_days,
        encryption: Some(checked.encryption),
        limits: checked.requirements,
    })
}

pub(super) fn verify(view: &View<'_>) -> Input {
    view.input(&verify_step::Input {
        isolation: checked(view)?.template.isolation,
        database: view.output("database")?,
        storage: view.output("storage")?,
        secrets: view.output("secrets")?,
        config: view.output("config")?,
        quota: view.output("quota")?,
    })
}

pub(super) fn credentials(view: &View<'_>) -> Input {
    let request = view.request();
    let made: database_step::Output = view.output("database")?;
    view.input(&credentials_step::Input {
        email: request.admin.as_ref().map(|admin| admin.email.clone()),
        name: request.name.clone(),
        database: made.database,
        schema: made.schema,
        admin_user: made.admin_user,
    })
}

/// The rows that the receipts speak of: all have their outputs before the pivot, so that the input stays the same.
const MADE: [&str; 10] = [
    "policy", "validate", "capacity", "identity", "database", "storage", "secrets", "quota", "config",
    "verify",
];

pub(super) fn receipt(view: &View<'_>) -> Input {
    let request = view.request();
    let checked = checked(view)?;
    let decided: policy_step::Output = view.output("policy")?;
    let validated: Option<gate::Output> = view.maybe("approval.security")?;
    view.input(&receipt_step::Input {
        identity: view.output("identity")?,
        quota: view.output("quota")?,
        config: view.output("config")?,
        template: checked.template,
        seats: checked.requirements.seats,
        storage_bytes: checked.requirements.storage_bytes,
        decision: decided.decision,
        guard: view.digest("verify")?,
        actor_kind: if request.initiator.is_some() || request.requested_by.is_some() {
            "user"
        } else {
            "api"
        }
        .to_owned(),
        created_by: request.requested_by.clone(),
        source: view.request_id().source.clone(),
        request: view.request_id().id.clone(),
        validated_by: validated.map(|gate| gate.by),
        commitments: view.digests(&MADE),
    })
}

pub(super) fn notify(view: &View<'_>) -> Input {
    let request = view.request();
    let identity: identity_step::Output = view.output("identity")?;
    view.input(&notify_step::Input {
        template: "provisioned".to_owned(),
        email: request.admin.as_ref().map(|admin| admin.email.clone()),
        name: request.name.clone(),
        display: identity.display,
        tier: checked(view)?.template.tier,
    })
}
