//! What waits, what is under way, and what an answer means for it: plain data, no socket, no clock.
//!
//! A partition has at most one batch under way. That batch keeps its bytes and its place in the sequence until it is
//! answered for good, and nothing later of the partition goes before; so brokers can tell a repeat from a new batch, and
//! order is the order of [`Core::push`].

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;
use tenantry_ports::{Delivered, Delivery, Outgoing, Place};

use super::batch::{Compression, Draft, Identity, Sealed, sequence_after};
use super::verdict::{Verdict, text, verdict};

/// A batch is closed at this size: large enough that its header costs nothing, small enough that one partition does not
/// crowd out the others of a request. A larger record goes alone.
const BATCH_BYTES: usize = 1 << 20;
/// A request is closed at this size, which holds the largest record there is. Brokers take 100 MiB; but whoever waits
/// for the answer waits for all of it.
const REQUEST_BYTES: usize = 8 << 20;
/// For how long a topic may be unknown to the brokers: one that was just made becomes known to all within this.
const MISSING: Duration = Duration::from_secs(30);

/// A record that was queued.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) record: Outgoing,
    /// When, in milliseconds since 1970.
    pub(crate) time: i64,
    /// What it takes of the queue's room: at least its bytes as a batch of its own.
    pub(crate) bytes: usize,
}

/// A batch to be sent now.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// Names it in the answer.
    pub(crate) id: usize,
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    pub(crate) bytes: Bytes,
}

/// What can be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Due {
    /// Brokers that batches wait for.
    pub(crate) nodes: Vec<i32>,
    /// There are batches for partitions whose leader is not known.
    pub(crate) leaderless: bool,
    /// When something else becomes due.
    pub(crate) wake: Option<Instant>,
}

/// What metadata says of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    At(i32),
    /// There is none, with the error code.
    None(i16),
}

/// All partitions that were ever said to.
#[derive(Debug)]
pub(crate) struct Core {
    compression: Compression,
    partitions: Vec<Partition>,
    index: HashMap<Place, usize>,
    /// Partitions with something to send and nothing under way; whose turn it was last is last.
    ready: VecDeque<usize>,
    reports: Vec<Delivered>,
    /// Room in the queue that the reports gave back.
    released: usize,
    /// The producer is spent: what there is to say of all that is still open.
    fatal: Option<Delivery>,
}

#[derive(Debug)]
struct Partition {
    topic: TopicName,
    number: i32,
    most_bytes: usize,
    /// As large as the last batch was: the next one need not grow into it.
    usual_bytes: usize,
    leader: Option<i32>,
    /// In order; only the last one takes records.
    drafts: VecDeque<Draft>,
    sealed: Option<Sealed>,
    /// An attempt to send the sealed batch may have written it.
    doubt: bool,
    /// Neither in `ready` nor under way.
    idle: bool,
    /// The sequence number of the next batch.
    sequence: i32,
    tries: u32,
    rests_until: Option<Instant>,
    missing_since: Option<Instant>,
}

impl Core {
    pub(crate) fn new(compression: Compression) -> Self {
        Self {
            compression,
            partitions: Vec::new(),
            index: HashMap::new(),
            ready: VecDeque::new(),
            reports: Vec::new(),
            released: 0,
            fatal: None,
        }
    }

    /// Queues a record.
    pub(crate) fn push(&mut self, said: &Said) {
        let id = match self.index.get(&said.record.place) {
            Some(id) => *id,
            None => self.add(&said.record.place),
        };
        let partition = &mut self.partitions[id];
        let fits = |draft: &&mut Draft| draft.size() + said.bytes <= partition.most_bytes;
        match partition.drafts.back_mut().filter(fits) {
            Some(draft) => draft.push(said),
            None => {
                let mut draft = Draft::new(said.time, partition.usual_bytes);
                draft.push(said);
                partition.drafts.push_back(draft);
            }
        }
        if std::mem::take(&mut partition.idle) {
            self.ready.push_back(id);
        }
    }

