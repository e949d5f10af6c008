//! The audit event: one for each transition, complete in itself, chained over the exact bytes, readable for years.
//!
//! Each tenant has a chain named by its id, each lane one named `lane-<k>`. `seq` counts from one without a gap;
//! `prev` is the SHA-256 of the previous value's bytes, and for the first one that of a fixed tag and the chain's name.

use std::collections::BTreeMap;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::read_body;
use crate::envelope::Outgoing;
use crate::event::TenantRef;
use crate::operation::Actor;
use crate::{
    Headers, Lane, Origin, Record, Refusal, RequestId, RowName, SagaId, State, StepName, Time, Token,
    result::Failure, time::rfc3339,
};

/// The format of this version. A verifier reads every format that ever was.
pub const FORMAT: u16 = 1;

/// What the first record of a chain commits to: the SHA-256 of this tag, a line feed and the chain's name.
pub const GENESIS_TAG: &str = "tenantry-audit/1";

/// The CloudEvents type of every audit event; what happened stands in the value.
pub const TYPE: &str = "tenant.audit.v1";

/// The value of a record on `tenant.audit.events`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEvent {
    /// The format, [`FORMAT`].
    pub format: u16,
    /// The installation.
    pub fleet: String,
    /// The chain: a tenant's id or `lane-<k>`.
    pub chain: String,
    /// The place in the chain, counted from one.
    pub seq: i64,
    /// SHA-256 of the previous value's bytes, hexadecimal.
    pub prev: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: AuditKind,
    /// Seed 004's name for it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// When, by the fleet's clock.
    #[serde(with = "rfc3339")]
    #[schemars(with = "String")]
    pub at: Time,
    /// The journal row: the lane and its number.
    pub lane: Lane,
    /// The number of the journal row in its lane.
    pub n: i64,
    /// What was heard that caused it, or `None` for a due timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Origin>,
    /// SHA-256 of the value that was heard, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The tenant, where it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantRef>,
    /// The tenant's state after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaId>,
    /// The plan with its version and digest, where a saga begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRef>,
    /// The row of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<RowName>,
    /// The step of that row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepName>,
    /// The fencing number of the question that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Milliseconds from the question to its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// Who: absent where the fleet itself acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The second person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Actor>,
    /// The person's reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request or operation (source, id) that caused it: the correlation id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<RequestId>,
    /// The policy decision that allowed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// SHA-256 of the step's output, or of another thing that the event speaks of, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// Salted commitments to the personal data that came with it, by field ([`crate::opening::Opening`]): whoever has an
    /// opening can show what it was; once the tenant's key is destroyed, nobody can.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commitments: BTreeMap<String, String>,
    /// What else a reader should know, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl AuditEvent {
    /// An event that so far only has its place: of this kind, at this time, told by this row of the journal.
    pub fn new(kind: AuditKind, at: Time, lane: Lane, n: i64) -> Self {
        Self {
            format: FORMAT,
            fleet: String::new(),
            chain: String::new(),
            seq: 0,
            prev: String::new(),
            kind,
            alias: kind.alias().map(str::to_owned),
            at,
            lane,
            n,
            cause: None,
            digest: None,
            tenant: None,
            state: None,
            saga: None,
            plan: None,
            row: None,
            step: None,
            token: None,
            took_ms: None,
            actor: None,
            second: None,
            reason: None,
            operation: None,
            decision: None,
            failure: None,
            commitment: None,
            commitments: BTreeMap::new(),
            note: None,
        }
    }
}

/// The record's headers and value; its key is the chain. The headers repeat what routes a record and say nothing that
/// the value does not say. `source` names the fleet.
///
/// # Errors
/// Where the event has no JSON form; it always has.
pub fn encode(event: &AuditEvent, source: &str) -> Result<(Headers, Bytes), serde_json::Error> {
    let id = format!("{}:{}", event.chain, event.seq);
    let subject = event.tenant.as_ref().map_or(event.chain.as_str(), |tenant| tenant.slug.as_str());
    let headers =
        Outgoing { kind: TYPE, id: &id, source, time: event.at, subject, key: &event.chain }.headers();
    Ok((headers, serde_json::to_vec(event)?.into()))
}

/// Reads a record on `tenant.audit.events`. Members of later formats are ignored; whoever verifies a chain works on the
/// value's exact bytes.
///
/// # Errors
/// `empty_value`, `not_json`, or a breach of the schema with its pointer.
pub fn decode(record: &Record) -> Result<AuditEvent, Refusal> {
    read_body(record)
}

/// A plan, named so that it can be found and proved unaltered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PlanRef {
    /// Kind and version, as in `provision/1`.
    pub name: String,
    /// SHA-256 over the printed plan, hexadecimal.
    pub digest: String,
}

