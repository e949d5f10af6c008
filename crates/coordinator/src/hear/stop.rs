//! A person stops a worker, or all of them, for this lane: nothing is asked of it from here on, and its open questions wait.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::{Operation, Scope, Stopped};
use tenantry_contracts::{Code, Record, Refusal};
use tenantry_ports::Entropy;
use tenantry_saga::{Heard as Hears, Moment};

use super::{Bug, Hearing};
use crate::entry::Note;

impl<E: Entropy> Hearing<'_, E> {
    pub(super) fn stop(
        &mut self,
        record: &Record,
        operation: &Operation,
        scope: &Scope,
    ) -> Result<Result<(), Refusal>, Bug> {
        if !self.lane.row.stopped.stop(scope) {
            return Ok(Err(refused("is paused already", scope)));
        }
        self.lane.settle_all();
        self.taken_up(record, operation, noted(AuditKind::FleetPaused, scope)).map(Ok)
    }

    /// Asks everything afresh that stood open, with a new deadline.
    pub(super) fn go_on(
        &mut self,
        record: &Record,
        operation: &Operation,
        scope: &Scope,
    ) -> Result<Result<(), Refusal>, Bug> {
        if !self.lane.row.stopped.go_on(scope) {
            return Ok(Err(refused("is not paused", scope)));
        }
        self.taken_up(record, operation, noted(AuditKind::FleetResumed, scope))?;
        let mut free = Stopped::default();
        free.stop(scope);
        let heard = self.heard(record);
        for id in self.lane.tenants.keys().copied().collect::<Vec<_>>() {
            let Some(held) = self.lane.tenants.get_mut(&id) else { continue };
            let before = held.tenant.state;
            let moment =
                Moment { now: self.now, paused_ms: self.lane.row.paused_ms, n: &mut self.lane.row.n };
            // Time that passes is never refused.
            let told = held.tenant.hear(&self.options.plans, moment, Hears::GoOn(&free)).unwrap_or_default();
            self.tell(id, before, &heard, &told, &[])?;
        }
        self.lane.settle_all();
        Ok(Ok(()))
    }
}

fn noted(what: AuditKind, scope: &Scope) -> Note {
    Note { words: Some(name(scope)), ..Note::new(what) }
}

fn name(scope: &Scope) -> String {
    match scope {
        Scope::Worker(worker) => format!("worker {worker}"),
        Scope::Tenant | Scope::Fleet => "every worker".to_owned(),
    }
}

fn refused(how: &str, scope: &Scope) -> Refusal {
    Refusal::new(Code::VerbNotAllowed, format!("{} {how} in this lane", name(scope))).at("/verb")
}
