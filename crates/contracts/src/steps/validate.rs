//! Worker `validate`: the request is sound, its names are claimed, its template is found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Sealed, StepName, Time, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("validate");
/// The step.
pub const REQUEST: StepName = StepName::new("validate.request");

/// What is checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The display name, sealed as field `name`.
    pub name: Sealed,
    /// The plan.
    pub plan: String,
    /// Hexadecimal SHA-256 of the plan's template, as the coordinator pinned it; absent where it knows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The residency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub residency: Option<String>,
    /// The region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The modules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Seats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<u32>,
    /// Storage in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_bytes: Option<u64>,
    /// `standard` or `enhanced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// Features asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Integrations asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integrations: Vec<String>,
    /// Settings and branding, sealed as field `customisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customisation: Option<Sealed>,
    /// The end of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// What was found and claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The template of the plan, with its digest (hexadecimal SHA-256).
    pub template: Template,
    /// The region to make the tenant in.
    pub region: String,
    /// The residency it lies in.
    pub residency: String,
    /// The modules to migrate, in their declared order.
    pub modules: Vec<String>,
    /// `standard` or `enhanced`: what the request asks for, never less than the template's.
    pub encryption: String,
    /// What the tenant will need.
    pub requirements: Requirements,
    /// The names that were claimed for it, each with the generation of its claim.
    pub claims: Vec<Claim>,
}

/// A template by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Hexadecimal SHA-256 of its content.
    pub digest: String,
    /// The tier, as in `ENTERPRISE`.
    pub tier: String,
    /// `schema`, `database` or `pooled_rls`.
    pub isolation: String,
}

/// The requirement vector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requirements {
    /// Seats.
    pub seats: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
    /// Database connections at most.
    pub database_connections: u32,
    /// Compute in thousandths of a core.
    pub compute_millis: u32,
    /// Network segments.
    pub network_segments: u32,
}

/// A name that only one tenant can hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// `name` or `domain`.
    pub kind: String,
    /// How often this name was claimed so far: what is made under the name is fenced by it.
    pub generation: i64,
}
