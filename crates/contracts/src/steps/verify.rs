//! Worker `verify`: what was made is healthy, and nothing of it can be reached from another tenant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{config, database, quota, secrets, storage};
use crate::{StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("verify");
/// The step.
pub const TENANT: StepName = StepName::new("verify.tenant");

/// What was made and is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The isolation strategy: `schema`, `database` or `pooled_rls`.
    pub isolation: String,
    /// What the worker `database` made.
    pub database: database::Output,
    /// What the worker `storage` made.
    pub storage: storage::Output,
    /// What the worker `secrets` made.
    pub secrets: secrets::Output,
    /// What the worker `config` made.
    pub config: config::Output,
    /// What the worker `quota` made.
    pub quota: quota::Output,
}

/// The report. A report of `failed` is no output: it is a failure that names the check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// All of it, as the worst of the checks.
    pub status: Health,
    /// What was looked at, each with how long it took.
    pub checks: Vec<Check>,
    /// What was tried from outside and was refused, as it must be.
    pub probes: Vec<String>,
    /// What is degraded, for those who run the fleet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<super::Notice>,
}

/// How something is (seed 004).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ready,
    /// It works, with less than it should have.
    Degraded,
    /// It does not work.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was looked at, as in `database.login`.
    pub name: String,
    /// How it is.
    pub status: Health,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