    fn add(&mut self, place: &Place) -> usize {
        let most = usize::try_from(place.topic.settings().max_message_bytes).unwrap_or_default();
        self.partitions.push(Partition {
            topic: TopicName(StrBytes::from_string(place.topic.name().into_owned())),
            number: i32::from(place.partition),
            most_bytes: most.min(BATCH_BYTES),
            usual_bytes: 0,
            leader: None,
            drafts: VecDeque::new(),
            sealed: None,
            doubt: false,
            idle: true,
            sequence: 0,
            tries: 0,
            rests_until: None,
            missing_since: None,
        });
        let id = self.partitions.len() - 1;
        self.index.insert(place.clone(), id);
        id
    }

    /// The topics that metadata is wanted of.
    pub(crate) fn topics(&self) -> Vec<TopicName> {
        let mut topics: Vec<_> = self.partitions.iter().map(|partition| partition.topic.clone()).collect();
        topics.sort();
        topics.dedup();
        topics
    }

    pub(crate) fn due(&self, now: Instant) -> Due {
        let mut due = Due::default();
        for partition in self.ready.iter().map(|id| &self.partitions[*id]) {
            match (partition.rests_until.filter(|until| *until > now), partition.leader) {
                (Some(until), _) => due.wake = due.wake.into_iter().chain([until]).min(),
                (None, None) => due.leaderless = true,
                (None, Some(node)) if due.nodes.contains(&node) => {}
                (None, Some(node)) => due.nodes.push(node),
            }
        }
        due
    }

    /// Takes what goes to `node` now; it is under way until [`Core::answered`] or [`Core::lost`].
    pub(crate) fn take(&mut self, node: i32, now: Instant, identity: Identity) -> Vec<Part> {
        let (mut parts, mut bytes) = (Vec::new(), 0);
        for id in std::mem::take(&mut self.ready) {
            let partition = &mut self.partitions[id];
            let rests = partition.rests_until.is_some_and(|until| until > now);
            if partition.leader != Some(node) || rests || bytes >= REQUEST_BYTES - BATCH_BYTES {
                self.ready.push_back(id);
                continue;
            }
            let Some(batch) = partition.sealed(identity, self.compression) else {
                partition.idle = true;
                continue;
            };
            bytes += batch.len();
            parts.push(Part {
                id,
                topic: partition.topic.clone(),
                partition: partition.number,
                bytes: batch,
            });
        }
        parts
    }

    /// The broker has answered for a batch: an error code, and the offset of its first record.
    pub(crate) fn answered(&mut self, id: usize, code: i16, offset: i64, now: Instant) {
        let partition = &mut self.partitions[id];
        match verdict(code) {
            Verdict::Stored => {
                if let Some(batch) = partition.sealed.take() {
                    self.released += batch.cost;
                    let offset = |at: usize| if offset < 0 { -1 } else { offset + at as i64 };
                    let acked = |(at, tag)| Delivered { tag, delivery: Delivery::Acked(offset(at)) };
                    self.reports.extend(batch.tags.into_iter().enumerate().map(acked));
                }
                (partition.doubt, partition.tries) = (false, 0);
                (partition.rests_until, partition.missing_since) = (None, None);
                if partition.drafts.is_empty() {
                    partition.idle = true;
                } else {
                    self.ready.push_back(id);
                }
            }
            Verdict::Again { written } => {
                partition.doubt |= written;
                tracing::warn!(target: "tenantry_kafka", topic = %*partition.topic, partition = partition.number,
                    error = text(code), "a batch is sent again");
                partition.rest(now);
                self.ready.push_back(id);
            }
            Verdict::Missing => {
                self.ready.push_back(id);
                self.missing(id, code, now);
            }
            Verdict::Refused => self.give_up(id, code),
            Verdict::Fatal => self.fail(&format!("bus_refused: {}", text(code))),
        }
    }

    /// There is no answer to these batches. `written`: brokers may have read them.
    pub(crate) fn lost(&mut self, ids: impl IntoIterator<Item = usize>, written: bool) {
        for id in ids {
            let partition = &mut self.partitions[id];
            partition.doubt |= written;
            partition.leader = None;
            self.ready.push_back(id);
        }
    }

