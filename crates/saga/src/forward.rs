//! Forward: rows succeed, fail, are asked again; gates and waits open and end.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::request::Kind;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Code, Json, SagaId, State, Verb};

use crate::hear::{Story, again, pause_after, running};
use crate::{Change, Direction, Plan, RowState, Saga, Set, Then, View, What};

/// How long a person has to choose after a failure whose policy is [`Then::Ask`]: seven days.
const ASK_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What begins when rows are done.
#[derive(Default)]
struct Next {
    moves: Vec<(u16, Set)>,
    inputs: Vec<(u16, Json)>,
    gates: Vec<u16>,
    broken: Vec<(u16, Failure)>,
}

impl Story<'_> {
    pub(crate) fn succeeded(&mut self, run: u16, output: &Json) {
        let mut change = Change::of(AuditKind::StepSucceeded, run).set(run, Set::Done);
        change.answered = self.answered(run);
        change.output = Some(output.clone());
        self.forward(change);
    }

    /// Tells a change, and with it everything that can begin after it: in the same journal row the questions, in rows
    /// of their own the gates, the failures of rows whose input cannot be made, and the end.
    pub(crate) fn forward(&mut self, mut change: Change) {
        // What follows is worked out on a copy, so that the change can carry it.
        let mut after = self.tenant.clone();
        after.apply(0, self.now, 0, &change);
        let Some(plan) = after.saga.as_ref().and_then(|saga| self.plans.find(saga.kind, saga.version)) else {
            return self.tell(change);
        };
        let (first_saga, paused) = (after.sagas == 1, after.flags.paused);
        let Some(saga) = &mut after.saga else { return self.tell(change) };
        if saga.direction != Direction::Forward {
            return self.tell(change);
        }
        let of = saga.id;
        let next = if paused { Next::default() } else { self.next(plan, saga, first_saga) };
        change.moves.extend(next.moves);
        self.tell_asking(change, next.inputs);
        for (run, failure) in next.broken {
            if self.may_begin(of, run) {
                self.failed(run, failure, false);
            }
        }
        for run in next.gates {
            if self.may_begin(of, run) {
                self.open_gate(plan, run);
            }
        }
        self.finish_forward();
    }

    /// The row still waits for its turn: nothing that began before it in the same breath parked the saga, turned it
    /// round, ended it, or began this row.
    fn may_begin(&self, of: SagaId, run: u16) -> bool {
        self.tenant.saga.as_ref().is_some_and(|saga| {
            saga.id == of
                && saga.direction == Direction::Forward
                && saga.rows[usize::from(run)].state == RowState::Idle
        })
    }

    fn next(&self, plan: &'static Plan, saga: &mut Saga, first_saga: bool) -> Next {
        let mut next = Next::default();
        for at in 0..saga.rows.len() {
            let run = at as u16;
            if saga.rows[at].state != RowState::Idle || !ready(plan, saga, saga.rows[at].row) {
                continue;
            }
            match &plan.rows[usize::from(saga.rows[at].row)].what {
                What::Step { input, limit_ms, .. } => match input(&View { plan, saga }) {
                    Ok(input) => {
                        let supersedes = saga.rows[at].touched || !first_saga;
                        let ask =
                            Set::Ask { verb: Verb::Execute, attempt: 1, limit_ms: *limit_ms, supersedes };
                        next.moves.push((run, ask));
                        next.inputs.push((run, input));
                    }
                    Err(failure) => next.broken.push((run, failure)),
                },
                What::Gate { .. } => next.gates.push(run),
                What::Wait { for_ms } => {
                    next.moves.push((run, Set::Open { until: self.now.plus(*for_ms), escalate: None }))
                }
                What::Pivot => {
                    saga.rows[at].state = RowState::Done;
                    next.moves.push((run, Set::Done));
                }
            }
        }
        next
    }

    pub(crate) fn open_gate(&mut self, plan: &'static Plan, run: u16) {
        let Some(saga) = &self.tenant.saga else { return };
        let row = saga.rows[usize::from(run)].row;
        let What::Gate { expires_ms, escalates_ms, role, .. } = plan.rows[usize::from(row)].what else {
            return;
        };
        let escalate = (escalates_ms > 0).then(|| self.now.plus(escalates_ms));
        let open = Set::Open { until: self.now.plus(expires_ms), escalate };
        let mut change = Change::of(AuditKind::GateOpened, run).set(run, open);
        change.seen = Some(saga.seen(plan, row));
        change.note = Some(format!("{role} decides"));
        self.tell(change.to(self.tenant.state, State::Awaiting));
    }

    fn finish_forward(&mut self) {
        let Some(saga) = &self.tenant.saga else { return };
        if saga.direction != Direction::Forward || !saga.rows.iter().all(crate::Run::passed) {
            return;
        }
        let end = ended(saga.kind, saga.before);
        let change = Change { over: true, ..Change::new(AuditKind::Completed) };
        self.tell(change.to(self.tenant.state, end));
        self.start_next();
    }

    /// A row failed. `hold`: whatever the plan says, a person must look.
    pub(crate) fn failed(&mut self, run: u16, failure: Failure, hold: bool) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        let at = &saga.rows[usize::from(run)];
        let attempt = match at.state {
            RowState::Asked { attempt, .. } => attempt,
            _ => u8::MAX,
        };
        let attempts = match plan.rows[usize::from(at.row)].what {
            What::Step { attempts, .. } => at.end.attempts.unwrap_or(attempts),
            _ => 0,
        };
        let mut change = Change::of(AuditKind::StepFailed, run);
        change.answered = self.answered(run);
        change.failure = Some(failure.clone());
        if saga.direction != Direction::Forward {
            return self.tell(change.set(run, Set::Failed));
        }
        let again =
            matches!(failure.class, Class::Exhausted | Class::UnknownOutcome) && attempt < attempts && !hold;
        if again {
            let due = self.now.plus(pause_after(attempt));
            return self.tell(change.set(run, Set::Later { verb: Verb::Execute, attempt: attempt + 1, due }));
        }
        let then = match at.end.of(failure.class) {
            _ if hold => Then::Hold,
            Then::Degrade => Then::Degrade,
            _ if past_pivot(plan, saga) => Then::Hold,
            then => then,
        };
        match then {
            Then::Degrade => {
                change.degraded = true;
                self.forward(change.set(run, Set::Skipped));
            }
            Then::Hold => {
                self.tell(change.set(run, Set::Failed));
                self.park(AuditKind::Held, run, State::Held);
            }
            Then::Ask => {
                self.tell(change.set(run, Set::Failed));
                self.park(AuditKind::GateOpened, run, State::Awaiting);
            }
            // A refused step is undone like any other: another handler of the same command may yet say yes.
            Then::Reject => {
                self.tell(change.set(run, Set::Failed));
                self.go_back(Direction::BackToReject, Some(failure));
            }
            Then::Compensate => {
                self.tell(change.set(run, Set::Failed));
                self.go_back(Direction::Back, Some(failure));
            }
        }
    }

    /// Parks the saga: what is asked is still heard, what was to be asked later waits for a person.
    pub(crate) fn park(&mut self, what: AuditKind, run: u16, state: State) {
        let Some(saga) = &self.tenant.saga else { return };
        let mut change = Change::of(what, run);
        change.direction = Some(Direction::Parked);
        let waiting =
            saga.rows.iter().enumerate().filter(|(_, row)| matches!(row.state, RowState::Later { .. }));
        change.moves = waiting.map(|(at, _)| (at as u16, Set::Failed)).collect();
        if what == AuditKind::GateOpened {
            change.moves.push((run, Set::Open { until: self.now.plus(ASK_MS), escalate: None }));
        }
        self.tell(change.to(self.tenant.state, state));
    }

    pub(crate) fn ask_again(&mut self, run: u16, verb: Verb, attempt: u8) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        let What::Step { limit_ms, undo, input, .. } =
            &plan.rows[usize::from(saga.rows[usize::from(run)].row)].what
        else {
            return;
        };
        let limit_ms = if verb == Verb::Compensate { undo.1 } else { *limit_ms };
        let inputs = input(&View { plan, saga }).map(|input| (run, input)).into_iter().collect();
        let change = Change::of(AuditKind::StepAskedAgain, run).set(run, again(verb, attempt, limit_ms));
        self.tell_asking(change, inputs);
    }

    /// A gate or a wait came to its end by itself.
    pub(crate) fn opening_ended(&mut self, run: u16) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        if let RowState::Open { until, escalate: Some(_), .. } = saga.rows[usize::from(run)].state
            && self.now < until
        {
            let mut change = Change::of(AuditKind::GateEscalated, run);
            change.note = Some("nobody has decided yet".to_owned());
            return self.tell(change.set(run, Set::Open { until, escalate: None }));
        }
        match plan.rows[usize::from(saga.rows[usize::from(run)].row)].what {
            What::Wait { .. } => self.forward(Change::of(AuditKind::WaitEnded, run).set(run, Set::Done)),
            // A person was asked to choose after a failure, and did not: everything is undone.
            What::Step { .. } => {
                let cause = saga.rows[usize::from(run)].failure.clone();
                let change = Change::of(AuditKind::GateDecided, run).set(run, Set::Failed);
                self.tell(change);
                self.go_back(Direction::Back, cause);
            }
            What::Gate { .. } | What::Pivot => {
                let message = "nobody decided in time".to_owned();
                let failure =
                    Failure { code: Code::GateExpired, class: Class::Policy, pointer: None, message };
                self.gate_refused(run, failure, None);
            }
        }
    }
}

