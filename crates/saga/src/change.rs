//! A change: what one journal row did to its tenant. Explicit to the last detail, so that a fold decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tenantry_contracts::audit::{AuditKind, PlanRef};
use tenantry_contracts::operation::{Actor, Operation};
use tenantry_contracts::request::{Kind, Request};
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Flags, Json, RequestId, State, TenantId, Time, Token, Verb};

use crate::{End, tenant::Direction};

/// One transition of a tenant. One change is one journal row is one audit event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    #[serde(rename = "k")]
    pub what: AuditKind,
    /// The row of the saga that it is about, by its place among the chosen rows.
    #[serde(default, rename = "r", skip_serializing_if = "Option::is_none")]
    pub run: Option<u16>,
    /// The tenant's state from here on, where it changes.
    #[serde(default, rename = "s", skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// What becomes of rows, by their place among the chosen rows.
    #[serde(default, rename = "m", skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<(u16, Set)>,
    /// What the row about which it is made.
    #[serde(default, rename = "o", skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Why the row failed.
    #[serde(default, rename = "f", skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The direction of the saga from here on, where it changes.
    #[serde(default, rename = "d", skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// A flag that stands from here on: a step was given up that only degrades.
    #[serde(default, rename = "g", skip_serializing_if = "std::ops::Not::not")]
    pub degraded: bool,
    /// All flags as they stand from here on, where a person set or lifted one.
    #[serde(default, rename = "l", skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
    /// The request from here on, where a person corrected it.
    #[serde(default, rename = "c", skip_serializing_if = "Option::is_none")]
    pub request: Option<Arc<Request>>,
    /// The tenant begins with this.
    #[serde(default, rename = "b", skip_serializing_if = "Option::is_none")]
    pub born: Option<Box<Born>>,
    /// A saga begins with this.
    #[serde(default, rename = "u", skip_serializing_if = "Option::is_none")]
    pub begun: Option<Box<Begun>>,
    /// A request that waits behind the running saga from here on.
    #[serde(default, rename = "q", skip_serializing_if = "Option::is_none")]
    pub queued: Option<Box<Queued>>,
    /// The saga is over.
    #[serde(default, rename = "e", skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// The question that was answered: its token, and how long it took in milliseconds. For the audit.
    #[serde(default, rename = "t", skip_serializing_if = "Option::is_none")]
    pub answered: Option<(Token, i64)>,
    /// The person behind it, with the operation's id and reason. For the audit.
    #[serde(default, rename = "a", skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<By>>,
    /// The digest of what whoever decides at the gate is to see, hexadecimal. For the audit.
    #[serde(default, rename = "h", skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// In words, for the audit.
    #[serde(default, rename = "w", skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// The operation.
    pub id: RequestId,
    /// The person.
    pub actor: Actor,
    /// The second person who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<Actor>,
    /// The reason.
    pub reason: String,
    /// What allowed it, where a rule did: for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// A tenant's beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Born {
    /// The tenant.
    pub tenant: TenantId,
    /// Who asked.
    pub id: RequestId,
    /// What was asked, personal data sealed.
    pub request: Arc<Request>,
    /// Who asked, as digests: they approve nothing of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
    /// The W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Salted commitments to the request's personal data and to its document, by field. For the audit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commitments: BTreeMap<String, String>,
}

/// A saga's beginning: the rows that were chosen, pinned with their end policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Begun {
    /// The kind.
    pub kind: Kind,
    /// The plan's version.
    pub version: u16,
    /// The plan by name and digest.
    pub plan: PlanRef,
    /// The template of the request's plan, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Pinned>,
    /// The failure preset, where one applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// The chosen rows: index in the plan, and what a final failure means.
    pub rows: Vec<(u16, End)>,
}

/// A request that waits behind the running saga.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Queued {
    /// Who asked.
    pub id: RequestId,
    /// What was asked, personal data sealed.
    pub request: Arc<Request>,
    /// Who asked, as digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
}

/// A template, named so that the same one is found later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pinned {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Hexadecimal SHA-256 of its content.
    pub digest: String,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Set {
    /// A question is asked. Its token is the number of this journal row, its time that of the row.
    Ask {
        /// What is asked.
        verb: Verb,
        /// Which attempt it is, counted from one.
        attempt: u8,
        /// How long it stays open, in milliseconds.
        limit_ms: i64,
        /// It is not the first question for its resource.
        supersedes: bool,
    },
    /// It is asked again later.
    Later {
        /// What will be asked.
        verb: Verb,
        /// Which attempt it will be.
        attempt: u8,
        /// When.
        due: Time,
    },
    /// A gate or a wait is open.
    Open {
        /// Until when.
        until: Time,
        /// When somebody is told that nobody decided, if that is still to come.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        escalate: Option<Time>,
    },
    /// It waits for its turn again.
    Idle,
    /// It is done.
    Done,
    /// It failed for good.
    Failed,
    /// It was given up, and the saga goes on without it.
    Skipped,
    /// It was undone.
    Undone,
    /// Its undo failed for good.
    Stuck,
}

impl By {
    /// Whoever is behind an operation.
    pub fn of(operation: &Operation) -> Self {
        Self {
            id: operation.id.clone(),
            actor: operation.actor.clone(),
            second: operation.second.clone(),
            reason: operation.reason.clone(),
            decision: None,
        }
    }
}

impl Change {
    /// A change that so far only has a name.
    pub fn new(what: AuditKind) -> Self {
        Self {
            what,
            run: None,
            state: None,
            moves: Vec::new(),
            output: None,
            failure: None,
            direction: None,
            degraded: false,
            flags: None,
            request: None,
            born: None,
            begun: None,
            queued: None,
            over: false,
            answered: None,
            by: None,
            seen: None,
            note: None,
        }
    }

    /// About a row.
    #[must_use]
    pub(crate) fn of(what: AuditKind, run: u16) -> Self {
        Self { run: Some(run), ..Self::new(what) }
    }

    /// With a new state, unless it is the old one.
    #[must_use]
    pub(crate) fn to(mut self, old: State, new: State) -> Self {
        self.state = (old != new).then_some(new);
        self
    }

    /// With a move.
    #[must_use]
    pub(crate) fn set(mut self, run: u16, set: Set) -> Self {
        self.moves.push((run, set));
        self
    }
}
