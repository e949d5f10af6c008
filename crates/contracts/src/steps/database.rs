//! Worker `database`: a schema of the tenant's own, migrated, seeded and proved isolated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::Requirements;
use crate::{Sealed, StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("database");
/// The step.
pub const PROVISION: StepName = StepName::new("database.provision");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The isolation strategy: `schema`, `database` or `pooled_rls`.
    pub isolation: String,
    /// The modules to migrate, in order.
    pub modules: Vec<String>,
    /// The first administrator's address, sealed as field `admin.email`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_email: Option<Sealed>,
    /// The administrator's role; `tenant-admin` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_role: Option<String>,
    /// Whether demonstration data is wanted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demo_data: bool,
    /// The most connections that the tenant's role may hold.
    pub connections: u32,
    /// What the tenant's settings table begins with.
    pub settings: Settings,
}

/// The first row of the tenant's `tenant_config`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The display name, sealed as field `name`.
    pub name: Sealed,
    /// The tenant's own host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Settings and branding, sealed as field `customisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customisation: Option<Sealed>,
    /// What the tenant may use: `validate`'s requirement vector.
    pub limits: Requirements,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The database it lies in.
    pub database: String,
    /// The schema that its tables lie in; with `pooled_rls` shared with other tenants, each seeing its own rows only.
    pub schema: String,
    /// The tenant's role. Its password is nowhere in clear.
    pub role: String,
    /// The modules with the version each is at, in order.
    pub modules: Vec<Module>,
    /// The administrator's account in the identity module.
    pub admin_user: String,
    /// What the isolation probe tried and was refused.
    pub probes: Vec<String>,
}

/// A module and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// The number of its last migration.
    pub version: u32,
}
