//! Worker `secrets`: the tenant's own encryption keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("secrets");
/// The step.
pub const CREATE: StepName = StepName::new("secrets.create");

/// What is asked for. Asked again with a higher generation, the step rotates: new data is sealed with the new key, and
/// the older ones still open what they sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// `standard` or `enhanced`: an enhanced tenant's keys are wrapped by a key of its own.
    pub level: String,
    /// The generation of the newest key, counted from one.
    pub generation: u32,
}

/// What was made. No key stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Where the keys lie, relative to the provider's root.
    pub path: String,
    /// The newest key's id: the beginning of its SHA-256, hexadecimal.
    pub key: String,
    /// Its generation.
    pub generation: u32,
    /// `standard` or `enhanced`.
    pub level: String,
}
