//! Steering: a person has a step asked again, corrects the request, gives a step up, or says that an undo was done by hand.

use std::sync::Arc;

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::Operation;
use tenantry_contracts::{Code, Json, Observed, Refusal, RowName, State, Verb};

use crate::change::By;
use crate::forward::{forward_state, past_pivot};
use crate::hear::{Story, again};
use crate::operate::made;
use crate::view::output_of;
use crate::{Change, Direction, Plan, RowState, Saga, Set, View, What, backward::depends};

impl Story<'_> {
    /// Asks a step again that was asked before, and then everything that was built on it.
    pub(crate) fn rerun(&mut self, row: &RowName, by: By) -> Result<(), Refusal> {
        self.not_paused("rerun")?;
        let refusal = self.not_allowed("rerun");
        let (plan, at) = self.step(row, "rerun")?;
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let run = &saga.rows[usize::from(at)];
        let index = run.row;
        let pivots = || plan.rows.iter().zip(0_u16..).filter(|(row, _)| matches!(row.what, What::Pivot));
        let behind = past_pivot(plan, saga) && pivots().any(|(_, pivot)| depends(plan, pivot, index));
        let What::Step { limit_ms, input, .. } = &plan.rows[usize::from(index)].what else {
            return Err(refusal);
        };
        let over = matches!(run.state, RowState::Done | RowState::Failed | RowState::Skipped);
        if saga.direction.is_back() || behind || !(over || matches!(run.state, RowState::Open { .. })) {
            return Err(refusal);
        }
        let inputs = vec![(at, made(*input, &View { plan, saga })?)];
        let mut change = Change::of(AuditKind::OperationAccepted, at);
        change.by = Some(Box::new(by));
        change.moves.push((at, again(Verb::Execute, 1, *limit_ms)));
        for (other, run) in saga.rows.iter().enumerate() {
            if run.state != RowState::Idle && depends(plan, run.row, index) {
                change.moves.push((other as u16, Set::Idle));
            }
        }
        self.go_on(plan, change, inputs);
        Ok(())
    }

    /// Goes on with a corrected request: everything is asked again, from the first row on.
    pub(crate) fn correct(&mut self, patch: &Json, by: By) -> Result<(), Refusal> {
        self.not_paused("correct")?;
        let refusal = self.not_allowed("correct");
        let Some(plan) = self.plan() else { return Err(refusal) };
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        if saga.direction.is_back() || past_pivot(plan, saga) {
            return Err(refusal);
        }
        let corrected = saga.request.corrected(patch)?;
        let changed = saga.request.changed(&corrected);
        if changed.is_empty() {
            let message = "nothing changes with this correction";
            return Err(Refusal::new(Code::FieldInvalid, message).at("/verb/correct"));
        }
        let rules = self.plans.rules();
        let template = rules.catalogue.newest(&corrected.plan);
        let moved = plan.rows.iter().find(|row| {
            let holds = |request| row.when.holds(request, template, rules);
            holds(&*saga.request) != holds(&corrected)
        });
        if let Some(row) = moved {
            let message = format!(
                "row {} was chosen by what would change; cancel, and ask anew with another request",
                row.name
            );
            return Err(Refusal::new(Code::FieldInvalid, message).at("/verb/correct"));
        }
        let mut change = Change::new(AuditKind::Corrected);
        change.note = Some(format!("was sha256:{}; changed: {}", saga.request.digest(), changed.join(", ")));
        change.seen = Some(corrected.digest());
        change.request = Some(Arc::new(corrected));
        change.by = Some(Box::new(by));
        let begun = saga.rows.iter().enumerate().filter(|(_, run)| run.state != RowState::Idle);
        change.moves = begun.map(|(at, _)| (at as u16, Set::Idle)).collect();
        self.go_on(plan, change, Vec::new());
        Ok(())
    }

    /// Gives a failed step up.
    pub(crate) fn skip(&mut self, row: &RowName, operation: &Operation, by: By) -> Result<(), Refusal> {
        self.not_paused("skip")?;
        let (plan, at) = self.step(row, "skip")?;
        let refusal = self.not_allowed("skip");
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let run = &saga.rows[usize::from(at)];
        if saga.direction != Direction::Parked || run.state != RowState::Failed {
            return Err(refusal);
        }
        let mut change = skipped(at);
        self.nobody_reads(plan, row, &change)?;
        if operation.second.is_some() {
            operation.needs_second()?;
        } else if run.touched {
            return self.ask_for_proof(plan, at, by);
        } else {
            change.note = Some("nothing was ever asked of it".to_owned());
        }
        change.by = Some(Box::new(by));
        self.go_on(plan, change, Vec::new());
        Ok(())
    }

    /// Says that an undo that failed for good was done by hand.
    pub(crate) fn mark_done(&mut self, row: &RowName, operation: &Operation, by: By) -> Result<(), Refusal> {
        self.not_paused("mark-done")?;
        let (plan, at) = self.step(row, "mark-done")?;
        let stuck = |saga: &Saga| saga.rows[usize::from(at)].state == RowState::Stuck;
        if self.tenant.state != State::Stuck || !self.tenant.saga.as_ref().is_some_and(stuck) {
            return Err(self.not_allowed("mark-done"));
        }
        if operation.second.is_none() {
            return self.ask_for_proof(plan, at, by);
        }
        operation.needs_second()?;
        let change = Change { by: Some(Box::new(by)), ..marked(at) };
        self.backward(change.to(self.tenant.state, State::Compensating));
        Ok(())
    }

    /// The step itself looks; the row is what it was until it answers.
    fn ask_for_proof(&mut self, plan: &'static Plan, at: u16, by: By) -> Result<(), Refusal> {
        let refusal = self.not_allowed("proof");
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let row = &plan.rows[usize::from(saga.rows[usize::from(at)].row)];
        let What::Step { limit_ms, input, .. } = &row.what else { return Err(refusal) };
        let inputs = vec![(at, made(*input, &View { plan, saga })?)];
        let look = Set::Ask { verb: Verb::Observe, attempt: 1, limit_ms: *limit_ms, supersedes: false };
        let change = Change { by: Some(Box::new(by)), ..Change::of(AuditKind::ProofAsked, at) };
        self.tell_asking(change.set(at, look), inputs);
        Ok(())
    }

    /// The step looked: what it saw is the proof, or is not.
    pub(crate) fn proved(&mut self, at: u16, seen: &Json) {
        let Some(plan) = self.plan() else { return };
        let back = self.tenant.saga.as_ref().is_some_and(|saga| saga.direction.is_back());
        let proof = match seen.read() {
            Ok(Observed::Absent) => "nothing of it is there".to_owned(),
            Ok(Observed::Foreign { hint }) => format!("nothing of ours is there, but something of {hint}"),
            Ok(Observed::Ours { differences }) if differences.is_empty() && !back => {
                "it is there and whole".to_owned()
            }
            Ok(Observed::Ours { differences }) => {
                let paths: Vec<_> = differences.iter().map(|one| one.path.as_str()).collect();
                let places = if paths.is_empty() { String::new() } else { format!(": {}", paths.join(", ")) };
                let how = if back { "it is still there" } else { "it is there and differs" };
                return self.not_proved(at, &format!("{how}{places}"));
            }
            Ok(Observed::Unknown { why }) => {
                return self.not_proved(at, &format!("it cannot be told: {why}"));
            }
            Err(_) => return self.not_proved(at, "the answer has another shape than its contract says"),
        };
        let mut change = if back { marked(at) } else { skipped(at) };
        change.answered = self.answered(at);
        change.note = Some(proof);
        if back {
            self.backward(change.to(self.tenant.state, State::Compensating));
        } else {
            self.go_on(plan, change, Vec::new());
        }
    }

    /// Nothing was proved, and everything stands as before.
    pub(crate) fn not_proved(&mut self, at: u16, why: &str) {
        let back = self.tenant.saga.as_ref().is_some_and(|saga| saga.direction.is_back());
        let mut change = Change::of(AuditKind::ProofRefused, at);
        change.answered = self.answered(at);
        change.note = Some(why.to_owned());
        self.tell(change.set(at, if back { Set::Stuck } else { Set::Failed }));
    }

    /// Goes forward with this change where nothing that failed is left after it; else the saga stays parked.
    fn go_on(&mut self, plan: &'static Plan, mut change: Change, inputs: Vec<(u16, Json)>) {
        let mut after = self.tenant.clone();
        after.apply(0, self.now, 0, &change);
        let Some(saga) = &after.saga else { return self.tell(change) };
        let skipped = saga.rows.iter().any(|run| run.state == RowState::Skipped);
        if after.flags.degraded && !skipped {
            change.flags = Some(tenantry_contracts::Flags { degraded: false, ..self.tenant.flags });
        }
        let parked = parked(plan, saga);
        if parked.is_none() && saga.direction != Direction::Forward {
            change.direction = Some(Direction::Forward);
        }
        let (of, state) = (saga.id, parked.unwrap_or_else(|| forward_state(plan, saga, None)));
        self.forward(change.to(self.tenant.state, state));
        self.keep(Some(of), inputs);
    }

    /// The place of a step among the chosen rows.
    fn step(&self, row: &RowName, verb: &str) -> Result<(&'static Plan, u16), Refusal> {
        let unknown = || {
            let message = format!("the running saga has no step {row}");
            Refusal::new(Code::RowUnknown, message).at(format!("/verb/{verb}"))
        };
        let plan = self.plan().ok_or_else(|| self.not_allowed(verb))?;
        let index = plan.index_of(row.as_str()).ok_or_else(unknown)?;
        let chosen =
            self.tenant.saga.as_ref().and_then(|saga| saga.rows.iter().position(|run| run.row == index));
        let step = matches!(plan.rows[usize::from(index)].what, What::Step { .. });
        chosen.filter(|_| step).map(|at| (plan, at as u16)).ok_or_else(unknown)
    }

    /// Refuses to give a step up whose output a later row cannot do without, as far as that can be told: a row that lacks
    /// something else first says that.
    fn nobody_reads(&self, plan: &'static Plan, row: &RowName, change: &Change) -> Result<(), Refusal> {
        let mut after = self.tenant.clone();
        after.apply(0, self.now, 0, change);
        let Some(saga) = &after.saga else { return Ok(()) };
        for run in saga.rows.iter().filter(|run| run.state == RowState::Idle) {
            let reader = &plan.rows[usize::from(run.row)];
            let What::Step { input, .. } = &reader.what else { continue };
            if let Err(failure) = input(&View { plan, saga })
                && failure.pointer.as_deref() == Some(&output_of(row.as_str()))
            {
                let message = format!("row {} cannot do without what {row} makes", reader.name);
                return Err(Refusal::new(Code::VerbNotAllowed, message).at("/verb/skip"));
            }
        }
        Ok(())
    }
}

/// The state in which a saga stays parked, where something that failed is left.
fn parked(plan: &Plan, saga: &Saga) -> Option<State> {
    let mut state = None;
    for run in &saga.rows {
        let step = matches!(plan.rows[usize::from(run.row)].what, What::Step { .. });
        state = match run.state {
            RowState::Failed if !step => return Some(State::Blocked),
            RowState::Open { .. } if step => Some(State::Awaiting),
            RowState::Failed | RowState::Asked { verb: Verb::Observe, .. } => state.or(Some(State::Held)),
            _ => state,
        };
    }
    state
}

fn skipped(at: u16) -> Change {
    Change { degraded: true, ..Change::of(AuditKind::StepSkipped, at) }.set(at, Set::Skipped)
}

fn marked(at: u16) -> Change {
    Change::of(AuditKind::StepMarkedDone, at).set(at, Set::Undone)
}
