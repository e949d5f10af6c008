//! Deciding: one item after the other, in order, against memory and what was read. Nothing is awaited here.

mod operation;
mod request;
mod stop;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::event::{Assumed, Event, EventKind};
use tenantry_contracts::result::{Answer, Said};
use tenantry_contracts::{Origin, Record, Refusal, RequestId, State, TenantId, Time};
use tenantry_ports::{Entropy, Found, Outgoing, Tag};
use tenantry_saga::{Change, Heard as Hears, Moment};

use crate::batch::Draft;
use crate::entry::{Note, fold};
use crate::lane::{Held, Item, Lane, Written};
use crate::options::Options;
use crate::tell::{self, Heard};
use crate::{letters, telemetry};

/// How long ids of refused requests are remembered, in milliseconds; an unknown id that is older is refused.
pub(crate) const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// One lane while it decides.
pub(crate) struct Hearing<'a, E> {
    pub(crate) options: &'a Options,
    pub(crate) lane: &'a mut Lane,
    pub(crate) found: &'a Found,
    pub(crate) draft: &'a mut Draft,
    pub(crate) entropy: &'a E,
    pub(crate) now: Time,
    /// What must be on Kafka before the batch commits.
    pub(crate) letters: &'a mut Vec<Outgoing>,
    /// What letters of this batch carry.
    pub(crate) letter_tag: Tag,
    /// Request and tenant ids that other lanes decide in this batch.
    pub(crate) claimed: &'a mut Claimed,
    /// Those of other batches on their way.
    pub(crate) elsewhere: &'a [&'a Claimed],
}

/// Keys that are unique across lanes, as far as this batch decides them.
#[derive(Debug, Default)]
pub(crate) struct Claimed {
    pub(crate) requests: BTreeSet<RequestId>,
    pub(crate) tenants: BTreeSet<TenantId>,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stepped {
    /// It was decided.
    Done,
    /// Another lane decides the same id in this batch: this one waits for the next batch, with all after it.
    Deferred,
}

/// A value of ours had no JSON form: a bug, and the process must not go on.
pub(crate) type Bug = serde_json::Error;

impl<E: Entropy> Hearing<'_, E> {
    /// Decides one item.
    pub(crate) fn hear(&mut self, item: &Item) -> Result<Stepped, Bug> {
        let stepped = match item {
            Item::Request(record, decoded) => self.request(record, decoded)?,
            Item::Operation(record, Ok(operation)) => self.operation(record, operation)?,
            Item::Answer(record, Ok(answer)) => self.answer(record, answer)?,
            Item::Operation(record, Err(refusal)) | Item::Answer(record, Err(refusal)) => {
                self.quarantine(record, refusal, None)?;
                Stepped::Done
            }
            Item::Due(tenant) => {
                self.due(*tenant)?;
                Stepped::Done
            }
        };
        if stepped == Stepped::Done
            && let Item::Request(record, _) | Item::Operation(record, _) | Item::Answer(record, _) = item
            && let Some(heard) = self.lane.heard(&record.topic)
        {
            heard.next = record.offset + 1;
            heard.last_id = record.content_id();
        }
        Ok(stepped)
    }

    /// Some batch that is not written yet decides this request.
    pub(crate) fn request_is_claimed(&self, id: &RequestId) -> bool {
        self.claimed.requests.contains(id) || self.elsewhere.iter().any(|other| other.requests.contains(id))
    }

    /// Some batch that is not written yet makes this tenant.
    pub(crate) fn tenant_is_claimed(&self, id: &TenantId) -> bool {
        self.claimed.tenants.contains(id) || self.elsewhere.iter().any(|other| other.tenants.contains(id))
    }

    fn answer(&mut self, record: &Record, answer: &Answer) -> Result<Stepped, Bug> {
        let id = answer.question.tenant;
        let plans = &self.options.plans;
        let held = self.lane.tenants.get_mut(&id).filter(|_| answer.body.fleet == self.options.fleet);
        let Some(held) = held.filter(|held| held.tenant.expects(plans, &answer.question)) else {
            metrics::counter!(telemetry::STALE).increment(1);
            return Ok(Stepped::Done);
        };
        match &answer.body.said {
            Said::NotYet(after) => {
                self.lane.say_again(self.now.plus((*after).max(0)), answer.question.clone())
            }
            Said::Expired => self.lane.say_again(self.now, answer.question.clone()),
            said => {
                let before = held.tenant.state;
                let moment =
                    Moment { now: self.now, paused_ms: self.lane.row.paused_ms, n: &mut self.lane.row.n };
                // An answer is never refused; a refusal here would be one of a person's verb.
                let told = held
                    .tenant
                    .hear(plans, moment, Hears::Answer(&answer.question, said))
                    .unwrap_or_default();
                let heard = self.heard(record);
                self.tell(id, before, &heard, &told, &[])?;
            }
        }
        Ok(Stepped::Done)
    }

