//! Worker `config`: the tenant's effective configuration, made of template, plan and allowed customisations.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{Requirements, Template};
use crate::catalogue::Retention;
use crate::{Sealed, StepName, WorkerName};

/// The worker.
pub const WORKER: WorkerName = WorkerName::new("config");
/// The step.
pub const APPLY: StepName = StepName::new("config.apply");

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The template, pinned.
    pub template: Template,
    /// Settings and branding, sealed as field `customisation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customisation: Option<Sealed>,
    /// The tenant's own host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Features asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Integrations asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub integrations: Vec<String>,
    /// The modules that are enabled.
    pub modules: Vec<String>,
    /// Days for which data is kept, where the request says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
    /// `standard` or `enhanced`, where the request says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// What the tenant may use.
    pub limits: Requirements,
}

/// What is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Hexadecimal SHA-256 of the effective document, customisations included.
    pub digest: String,
    /// Every feature flag of the template and how it stands.
    pub flags: BTreeMap<String, bool>,
    /// The integrations that are set up.
    pub integrations: Vec<String>,
    /// The top-level names of the customisations that were applied.
    pub customised: Vec<String>,
    /// For how long what is kept.
    pub retention: Retention,
    /// `standard` or `enhanced`.
    pub encryption: String,
}
