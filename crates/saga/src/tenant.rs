//! The tenant as a value, and the fold that makes it from its journal.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tenantry_contracts::operation::Target;
use tenantry_contracts::request::{Kind, Request, requester};
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Flags, Json, RequestId, SagaId, State, TenantId, Time, Token, Verb};

use crate::{Begun, Born, By, Change, End, Pinned, Queued, Set};

/// A tenant: the aggregate. One version, at most one running saga; the others queue behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Who asked for it.
    pub request_id: RequestId,
    /// What was asked for, personal data sealed.
    pub request: Arc<Request>,
    /// Who asked, as digests.
    pub requesters: Vec<String>,
    /// The W3C trace context of the request.
    pub traceparent: Option<String>,
    /// When it was heard.
    pub created: Time,
    /// Its state.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// What stands beside the state.
    pub flags: Flags,
    /// How many changes it has seen: its version, and the place of the last one in its chain.
    pub version: i64,
    /// How many sagas it has had.
    pub sagas: u32,
    /// The running saga.
    pub saga: Option<Saga>,
    /// The last saga that ended, for `show`.
    pub last: Option<Box<Saga>>,
    /// What waits behind it.
    pub queue: VecDeque<Queued>,
}

/// One run of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Saga {
    /// Its id.
    pub id: SagaId,
    /// Its kind.
    pub kind: Kind,
    /// The version of its plan.
    pub version: u16,
    /// Who asked for it.
    pub request_id: RequestId,
    /// What was asked for.
    pub request: Arc<Request>,
    /// Who asked, as digests.
    pub requesters: Vec<String>,
    /// The template of its plan, where there is one.
    pub template: Option<Pinned>,
    /// The failure preset, where one applies.
    pub preset: Option<String>,
    /// When it began.
    pub began: Time,
    /// The state before it, to which an undone change of a living tenant returns.
    pub before: State,
    /// Where it goes.
    pub direction: Direction,
    /// The rows that were chosen, in the order of the plan.
    pub rows: Vec<Run>,
    /// Why it goes back, where it does.
    pub cause: Option<Failure>,
}

/// Where a saga goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// To its end.
    Forward,
    /// Parked by a failure: what runs is heard, nothing new begins.
    Parked,
    /// Back to the beginning; ends as rolled back.
    Back,
    /// Back to the beginning; ends as rejected.
    BackToReject,
}

impl Direction {
    /// Whether what was made is being undone.
    pub fn is_back(self) -> bool {
        matches!(self, Self::Back | Self::BackToReject)
    }
}

/// A chosen row and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Its index in the plan.
    pub row: u16,
    /// What a final failure means, pinned.
    pub end: End,
    /// How far it is.
    pub state: RowState,
    /// A question was asked about it: something may be there.
    pub touched: bool,
    /// What `execute` answered.
    pub output: Option<Json>,
    /// Why it failed last.
    pub failure: Option<Failure>,
    /// The input of the open question, where it is at hand.
    pub(crate) input: Made,
}

/// An input that was made from the request and the outputs, never folded: it is made again where it is not at hand, so
/// that a tenant that heard and one that was folded from the journal are equal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made(pub(crate) Option<Json>);

impl PartialEq for Made {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Made {}

impl std::hash::Hash for Made {
    fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
}

/// How far a row is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowState {
    /// It has not begun.
    Idle,
    /// A question is open.
    Asked {
        /// What is asked.
        verb: Verb,
        /// Which attempt it is.
        attempt: u8,
        /// The fencing number.
        token: Token,
        /// When it was asked.
        at: Time,
        /// How long it stays open, in milliseconds.
        limit_ms: i64,
        /// The lane's pauses in all when it was asked.
        paused_ms: i64,
        /// It is not the first question for its resource.
        supersedes: bool,
    },
    /// It will be asked again.
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
        /// Since when.
        since: Time,
        /// Until when.
        until: Time,
        /// When somebody is told that nobody decided, if that is still to come.
        escalate: Option<Time>,
    },
    /// Done.
    Done,
    /// Failed for good.
    Failed,
    /// Given up; the saga goes on without it.
    Skipped,
    /// Undone.
    Undone,
    /// Its undo failed for good.
    Stuck,
}

impl Tenant {
    /// A tenant from its first change. `None` where that is not a beginning.
    pub fn begin(n: i64, at: Time, paused_ms: i64, change: &Change) -> Option<Self> {
        let Born { tenant, id, request, requesters, traceparent, .. } = change.born.as_deref()?;
        let mut born = Self {
            id: *tenant,
            request_id: id.clone(),
            request: request.clone(),
            requesters: requesters.clone(),
            traceparent: traceparent.clone(),
            created: at,
            state: State::Requested,
            since: at,
            flags: Flags::default(),
            version: 0,
            sagas: 0,
            saga: None,
            last: None,
            queue: VecDeque::new(),
        };
        born.apply(n, at, paused_ms, change);
        Some(born)
    }

