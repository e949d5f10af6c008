//! Retelling: a lane's journal told anew from its entries alone, by the same functions that told it first. What comes out
//! must be what was said, byte for byte; so whoever altered a record, or the row behind it, is found by the difference.
//!
//! The changes of one hearing are told together, as they were then: their rows stand one after the other and have one
//! cause, one digest and one time. Everything in an audit record comes from the entry, the row's time and the rows before
//! it, but for one thing: after an accepted restore a chain goes on from what was published, which the journal does not
//! have; place and link of that one record are taken from itself. Answers to upstream are not told anew: what was assumed
//! for a request stands in them alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value};
use tenantry_audit::{Head, digest};
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{Fleet, Lane, State, TenantId, Topic, fact};
use tenantry_ports::{LaneRow, Row};
use tenantry_saga::{Registry, Tenant};

use crate::entry::{Cause, Entry, fold};
use crate::lane::Held;
use crate::tell::{self, Heard, Told, Voice};

/// By how much a lane's numbers jump where the store is another one than before.
pub const JUMP: i64 = 1 << 32;

/// A row of the journal, told anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retold {
    /// Its lane.
    pub lane: Lane,
    /// Its number.
    pub n: i64,
    /// Its tenant; none for rows of the lane's own chain.
    pub tenant: Option<TenantId>,
    /// The place in its chain.
    pub seq: i64,
    /// What happened.
    pub what: AuditKind,
    /// The audit record as the entries tell it.
    pub told: Bytes,
    /// The audit record that stands in the row.
    pub stands: Option<Bytes>,
}

impl Retold {
    /// The chain that it stands in.
    pub fn chain(&self) -> String {
        self.tenant.map_or_else(|| self.lane.chain(), |tenant| tenant.to_string())
    }
}

/// Why a journal cannot be told anew, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal row {lane}/{n}: {why}")]
pub struct Unsound {
    /// The lane.
    pub lane: Lane,
    /// The row.
    pub n: i64,
    /// Its tenant, where it has one.
    pub tenant: Option<TenantId>,
    /// The place in the chain that is missing or cannot be read; zero where nobody can tell.
    pub seq: i64,
    /// A row is missing; else it cannot be read.
    pub missing: bool,
    /// In words.
    pub why: String,
}

/// A lane's journal while it is told anew. Remembers the tenants that are under way, and no others.
pub struct Retelling<'a> {
    voice: Voice<'a>,
    lane: LaneRow,
    open: BTreeMap<TenantId, Held>,
    /// The rows of the hearing that is being read.
    hearing: Vec<(Row, Entry<'static>)>,
    /// A tenant that rests since the last hearing: forgotten unless the next row is about it again.
    rests: Option<TenantId>,
    /// Rows are missing before the one that was heard last.
    gap: Option<Unsound>,
    last_n: i64,
}

impl<'a> Retelling<'a> {
    /// From the first row of this lane on.
    pub fn new(fleet: &'a Fleet, plans: &'a Registry, lane: &LaneRow) -> Self {
        Self {
            voice: Voice { fleet, plans },
            lane: LaneRow {
                chain_seq: 0,
                chain_head: Head::start(&lane.lane.chain()).digest,
                ..lane.clone()
            },
            open: BTreeMap::new(),
            hearing: Vec::new(),
            rests: None,
            gap: None,
            last_n: 0,
        }
    }

    /// The tenant whose earlier rows must be given by [`Retelling::wake`] before this row is heard.
    pub fn lacks(&self, row: &Row) -> Option<TenantId> {
        let read = |id: &TenantId| {
            self.open.contains_key(id) || self.hearing.first().is_some_and(|(row, _)| row.tenant == Some(*id))
        };
        row.tenant.filter(|id| row.prev_n != 0 && !read(id))
    }

    /// Takes a tenant back that rested. Its rows before the next one to be heard, in order.
    pub fn wake(&mut self, rows: &[Row]) {
        if let Some((tenant, head, n)) = fold(rows) {
            self.open.insert(tenant.id, Held::new(tenant, head, n, None));
        }
    }