/// Everything that the row waits for is done. A row that was not chosen passes on what it waits for itself.
fn ready(plan: &Plan, saga: &Saga, row: u16) -> bool {
    plan.rows[usize::from(row)].waits_for.iter().all(|name| {
        let Some(before) = plan.index_of(name) else { return false };
        match saga.rows.iter().find(|run| run.row == before) {
            Some(run) => run.passed(),
            None => ready(plan, saga, before),
        }
    })
}

/// The pivot lies behind: from here on the saga only goes forward.
pub(crate) fn past_pivot(plan: &Plan, saga: &Saga) -> bool {
    saga.rows.iter().any(|run| matches!(plan.rows[usize::from(run.row)].what, What::Pivot) && run.passed())
}

/// The state in which a saga of this kind ends well.
fn ended(kind: Kind, before: State) -> State {
    match kind {
        Kind::Provision | Kind::Activate | Kind::Resume => State::Active,
        Kind::Suspend => State::Suspended,
        Kind::Update | Kind::Reconcile => before,
        Kind::Offboard => State::Purged,
    }
}

impl Story<'_> {
    /// The state while the saga goes forward: a gate that is open makes it wait for a person.
    pub(crate) fn forward_state(&self, but: Option<u16>) -> State {
        let Some(saga) = &self.tenant.saga else { return self.tenant.state };
        let Some(plan) = self.plan() else { return self.tenant.state };
        forward_state(plan, saga, but)
    }
}

/// The state while a saga goes forward: a gate that is open, but for one, makes it wait for a person.
pub(crate) fn forward_state(plan: &Plan, saga: &Saga, but: Option<u16>) -> State {
    let gate = saga.rows.iter().enumerate().any(|(at, run)| {
        Some(at as u16) != but
            && matches!(run.state, RowState::Open { .. })
            && matches!(plan.rows[usize::from(run.row)].what, What::Gate { .. })
    });
    if gate { State::Awaiting } else { running(saga.kind) }
}
