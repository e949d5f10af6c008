//! A member of a group: one librdkafka consumer on a thread of its own.
//!
//! All calls that move positions are made on this thread, between two polls, so that no record is under way while they
//! are made. A seek is a new assignment of everything that is read, each partition at the offset it wants next: those
//! are known here exactly, and librdkafka restarts its fetchers from them. (Its own seek, beside pause and resume, has
//! lost positions: librdkafka issues 3471 and 2190.) What is not sought yet is simply not assigned.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Message, Offset, TopicPartitionList};
use tenantry_contracts::topic::Name;
use tenantry_contracts::{Record, Topic};
use tenantry_ports::Place;
use tokio::sync::Notify;

use crate::client::{list, log, settle, warn};
use crate::record;
use crate::slots::Slots;

/// How long a member rests with nothing to do. It is woken when librdkafka has something for it and when something is
/// wanted of it; this is for a wake-up that was missed, which takes several events of librdkafka that say nothing.
const REST: Duration = Duration::from_millis(200);
/// How long one poll waits where the member goes and waits for nothing else.
const POLL: Duration = Duration::from_millis(10);
/// How many records are moved under one lock.
const MOVED: usize = 512;
/// How long polling may rest for a consumer that is busy, before a full partition is taken out of fetching.
const PATIENCE: Duration = Duration::from_millis(200);
const COMMIT: Duration = Duration::from_secs(1);

/// How the member shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Going {
    Stays = 0,
    Drops = 1,
    Leaves = 2,
}

/// What the poll thread and the consumer share.
#[derive(Default)]
pub(crate) struct Shared {
    slots: Mutex<Slots>,
    going: AtomicU8,
    /// Something is to be told.
    pub(crate) wake: Notify,
    /// Something was taken, sought or closed.
    moved: Condvar,
    /// The poll thread.
    thread: OnceLock<Thread>,
}

impl Shared {
    pub(crate) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was taken may have made room for a partition that fetching waits for.
    pub(crate) fn taken(&self, room: bool) {
        self.moved.notify_one();
        if room {
            self.stir();
        }
    }

    /// Has the poll thread look at once what there is to do.
    pub(crate) fn stir(&self) {
        self.moved.notify_one();
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(crate) fn go(&self, going: Going) {
        self.going.store(going as u8, Ordering::Release);
        self.stir();
    }

    fn going(&self) -> Going {
        match self.going.load(Ordering::Acquire) {
            0 => Going::Stays,
            1 => Going::Drops,
            _ => Going::Leaves,
        }
    }

    pub(crate) fn lose(&self, why: String) {
        self.slots().lose(why);
        self.wake.notify_one();
    }
}

/// Hears of rebalances and commits, on the poll thread.
pub(crate) struct Membership {
    pub(crate) shared: Arc<Shared>,
    pub(crate) topics: HashMap<Name, Topic>,
    pub(crate) resumes: bool,
    pub(crate) is_static: bool,
    /// Counts rebalances, so that what was read before one is never taken for what is read after it.
    pub(crate) rebalances: AtomicU64,
}

impl Membership {
    fn places(&self, list: &TopicPartitionList) -> Vec<Place> {
        let place = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let topic = self.topics.get(element.topic())?.clone();
            Some(Place { topic, partition: u16::try_from(element.partition()).ok()? })
        };
        list.elements().iter().filter_map(place).collect()
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        settle(consumer);
        let done =
            if self.resumes { consumer.assign(list) } else { consumer.assign(&TopicPartitionList::new()) };
        self.shared.slots().assign(self.places(list), self.resumes);
        if let Err(error) = done {
            self.shared.lose(format!("bus_assign: {error}; a new consumer joins again"));
        }
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let lost = consumer.assignment_lost();
        let (stored, held) = {
            let mut slots = self.shared.slots();
            (slots.uncommitted(), slots.unhold())
        };
        if !lost {
            commit(consumer, &stored, CommitMode::Sync);
        }
        resume(consumer, &held);
        self.shared.slots().revoke(self.places(list));
        settle(consumer);
        if let Err(error) = consumer.unassign() {
            self.shared.lose(format!("bus_assign: {error}; a new consumer joins again"));
        }
    }
}

impl ClientContext for Membership {
    fn error(&self, error: KafkaError, reason: &str) {
        warn(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.rebalances.fetch_add(1, Ordering::Relaxed);
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            _ => self.revoked(consumer, list),
        }
        self.shared.wake.notify_one();
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        if let Err(error) = result {
            tracing::warn!(target: "tenantry_kafka", %error, "offsets not committed; tried again");
            self.shared.slots().commit_failed(&self.places(offsets));
        }
    }
}

fn commit(consumer: &BaseConsumer<Membership>, stored: &[(Place, Offset)], mode: CommitMode) {
    if stored.is_empty() {
        return;
    }
    if let Err(error) = consumer.commit(&list(stored.iter().map(|(place, offset)| (place, *offset))), mode) {
        tracing::warn!(target: "tenantry_kafka", %error, "offsets not committed; their records come again");
        let places: Vec<_> = stored.iter().map(|(place, _)| place.clone()).collect();
        consumer.context().shared.slots().commit_failed(&places);
    }
}

