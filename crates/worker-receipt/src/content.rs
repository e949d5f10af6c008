//! What the receipts say. Pure: the same input sealed at the same time gives the same bytes.

use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest, Sha256};
use tenantry_contracts::receipt::{
    ActorType, Provisioned, ProvisionedAction, Quota, QuotaAction, QuotaAssigned, Receipt, Status,
    TemplateRef, TenantReceipt,
};
use tenantry_contracts::steps::receipt::{Input, Sealing};
use tenantry_contracts::{Class, Code, RequestId, Time};
use tenantry_step::{Answer, Cx, Trouble};

/// Who validated where no person did.
const GUARD: &str = "isolation-guard";

/// A receipt as it will be signed.
pub(crate) struct Content {
    pub(crate) sealing: Sealing,
    pub(crate) bytes: Vec<u8>,
}

impl Content {
    fn of(receipt: &Receipt) -> Self {
        let bytes = serde_json::to_vec(receipt).expect("text, numbers and lists have a JSON form");
        let digest = hex::encode(Sha256::digest(&bytes));
        let sealing =
            Sealing { id: format!("prov_{}", &digest[..24]), action: receipt.action().to_owned(), digest };
        Self { sealing, bytes }
    }
}

/// The receipts in the order in which they are sealed.
///
/// # Errors
/// `field_invalid` for an unknown kind of actor; the sealed account does not open.
pub(crate) fn all(cx: &Cx, input: &Input, at: Time) -> Answer<Vec<Content>> {
    let actor_type = actor(&input.actor_kind)?;
    let created_by = match &input.created_by {
        Some(sealed) => cx.open("requested_by", sealed)?,
        None => input.source.clone(),
    };
    let request = RequestId { source: input.source.clone(), id: input.request.clone() };
    let timestamp = seconds(at);
    let quota = &input.quota;

    let assigned = Content::of(&Receipt::Quota(QuotaAssigned {
        action_type: QuotaAction::TenantQuotaAssigned,
        tenant_id: cx.tenant,
        actor_type,
        quota: Quota {
            tier: quota.tier.clone(),
            requests_per_day: quota.requests_per_day,
            seats: quota.seats,
            storage_bytes: quota.storage_bytes,
        },
        plan: input.template.tier.clone(),
        environment: cx.environment.clone(),
        correlation_id: request.to_string(),
        request_id: request.id.clone(),
        commitments: input.commitments.get_key_value("quota").map(owned).into_iter().collect(),
        timestamp: timestamp.clone(),
    }));
    let provisioned = Content::of(&Receipt::Provisioned(Box::new(Provisioned {
        action_type: ProvisionedAction::TenantProvisioned,
        tenant_id: cx.tenant,
        actor_type,
        namespace: input.identity.namespace.clone(),
        partitions: input.identity.partitions.clone(),
        plan: input.template.tier.clone(),
        environment: cx.environment.clone(),
        seats: input.seats,
        storage_bytes: input.storage_bytes,
        template: TemplateRef {
            name: input.template.name.clone(),
            version: input.template.version.clone(),
            digest: input.template.digest.clone(),
        },
        config: input.config.digest.clone(),
        policy_decision: input.decision.clone(),
        guard: input.guard.clone(),
        quota_receipt: assigned.sealing.digest.clone(),
        correlation_id: request.to_string(),
        request_id: request.id,
        commitments: input.commitments.clone(),
        timestamp: timestamp.clone(),
    })));
    let plain = Content::of(&Receipt::Tenant(TenantReceipt {
        tenant_id: input.identity.display.clone(),
        status: Status::Active,
        created_by,
        validated_by: input.validated_by.clone().unwrap_or_else(|| GUARD.to_owned()),
        timestamp,
    }));
    Ok(vec![assigned, provisioned, plain])
}

fn owned((row, digest): (&String, &String)) -> (String, String) {
    (row.clone(), digest.clone())
}

fn actor(kind: &str) -> Answer<ActorType> {
    Ok(match kind {
        "user" => ActorType::User,
        "system" => ActorType::System,
        "api" => ActorType::Api,
        "job" => ActorType::Job,
        _ => {
            let message = "the kind of actor is none of user, system, api, job";
            return Err(Trouble::no_at(Code::FieldInvalid, Class::Validation, "/actor_kind", message));
        }
    })
}

/// RFC 3339 in UTC without fractions, as in seed 000.
fn seconds(at: Time) -> String {
    let at = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
