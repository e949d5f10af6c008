//! The verbs of people.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::audit::AuditKind;
use crate::{Json, RowName, WorkerName, strict};

/// What a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationVerb {
    /// Go on from what failed, with what is done kept: HELD, STUCK and BLOCKED.
    Retry,
    /// Undo everything: until the pivot.
    Cancel,
    /// Say yes at a gate.
    Approve(RowName),
    /// Say no at a gate.
    Reject(RowName),
    /// Ask a step again that was asked before, and then everything that was built on it; gates behind it open again.
    Rerun(RowName),
    /// Go on with a corrected request: a JSON merge patch (RFC 7396) of its normal form. Everything is validated again.
    Correct(Json),
    /// Give a failed step up and go on without it: where the step's own look proves that nothing half made is left, or a
    /// second person answers for it.
    Skip(RowName),
    /// An undo that failed was done by hand: where the step's own look proves that nothing is left, or a second person
    /// answers for it.
    MarkDone(RowName),
    /// Nothing of the tenant may be destroyed from here on (legal hold).
    Hold,
    /// The hold is lifted; needs a second person.
    Release,
    /// Begin nothing new from here on; what runs is heard.
    Pause(Scope),
    /// Go on where it was paused.
    Resume(Scope),
    /// Destroy the key under which the tenant's personal data is sealed: a tenant that is over; needs a second person.
    Forget,
    /// Write down what a person did with the fleet's tools.
    Attest(#[serde(deserialize_with = "strict::object")] Deed),
    /// The store was restored from a backup that ends before what was published: go on with what it has.
    AcceptRestore,
}

impl OperationVerb {
    /// The verb's word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Approve(_) => "approve",
            Self::Reject(_) => "reject",
            Self::Rerun(_) => "rerun",
            Self::Correct(_) => "correct",
            Self::Skip(_) => "skip",
            Self::MarkDone(_) => "mark-done",
            Self::Hold => "hold",
            Self::Release => "release",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Forget => "forget",
            Self::Attest(_) => "attest",
            Self::AcceptRestore => "accept-restore",
        }
    }

    /// Whether it is about one tenant, about the lane that hears it, or may be about either (`None`).
    pub const fn about_tenant(&self) -> Option<bool> {
        match self {
            Self::Attest(_) => None,
            Self::AcceptRestore => Some(false),
            Self::Pause(scope) | Self::Resume(scope) => Some(matches!(scope, Scope::Tenant)),
            _ => Some(true),
        }
    }
}

/// What is paused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The tenant that the operation is about.
    Tenant,
    /// Whatever is asked of one worker, in the lane that hears it.
    Worker(WorkerName),
    /// Whatever is asked of any worker, in the lane that hears it.
    Fleet,
}

/// What a person did with the fleet's tools: it stands in the audit, in the chain of the lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deed {
    /// What was done.
    pub what: DeedKind,
    /// SHA-256 of the document that it was done with or to (a manifest, a bundle, a key), hexadecimal.
    pub digest: String,
    /// In words: counts, names of files, never personal data.
    pub note: String,
}

/// The deeds that are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeedKind {
    /// Dead letters were replayed: one run of a manifest.
    DlqReplayed,
    /// A dead letter was edited and published anew.
    DlqEdited,
    /// Dead letters were given up.
    DlqExpired,
    /// Verbs were sent to a frozen selection of tenants: one run of it.
    BatchRun,
    /// Evidence was exported.
    EvidenceExported,
    /// Personal data was opened.
    OpeningsRead,
}

impl DeedKind {
    /// The kind of the audit event that speaks of it.
    pub const fn kind(self) -> AuditKind {
        match self {
            Self::DlqReplayed => AuditKind::DlqReplayed,
            Self::DlqEdited => AuditKind::DlqEdited,
            Self::DlqExpired => AuditKind::DlqExpired,
            Self::BatchRun => AuditKind::BatchRun,
            Self::EvidenceExported => AuditKind::EvidenceExported,
            Self::OpeningsRead => AuditKind::OpeningsRead,
        }
    }
}