    fn due(&mut self, id: TenantId) -> Result<(), Bug> {
        let Some(held) = self.lane.tenants.get_mut(&id) else { return Ok(()) };
        let before = held.tenant.state;
        let moment = Moment { now: self.now, paused_ms: self.lane.row.paused_ms, n: &mut self.lane.row.n };
        let due = Hears::Due(&self.lane.row.stopped);
        let told = held.tenant.hear(&self.options.plans, moment, due).unwrap_or_default();
        let heard = Heard { origin: None, digest: String::new(), now: self.now };
        self.tell(id, before, &heard, &told, &[])
    }

    /// Writes the changes of a tenant that is in memory.
    pub(crate) fn tell(
        &mut self,
        id: TenantId,
        before: State,
        heard: &Heard,
        told: &[(i64, Change)],
        assumed: &[Assumed],
    ) -> Result<(), Bug> {
        let Some(held) = self.lane.tenants.get_mut(&id) else { return Ok(()) };
        telemetry::told(&self.options.plans, &held.tenant, told, self.now);
        let rows = tell::changes(self.options.voice(), heard, &self.lane.row, held, before, told, assumed)?;
        if !rows.is_empty() {
            self.draft.touched.insert(id);
        }
        if !held.tenant.holds_slug() {
            self.draft.freed.insert(id);
        }
        if told.iter().any(|(_, change)| change.what == AuditKind::Forgotten) {
            self.draft.forgotten.push(id);
        }
        self.draft.told.extend(rows);
        self.lane.settle(id);
        Ok(())
    }

    /// Writes a row of the lane's own chain, and answers where there is somebody to answer.
    pub(crate) fn note(
        &mut self,
        heard: &Heard,
        note: &Note,
        answer: Option<(Event, String)>,
    ) -> Result<(), Bug> {
        self.lane.row.n += 1;
        let n = self.lane.row.n;
        let told = tell::note(self.options.voice(), heard, &mut self.lane.row, n, note, answer)?;
        self.draft.told.push(told);
        Ok(())
    }

    /// Puts a record that could not be read aside, with its raw bytes, and says so.
    fn quarantine(
        &mut self,
        record: &Record,
        refusal: &Refusal,
        answer: Option<(Event, String)>,
    ) -> Result<(), Bug> {
        self.letters.push(letters::quarantined(record, &self.options.group(), refusal, self.letter_tag));
        let heard = self.heard(record);
        let note = Note { refusal: Some(refusal.clone()), ..Note::new(AuditKind::Quarantined) };
        self.note(&heard, &note, answer)
    }

    pub(crate) fn heard(&self, record: &Record) -> Heard {
        let digest = hex::encode(Sha256::digest(record.value.as_deref().unwrap_or_default()));
        Heard { origin: Some(record.origin()), digest, now: self.now }
    }

    /// Takes a tenant at rest into memory, if it was read.
    pub(crate) fn wake(&mut self, id: TenantId) -> bool {
        if self.lane.tenants.contains_key(&id) {
            return true;
        }
        let Some((row, rows)) = self.found.tenants.get(&id).filter(|(row, _)| row.lane == self.lane.row.lane)
        else {
            return false;
        };
        let Some((tenant, head, head_n)) = fold(rows) else { return false };
        self.lane.hold(Held::new(
            tenant,
            head,
            head_n,
            Some(Written { at: Time(0), n: row.head_n, at_rest: true }),
        ));
        // It leaves memory again with the end of this batch, unless it does not rest any more.
        self.draft.touched.insert(id);
        true
    }
}

/// An answer to a record that made no tenant.
pub(crate) fn reply(event: EventKind, now: Time, origin: Origin) -> Event {
    Event { origin: Some(origin), ..Event::new(event, now) }
}
