//! What was told, for programs.

use serde::Serialize;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::event::{Event, TenantRef};
use tenantry_contracts::{Origin, RequestId, State};

use crate::show::code::Outcome;
use crate::show::trouble::Trouble;

/// What became of a step, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The row of the plan.
    pub row: String,
    /// What happened, in the audit's words.
    pub what: AuditKind,
    /// Milliseconds from the question to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Trouble>,
}

/// Everything that was told, for programs.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub(super) request: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<&'a Origin>,
    pub(super) outcome: Outcome,
    pub(super) exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<&'a TenantRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) took_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Trouble>,
    pub(super) steps: &'a [Step],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<&'a Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<&'a Event>,
}
