//! The bus in memory: partitions as plain lists, groups with sessions and rebalances, producers that lose acks.
//!
//! It promises exactly what the port's documentation promises, and is as unkind as that allows.

mod consumer;
mod group;
mod producer;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

use tenantry_contracts::{Record, Topic};
use tenantry_ports::{Bus, BusError, Delivered, Group, News, Outgoing, Place};

pub use consumer::SimConsumer;
pub use producer::SimProducer;

use crate::evidence::Broken;
use crate::exec::{MS, Me, Sim, lock};
use crate::zoo::Bug;

/// How unkind the bus is.
#[derive(Clone, Debug)]
pub struct BusMood {
    /// The longest way of a record to the log and back, in milliseconds.
    pub delay_ms: i64,
    /// The chance that a producer turns fatal at a write.
    pub producer_fatal: f64,
    /// The chance that a seek or another look at the log fails.
    pub errors: f64,
    /// How many records a producer's queue holds.
    pub queue: usize,
    /// The most records that are delivered at once.
    pub batch: usize,
    /// The chance that a rebalance finds older offsets committed than were stored.
    pub forgets_commit: f64,
    /// The chance that records that were on the way are still delivered after a seek, under the old generation. The port
    /// rules this out since its suite exists; a coordinator that drops them anyway is the safer one.
    pub stale: f64,
    /// The chance that a member that thaws finds itself lost, and not only without its partitions.
    pub lost: f64,
}

impl Default for BusMood {
    fn default() -> Self {
        Self {
            delay_ms: 3,
            producer_fatal: 0.0,
            errors: 0.0,
            queue: 10_000,
            batch: 50,
            forgets_commit: 0.0,
            stale: 0.0,
            lost: 0.0,
        }
    }
}

/// After so long without a sign of life a member is out.
pub(crate) const SESSION: i64 = 6000 * MS;

/// A record in the log, and from when on it can be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) record: Record,
    pub(crate) visible: i64,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) low: i64,
    pub(crate) records: Vec<Stored>,
}

impl Log {
    pub(crate) fn high(&self) -> i64 {
        self.low + self.records.len() as i64
    }

    pub(crate) fn at(&self, offset: i64) -> Option<&Stored> {
        self.records.get(usize::try_from(offset - self.low).ok()?)
    }
}

/// How far a consumer has read in a partition.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) position: Option<i64>,
    pub(crate) generation: u64,
    pub(crate) paused: bool,
    pub(crate) stored: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Alive,
    /// Nothing was heard of it since; in the group until its session ends.
    Silent(i64),
    /// Out of the group, and does not know it yet.
    Expelled,
    /// Gone for good.
    Gone,
}

pub(crate) struct Member {
    pub(crate) group: Group,
    pub(crate) me: Me,
    pub(crate) life: Life,
    pub(crate) notices: VecDeque<News>,
    pub(crate) reading: BTreeMap<Place, Reading>,
    pub(crate) waker: Option<Waker>,
    pub(crate) lost: bool,
    pub(crate) committing: bool,
}

impl Member {
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[derive(Default)]
pub(crate) struct GroupState {
    /// The members that the broker knows.
    pub(crate) members: Vec<u64>,
    pub(crate) committed: BTreeMap<Place, i64>,
    /// Counts rebalances; the one under way is the last one.
    pub(crate) rebalances: u64,
    pub(crate) rebalancing: bool,
}

pub(crate) struct Session {
    pub(crate) me: Me,
    pub(crate) queues: BTreeMap<Place, VecDeque<Outgoing>>,
    pub(crate) writing: BTreeMap<Place, bool>,
    pub(crate) queued: usize,
    pub(crate) reports: Vec<Delivered>,
    pub(crate) fatal: bool,
    pub(crate) waker: Option<Waker>,
}

/// Everything the brokers know.
pub(crate) struct BusState {
    pub(crate) topics: BTreeMap<Topic, Vec<Log>>,
    pub(crate) groups: BTreeMap<String, GroupState>,
    pub(crate) members: BTreeMap<u64, Member>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) ids: u64,
    pub(crate) generations: u64,
    pub(crate) mood: BusMood,
    pub(crate) down_until: i64,
    pub(crate) bug: Option<Bug>,
    pub(crate) watch: watch::Watch,
}

impl BusState {
    pub(crate) fn log(&self, place: &Place) -> Option<&Log> {
        self.topics.get(&place.topic)?.get(usize::from(place.partition))
    }

    pub(crate) fn log_mut(&mut self, place: &Place) -> Option<&mut Log> {
        self.topics.get_mut(&place.topic)?.get_mut(usize::from(place.partition))
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    pub(crate) fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }
}

/// All brokers together.
#[derive(Clone)]
pub struct Brokers {
    pub(crate) sim: Sim,
    pub(crate) state: Arc<Mutex<BusState>>,
}

