//! A store that ends before what was published: it was restored from a backup, or rows were deleted.
//!
//! Whatever stands on the audit topic was committed first, so no sound journal ends before it. Where one does, the lane
//! refuses to go on: its owner would say other things under numbers that were said, and ask with tokens that were given.
//! What is published alone is no truth that a lane could go on from: a person has to decide ([`OperationVerb::AcceptRestore`]).
//!
//! After that the following holds. Numbers, and with them tokens, jump beyond everything that was published, by the same
//! 2^32 as on a new timeline, so that no question is weaker than one that was asked before. The lane's own chain goes on
//! from the last record of it that was published, and its next record says what is missing. Tenants that the store knows go
//! on from where it knows them: their chains show a fork from there on. Those that it does not know are unknown: what was
//! made for them stands, with their owner tag; if their requests are still on the topic they are heard again, as new ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tenantry_audit::digest;
use tenantry_contracts::audit::{self, AuditEvent};
use tenantry_contracts::operation::{Operation, OperationVerb, decode_operation};
use tenantry_contracts::{Code, Lane, Record, RequestId, Topic};
use tenantry_ports::{BusError, Consumer, Need, Place, Store, StoreError};

use crate::options::Options;
use crate::retell::JUMP;

/// How many records from the end on are looked at where all is well: the last ones may be repeats of older ones.
const LOOK: usize = 4;
/// How many known records in a row end the search where something is missing.
const CALM: usize = 32;
/// How many missing records a coordinator reads.
const MOST: usize = 2_000;
/// How many operations from the end on may be the one that accepts.
const OPERATIONS: usize = 64;
/// How many chains are named.
const NAMED: usize = 20;

/// What was published of a lane and is not in its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    lane: Lane,
    /// Where the journal ends.
    end: i64,
    /// The lowest and the highest missing number.
    span: Option<(i64, i64)>,
    records: usize,
    /// By chain: the slug where it is a tenant's, the first and the last place, and the digest of the last record.
    chains: BTreeMap<String, Chain>,
    /// There may be more: the search ended before it found the journal's end.
    more: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    slug: Option<String>,
    first: i64,
    last: i64,
    digest: [u8; 32],
}

impl Missing {
    /// Nothing yet, of a lane whose journal ends with this number.
    pub fn of(lane: Lane, end: i64) -> Self {
        Self { lane, end, span: None, records: 0, chains: BTreeMap::new(), more: false }
    }

    /// Looks at a record of the lane's partition of the audit topic, in any order. `true`: the journal does not have it.
    pub fn look(&mut self, record: &Record) -> bool {
        let Ok(event) = audit::decode(record) else { return false };
        let missing = event.lane == self.lane && event.n > self.end;
        if missing {
            self.add(&event, record.value.as_deref().unwrap_or_default());
        }
        missing
    }

    fn add(&mut self, event: &AuditEvent, value: &[u8]) {
        let (first, last) = self.span.unwrap_or((event.n, event.n));
        self.span = Some((first.min(event.n), last.max(event.n)));
        self.records += 1;
        let digest = digest(value);
        let chain = self.chains.entry(event.chain.clone()).or_insert_with(|| Chain {
            slug: event.tenant.as_ref().map(|tenant| tenant.slug.to_string()),
            first: event.seq,
            last: event.seq,
            digest,
        });
        chain.first = chain.first.min(event.seq);
        if event.seq > chain.last {
            (chain.last, chain.digest) = (event.seq, digest);
        }
    }

    /// Says that the search ended early.
    pub fn cut(&mut self) {
        self.more = true;
    }

    /// Nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The highest number that was published.
    pub(crate) fn upto(&self) -> i64 {
        self.span.map_or(self.end, |(_, last)| last)
    }

    /// The last published record of the lane's own chain, if one is missing.
    pub(crate) fn head(&self) -> Option<(i64, [u8; 32])> {
        self.chains.get(&self.lane.chain()).map(|chain| (chain.last, chain.digest))
    }

    /// What is missing, in words: numbers, and the chains with their places.
    pub fn words(&self) -> String {
        let (first, last) = self.span.unwrap_or((self.end, self.end));
        let least = if self.more { "at least " } else { "" };
        let mut words = format!(
            "the journal of lane {} ends at {}; {least}{} records {first} to {last} were published and are not in it",
            self.lane, self.end, self.records
        );
        for (name, chain) in self.chains.iter().take(NAMED) {
            let slug = chain.slug.as_ref().map(|slug| format!("{slug} ")).unwrap_or_default();
            words.push_str(&format!("; {slug}{name}: {} to {}", chain.first, chain.last));
        }
        if self.chains.len() > NAMED {
            words.push_str(&format!("; and {} chains more", self.chains.len() - NAMED));
        }
        words
    }
}

/// Which lanes stand still, and why: for whoever tells whether the process is ready. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standing(Arc<Mutex<BTreeMap<Lane, String>>>);

