//! A person's verb: taken up in the tenant's chain or the lane's, or refused in the lane's.

use sha2::{Digest, Sha256};
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::operation::{Deed, Operation, OperationVerb, Target, said_at};
use tenantry_contracts::{Code, Lane, Record, Refusal, TenantId};
use tenantry_ports::Entropy;
use tenantry_saga::{By, Heard as Hears, Moment};

use super::{Bug, Hearing, REMEMBERED_MS, Stepped, reply};
use crate::entry::Note;
use crate::restored::Accepted;
use crate::{letters, tell};

/// One hour.
const HOUR_MS: i64 = 60 * 60 * 1000;

impl<E: Entropy> Hearing<'_, E> {
    pub(super) fn operation(&mut self, record: &Record, operation: &Operation) -> Result<Stepped, Bug> {
        let digest = Sha256::digest(record.value.as_deref().unwrap_or_default()).into();
        let key = operation.key().to_owned();
        if let Some(row) = self.draft.request(self.found, &operation.id) {
            let (same, tenant) = (row.digest == digest, row.tenant);
            if same && row.origin == letters::first_origin(record) {
                // It was taken up ahead of its turn.
                return Ok(Stepped::Done);
            }
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
            self.note(&self.heard(record), &note, Some((answer, key)))?;
            return Ok(Stepped::Done);
        }
        if self.request_is_claimed(&operation.id) {
            return Ok(Stepped::Deferred);
        }
        let target = operation.target.as_ref().and_then(|target| self.target(target));
        // Its id may have been forgotten: what was said long ago is not done now, whoever says it again.
        let fresh = if self.now.since(said_at(record)) > REMEMBERED_MS {
            Err(Refusal::new(Code::RequestTooOld, "the operation is older than ids are remembered"))
        } else {
            self.options.operators.verified(operation)
        };
        let taken = match fresh {
            Ok(verified) => self.take_up(record, &verified, target)?,
            Err(refusal) => Err(refusal),
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
            self.note(&self.heard(record), &note, Some((answer, key)))?;
        }
        self.remember(record, &operation.id, &digest, target);
        Ok(Stepped::Done)
    }

    /// The tenant that an operation is about: by id, else the one that holds the slug.
    fn target(&mut self, target: &Target) -> Option<TenantId> {
        if Lane::of(&target.slug, self.options.lanes) != self.lane.row.lane {
            return None;
        }
        let holder = || self.draft.holder(self.lane, self.found, &target.environment, &target.slug);
        let id = target.tenant.or_else(holder)?;
        self.wake(id).then_some(id)
    }

    /// Takes it up in the chain of whom it is about.
    fn take_up(
        &mut self,
        record: &Record,
        operation: &Operation,
        target: Option<TenantId>,
    ) -> Result<Result<(), Refusal>, Bug> {
        if target.is_none() && operation.target.is_some() {
            let named = operation.target.as_ref().and_then(|target| target.tenant);
            let listed = named.and_then(|id| self.found.tenants.get(&id));
            let why = match listed.filter(|(row, _)| row.lane == self.lane.row.lane) {
                Some(_) => {
                    "its history is not in the store; where it was archived, put it back first (journal restore)"
                }
                None => "no such tenant in this lane",
            };
            return Ok(Err(Refusal::new(Code::TenantUnknown, why).at("/target")));
        }
        match &operation.verb {
            OperationVerb::AcceptRestore => self.nothing_missing(record, operation).map(Ok),
            OperationVerb::Attest(deed) => self.attest(record, operation, deed, target).map(Ok),
            verb => match (target, verb) {
                (Some(id), _) => self.operate(record, operation, id),
                (None, OperationVerb::Pause(scope)) => self.stop(record, operation, scope),
                (None, OperationVerb::Resume(scope)) => self.go_on(record, operation, scope),
                (None, _) => {
                    let message = format!("this fleet does not know how to {} a lane", verb.as_str());
                    Ok(Err(Refusal::new(Code::VerbNotAllowed, message).at("/verb")))
                }
            },
        }
    }

    /// Somebody decided to go on with a store that was restored. Written before anything else is heard.
    pub(crate) fn restored(&mut self, accepted: &Accepted) -> Result<(), Bug> {
        let Accepted { record, operation, words } = accepted;
        let note = Note { words: Some(words.clone()), ..Note::new(AuditKind::RestoreAccepted) };
        self.taken_up(record, operation, note)?;
        let digest = Sha256::digest(record.value.as_deref().unwrap_or_default()).into();
        self.remember(record, &operation.id, &digest, None);
        Ok(())
    }

    /// A lane that is served has everything that was published, or has gone on without it already.
    fn nothing_missing(&mut self, record: &Record, operation: &Operation) -> Result<(), Bug> {
        let words = Some("accept-restore: nothing is missing in this lane".to_owned());
        self.taken_up(record, operation, Note { words, ..Note::new(AuditKind::OperationAccepted) })
    }

    /// Writes a deed down in the lane's chain, also where it is about a tenant: its own chain grows by what happens to it.
    fn attest(
        &mut self,
        record: &Record,
        operation: &Operation,
        deed: &Deed,
        tenant: Option<TenantId>,
    ) -> Result<(), Bug> {
        let note = Note {
            tenant,
            commitment: Some(deed.digest.clone()),
            words: Some(deed.note.clone()),
            ..Note::new(deed.what.kind())
        };
        self.taken_up(record, operation, note)
    }

    /// Writes in the lane's chain what a person's verb came to, with whoever is behind it, and answers that it was taken up.
    pub(super) fn taken_up(&mut self, record: &Record, operation: &Operation, note: Note) -> Result<(), Bug> {
        let by = Some(Box::new(By::of(operation)));
        let note = Note { request: Some(operation.id.clone()), by, ..note };
        let mut answer = reply(EventKind::OperationAccepted, self.now, record.origin());
        answer.request = Some(operation.id.clone());
        self.note(&self.heard(record), &note, Some((answer, operation.key().to_owned())))
    }

    /// How many tenants people turn back in an hour is bounded, unless a second person answers for more. Counted in memory:
    /// after a take-over the hour begins anew.
    fn within_the_limit(&mut self, operation: &Operation) -> Result<(), Refusal> {
        while self.lane.turned.front().is_some_and(|at| self.now.since(*at) >= HOUR_MS) {
            self.lane.turned.pop_front();
        }
        let limit = self.options.undo_limit;
        if self.lane.turned.len() < limit {
            return Ok(());
        }
        operation.needs_second().map(|_| ()).map_err(|_| {
            let message = format!("{limit} tenants of this lane were turned back in the last hour already");
            Refusal::new(Code::BlastRadius, message).at("/verb")
        })
    }

    fn operate(
        &mut self,
        record: &Record,
        operation: &Operation,
        id: TenantId,
    ) -> Result<Result<(), Refusal>, Bug> {
        let cancels = operation.verb == OperationVerb::Cancel;
        if cancels && let Err(refusal) = self.within_the_limit(operation) {
            return Ok(Err(refusal));
        }
        let Some(held) = self.lane.tenants.get_mut(&id) else {
            return Ok(Err(Refusal::new(Code::TenantUnknown, "no such tenant").at("/target")));
        };
        let before = held.tenant.state;
        let moment = Moment { now: self.now, paused_ms: self.lane.row.paused_ms, n: &mut self.lane.row.n };
        match held.tenant.hear(&self.options.plans, moment, Hears::Operation(operation)) {
            Ok(told) => {
                if cancels {
                    self.lane.turned.push_back(self.now);
                }
                let heard = self.heard(record);
                self.tell(id, before, &heard, &told, &[])?;
                Ok(Ok(()))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}