    /// Hears the next row. Returns the rows of the hearing that ended with it.
    ///
    /// # Errors
    /// Where rows are missing, or do not read.
    pub fn hear(&mut self, row: Row) -> Result<Vec<Retold>, Unsound> {
        let unsound = |missing, why: String| Unsound {
            lane: row.lane,
            n: row.n,
            tenant: row.tenant,
            seq: row.seq,
            missing,
            why,
        };
        let entry: Entry<'static> = serde_json::from_slice(&row.entry)
            .map_err(|_| unsound(false, "its entry does not read".to_owned()))?;
        let together = self.hearing.last().is_some_and(|(before, heard)| {
            row.tenant.is_some()
                && (row.tenant, row.at, row.n) == (before.tenant, before.at, before.n + 1)
                && (&entry.cause, &entry.digest) == (&heard.cause, &heard.digest)
        });
        if let Some(gap) = self.gap.take() {
            return Err(gap);
        }
        let told = if together { Vec::new() } else { self.tell()? };
        if row.n <= self.last_n || (row.n - self.last_n - 1) % JUMP != 0 {
            let why = format!("it is missing; the next one is {}", row.n);
            self.gap = Some(Unsound { n: self.last_n + 1, tenant: None, seq: 0, ..unsound(true, why) });
        }
        self.last_n = row.n;
        if let Some(rests) = self.rests.take().filter(|rests| row.tenant != Some(*rests)) {
            self.open.remove(&rests);
        }
        self.hearing.push((row, entry));
        Ok(told)
    }

    /// After the last row: what is left, and whether the lane ends where its own row says.
    ///
    /// # Errors
    /// As [`Retelling::hear`].
    pub fn end(mut self, lane: &LaneRow) -> Result<Vec<Retold>, Unsound> {
        let told = self.tell()?;
        let unsound =
            |n, seq, why: String| Unsound { lane: lane.lane, n, tenant: None, seq, missing: true, why };
        if lane.n < self.last_n || (lane.n - self.last_n) % JUMP != 0 {
            let why = format!("the last one is {}, and the lane has {}", self.last_n, lane.n);
            return Err(unsound(self.last_n + 1, 0, why));
        }
        if lane.chain_seq != self.lane.chain_seq {
            let (have, want) = (self.lane.chain_seq, lane.chain_seq);
            let why = format!("the lane's own chain ends at {have}, and the lane says {want}");
            return Err(unsound(self.last_n, have + 1, why));
        }
        Ok(told)
    }