impl Standing {
    /// The lanes that stand still, each with the code and the reason.
    pub fn lanes(&self) -> BTreeMap<Lane, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says it of a lane, or that it does not. `true`: this is news.
    pub fn say(&self, lane: Lane, why: Option<String>) -> bool {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => lanes.insert(lane, why.clone()) != Some(why),
            None => lanes.remove(&lane).is_some(),
        }
    }

    pub(crate) fn refuse(&self, missing: &Missing) -> bool {
        let code = Code::StoreRestored;
        self.say(missing.lane, Some(format!("{code}: {}; {}", missing.words(), code.advice())))
    }
}

/// Somebody decided to go on with what the store has.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) record: Record,
    pub(crate) operation: Operation,
    pub(crate) words: String,
}

/// The number with which a lane goes on: beyond everything that was published.
pub(crate) fn beyond(mut n: i64, published: i64) -> i64 {
    while n <= published {
        n += JUMP;
    }
    n
}

/// What was published of a lane and is not in its journal, which ends with this number.
pub(crate) async fn missing<C: Consumer>(
    consumer: &mut C,
    lane: Lane,
    end: i64,
) -> Result<Missing, BusError> {
    let place = Place { topic: Topic::Audit, partition: lane.0 };
    let (low, high) = consumer.watermarks(&place).await?;
    let mut missing = Missing::of(lane, end);
    let mut known = 0;
    for offset in (low..high).rev() {
        let record = consumer.record_at(&place, offset).await?;
        known = if record.is_some_and(|record| missing.look(&record)) { 0 } else { known + 1 };
        if known >= if missing.is_empty() { LOOK } else { CALM } {
            break;
        }
        if missing.records >= MOST {
            missing.cut();
            break;
        }
    }
    Ok(missing)
}

/// Why it could not be looked for.
pub(crate) enum Trouble {
    Bus(BusError),
    Store(StoreError),
}

/// The verb that accepts the restore of this lane, if somebody said it: not heard before, from people who may.
pub(crate) async fn accepted<C: Consumer, S: Store>(
    consumer: &mut C,
    store: &S,
    options: &Options,
    missing: &Missing,
    heard: i64,
) -> Result<Option<Accepted>, Trouble> {
    let place = Place { topic: Topic::Operations, partition: missing.lane.0 };
    let (low, high) = consumer.watermarks(&place).await.map_err(Trouble::Bus)?;
    let offsets = (low.max(heard)..high).rev().take(OPERATIONS);
    for offset in offsets {
        let Some(record) = consumer.record_at(&place, offset).await.map_err(Trouble::Bus)? else { continue };
        let Ok(operation) = decode_operation(&record) else { continue };
        if operation.verb != OperationVerb::AcceptRestore {
            continue;
        }
        let sound = operation.needs_second().map(drop).and_then(|()| options.operators.verified(&operation));
        let operation = match sound {
            Ok(operation) => operation,
            Err(refusal) => {
                tracing::warn!(lane = missing.lane.0, %refusal, "nobody may accept the restore like this");
                continue;
            }
        };
        if is_new(store, &operation.id).await.map_err(Trouble::Store)? {
            return Ok(Some(Accepted { record, operation, words: missing.words() }));
        }
    }
    Ok(None)
}

async fn is_new<S: Store>(store: &S, id: &RequestId) -> Result<bool, StoreError> {
    let found = store.read(Need { requests: vec![id.clone()], ..Need::default() }).await?;
    Ok(!found.requests.contains_key(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_goes_on_beyond_everything_that_was_published() {
        assert_eq!(beyond(7, 5), 7, "a new timeline has made it jump already");
        assert_eq!(beyond(7, 7), 7 + JUMP);
        assert_eq!(beyond(7, 3 * JUMP), 7 + 3 * JUMP);
    }

    #[test]
    fn what_is_missing_is_named_by_number_and_chain() {
        let record = |n: i64, chain: &str, seq: i64| {
            let event = AuditEvent {
                chain: chain.to_owned(),
                seq,
                ..AuditEvent::new(audit::AuditKind::LanePaused, tenantry_contracts::Time(0), Lane(1), n)
            };
            Record {
                topic: Topic::Audit,
                partition: 1,
                offset: n,
                at: tenantry_contracts::Time(0),
                key: None,
                headers: Vec::new(),
                value: Some(serde_json::to_vec(&event).unwrap().into()),
            }
        };
        let mut missing = Missing::of(Lane(1), 4);
        assert!(!missing.look(&record(4, "lane-1", 2)) && missing.is_empty());
        assert!(missing.look(&record(7, "lane-1", 4)) && missing.look(&record(5, "lane-1", 3)));
        assert!(missing.look(&record(6, "t", 1)));
        assert_eq!((missing.upto(), missing.head().map(|(seq, _)| seq)), (7, Some(4)));
        let words = missing.words();
        assert!(words.contains("ends at 4; 3 records 5 to 7 were published"), "{words}");
        assert!(words.ends_with("; lane-1: 3 to 4; t: 1 to 1"), "{words}");
    }
}
