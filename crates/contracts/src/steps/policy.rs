//! Worker `policy`: whether this may be done at all, decided by policy files (seed 002: `tenants/provision`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("policy");
/// The step.
pub const DECIDE: StepName = StepName::new("policy.decide");
/// What is asked of the policies before a tenant is made.
pub const PROVISION: &str = "tenants/provision";

/// What is asked for, as the policies see it as `input` (together with tenant, slug, environment and region). No
/// personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The decision's path, as in `tenants/provision`.
    pub query: String,
    /// The source of the request: which system or account published it.
    pub source: String,
    /// The flow: `admin` or `self`.
    pub initiator: String,
    /// The plan, as it was asked for.
    pub plan: String,
    /// The template of that plan, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The residency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<String>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u32>,
    /// Storage in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
    /// `standard` or `enhanced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Days for which data is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// Features asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Integrations asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integrations: Vec<String>,
    /// Modules asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
}

/// The decision. A *no* is no output: it is a failure of class `policy` with the reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The decision's id, as the decision log and the audit know it.
    pub decision: String,
    /// Whether it may be done; always true here.
    pub allow: bool,
    /// Hexadecimal SHA-256 of the policy files; of a remote engine its revision, where it tells one.
    pub bundle: String,
    /// Hexadecimal SHA-256 of what the policies saw.
    pub input: String,
    /// `embedded` or `opa`.
    pub engine: String,
    /// What the policies want to be known although they allow it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<super::Notice>,
}