    /// Tells the hearing that was read.
    fn tell(&mut self) -> Result<Vec<Retold>, Unsound> {
        let rows = std::mem::take(&mut self.hearing);
        let Some((first, entry)) = rows.first() else { return Ok(Vec::new()) };
        let origin = match &entry.cause {
            Cause::Record(origin) => Some(origin.clone()),
            Cause::Timer => None,
        };
        let heard = Heard { origin, digest: entry.digest.to_string(), now: first.at };
        self.lane.paused_ms = entry.paused_ms;
        let told = match first.tenant {
            Some(id) => self.changes(id, &heard, &rows)?,
            None => vec![self.note(&heard, first, entry)?],
        };
        let retold = |((row, entry), told): (&(Row, Entry<'_>), &Told)| Retold {
            lane: row.lane,
            n: row.n,
            tenant: row.tenant,
            seq: row.seq,
            what: entry.what().unwrap_or(AuditKind::Quarantined),
            told: told.facts[0].value.clone(),
            stands: audit_of(row),
        };
        let retold: Vec<Retold> = rows.iter().zip(&told).map(retold).collect();
        // What comes after is told as the next of what stands, so that one alteration is one difference.
        if let Some((Retold { tenant, seq, stands: Some(stands), .. }, (row, _))) =
            retold.last().zip(rows.last())
        {
            let head = Head { seq: *seq, digest: digest(stands) };
            match tenant.and_then(|id| self.open.get_mut(&id)) {
                Some(held) => (held.head, held.head_n) = (head, row.n),
                None => (self.lane.chain_seq, self.lane.chain_head) = (head.seq, head.digest),
            }
        }
        Ok(retold)
    }

    fn changes(
        &mut self,
        id: TenantId,
        heard: &Heard,
        rows: &[(Row, Entry<'static>)],
    ) -> Result<Vec<Told>, Unsound> {
        let mut changes = Vec::with_capacity(rows.len());
        for (row, entry) in rows {
            let change = entry.change.as_deref().ok_or_else(|| unreadable(row, "it has no change"))?;
            changes.push((row.n, change.clone()));
        }
        let open = self.open.remove(&id);
        let before = open.as_ref().map_or(State::Requested, |held| held.tenant.state);
        let (mut seq, mut prev_n) = open.as_ref().map_or((0, 0), |held| (held.head.seq, held.head_n));
        let mut held = open;
        for ((row, entry), (n, change)) in rows.iter().zip(&changes) {
            if (row.seq, row.prev_n) != (seq + 1, prev_n) {
                let why = format!(
                    "it is record {} of its chain, after {} at {}; a row between is missing",
                    row.seq, seq, prev_n
                );
                return Err(Unsound { seq: seq + 1, missing: true, ..unreadable(row, &why) });
            }
            (seq, prev_n) = (row.seq, row.n);
            match &mut held {
                Some(held) => held.tenant.apply(*n, row.at, entry.paused_ms, change),
                None => {
                    let tenant = Tenant::begin(*n, row.at, entry.paused_ms, change)
                        .filter(|tenant| tenant.id == id)
                        .ok_or_else(|| unreadable(row, "its tenant does not begin with it"))?;
                    held = Some(Held::new(tenant, Head::start(&id.to_string()), 0, None));
                }
            }
        }
        let Some(mut held) = held else { return Ok(Vec::new()) };
        let told = tell::changes(self.voice, heard, &self.lane, &mut held, before, &changes, &[])
            .map_err(|_| unreadable(&rows[0].0, "what it changed has no JSON form"))?;
        self.rests = held.tenant.at_rest().then_some(id);
        self.open.insert(id, held);
        Ok(told)
    }

    fn note(&mut self, heard: &Heard, row: &Row, entry: &Entry<'_>) -> Result<Told, Unsound> {
        let note = entry.note.as_deref().ok_or_else(|| unreadable(row, "it has no note"))?;
        if note.what == AuditKind::RestoreAccepted {
            (self.lane.chain_seq, self.lane.chain_head) =
                link_of(row).ok_or_else(|| unreadable(row, "its audit record does not read"))?;
        }
        if row.seq != self.lane.chain_seq + 1 {
            let why = format!(
                "it is record {} of the lane's chain, after {}; a row between is missing",
                row.seq, self.lane.chain_seq
            );
            return Err(Unsound { seq: self.lane.chain_seq + 1, missing: true, ..unreadable(row, &why) });
        }
        tell::note(self.voice, heard, &mut self.lane, row.n, note, None)
            .map_err(|_| unreadable(row, "what it says has no JSON form"))
    }
}

fn unreadable(row: &Row, why: &str) -> Unsound {
    Unsound {
        lane: row.lane,
        n: row.n,
        tenant: row.tenant,
        seq: row.seq,
        missing: false,
        why: why.to_owned(),
    }
}

fn audit_of(row: &Row) -> Option<Bytes> {
    let facts = fact::decode(row.facts.clone())?;
    facts.into_iter().find(|fact| fact.topic == Topic::Audit).map(|fact| fact.value)
}

/// What the record before it was, by what this record says of itself.
fn link_of(row: &Row) -> Option<(i64, [u8; 32])> {
    let event: tenantry_contracts::audit::AuditEvent = serde_json::from_slice(&audit_of(row)?).ok()?;
    let prev = hex::decode(event.prev).ok()?;
    Some((event.seq - 1, prev.try_into().ok()?))
}

/// A member in which what was told anew and what stands there differ.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The member; empty where only the bytes between the members differ.
    pub member: String,
    /// What the journal's entries tell.
    pub told: Option<Value>,
    /// What stands there.
    pub stands: Option<Value>,
}

impl Difference {
    /// The first member, by name, in which two audit records differ; `None` where their bytes are equal.
    pub fn between(told: &[u8], stands: &[u8]) -> Option<Self> {
        if told == stands {
            return None;
        }
        let read = |bytes: &[u8]| serde_json::from_slice::<Map<String, Value>>(bytes).unwrap_or_default();
        let (told, stands) = (read(told), read(stands));
        let differs = |name: &&String| told.get(*name) != stands.get(*name);
        let member = told.keys().chain(stands.keys()).filter(differs).min();
        let Some(member) = member else {
            return Some(Self { member: String::new(), told: None, stands: None });
        };
        Some(Self {
            member: member.clone(),
            told: told.get(member).cloned(),
            stands: stands.get(member).cloned(),
        })
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<Value>| match value {
            Some(value) => value.to_string(),
            None => "nothing".to_owned(),
        };
        if self.member.is_empty() {
            return f.write_str("its members are equal, its bytes are not");
        }
        let (told, stands) = (shown(&self.told), shown(&self.stands));
        write!(f, "member {}: the history says {told}, the record says {stands}", self.member)
    }
}
