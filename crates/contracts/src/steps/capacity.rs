//! Worker `capacity`: what the tenant will need is set aside from the pools before anything is made, and becomes the
//! tenant's own when it is active.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Notice;
use super::validate::Requirements;
use crate::{StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("capacity");
/// Sets aside.
pub const RESERVE: StepName = StepName::new("capacity.reserve");
/// Makes what was set aside the tenant's own.
pub const COMMIT: StepName = StepName::new("capacity.commit");

/// What is asked for, of both steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The region whose pools give it.
    pub region: String,
    /// What is needed.
    pub requirements: Requirements,
}

/// What was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reserved {
    /// The parts, in the order database, storage, compute, network.
    pub parts: Vec<Part>,
    /// Pools that are nearly used up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
}

/// A part of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// The pool: `database` (connections), `storage` (bytes), `compute` (thousandths of a core), `network` (segments).
    pub pool: String,
    /// How much of it.
    pub amount: u64,
}

/// What became the tenant's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Committed {
    /// The parts.
    pub parts: Vec<Part>,
}
