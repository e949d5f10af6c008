//! Worker `quota`: what the tenant may use in a day, by its tier (seed 002: `TENANT_QUOTA_ASSIGNED`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::Template;
use crate::{StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("quota");
/// The step.
pub const ASSIGN: StepName = StepName::new("quota.assign");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The template, pinned.
    pub template: Template,
    /// Seats.
    pub seats: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
}

/// What was assigned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The tier, as in `ENTERPRISE`.
    pub tier: String,
    /// Requests in a day.
    pub requests_per_day: u64,
    /// Seats.
    pub seats: u32,
    /// Storage in bytes.
    pub storage_bytes: u64,
}