/// Declares [`AuditKind`] with its word and seed 004's alias.
macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal $(as $alias:literal)?;)*) => {
        /// What an audit event says happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum AuditKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl AuditKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in the event.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Seed 004's name.
            pub const fn alias(self) -> Option<&'static str> {
                match self { $(Self::$name => kinds!(@alias $($alias)?),)* }
            }
        }
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}

kinds! {
    /// A request was accepted; the tenant exists from here on.
    Requested = "tenant.requested" as "Requested";
    /// A request waits behind the running saga.
    Queued = "tenant.saga.queued";
    /// A saga began.
    Started = "tenant.saga.started" as "Started";
    /// A step said yes.
    StepSucceeded = "tenant.step.succeeded";
    /// A step said no, or nothing in time.
    StepFailed = "tenant.step.failed" as "StepFailed";
    /// A step is asked again.
    StepAskedAgain = "tenant.step.asked-again";
    /// A gate waits for a person.
    GateOpened = "tenant.gate.opened";
    /// A person decided, or time ran out.
    GateDecided = "tenant.gate.decided";
    /// Nobody has decided at a gate for so long that somebody is told.
    GateEscalated = "tenant.gate.escalated";
    /// A wait ended.
    WaitEnded = "tenant.wait.ended";
    /// Undoing began.
    Compensating = "tenant.compensating";
    /// A step was undone.
    StepUndone = "tenant.step.undone";
    /// An undo failed.
    UndoFailed = "tenant.step.undo-failed";
    /// The saga reached its end.
    Completed = "tenant.saga.completed" as "Completed";
    /// Nothing of the tenant exists any more.
    RolledBack = "tenant.rolled-back";
    /// A final *no* before anything was made.
    Rejected = "tenant.rejected";
    /// Parked until a person acts.
    Held = "tenant.held";
    /// A reviewer said no.
    Blocked = "tenant.blocked";
    /// An undo failed for good; `note` lists what remains.
    Stuck = "tenant.stuck";
    /// A look was asked for, as the proof that a verb needs.
    ProofAsked = "tenant.proof.asked";
    /// The look does not prove what the verb needs; `note` says what is there.
    ProofRefused = "tenant.proof.refused";
    /// A step was given up by a person.
    StepSkipped = "tenant.step.skipped";
    /// An undo was done by hand.
    StepMarkedDone = "tenant.step.marked-done";
    /// The request was corrected; `commitment` is its new digest, `note` names the old one and what changed.
    Corrected = "tenant.request.corrected";
    /// Nothing may be destroyed from here on.
    HoldPlaced = "tenant.hold.placed";
    /// The hold was lifted.
    HoldReleased = "tenant.hold.released";
    /// Nothing new begins from here on.
    Paused = "tenant.paused";
    /// It goes on where it was paused.
    Unpaused = "tenant.unpaused";
    /// The key of the tenant's personal data is destroyed with this row.
    Forgotten = "tenant.forgotten";
    /// A person's verb was taken up.
    OperationAccepted = "operator.accepted";
    /// A person's verb was refused.
    OperationRefused = "operator.refused";
    /// A request without a tenant was refused.
    RequestRejected = "request.rejected";
    /// A request was heard before.
    RequestDuplicate = "request.duplicate";
    /// A request was sent on to its home lane.
    RequestForwarded = "request.forwarded";
    /// A record could not be read and lies in the quarantine.
    Quarantined = "record.quarantined";
    /// A record could not be handled and lies in the dead letters.
    DeadLettered = "record.dead-lettered";
    /// Nobody owned the lane for a time; open deadlines moved by it.
    LanePaused = "lane.paused";
    /// The lane asks nothing of a worker, or of any, from here on.
    FleetPaused = "fleet.paused";
    /// The lane asks again.
    FleetResumed = "fleet.resumed";
    /// The store ends before what was published; a person decided to go on with what it has. `note` says what is missing.
    RestoreAccepted = "lane.restore-accepted";
    /// Dead letters were replayed: one run of a manifest.
    DlqReplayed = "dlq.replayed";
    /// A dead letter was edited and published anew.
    DlqEdited = "dlq.edited";
    /// Dead letters were given up.
    DlqExpired = "dlq.expired";
    /// Verbs were sent to a frozen selection of tenants: one run of it.
    BatchRun = "batch.run";
    /// Evidence was exported.
    EvidenceExported = "evidence.exported";
    /// Personal data was opened.
    OpeningsRead = "evidence.opened";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_004s_four_names_are_aliases() {
        let aliases: Vec<_> = AuditKind::ALL.iter().filter_map(|kind| kind.alias()).collect();
        assert_eq!(aliases, ["Requested", "Started", "StepFailed", "Completed"]);
    }
}
