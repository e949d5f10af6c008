//! What a receipt says: the documents that the worker `receipt` signs and stores. Members stand in the order of these
//! types, so that equal receipts have equal bytes.
//!
//! A receipt's id and digest are made of its exact bytes and therefore do not stand in it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::steps::identity::{Namespace, Partition};
use crate::{Environment, TenantId};

/// The media type of a receipt inside its envelope.
pub const MEDIA_TYPE: &str = "application/vnd.tenantry.receipt+json";

/// A point in time as receipts write it: RFC 3339, UTC, whole seconds.
const MOMENT: &str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
/// SHA-256, hexadecimal.
const DIGEST: &str = "^[0-9a-f]{64}$";

/// Any receipt. Which one it is, its members tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Receipt {
    /// What the tenant may use was assigned.
    Quota(QuotaAssigned),
    /// The tenant was made.
    Provisioned(Box<Provisioned>),
    /// The same for auditors, in seed 000's form.
    Tenant(TenantReceipt),
}

impl Receipt {
    /// The action as results of steps name it.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Quota(_) => "TENANT_QUOTA_ASSIGNED",
            Self::Provisioned(_) => "TENANT_PROVISIONED",
            Self::Tenant(_) => "TENANT_RECEIPT",
        }
    }

    /// What it says that rows answered. Seed 000's form says nothing of it: the audit speaks of its digest.
    pub fn commitments(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Quota(receipt) => Some(&receipt.commitments),
            Self::Provisioned(receipt) => Some(&receipt.commitments),
            Self::Tenant(_) => None,
        }
    }
}

/// The action of [`QuotaAssigned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum QuotaAction {
    /// The only one.
    #[serde(rename = "TENANT_QUOTA_ASSIGNED")]
    TenantQuotaAssigned,
}

/// The action of [`Provisioned`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ProvisionedAction {
    /// The only one.
    #[serde(rename = "TENANT_PROVISIONED")]
    TenantProvisioned,
}

/// What kind of actor asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActorType {
    /// A person.
    User,
    /// The fleet itself.
    System,
    /// Another system.
    Api,
    /// Something that runs by the clock.
    Job,
}

/// `TENANT_QUOTA_ASSIGNED`: what the tenant may use (seed 002).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct QuotaAssigned {
    /// What was done.
    pub action_type: QuotaAction,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What kind of actor asked.
    pub actor_type: ActorType,
    /// What was assigned.
    pub quota: Quota,
    /// The plan's tier, as in `ENTERPRISE`.
    pub plan: String,
    /// The environment.
    pub environment: Environment,
    /// The source and id of the request, as in `https://crm.example.com#7f9c2a`: audit events carry both.
    pub correlation_id: String,
    /// The id of the request.
    pub request_id: String,
    /// Of the row by which it was assigned hexadecimal SHA-256 of its output: the audit event of that row
    /// carries the same as its `commitment`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commitments: BTreeMap<String, String>,
    /// When it was sealed.
    #[schemars(extend("pattern" = MOMENT))]
    pub timestamp: String,
}

/// What a tier gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Quota {
    /// The tier.
    pub tier: String,
    /// Requests in a day.
    pub requests_per_day: u64,
    /// Seats.
    pub seats: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
}

/// `TENANT_PROVISIONED`: what was made (seed 002), and on what grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provisioned {
    /// What was done.
    pub action_type: ProvisionedAction,
    /// The tenant.
    pub tenant_id: TenantId,
    /// What kind of actor asked.
    pub actor_type: ActorType,
    /// Where the tenant lives.
    pub namespace: Namespace,
    /// Its logical partitions.
    pub partitions: Vec<Partition>,
    /// The plan's tier, as in `ENTERPRISE`.
    pub plan: String,
    /// The environment.
    pub environment: Environment,
    /// Seats.
    pub seats: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
    /// The template by which it was made.
    pub template: TemplateRef,
    /// Hexadecimal SHA-256 of the configuration in force.
    #[schemars(extend("pattern" = DIGEST))]
    pub config: String,
    /// The id of the policy decision that allowed it.
    pub policy_decision: String,
    /// Hexadecimal SHA-256 of the isolation guard's report, after whose yes this was sealed.
    #[schemars(extend("pattern" = DIGEST))]
    pub guard: String,
    /// Hexadecimal SHA-256 of the receipt `TENANT_QUOTA_ASSIGNED` that was sealed just before.
    #[schemars(extend("pattern" = DIGEST))]
    pub quota_receipt: String,
    /// The source and id of the request, as in `https://crm.example.com#7f9c2a`: audit events carry both.
    pub correlation_id: String,
    /// The id of the request.
    pub request_id: String,
    /// Of each row that it speaks of hexadecimal SHA-256 of its output: the audit event of that row
    /// carries the same as its `commitment`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commitments: BTreeMap<String, String>,
    /// When it was sealed.
    #[schemars(extend("pattern" = MOMENT))]
    pub timestamp: String,
}

/// A template by name, version and content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TemplateRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Hexadecimal SHA-256 of its content.
    #[schemars(extend("pattern" = DIGEST))]
    pub digest: String,
}

/// `receipt.v1`: seed 000's receipt, with exactly its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantReceipt {
    /// The number that people call the tenant by, as in `TEN-001`.
    #[schemars(extend("pattern" = "^TEN-[0-9]{3,}$"))]
    pub tenant_id: String,
    /// How the tenant is.
    pub status: Status,
    /// Who asked for it.
    pub created_by: String,
    /// Who said yes: the account at the security gate, or `isolation-guard` where the fleet's own guard alone did.
    pub validated_by: String,
    /// When it was sealed.
    #[schemars(extend("pattern" = MOMENT))]
    pub timestamp: String,
}

/// The status that a receipt certifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It can be used.
    Active,
}
