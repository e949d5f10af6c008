//! Worker `storage`: a place for the tenant's files, with a quota.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("storage");
/// The step.
pub const ALLOCATE: StepName = StepName::new("storage.allocate");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The region that it must lie in.
    pub region: String,
    /// The most bytes.
    pub quota_bytes: u64,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// `t-<tenant id>`: the bucket, which the embedded provider keeps as a directory of that name.
    pub bucket: String,
    /// The region it lies in.
    pub region: String,
    /// The most bytes.
    pub quota_bytes: u64,
}