fn resume(consumer: &BaseConsumer<Membership>, places: &[Place]) {
    if places.is_empty() {
        return;
    }
    if let Err(error) = consumer.resume(&list(places.iter().map(|place| (place, Offset::Invalid)))) {
        consumer.context().shared.lose(format!("bus_resume: {error}; a new consumer reads on"));
    }
}

/// Polls until the member shall go. Runs on its own thread and ends with the client put away.
pub(crate) fn run(consumer: &BaseConsumer<Membership>) {
    let shared = Arc::clone(&consumer.context().shared);
    // Before the first look, so that nothing that comes after it goes unnoticed.
    let _ = shared.thread.set(std::thread::current());
    let mut committed = Instant::now();
    while shared.going() == Going::Stays {
        carry_out_seeks(consumer, &shared);
        regulate(consumer, &shared);
        let records = gather(consumer, &shared);
        if records.is_empty() {
            std::thread::park_timeout(REST);
        } else {
            shared.slots().put(records);
            shared.wake.notify_one();
        }
        if committed.elapsed() >= COMMIT {
            committed = Instant::now();
            let stored = shared.slots().uncommitted();
            commit(consumer, &stored, CommitMode::Async);
        }
    }
    let (stored, lost) = {
        let mut slots = shared.slots();
        (slots.uncommitted(), slots.lost())
    };
    if !lost {
        commit(consumer, &stored, CommitMode::Sync);
        if shared.going() == Going::Leaves && consumer.context().is_static {
            leave(consumer);
        }
    }
    settle(consumer);
}

/// A static member does not leave when it is closed; so it unsubscribes first, and polls until that is through.
fn leave(consumer: &BaseConsumer<Membership>) {
    const SENT: Duration = Duration::from_millis(500);
    const MOST: Duration = Duration::from_secs(5);
    settle(consumer);
    consumer.unsubscribe();
    let since = Instant::now();
    while since.elapsed() < SENT
        || (since.elapsed() < MOST && consumer.assignment().is_ok_and(|all| all.count() > 0))
    {
        let _ = consumer.poll(POLL);
    }
}

fn carry_out_seeks(consumer: &BaseConsumer<Membership>, shared: &Shared) {
    let Some(sought) = shared.slots().sought() else { return };
    resume(consumer, &sought.released);
    settle(consumer);
    if let Err(error) = consumer.assign(&list(sought.read.iter().map(|(place, offset)| (place, *offset)))) {
        shared.lose(format!("bus_assign: {error}; a new consumer joins again"));
    }
}

/// Full partitions are not fetched until there is room again.
fn regulate(consumer: &BaseConsumer<Membership>, shared: &Shared) {
    let slots = shared.slots();
    let waits = |slots: &mut Slots| slots.crowded() && shared.going() == Going::Stays;
    let (mut slots, _) =
        shared.moved.wait_timeout_while(slots, PATIENCE, waits).unwrap_or_else(PoisonError::into_inner);
    let (hold, release) = slots.flow();
    drop(slots);
    resume(consumer, &release);
    if !hold.is_empty()
        && let Err(error) = consumer.pause(&list(hold.iter().map(|place| (place, Offset::Invalid))))
    {
        shared.lose(format!("bus_pause: {error}; a new consumer reads on"));
    }
}

/// Takes what is there.
fn gather(consumer: &BaseConsumer<Membership>, shared: &Shared) -> Vec<Record> {
    let membership = consumer.context();
    let mut records: Vec<Record> = Vec::new();
    let mut silent = false;
    loop {
        let before = membership.rebalances.load(Ordering::Relaxed);
        let polled = consumer.poll(Duration::ZERO);
        if membership.rebalances.load(Ordering::Relaxed) != before {
            // Read under an assignment that is gone.
            records.clear();
        }
        match polled {
            // The first time it may have been an event that is none of ours, and more behind it.
            None if silent => return records,
            None => {
                silent = true;
                continue;
            }
            Some(Ok(message)) => {
                if let Some(topic) = membership.topics.get(message.topic()) {
                    records.push(record::heard(topic.clone(), &message));
                }
            }
            Some(Err(error)) => {
                if ends(&error) || consumer.client().fatal_error().is_some() {
                    let fatal = consumer.client().fatal_error().map(|(_, text)| text).unwrap_or_default();
                    shared.lose(format!("bus_lost: {error} {fatal}; open a new consumer"));
                    return records;
                }
                tracing::warn!(target: "tenantry_kafka", %error, "kafka consumer");
            }
        }
        if records.len() >= MOVED {
            return records;
        }
        silent = false;
    }
}

/// Errors after which reading does not go on by itself, or would go on behind a gap.
fn ends(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error {
        KafkaError::MessageConsumptionFatal(_) => true,
        KafkaError::MessageConsumption(code) | KafkaError::Global(code) => matches!(
            code,
            Code::Fatal
                | Code::PollExceeded
                | Code::FencedInstanceId
                | Code::AutoOffsetReset
                | Code::OffsetOutOfRange
                | Code::LogTruncation
                | Code::BadMessage
                | Code::BadCompression
                | Code::InvalidMessage
                | Code::NotImplemented
                | Code::TopicAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::InconsistentGroupProtocol
                | Code::InvalidSessionTimeout
                | Code::InvalidGroupId
                | Code::GroupMaxSizeReached
        ),
        _ => false,
    }
}
