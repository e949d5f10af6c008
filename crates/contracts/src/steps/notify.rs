//! Worker `notify`: the contact and the platform's admins hear how it went.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Sealed, StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("notify");
/// The step.
pub const SEND: StepName = StepName::new("notify.send");

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The message template, as in `provisioned`.
    pub template: String,
    /// The contact's address, sealed as field `admin.email`; absent where the request named nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Sealed>,
    /// The tenant's display name, sealed as field `name`.
    pub name: Sealed,
    /// The number that people call the tenant by.
    pub display: String,
    /// The plan's tier.
    pub tier: String,
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The ids of the messages: one for the contact where there is one, one for each admin.
    pub messages: Vec<String>,
}
