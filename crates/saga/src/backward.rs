//! Backward: everything that may be there is undone, in reverse order of dependency, also the row that failed.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::request::Kind;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Json, State, Verb};

use crate::hear::{Story, again, pause_after};
use crate::{Change, Direction, Plan, RowState, Saga, Set, View, What};

impl Story<'_> {
    /// Turns the saga round. `cause`: why, for the one who asked.
    pub(crate) fn go_back(&mut self, direction: Direction, cause: Option<Failure>) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        if !saga.rows.iter().any(|run| run.touched) {
            return self.finish_back(direction, cause);
        }
        let mut change = Change::new(AuditKind::Compensating).to(self.tenant.state, State::Compensating);
        change.direction = Some(direction);
        change.failure = cause;
        let mut after = saga.clone();
        for (at, run) in after.rows.iter_mut().enumerate() {
            // What is asked or was to be asked is in doubt now, and undone in its turn; its answer is not waited for.
            let set = match run.state {
                RowState::Asked { .. } | RowState::Later { .. } => Set::Failed,
                RowState::Open { .. } if run.touched => Set::Failed,
                RowState::Open { .. } => Set::Undone,
                _ => continue,
            };
            run.state = if set == Set::Failed { RowState::Failed } else { RowState::Undone };
            change.moves.push((at as u16, set));
        }
        let (asks, inputs) = self.undo_next(plan, &after);
        change.moves.retain(|(at, _)| !asks.iter().any(|(asked, _)| asked == at));
        change.moves.extend(asks);
        self.tell_asking(change, inputs);
    }

    pub(crate) fn undone(&mut self, run: u16) {
        let mut change = Change::of(AuditKind::StepUndone, run).set(run, Set::Undone);
        change.answered = self.answered(run);
        self.backward(change);
    }

    /// An undo failed. `stop`: trying again by itself is no use.
    pub(crate) fn undo_failed(&mut self, run: u16, failure: Failure, stop: bool) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        let at = &saga.rows[usize::from(run)];
        let RowState::Asked { attempt, .. } = at.state else { return };
        let attempts = match plan.rows[usize::from(at.row)].what {
            What::Step { undo, .. } => undo.0,
            _ => 0,
        };
        let mut change = Change::of(AuditKind::UndoFailed, run);
        change.answered = self.answered(run);
        change.failure = Some(failure);
        if attempt < attempts && !stop {
            let due = self.now.plus(pause_after(attempt));
            return self
                .tell(change.set(run, Set::Later { verb: Verb::Compensate, attempt: attempt + 1, due }));
        }
        self.backward(change.set(run, Set::Stuck));
    }

    /// Tells a change, and with it every undo that can begin after it; ends the saga where nothing is left to wait for.
    pub(crate) fn backward(&mut self, mut change: Change) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        let mut after = saga.clone();
        for (at, set) in &change.moves {
            after.rows[usize::from(*at)].state =
                if *set == Set::Undone { RowState::Undone } else { RowState::Stuck };
        }
        let direction = after.direction;
        // A brake that is lifted with this change does not brake any more.
        let braked = change.flags.map_or(self.tenant.undo_braked(), |flags| flags.paused || flags.legal_hold);
        let (asks, inputs) = if braked { Undos::default() } else { undo_next(plan, &after) };
        change.moves.extend(asks);
        self.tell_asking(change, inputs);
        let Some(saga) = &self.tenant.saga else { return };
        let open = |run: &crate::Run| matches!(run.state, RowState::Asked { .. } | RowState::Later { .. });
        if saga.rows.iter().any(open) {
            return;
        }
        if saga.rows.iter().all(crate::Run::clean) {
            let cause = saga.cause.clone();
            return self.finish_back(direction, cause);
        }
        if braked {
            return;
        }
        let left =
            saga.rows.iter().filter(|run| !run.clean()).map(|run| plan.rows[usize::from(run.row)].name);
        let note = format!("remains: {}", left.collect::<Vec<_>>().join(", "));
        let change = Change { note: Some(note), ..Change::new(AuditKind::Stuck) };
        self.tell(change.to(self.tenant.state, State::Stuck));
    }

    /// The undos that can begin now.
    fn undo_next(&self, plan: &'static Plan, saga: &Saga) -> Undos {
        if self.tenant.undo_braked() { Undos::default() } else { undo_next(plan, saga) }
    }

    fn finish_back(&mut self, direction: Direction, failure: Option<Failure>) {
        let Some(saga) = &self.tenant.saga else { return };
        let (what, state) = match (saga.kind, direction) {
            (Kind::Provision, Direction::BackToReject) => (AuditKind::Rejected, State::Rejected),
            (Kind::Provision, _) => (AuditKind::RolledBack, State::RolledBack),
            (_, _) => (AuditKind::RolledBack, saga.before),
        };
        let change = Change { over: true, failure, ..Change::new(what) };
        self.tell(change.to(self.tenant.state, state));
        self.start_next();
    }
}

/// What is asked, and the inputs of what is asked.
type Undos = (Vec<(u16, Set)>, Vec<(u16, Json)>);

/// The undos that can begin: of rows that may have left something, and that nothing depends on any more.
fn undo_next(plan: &'static Plan, saga: &Saga) -> Undos {
    let (mut asks, mut inputs) = (Vec::new(), Vec::new());
    for (at, run) in saga.rows.iter().enumerate() {
        let waits = matches!(run.state, RowState::Asked { .. } | RowState::Later { .. } | RowState::Stuck);
        let needed = saga.rows.iter().any(|other| !other.clean() && depends(plan, other.row, run.row));
        let What::Step { input, undo, .. } = &plan.rows[usize::from(run.row)].what else { continue };
        if run.clean() || waits || needed {
            continue;
        }
        asks.push((at as u16, again(Verb::Compensate, 1, undo.1)));
        if let Ok(input) = input(&View { plan, saga }) {
            inputs.push((at as u16, input));
        }
    }
    (asks, inputs)
}

/// Whether a row waits for another, also through rows between them.
pub(crate) fn depends(plan: &Plan, row: u16, on: u16) -> bool {
    plan.rows[usize::from(row)]
        .waits_for
        .iter()
        .any(|name| plan.index_of(name).is_some_and(|before| before == on || depends(plan, before, on)))
}
