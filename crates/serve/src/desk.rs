//! Who may run now: order per tenant, room for others, and which partitions are paused. Pure; no IO.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tenantry_contracts::{Record, Time, Topic};
use tenantry_ports::{Entropy, Heard, Place};

use crate::breaker::{Breaker, Gate, Sign};
use crate::offsets::Offsets;
use crate::options::Limits;
use crate::telemetry;

/// Commands of one partition with the same key run one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    place: Place,
    key: Bytes,
}

/// A command that may run now.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// The record.
    pub(crate) record: Record,
    ticket: Ticket,
}

impl Job {
    /// What is handed back when it ended.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket.clone()
    }
}

/// Names a command that runs.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    row: Row,
    offset: i64,
    /// The assignment under which it was heard: a later one of the same partition knows nothing of it.
    assignment: u64,
    probe: bool,
}

/// How a command ended, as far as the desk cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Its answer is out, or it needs none.
    Done(Sign),
    /// It was given up at a stop; whoever hears it next does it.
    Abandoned,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Record, u64)>,
    running: bool,
}

#[derive(Debug)]
struct Track {
    assignment: u64,
    generation: Option<u64>,
    offsets: Offsets,
    /// Whether the consumer was told last to pause it. A partition that was just assigned is told in any case: consumers
    /// differ in whether a pause outlives a rebalance.
    paused: Option<bool>,
}

/// One command topic.
#[derive(Debug)]
struct Counter {
    breaker: Breaker,
    ready: VecDeque<Row>,
    waiting: usize,
}

/// The desk of one server.
#[derive(Debug)]
pub(crate) struct Desk<E> {
    entropy: E,
    concurrency: usize,
    lookahead: i64,
    counters: BTreeMap<Topic, Counter>,
    topics: Vec<Topic>,
    turn: usize,
    tracks: BTreeMap<Place, Track>,
    queues: BTreeMap<Row, Queue>,
    assignments: u64,
    running: usize,
    waiting: usize,
    full: bool,
    store_down: bool,
    stopping: bool,
}

impl<E: Entropy> Desk<E> {
    /// An empty desk for these command topics.
    pub(crate) fn new(topics: &[Topic], concurrency: usize, limits: &Limits, entropy: E) -> Self {
        let counter = || Counter {
            breaker: Breaker::new(limits.breaker_after, limits.probe_ms),
            ready: VecDeque::new(),
            waiting: 0,
        };
        Self {
            entropy,
            concurrency: concurrency.max(1),
            lookahead: limits.lookahead.max(1),
            counters: topics.iter().map(|topic| (topic.clone(), counter())).collect(),
            topics: topics.to_vec(),
            turn: 0,
            tracks: BTreeMap::new(),
            queues: BTreeMap::new(),
            assignments: 0,
            running: 0,
            waiting: 0,
            full: false,
            store_down: false,
            stopping: false,
        }
    }

    /// These partitions are ours, from their stored offset on.
    pub(crate) fn assigned(&mut self, places: Vec<Place>) {
        for place in places {
            self.forget(&place);
            self.assignments += 1;
            let track = Track {
                assignment: self.assignments,
                generation: None,
                offsets: Offsets::default(),
                paused: None,
            };
            self.tracks.insert(place, track);
        }
    }

    /// These are ours no longer. What waits is dropped, somebody else hears it; what runs goes on.
    pub(crate) fn revoked(&mut self, places: &[Place]) {
        for place in places {
            self.forget(place);
        }
    }

    /// The consumer is gone, and all its partitions with it.
    pub(crate) fn lost(&mut self) {
        for place in self.tracks.keys().cloned().collect::<Vec<_>>() {
            self.forget(&place);
        }
    }

    fn forget(&mut self, place: &Place) {
        self.tracks.remove(place);
        let from = Row { place: place.clone(), key: Bytes::new() };
        let rows: Vec<Row> = self
            .queues
            .range(from..)
            .map(|(row, _)| row)
            .take_while(|row| row.place == *place)
            .cloned()
            .collect();
        let Some(counter) = self.counters.get_mut(&place.topic) else { return };
        counter.ready.retain(|row| row.place != *place);
        for row in rows {
            if let Some(queue) = self.queues.get_mut(&row) {
                counter.waiting -= queue.waiting.len();
                self.waiting -= queue.waiting.len();
                queue.waiting.clear();
                if !queue.running {
                    self.queues.remove(&row);
                }
            }
        }
    }

    /// A record came. Dropped where its partition is not ours, or it was heard before.
    pub(crate) fn heard(&mut self, Heard { record, generation }: Heard) {
        let place = Place { topic: record.topic.clone(), partition: record.partition };
        let (Some(track), Some(counter)) =
            (self.tracks.get_mut(&place), self.counters.get_mut(&record.topic))
        else {
            return;
        };
        // A newer generation without an assignment cannot be: nobody seeks here. An older one is a straggler.
        if self.stopping || track.generation.is_some_and(|have| generation < have) {
            return;
        }
        track.generation = Some(generation);
        if !track.offsets.heard(record.offset) {
            return;
        }
        let assignment = track.assignment;
        let row = Row { place, key: key_of(&record) };
        let queue = self.queues.entry(row.clone()).or_default();
        if !queue.running && queue.waiting.is_empty() {
            counter.ready.push_back(row);
        }
        queue.waiting.push_back((record, assignment));
        counter.waiting += 1;
        self.waiting += 1;
    }

