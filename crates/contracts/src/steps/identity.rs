//! Worker `identity`: the tenant's record in the control plane, its namespace and its logical partitions (seed 002).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Environment, StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("identity");
/// The step.
pub const CREATE: StepName = StepName::new("identity.create");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The template.
    pub template: String,
    /// The region.
    pub region: String,
    /// The residency.
    pub residency: String,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The number that people call the tenant by, as in `TEN-001`.
    pub display: String,
    /// The namespace.
    pub namespace: Namespace,
    /// The logical partitions, always in the order primary, analytics, audit.
    pub partitions: Vec<Partition>,
}

/// A namespace: where the tenant lives in one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Namespace {
    /// `ns_<tenant id>`.
    pub id: String,
    /// `<slug>-<environment>`.
    pub slug: String,
    /// The environment.
    pub environment: Environment,
}

/// A logical partition of a tenant's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Partition {
    /// `part_<tenant id>_<kind>`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `primary`, `analytics` or `audit`.
    #[serde(rename = "type")]
    pub kind: String,
}
