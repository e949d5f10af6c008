//! Worker `credentials`: a one-time claim link for the first administrator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Sealed, StepName, Time, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("credentials");
/// The step.
pub const DELIVER: StepName = StepName::new("credentials.deliver");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The address, sealed as field `admin.email`; absent where the request named nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Sealed>,
    /// The tenant's display name, sealed as field `name`.
    pub name: Sealed,
    /// The database that the tenant's tables lie in.
    pub database: String,
    /// The schema that they lie in.
    pub schema: String,
    /// The account that the link claims.
    pub admin_user: String,
}

/// What was delivered. The link itself is in the mail and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The mail's id, or `none` where nobody is to be told.
    pub message: String,
    /// Until when the link can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}