    /// The next command that may run, if there is one. Workers take turns.
    pub(crate) fn next(&mut self) -> Option<Job> {
        if self.stopping || self.running >= self.concurrency {
            return None;
        }
        for step in 0..self.topics.len() {
            let at = (self.turn + step) % self.topics.len();
            let Some(counter) = self.counters.get_mut(&self.topics[at]) else { continue };
            if !counter.breaker.admits() {
                continue;
            }
            let Some(row) = counter.ready.pop_front() else { continue };
            let Some(queue) = self.queues.get_mut(&row) else { continue };
            let Some((record, assignment)) = queue.waiting.pop_front() else { continue };
            queue.running = true;
            counter.waiting -= 1;
            self.waiting -= 1;
            self.running += 1;
            self.turn = at + 1;
            let probe = counter.breaker.begun();
            let ticket = Ticket { row, offset: record.offset, assignment, probe };
            return Some(Job { record, ticket });
        }
        None
    }

    /// A command ended. Returns the offset below which its partition is finished, where that moved.
    pub(crate) fn ended(&mut self, ticket: Ticket, ended: Ended, now: Time) -> Option<(Place, i64)> {
        let Ticket { row, offset, assignment, probe } = ticket;
        self.running -= 1;
        let counter = self.counters.get_mut(&row.place.topic)?;
        let sign = match ended {
            Ended::Done(sign) => sign,
            Ended::Abandoned => Sign::None,
        };
        if counter.breaker.ended(sign, probe, now, &self.entropy) {
            telemetry::breaker(&row.place.topic, counter.breaker.gate());
        }
        if let Some(queue) = self.queues.get_mut(&row) {
            queue.running = false;
            if queue.waiting.is_empty() {
                self.queues.remove(&row);
            } else {
                counter.ready.push_back(row.clone());
            }
        }
        let track = self.tracks.get_mut(&row.place).filter(|track| track.assignment == assignment)?;
        match ended {
            Ended::Done(_) => track.offsets.finished(offset).map(|below| (row.place, below)),
            Ended::Abandoned => None,
        }
    }

    /// A store went down or came back.
    pub(crate) fn store_down(&mut self, down: bool) {
        self.store_down = down;
    }

    /// Nothing more begins.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        for place in self.tracks.keys().cloned().collect::<Vec<_>>() {
            self.drop_waiting(&place);
        }
    }

    fn drop_waiting(&mut self, place: &Place) {
        // The offsets stay open, so nothing of it counts as finished.
        let track = self.tracks.remove(place);
        self.forget(place);
        if let Some(track) = track {
            self.tracks.insert(place.clone(), track);
        }
    }

    /// Lets time pass for the breakers.
    pub(crate) fn tick(&mut self, now: Time) {
        for (topic, counter) in &mut self.counters {
            if counter.breaker.tick(now) {
                telemetry::breaker(topic, counter.breaker.gate());
            }
        }
    }

    /// When [`Desk::tick`] has something to do.
    pub(crate) fn due(&self) -> Option<Time> {
        let until = |counter: &Counter| match counter.breaker.gate() {
            Gate::Open { until } => Some(until),
            Gate::Closed | Gate::Probing { .. } => None,
        };
        self.counters.values().filter_map(until).min()
    }

    /// How many commands run, and how many wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.running, self.waiting)
    }

    /// Which partitions are to be paused and which resumed, since the last call.
    pub(crate) fn pauses(&mut self) -> (Vec<Place>, Vec<Place>) {
        // Wide apart: a pause throws away what the consumer has fetched.
        self.full = self.waiting >= self.concurrency * if self.full { 4 } else { 16 };
        let all = self.full || self.store_down || self.stopping;
        let is_held = |counter: &Counter| match counter.breaker.gate() {
            Gate::Closed => false,
            Gate::Open { .. } | Gate::Probing { busy: true } => true,
            Gate::Probing { busy: false } => counter.waiting > 0,
        };
        // None, on a good day: this is asked at every turn.
        let held: Vec<&Topic> =
            self.counters.iter().filter(|(_, counter)| is_held(counter)).map(|(topic, _)| topic).collect();
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (place, track) in &mut self.tracks {
            let want = all || held.contains(&&place.topic) || track.offsets.ahead() >= self.lookahead;
            if track.paused != Some(want) {
                track.paused = Some(want);
                let told = if want { &mut pause } else { &mut resume };
                told.push(place.clone());
            }
        }
        (pause, resume)
    }
}

/// What keeps a command in order: its key (the slug), else its tenant, else nothing but its place.
fn key_of(record: &Record) -> Bytes {
    record
        .key
        .clone()
        .or_else(|| record.header("tenant").map(|tenant| tenant.to_owned().into()))
        .unwrap_or_else(|| Bytes::copy_from_slice(&record.offset.to_be_bytes()))
}
