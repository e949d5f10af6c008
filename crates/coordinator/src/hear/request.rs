//! A request: accepted, duplicate, rejected, quarantined or forwarded. Exactly one of these, durably.

use std::sync::Arc;

use tenantry_audit::Head;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::event::{EventKind, TenantRef};
use tenantry_contracts::opening::{DOCUMENT, Opening};
use tenantry_contracts::request::{Decoded, Heard as Request, Kind, requester};
use tenantry_contracts::sealed::Place;
use tenantry_contracts::{
    Code, DataKey, Environment, Lane, Record, Refusal, RequestId, Slug, State, TenantId, Time,
};
use tenantry_ports::{Entropy, RequestRow, SealedKey};
use tenantry_saga::{Born, Moment, Tenant};

use super::{Bug, Hearing, REMEMBERED_MS, Stepped, reply};
use crate::entry::Note;
use crate::lane::Held;
use crate::{letters, telemetry};

impl<E: Entropy> Hearing<'_, E> {
    pub(super) fn request(&mut self, record: &Record, decoded: &Decoded) -> Result<Stepped, Bug> {
        match decoded {
            Decoded::Unreadable(refusal) => {
                let mut event = reply(EventKind::RequestQuarantined, self.now, record.origin());
                event.refusal = Some(refusal.clone());
                decided("quarantined");
                self.quarantine(record, refusal, Some((event, key_of(record, None))))?;
                Ok(Stepped::Done)
            }
            Decoded::Refused { id, slug, digest, asked, refusal } => {
                if let Some(id) = id
                    && let Some(stepped) =
                        self.known(record, id, digest, *asked, slug.as_ref(), Err(refusal))?
                {
                    return Ok(stepped);
                }
                self.reject(record, id.as_ref(), digest, slug.as_ref(), refusal.clone())?;
                Ok(Stepped::Done)
            }
            Decoded::Heard(request) => self.readable(record, request),
        }
    }

    fn readable(&mut self, record: &Record, heard: &Request) -> Result<Stepped, Bug> {
        let slug = &heard.request.slug;
        let home = Lane::of(slug, self.options.lanes);
        if home != self.lane.row.lane {
            decided("forwarded");
            self.letters.push(letters::forwarded(record, home, slug, self.letter_tag));
            let mut note = Note::new(AuditKind::RequestForwarded);
            note.request = Some(heard.id.clone());
            note.words = Some(format!("to lane {home}"));
            self.note(&self.heard(record), &note, None)?;
            return Ok(Stepped::Done);
        }
        if let Some(stepped) = self.known(
            record,
            &heard.id,
            &heard.digest,
            heard.asked,
            Some(slug),
            Ok(&heard.request.environment),
        )? {
            return Ok(stepped);
        }
        let refusal = match self.accept(record, heard)? {
            Ok(stepped) => return Ok(stepped),
            Err(refusal) => refusal,
        };
        self.reject(record, Some(&heard.id), &heard.digest, Some(slug), refusal)?;
        Ok(Stepped::Done)
    }

    /// The id was decided before, or cannot be decided: says so. `None`: it is new. `understood`: the environment of a
    /// request that can be served, or why it cannot.
    fn known(
        &mut self,
        record: &Record,
        id: &RequestId,
        digest: &[u8; 32],
        asked: Time,
        slug: Option<&Slug>,
        understood: Result<&Environment, &Refusal>,
    ) -> Result<Option<Stepped>, Bug> {
        let Some(row) = self.draft.request(self.found, id) else {
            if self.request_is_claimed(id) {
                return Ok(Some(Stepped::Deferred));
            }
            if self.now.since(asked) > REMEMBERED_MS {
                let refusal =
                    Refusal::new(Code::RequestTooOld, "the request is older than ids are remembered");
                self.reject(record, None, digest, slug, refusal)?;
                return Ok(Some(Stepped::Done));
            }
            return Ok(None);
        };
        let (known, origin, tenant) = (row.digest == *digest, row.origin.clone(), row.tenant);
        if known && origin == letters::first_origin(record) {
            // The same record once more: it was forwarded twice, around a crash.
            return Ok(Some(Stepped::Done));
        }
        let (event, kind) = if known {
            (EventKind::RequestDuplicate, AuditKind::RequestDuplicate)
        } else {
            (EventKind::RequestRejected, AuditKind::RequestRejected)
        };
        let mut answer = reply(event, self.now, record.origin());
        answer.request = Some(id.clone());
        let mut note = Note { request: Some(id.clone()), tenant, ..Note::new(kind) };
        if known {
            decided("duplicate");
            // The same document has the same names.
            answer.refusal = understood.err().cloned();
            if let (Some(id), Some(slug), Ok(environment)) = (tenant, slug, understood) {
                answer.tenant = Some(TenantRef { id, slug: slug.clone(), environment: environment.clone() });
                answer.state = self.lane.tenants.get(&id).map(|held| held.tenant.state);
            }
        } else {
            decided("rejected");
            let refusal = Refusal::new(Code::RequestIdReused, "this id came before with another document");
            answer.refusal = Some(refusal.clone());
            note.refusal = Some(refusal);
        }
        self.note(&self.heard(record), &note, Some((answer, key_of(record, slug))))?;
        Ok(Some(Stepped::Done))
    }

    fn reject(
        &mut self,
        record: &Record,
        id: Option<&RequestId>,
        digest: &[u8; 32],
        slug: Option<&Slug>,
        refusal: Refusal,
    ) -> Result<(), Bug> {
        decided("rejected");
        let mut answer = reply(EventKind::RequestRejected, self.now, record.origin());
        answer.request = id.cloned();
        answer.refusal = Some(refusal.clone());
        let note =
            Note { request: id.cloned(), refusal: Some(refusal), ..Note::new(AuditKind::RequestRejected) };
        self.note(&self.heard(record), &note, Some((answer, key_of(record, slug))))?;
        if let Some(id) = id {
            self.remember(record, id, digest, None);
        }
        Ok(())
    }

    pub(super) fn remember(
        &mut self,
        record: &Record,
        id: &RequestId,
        digest: &[u8; 32],
        tenant: Option<TenantId>,
    ) {
        let origin = letters::first_origin(record);
        let row = RequestRow { id: id.clone(), digest: *digest, tenant, origin, at: self.now };
        self.claimed.requests.insert(id.clone());
        self.draft.requests.insert(id.clone(), row);
    }

    fn accept(&mut self, record: &Record, heard: &Request) -> Result<Result<Stepped, Refusal>, Bug> {
        let request = &heard.request;
        if request.kind != Kind::Provision {
            let message = format!("this fleet serves no requests of kind {}", request.kind.as_str());
            return Ok(Err(Refusal::new(Code::KindUnsupported, message)));
        }
        if let Some(holder) = self.draft.holder(self.lane, self.found, &request.environment, &request.slug) {
            let message = format!("the slug is held by tenant {holder}");
            return Ok(Err(Refusal::new(Code::SlugTaken, message).at("/slug")));
        }
        if let Some(id) = request.tenant {
            if self.found.tenants.contains_key(&id) || self.lane.tenants.contains_key(&id) {
                return Ok(Err(
                    Refusal::new(Code::TenantIdTaken, "a tenant with this id exists").at("/tenant_id")
                ));
            }
            if self.tenant_is_claimed(&id) {
                return Ok(Ok(Stepped::Deferred));
            }
        }
        let tenant = request.tenant.unwrap_or_else(|| TenantId::new(self.now, self.entropy()));
        let key = DataKey::new(self.entropy());
        let wrapped = self.options.master.wrap(&self.options.fleet, tenant, &key, self.entropy());
        let requesters = requesters(tenant, heard);
        let entropy = self.entropy;
        let place = |field| Place { fleet: &self.options.fleet, tenant, field };
        // What upstream said as a whole is personal too: who knows all of it but a name could try names.
        let mut openings = vec![Opening::new(&key, &place(DOCUMENT), &hex::encode(heard.digest))];
        let sealed = request.clone().seal(|field, clear| {
            let mut nonce = [0; 12];
            entropy.fill(&mut nonce);
            openings.push(Opening::new(&key, &place(field), clear));
            key.seal(&place(field), clear, nonce)
        });
        let commitments = openings.iter().map(|one| (one.field.clone(), one.commitment())).collect();
        let born = Born {
            tenant,
            id: heard.id.clone(),
            request: Arc::new(sealed),
            requesters,
            traceparent: heard.traceparent.clone(),
            commitments,
        };
        let moment = Moment { now: self.now, paused_ms: self.lane.row.paused_ms, n: &mut self.lane.row.n };
        let (tenant, told) = match Tenant::accept(&self.options.plans, moment, born) {
            Ok(accepted) => accepted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        decided("accepted");
        let id = tenant.id;
        tracing::info!(tenant = %id, request = %heard.id, slug = %tenant.request.slug, "request accepted");
        let head = Head::start(&id.to_string());
        self.lane.hold(Held::new(tenant, head, 0, None));
        let cause = self.heard(record);
        self.tell(id, State::Requested, &cause, &told, &heard.assumed)?;
        self.draft.keys.push(SealedKey { tenant: id, wrapped });
        self.claimed.tenants.insert(id);
        self.remember(record, &heard.id, &heard.digest, Some(id));
        Ok(Ok(Stepped::Done))
    }

    /// Fresh entropy.
    fn entropy<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }
}

/// Who asked, as digests: the person that the request names, and the account or system that published it.
fn requesters(tenant: TenantId, heard: &Request) -> Vec<String> {
    let source = heard.id.source.as_str();
    let account = source.rsplit(['/', ':']).next().filter(|account| *account != source);
    let names = heard.request.requested_by.as_deref().into_iter().chain([source]).chain(account);
    names.map(|name| requester(tenant, name)).collect()
}

/// The key of an answer: the slug, else the key that the record came with.
fn key_of(record: &Record, slug: Option<&Slug>) -> String {
    let key =
        || record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).filter(|key| key.len() <= 64);
    slug.map(Slug::as_str).or_else(key).unwrap_or("unknown").to_owned()
}

fn decided(decision: &'static str) {
    metrics::counter!(telemetry::DECISIONS, "decision" => decision).increment(1);
}
