//! A person's verb: taken up in the tenant's chain, or refused in the lane's.

use sha2::{Digest, Sha256};
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::operation::Operation;
use tenantry_contracts::{Code, Lane, Record, Refusal, TenantId};
use tenantry_ports::Entropy;
use tenantry_saga::{Heard as Hears, Moment};

use super::{Bug, Hearing, Stepped, reply};
use crate::entry::Note;
use crate::tell;

impl<E: Entropy> Hearing<'_, E> {
    pub(super) fn operation(&mut self, record: &Record, operation: &Operation) -> Result<Stepped, Bug> {
        let digest = Sha256::digest(record.value.as_deref().unwrap_or_default()).into();
        let slug = operation.target.slug.as_str().to_owned();
        if let Some(row) = self.draft.request(self.found, &operation.id) {
            let (same, tenant) = (row.digest == digest, row.tenant);
            let refusal = (!same)
                .then(|| Refusal::new(Code::RequestIdReused, "this id came before with another document"));
            let mut answer = reply(
                if same { EventKind::RequestDuplicate } else { EventKind::OperationRefused },
                self.now,
                record.origin(),
            );
            answer.request = Some(operation.id.clone());
            answer.refusal.clone_from(&refusal);
            let what = if same { AuditKind::RequestDuplicate } else { AuditKind::OperationRefused };
            let note = Note { request: Some(operation.id.clone()), tenant, refusal, ..Note::new(what) };
            self.note(&self.heard(record), &note, Some((answer, slug)))?;
            return Ok(Stepped::Done);
        }
        if self.claimed.requests.contains(&operation.id) {
            return Ok(Stepped::Deferred);
        }
        let target = self.target(operation);
        let taken = match target {
            Some(id) => self.take_up(record, operation, id)?,
            None => Err(Refusal::new(Code::TenantUnknown, "no such tenant in this lane").at("/target")),
        };
        if let Err(refusal) = taken {
            let mut answer = reply(EventKind::OperationRefused, self.now, record.origin());
            answer.request = Some(operation.id.clone());
            answer.refusal = Some(refusal.clone());
            if let Some(held) = target.and_then(|id| self.lane.tenants.get(&id)) {
                answer.tenant = Some(tell::reference(&held.tenant));
                answer.state = Some(held.tenant.state);
            }
            let note = Note {
                request: Some(operation.id.clone()),
                tenant: target,
                refusal: Some(refusal),
                words: Some(format!(
                    "{} by {}: {}",
                    operation.verb.as_str(),
                    operation.actor.name,
                    operation.reason
                )),
                ..Note::new(AuditKind::OperationRefused)
            };
            self.note(&self.heard(record), &note, Some((answer, slug)))?;
        }
        self.remember(record, &operation.id, &digest, target);
        Ok(Stepped::Done)
    }

    /// The tenant that an operation is about: by id, else the one that holds the slug.
    fn target(&mut self, operation: &Operation) -> Option<TenantId> {
        let target = &operation.target;
        if Lane::of(&target.slug, self.options.lanes) != self.lane.row.lane {
            return None;
        }
        let holder = || self.draft.holder(self.lane, self.found, &target.environment, &target.slug);
        let id = target.tenant.or_else(holder)?;
        self.wake(id).then_some(id)
    }

    fn take_up(
        &mut self,
        record: &Record,
        operation: &Operation,
        id: TenantId,
    ) -> Result<Result<(), Refusal>, Bug> {
        let Some(held) = self.lane.tenants.get_mut(&id) else {
            return Ok(Err(Refusal::new(Code::TenantUnknown, "no such tenant").at("/target")));
        };
        let before = held.tenant.state;
        let moment = Moment { now: self.now, paused_ms: self.lane.row.paused_ms, n: &mut self.lane.row.n };
        match held.tenant.hear(&self.options.plans, moment, Hears::Operation(operation)) {
            Ok(told) => {
                let heard = self.heard(record);
                self.tell(id, before, &heard, &told, &[])?;
                Ok(Ok(()))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}
