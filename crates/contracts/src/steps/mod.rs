//! The typed inputs and outputs of every step, one file for each worker.

pub mod capacity;
pub mod config;
pub mod credentials;
pub mod database;
pub mod gate;
pub mod identity;
pub mod notify;
pub mod policy;
pub mod quota;
pub mod receipt;
pub mod secrets;
pub mod storage;
pub mod validate;
pub mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Code;

/// What any output may say beside its own content, for the audit and for those who run the fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remarks {
    /// The policy decision that was made: its id goes into the audit event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// What somebody should know although the step succeeded: said on `tenant.events`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
}

/// Something that somebody should know although nothing failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Notice {
    /// The stable code.
    pub code: Code,
    /// One sentence for a person, without secrets and personal data.
    pub message: String,
}