    /// Metadata came in.
    pub(crate) fn lead(&mut self, now: Instant, find: impl Fn(&TopicName, i32) -> Leader) {
        for id in 0..self.partitions.len() {
            let partition = &mut self.partitions[id];
            match find(&partition.topic, partition.number) {
                Leader::At(node) => (partition.leader, partition.missing_since) = (Some(node), None),
                // Where a leader was known, that one tells better.
                Leader::None(_) if partition.leader.is_some() => {}
                Leader::None(_) if partition.drafts.is_empty() && partition.sealed.is_none() => {}
                Leader::None(code) => match verdict(code) {
                    Verdict::Refused => self.give_up(id, code),
                    Verdict::Missing => self.missing(id, code, now),
                    _ => partition.rest(now),
                },
            }
        }
    }

    fn missing(&mut self, id: usize, code: i16, now: Instant) {
        let partition = &mut self.partitions[id];
        let since = *partition.missing_since.get_or_insert(now);
        partition.rest(now);
        if now.duration_since(since) >= MISSING {
            partition.missing_since = None;
            self.give_up(id, code);
        }
    }

    /// The batch is refused for good. The sequence of the partition then has a gap that brokers will not take, so that
    /// the producer is spent; unless nothing of it was in the sequence yet.
    fn give_up(&mut self, id: usize, code: i16) {
        let partition = &mut self.partitions[id];
        let why = format!("bus_refused: {}/{}: {}", *partition.topic, partition.number, text(code));
        let never = |tag| Delivered { tag, delivery: Delivery::NotPersisted(why.clone()) };
        match partition.sealed.take_if(|_| !partition.doubt) {
            Some(batch) => {
                self.released += batch.cost;
                self.reports.extend(batch.tags.into_iter().map(never));
                self.fail(&why);
            }
            None if partition.doubt => self.fail(&why),
            None => {
                for draft in partition.drafts.drain(..) {
                    self.released += draft.cost;
                    self.reports.extend(draft.tags.into_iter().map(never));
                }
                partition.idle = true;
                self.ready.retain(|ready| *ready != id);
            }
        }
    }

    /// The producer is spent before anything was sent: all that waits is certainly not there.
    pub(crate) fn refuse(&mut self, why: &str) {
        self.fatal.get_or_insert_with(|| Delivery::NotPersisted(why.to_owned()));
    }

    /// The producer is spent.
    pub(crate) fn fail(&mut self, why: &str) {
        self.fatal.get_or_insert_with(|| Delivery::PossiblyPersisted(why.to_owned()));
    }

    /// What there is to report, with the room that it gives back in the queue; and, where the producer is spent, what
    /// there is to say of everything else.
    pub(crate) fn told(&mut self) -> (Vec<Delivered>, usize, Option<Delivery>) {
        if let Some(delivery) = &self.fatal {
            for partition in &mut self.partitions {
                let sealed = partition.sealed.take().map(|batch| (batch.tags, batch.cost));
                let drafts = partition.drafts.drain(..).map(|draft| (draft.tags, draft.cost));
                for (tags, cost) in sealed.into_iter().chain(drafts) {
                    self.released += cost;
                    let report = |tag| Delivered { tag, delivery: delivery.clone() };
                    self.reports.extend(tags.into_iter().map(report));
                }
            }
            self.ready.clear();
        }
        (std::mem::take(&mut self.reports), std::mem::take(&mut self.released), self.fatal.clone())
    }
}

impl Partition {
    /// The batch that goes next; the one that was closed first, as long as there is no answer to it.
    fn sealed(&mut self, identity: Identity, compression: Compression) -> Option<Bytes> {
        if self.sealed.is_none() {
            let draft = self.drafts.pop_front()?;
            self.usual_bytes = draft.size();
            let next = sequence_after(self.sequence, draft.tags.len());
            self.sealed = Some(draft.seal(identity, self.sequence, compression));
            self.sequence = next;
        }
        self.sealed.as_ref().map(|batch| batch.bytes.clone())
    }

    /// Waits a while, longer each time, and asks anew who leads.
    fn rest(&mut self, now: Instant) {
        self.leader = None;
        self.rests_until = Some(now + pause(self.tries));
        self.tries += 1;
    }
}

/// How long to wait before the next try: 50 ms, then longer, one second at most.
pub(crate) fn pause(tries: u32) -> Duration {
    Duration::from_millis(50 << tries.min(5)).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests;
