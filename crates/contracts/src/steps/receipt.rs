//! Worker `receipt`: signed, content-addressed proof of what was made, given only after the isolation guard said yes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{config, identity, quota};
use crate::{Sealed, StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("receipt");
/// The step.
pub const SEAL: StepName = StepName::new("receipt.seal");

/// What the receipts speak of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What the worker `identity` made.
    pub identity: identity::Output,
    /// What the worker `quota` assigned.
    pub quota: quota::Output,
    /// What the worker `config` put in force.
    pub config: config::Output,
    /// The plan's template by name, version and digest.
    pub template: super::validate::Template,
    /// Seats.
    pub seats: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
    /// The id of the policy decision.
    pub decision: String,
    /// The guard: hexadecimal SHA-256 of the verification's report, exactly as it was answered.
    pub guard: String,
    /// `user`, `system`, `api` or `job`: what kind of actor asked.
    pub actor_kind: String,
    /// Who asked, sealed as field `requested_by`; absent where the request names nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Sealed>,
    /// The source of the request.
    pub source: String,
    /// The id of the request.
    pub request: String,
    /// Who validated it: the account that said yes at the security gate; absent where the fleet's own guard alone did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validated_by: Option<String>,
    /// Of each row before the pivot hexadecimal SHA-256 of its output, exactly as it was answered: what the audit events of
    /// these rows commit to.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commitments: BTreeMap<String, String>,
}

/// The receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The receipts, in the order in which they were sealed.
    pub receipts: Vec<Sealing>,
    /// The id of the key that signed them: the beginning of the SHA-256 of the public key, hexadecimal.
    pub key: String,
}

/// A sealed receipt. Its content lies with the provider, under its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sealing {
    /// `prov_` and the beginning of its digest.
    pub id: String,
    /// `TENANT_PROVISIONED`, `TENANT_QUOTA_ASSIGNED` or `TENANT_RECEIPT` (seed 000's form).
    pub action: String,
    /// Hexadecimal SHA-256 of the receipt's exact bytes.
    pub digest: String,
}
