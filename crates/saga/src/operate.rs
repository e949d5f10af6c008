//! What people decide: which verb it is, and retry, cancel, approve, reject. The others stand in `steer.rs` and `brake.rs`.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::{Operation, OperationVerb, Scope};
use tenantry_contracts::request::requester;
use tenantry_contracts::result::Failure;
use tenantry_contracts::steps::gate;
use tenantry_contracts::{Class, Code, Json, Refusal, RowName, State, Verb};

use crate::change::By;
use crate::forward::past_pivot;
use crate::hear::{Story, again};
use crate::{Change, Direction, InputFn, RowState, Saga, Set, Then, View, What};

impl Story<'_> {
    pub(crate) fn operate(&mut self, operation: &Operation) -> Result<(), Refusal> {
        if operation.reason.trim().is_empty() {
            return Err(Refusal::new(Code::ReasonMissing, "an operation needs a reason").at("/reason"));
        }
        if let Some(expected) = operation.expected_version
            && expected != self.tenant.version
        {
            let message = format!("the tenant is at version {}, not {expected}", self.tenant.version);
            return Err(Refusal::new(Code::VersionStale, message).at("/expected_version"));
        }
        let by = By::of(operation);
        match &operation.verb {
            OperationVerb::Retry => self.retry(by),
            OperationVerb::Cancel => self.cancel(by),
            OperationVerb::Approve(row) => self.decide(row, true, operation.seen.as_deref(), by),
            OperationVerb::Reject(row) => self.decide(row, false, operation.seen.as_deref(), by),
            OperationVerb::Rerun(row) => self.rerun(row, by),
            OperationVerb::Correct(patch) => self.correct(patch, by),
            OperationVerb::Skip(row) => self.skip(row, operation, by),
            OperationVerb::MarkDone(row) => self.mark_done(row, operation, by),
            OperationVerb::Hold => self.hold(by),
            OperationVerb::Release => self.release(operation, by),
            OperationVerb::Pause(Scope::Tenant) => self.pause(by),
            OperationVerb::Resume(Scope::Tenant) => self.unpause(by),
            OperationVerb::Forget => self.forget(operation, by),
            // These are about a lane, not about one of its tenants.
            verb @ (OperationVerb::Pause(_)
            | OperationVerb::Resume(_)
            | OperationVerb::Attest(_)
            | OperationVerb::AcceptRestore) => Err(self.not_allowed(verb.as_str())),
        }
    }

    pub(crate) fn not_allowed(&self, verb: &str) -> Refusal {
        let message = format!("{verb} does not apply to a tenant that is {}", self.tenant.state);
        Refusal::new(Code::VerbNotAllowed, message).at("/verb")
    }

    /// Goes on from what failed; what is done stays done.
    fn retry(&mut self, by: By) -> Result<(), Refusal> {
        self.not_paused("retry")?;
        let refusal = self.not_allowed("retry");
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let change = Change { by: Some(Box::new(by)), ..Change::new(AuditKind::OperationAccepted) };
        match (saga.direction, self.tenant.state) {
            (Direction::Parked, _) => self.resume(change),
            (Direction::Back | Direction::BackToReject, State::Stuck) => {
                self.not_held("retry")?;
                self.undo_again(change)
            }
            _ => Err(refusal),
        }
    }

    /// Goes forward from parked: every step that failed and is not given up by this change is asked again, every gate
    /// that was refused opens again.
    fn resume(&mut self, mut change: Change) -> Result<(), Refusal> {
        let refusal = self.not_allowed("retry");
        let Some(plan) = self.plan() else { return Err(refusal) };
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let (mut inputs, mut gates) = (Vec::new(), Vec::new());
        for (at, run) in saga.rows.iter().enumerate() {
            let at = at as u16;
            let what = &plan.rows[usize::from(run.row)].what;
            match (what, &run.state) {
                _ if change.moves.iter().any(|(moved, _)| *moved == at) => {}
                (What::Gate { .. }, RowState::Failed) => gates.push(at),
                // A look that is under way is not waited for.
                (
                    What::Step { limit_ms, input, .. },
                    RowState::Failed | RowState::Open { .. } | RowState::Asked { verb: Verb::Observe, .. },
                ) => {
                    inputs.push((at, made(*input, &View { plan, saga })?));
                    change.moves.push((at, again(Verb::Execute, 1, *limit_ms)));
                }
                _ => {}
            }
        }
        change.direction = Some(Direction::Forward);
        let of = saga.id;
        let state = self.forward_state(None);
        self.forward(change.to(self.tenant.state, state));
        self.keep(Some(of), inputs);
        for run in gates {
            let refused = |saga: &Saga| {
                saga.id == of
                    && saga.direction == Direction::Forward
                    && saga.rows[usize::from(run)].state == RowState::Failed
            };
            if self.tenant.saga.as_ref().is_some_and(refused) {
                self.open_gate(plan, run);
            }
        }
        Ok(())
    }

    fn undo_again(&mut self, mut change: Change) -> Result<(), Refusal> {
        let refusal = self.not_allowed("retry");
        let Some(plan) = self.plan() else { return Err(refusal) };
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let mut inputs = Vec::new();
        for (at, run) in saga.rows.iter().enumerate() {
            let What::Step { undo, input, .. } = &plan.rows[usize::from(run.row)].what else { continue };
            if matches!(run.state, RowState::Stuck | RowState::Asked { verb: Verb::Observe, .. }) {
                inputs.push((at as u16, made(*input, &View { plan, saga })?));
                change.moves.push((at as u16, again(Verb::Compensate, 1, undo.1)));
            }
        }
        self.tell_asking(change.to(self.tenant.state, State::Compensating), inputs);
        Ok(())
    }

    /// Undoes everything; until the pivot.
    fn cancel(&mut self, by: By) -> Result<(), Refusal> {
        self.not_held("cancel")?;
        let refusal = self.not_allowed("cancel");
        let Some(plan) = self.plan() else { return Err(refusal) };
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let forward = matches!(saga.direction, Direction::Forward | Direction::Parked);
        if !forward || past_pivot(plan, saga) {
            return Err(refusal);
        }
        let parked =
            saga.rows.iter().filter(|run| matches!(run.state, RowState::Failed | RowState::Open { .. }));
        let cause = parked.filter_map(|run| run.failure.clone()).next().unwrap_or_else(|| Failure {
            code: Code::Cancelled,
            class: Class::Policy,
            pointer: None,
            message: format!("{} cancelled it", by.actor.name),
        });
        self.tell(Change { by: Some(Box::new(by)), ..Change::new(AuditKind::OperationAccepted) });
        self.go_back(Direction::Back, Some(cause));
        Ok(())
    }

    /// A yes or a no at a gate, or after a failure that lets a person choose.
    fn decide(&mut self, row: &RowName, yes: bool, seen: Option<&str>, mut by: By) -> Result<(), Refusal> {
        let refusal = self.not_allowed(if yes { "approve" } else { "reject" }).at("/verb");
        let Some(plan) = self.plan() else { return Err(refusal) };
        let Some(saga) = &self.tenant.saga else { return Err(refusal) };
        let Some(row) = plan.index_of(row.as_str()) else { return Err(refusal) };
        let open =
            saga.rows.iter().position(|run| run.row == row && matches!(run.state, RowState::Open { .. }));
        let Some(run) = open.map(|at| at as u16) else { return Err(refusal) };
        if let What::Gate { role, binds, .. } = plan.rows[usize::from(row)].what {
            by.decision = Some(self.may_decide(role, binds && yes, &saga.seen(plan, row), seen, &by)?);
        }
        match (&plan.rows[usize::from(row)].what, yes) {
            (What::Gate { role, .. }, true) => {
                let mut change = Change::of(AuditKind::GateDecided, run).set(run, Set::Done);
                let (by_whom, role) = (by.actor.name.clone(), (*role).to_owned());
                change.output =
                    Json::of(&gate::Output { by: by_whom, role, seen: saga.seen(plan, row) }).ok();
                change.by = Some(Box::new(by));
                let state = if saga.direction == Direction::Forward {
                    self.forward_state(Some(run))
                } else {
                    self.tenant.state
                };
                self.forward(change.to(self.tenant.state, state));
            }
            (What::Gate { .. }, false) => {
                let failure = Failure {
                    code: Code::GateRejected,
                    class: Class::Policy,
                    pointer: None,
                    message: format!("{} said no", by.actor.name),
                };
                self.gate_refused(run, failure, Some(by));
            }
            (What::Step { .. }, true) => {
                self.not_paused("approve")?;
                let mut change = Change::of(AuditKind::GateDecided, run).set(run, Set::Skipped);
                change.by = Some(Box::new(by));
                change.degraded = true;
                return self.resume(change);
            }
            (What::Step { .. }, false) => {
                let cause = saga.rows[usize::from(run)].failure.clone();
                let mut change = Change::of(AuditKind::GateDecided, run).set(run, Set::Failed);
                change.by = Some(Box::new(by));
                self.tell(change);
                self.go_back(Direction::Back, cause);
            }
            (What::Wait { .. } | What::Pivot, _) => return Err(refusal),
        }
        Ok(())
    }

    /// Whether this person may decide at a gate of that role, on what was seen; answers which rule allowed it.
    fn may_decide(
        &self,
        role: &str,
        binds: bool,
        stands: &str,
        seen: Option<&str>,
        by: &By,
    ) -> Result<String, Refusal> {
        let approvers = &self.plans.rules().approvers;
        let account = by.actor.name.as_str();
        if !approvers.may(role, account) {
            let message = format!("{account} does not have the role {role}");
            return Err(Refusal::new(Code::ApproverNotAllowed, message).at("/actor/name"));
        }
        let asked = self.tenant.saga.as_ref().map_or(&self.tenant.requesters, |saga| &saga.requesters);
        if asked.contains(&requester(self.tenant.id, account)) {
            let message = format!("{account} asked for this tenant, and must not decide about it");
            return Err(Refusal::new(Code::ApproverIsRequester, message).at("/actor/name"));
        }
        match seen {
            None if binds => {
                let message = format!("the digest of what was seen is missing; it is {stands} now");
                Err(Refusal::new(Code::FieldMissing, message).at("/seen"))
            }
            Some(seen) if seen != stands => {
                let message = format!("what stands now has the digest {stands}");
                Err(Refusal::new(Code::EvidenceChanged, message).at("/seen"))
            }
            _ => Ok(format!("approvers/{role}@{}", approvers.digest)),
        }
    }

    /// A gate was refused, by a person or by time.
    pub(crate) fn gate_refused(&mut self, run: u16, failure: Failure, by: Option<By>) {
        let Some(plan) = self.plan() else { return };
        let Some(saga) = &self.tenant.saga else { return };
        let then = match saga.rows[usize::from(run)].end.of(failure.class) {
            Then::Degrade => Then::Degrade,
            _ if past_pivot(plan, saga) => Then::Hold,
            then => then,
        };
        let mut change = Change::of(AuditKind::GateDecided, run).set(run, Set::Failed);
        change.failure = Some(failure.clone());
        change.by = by.map(Box::new);
        if saga.direction != Direction::Forward {
            return self.tell(change);
        }
        match then {
            Then::Degrade => {
                change.degraded = true;
                change.moves = vec![(run, Set::Skipped)];
                let state = self.forward_state(Some(run));
                self.forward(change.to(self.tenant.state, state));
            }
            Then::Hold | Then::Ask => {
                self.tell(change);
                self.park(AuditKind::Blocked, run, State::Blocked);
            }
            Then::Reject => {
                self.tell(change);
                self.go_back(Direction::BackToReject, Some(failure));
            }
            Then::Compensate => {
                self.tell(change);
                self.go_back(Direction::Back, Some(failure));
            }
        }
    }
}

/// A step's input, or a refusal where it cannot be made.
pub(crate) fn made(input: InputFn, view: &View<'_>) -> Result<Json, Refusal> {
    input(view).map_err(|failure| Refusal::new(failure.code, failure.message))
}