    /// Folds a change: journal number, time of the row, the lane's pauses in all at that time. Decides nothing.
    pub fn apply(&mut self, n: i64, at: Time, paused_ms: i64, change: &Change) {
        self.version += 1;
        if let Some(begun) = &change.begun {
            self.start(at, begun);
        }
        if let Some(queued) = &change.queued {
            self.queue.push_back((**queued).clone());
        }
        if let Some(saga) = &mut self.saga {
            if let Some(direction) = change.direction {
                saga.direction = direction;
                if direction.is_back() {
                    saga.cause.clone_from(&change.failure);
                }
            }
            if let Some(run) = change.run.and_then(|run| saga.rows.get_mut(usize::from(run))) {
                if let Some(output) = &change.output {
                    run.output = Some(output.clone());
                }
                if change.failure.is_some() {
                    run.failure.clone_from(&change.failure);
                }
            }
            for (run, set) in &change.moves {
                if let Some(run) = saga.rows.get_mut(usize::from(*run)) {
                    run.set(n, at, paused_ms, set);
                }
            }
        }
        if let Some(request) = &change.request {
            self.correct(request, change.by.as_deref());
        }
        if let Some(flags) = change.flags {
            self.flags = flags;
        }
        self.flags.degraded |= change.degraded;
        if let Some(state) = change.state {
            self.state = state;
            self.since = at;
        }
        if change.over {
            self.last = self.saga.take().map(Box::new);
        }
    }

    /// Whoever corrected the request asked for it too, and approves nothing of it.
    fn correct(&mut self, request: &Arc<Request>, by: Option<&By>) {
        let asked = by.map(|by| requester(self.id, &by.actor.name));
        if self.sagas == 1 {
            self.request = request.clone();
            self.requesters.extend(asked.clone());
        }
        if let Some(saga) = &mut self.saga {
            saga.request = request.clone();
            saga.requesters.extend(asked);
        }
    }

    fn start(&mut self, at: Time, begun: &Begun) {
        self.sagas += 1;
        let first = self.sagas == 1;
        let waiting = if first { None } else { self.queue.pop_front() };
        let (request_id, request, requesters) = match waiting {
            Some(queued) => (queued.id, queued.request, queued.requesters),
            None => (self.request_id.clone(), self.request.clone(), self.requesters.clone()),
        };
        let run = |(row, end): &(u16, End)| Run {
            row: *row,
            end: end.clone(),
            state: RowState::Idle,
            touched: false,
            output: None,
            failure: None,
            input: Made::default(),
        };
        self.saga = Some(Saga {
            id: SagaId::of(self.id, self.sagas),
            kind: begun.kind,
            version: begun.version,
            request_id,
            request,
            requesters,
            template: begun.template.clone(),
            preset: begun.preset.clone(),
            began: at,
            before: self.state,
            direction: Direction::Forward,
            rows: begun.rows.iter().map(run).collect(),
            cause: None,
        });
    }

    /// Nothing is open: no question, no timer, no gate, and nothing waits to begin.
    pub fn at_rest(&self) -> bool {
        let open = |run: &Run| self.due_of(run, 0).is_some();
        !self.saga.as_ref().is_some_and(|saga| saga.rows.iter().any(open))
            && (self.saga.is_some() || self.queue.is_empty() || self.state.is_final())
            && self.state != State::Requested
    }

    /// Its names, for an operation about it and no other.
    pub fn target(&self) -> Target {
        Target {
            slug: self.request.slug.clone(),
            environment: self.request.environment.clone(),
            tenant: Some(self.id),
        }
    }

    /// No undo begins while one of these stands.
    pub(crate) fn undo_braked(&self) -> bool {
        self.flags.paused || self.flags.legal_hold
    }

    /// Whether it still holds its slug.
    pub fn holds_slug(&self) -> bool {
        !self.state.is_final()
    }
}

impl Run {
    fn set(&mut self, n: i64, at: Time, paused_ms: i64, set: &Set) {
        self.state = match set {
            Set::Ask { verb, attempt, limit_ms, supersedes } => {
                self.touched = true;
                RowState::Asked {
                    verb: *verb,
                    attempt: *attempt,
                    token: Token(n),
                    at,
                    limit_ms: *limit_ms,
                    paused_ms,
                    supersedes: *supersedes,
                }
            }
            Set::Later { verb, attempt, due } => {
                RowState::Later { verb: *verb, attempt: *attempt, due: *due }
            }
            Set::Open { until, escalate } => {
                // Opened again while it is open: somebody was told that nobody decided.
                let since = if let RowState::Open { since, .. } = self.state { since } else { at };
                RowState::Open { since, until: *until, escalate: *escalate }
            }
            Set::Idle => RowState::Idle,
            Set::Done => RowState::Done,
            Set::Failed => RowState::Failed,
            Set::Skipped => RowState::Skipped,
            Set::Undone => RowState::Undone,
            Set::Stuck => RowState::Stuck,
        };
        if !matches!(self.state, RowState::Asked { .. }) {
            self.input = Made::default();
        }
    }

    /// The saga can go on past it.
    pub(crate) fn passed(&self) -> bool {
        matches!(self.state, RowState::Done | RowState::Skipped)
    }

    /// Nothing of it is left to undo.
    pub(crate) fn clean(&self) -> bool {
        !self.touched || self.state == RowState::Undone
    }
}