impl Brokers {
    /// Brokers with these topics; keyed ones get `lanes` partitions, the others one.
    pub fn new(sim: &Sim, topics: &[Topic], lanes: u16) -> Self {
        let made = topics.iter().map(|topic| {
            let partitions = if topic.settings().keyed { lanes } else { 1 };
            (topic.clone(), (0..partitions).map(|_| Log::default()).collect())
        });
        let state = BusState {
            topics: made.collect(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ids: 0,
            generations: 0,
            mood: BusMood::default(),
            down_until: 0,
            bug: None,
            watch: watch::Watch::default(),
        };
        Self { sim: sim.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Makes another topic.
    pub fn make(&self, topic: Topic, partitions: u16) {
        self.lock().topics.insert(topic, (0..partitions).map(|_| Log::default()).collect());
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BusState> {
        lock(&self.state)
    }

    /// Sets how unkind they are.
    pub fn set_mood(&self, mood: BusMood) {
        self.lock().mood = mood;
    }

    /// Plants a bug.
    pub fn plant(&self, bug: Bug) {
        self.lock().bug = Some(bug);
    }

    /// What was seen to be broken while it ran.
    pub fn broken(&self) -> Vec<Broken> {
        self.lock().watch.broken.clone()
    }

    /// The next offset to be written.
    pub fn high(&self, topic: &Topic, partition: u16) -> i64 {
        let state = self.lock();
        let logs = state.topics.get(topic);
        logs.and_then(|logs| logs.get(usize::from(partition))).map_or(0, Log::high)
    }

    /// The bus as one life of a process sees it.
    pub fn bus(&self, me: Me) -> SimBus {
        SimBus { brokers: self.clone(), me }
    }

    /// Nobody is served for so long.
    pub fn outage(&self, us: i64) {
        let until = self.sim.now_us() + us;
        let mut state = self.lock();
        state.down_until = state.down_until.max(until);
    }

    pub(crate) fn down_for(&self) -> i64 {
        let now = self.sim.now_us();
        (self.lock().down_until - now).max(0)
    }

    /// Writes a record as somebody from outside would, at once.
    pub fn publish(&self, record: Outgoing) {
        let now = self.sim.now();
        self.append(&record.place.clone(), [record], now);
    }

    pub(crate) fn append(
        &self,
        place: &Place,
        records: impl IntoIterator<Item = Outgoing>,
        at: tenantry_contracts::Time,
    ) -> Option<i64> {
        let (sim, now) = (&self.sim, self.sim.now_us());
        let mut state = self.lock();
        let delay = state.mood.delay_ms * MS;
        let log = state.log_mut(place)?;
        let first = log.high();
        let mut heard = Vec::new();
        let mut visible = log.records.last().map_or(0, |last| last.visible);
        for record in records {
            visible = visible.max(now + sim.between(0, delay));
            let record = Record {
                topic: place.topic.clone(),
                partition: place.partition,
                offset: log.high(),
                at,
                key: record.key,
                headers: record.headers,
                value: record.value,
            };
            sim.trace(|| {
                let id = record.content_id();
                format!("log {} {}", record.origin(), hex::encode(&id[..4]))
            });
            heard.push((
                record.topic.clone(),
                record.header("id").map(str::to_owned),
                record.header("dlq_letter_id").map(str::to_owned),
            ));
            log.records.push(Stored { record, visible });
        }
        for (topic, id, letter) in heard {
            state.watch.said(&topic, id, letter);
        }
        drop(state);
        let (brokers, place) = (self.clone(), place.clone());
        sim.after(visible - now, move || brokers.wake_readers(&place));
        Some(first)
    }

    fn wake_readers(&self, place: &Place) {
        let mut state = self.lock();
        for member in state.members.values_mut().filter(|member| member.reading.contains_key(place)) {
            member.wake();
        }
    }

    /// The raw logs, for the checker.
    pub fn records(&self) -> BTreeMap<(Topic, u16), Vec<Record>> {
        let state = self.lock();
        let mut all = BTreeMap::new();
        for (topic, logs) in &state.topics {
            for (partition, log) in logs.iter().enumerate() {
                let records = log.records.iter().map(|stored| stored.record.clone()).collect();
                all.insert((topic.clone(), partition as u16), records);
            }
        }
        all
    }

    /// How many records lie above the offsets that this group committed.
    pub fn lag(&self, group: &str) -> i64 {
        let state = self.lock();
        let Some(found) = state.groups.get(group) else { return 0 };
        let heard = state.members.values().filter(|member| member.group.id == group);
        let topics: std::collections::BTreeSet<_> = heard.flat_map(|member| &member.group.topics).collect();
        let logs = topics.iter().filter_map(|topic| Some((topic, state.topics.get(topic)?)));
        logs.flat_map(|(topic, logs)| {
            logs.iter().enumerate().map(|(partition, log)| {
                let place = Place { topic: (**topic).clone(), partition: partition as u16 };
                log.high() - found.committed.get(&place).copied().unwrap_or(0)
            })
        })
        .sum()
    }
}

/// The bus of one life of a process.
#[derive(Clone)]
pub struct SimBus {
    pub(crate) brokers: Brokers,
    pub(crate) me: Me,
}

impl Bus for SimBus {
    type Consumer = SimConsumer;
    type Producer = SimProducer;

    async fn consumer(&self, group: Group) -> Result<SimConsumer, BusError> {
        self.brokers.sim.pass(self.me, "bus.consumer").await;
        {
            let state = self.brokers.lock();
            if let Some(topic) = group.topics.iter().find(|topic| !state.topics.contains_key(topic)) {
                return Err(BusError(format!("topic {topic} does not exist")));
            }
        }
        let id = self.brokers.join(self.me, group);
        Ok(SimConsumer::new(self.brokers.clone(), self.me, id))
    }

    async fn producer(&self) -> Result<SimProducer, BusError> {
        self.brokers.sim.pass(self.me, "bus.producer").await;
        Ok(SimProducer::new(self.brokers.clone(), self.me))
    }
}
