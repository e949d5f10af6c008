//! The coordinator's one loop: news from the bus, reports from the producer, answers from the store, time.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Weak};

use futures::future::{BoxFuture, FusedFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, pin_mut, select_biased};
use tenantry_contracts::{Lane as LaneId, Time};
use tenantry_ports::{
    Batch, Bus, BusError, Clock, CommitOutcome, Consumer, Delivered, Delivery, Entropy, Found, Group, Heard,
    LaneRow, Loaded, News, Place, Producer, Store, Tag,
};

use crate::batch::Draft;
use crate::flight::{Flight, FlightId};
use crate::lane::{self, Lane};
use crate::options::Options;
use crate::speak::{Mouth, UNCOUNTED_TAG, flight_of, lane_of};
use crate::takeover::{HEARD, others, requests};
use crate::telemetry;

/// How long a shutdown takes at most, in milliseconds.
const SHUTDOWN_MS: i64 = 8000;

/// A coordinator: serves the lanes that its group gives it.
pub struct Coordinator<B, S, C, E> {
    bus: B,
    store: S,
    clock: C,
    entropy: E,
    options: Options,
}

/// Why a coordinator returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to.
    Stopped,
    /// It must not go on; the process should exit and be started again.
    Failed(String),
}

/// What a job came to.
pub(crate) enum Job {
    TookOver(LaneId, Weak<()>, Box<(LaneRow, Loaded)>),
    Abandoned,
    Read(FlightId, Box<Found>),
    Committed(FlightId, CommitOutcome),
}

/// The coordinator at work.
pub(crate) struct Engine<B: Bus, S, C, E> {
    bus: B,
    pub(crate) store: S,
    pub(crate) clock: C,
    pub(crate) entropy: E,
    pub(crate) options: Options,
    pub(crate) consumer: B::Consumer,
    producer: B::Producer,
    /// The places that the group gave us.
    pub(crate) held: BTreeSet<Place>,
    pub(crate) lanes: BTreeMap<LaneId, Lane>,
    /// Take-overs under way. One whose entry is gone does not raise the epoch any more.
    pub(crate) taking: BTreeMap<LaneId, Arc<()>>,
    /// Lanes whose journal seemed to end before what was published, with the highest number that was.
    pub(crate) suspects: BTreeMap<LaneId, i64>,
    pub(crate) life: u16,
    pub(crate) jobs: FuturesUnordered<BoxFuture<'static, Job>>,
    /// Batches on their way.
    pub(crate) flights: BTreeMap<FlightId, Flight>,
    /// The last one that set off.
    pub(crate) flight_id: FlightId,
    pub(crate) mouth: Mouth,
}

/// What the loop woke up for.
enum Woke {
    Stop,
    News(Vec<News>),
    Delivered(Vec<Delivered>),
    Job(Job),
    Time,
}

impl<B: Bus, S: Store, C: Clock, E: Entropy> Coordinator<B, S, C, E> {
    /// A coordinator over these ports.
    pub fn new(bus: B, store: S, clock: C, entropy: E, options: Options) -> Self {
        Self { bus, store, clock, entropy, options }
    }

    /// Serves until `stop` resolves; then finishes what is under way, within ten seconds.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Exit {
        let consumer = match open(&self.clock, || self.bus.consumer(group(&self.options))).await {
            Ok(consumer) => consumer,
            Err(error) => return Exit::Failed(error.to_string()),
        };
        let producer = match open(&self.clock, || self.bus.producer()).await {
            Ok(producer) => producer,
            Err(error) => return Exit::Failed(error.to_string()),
        };
        let engine = Engine {
            bus: self.bus,
            store: self.store,
            clock: self.clock,
            entropy: self.entropy,
            options: self.options,
            consumer,
            producer,
            held: BTreeSet::new(),
            lanes: BTreeMap::new(),
            taking: BTreeMap::new(),
            suspects: BTreeMap::new(),
            life: 0,
            jobs: FuturesUnordered::new(),
            flights: BTreeMap::new(),
            flight_id: 0,
            mouth: Mouth::default(),
        };
        engine.run(stop).await
    }
}

fn group(options: &Options) -> Group {
    Group { id: options.group(), member: options.member.clone(), topics: HEARD.to_vec(), resumes: false }
}

/// Opens something on the bus, five times at most.
async fn open<T, C: Clock, F: Future<Output = Result<T, BusError>>>(
    clock: &C,
    mut what: impl FnMut() -> F,
) -> Result<T, BusError> {
    let mut pause = 200;
    for _ in 0..4 {
        match what().await {
            Ok(open) => return Ok(open),
            Err(error) => tracing::warn!(%error, "the bus cannot be opened yet"),
        }
        clock.sleep_until(clock.now().plus(pause)).await;
        pause *= 2;
    }
    what().await
}

impl<B: Bus, S: Store, C: Clock, E: Entropy> Engine<B, S, C, E> {
    async fn run(mut self, stop: impl Future<Output = ()> + Send) -> Exit {
        let stop = stop.fuse();
        pin_mut!(stop);
        let mut end: Option<Time> = None;
        loop {
            self.say_due_questions();
            self.resume_emptied();
            if end.is_none()
                && let Err(bug) = self.take_off()
            {
                return Exit::Failed(format!("a row could not be written as JSON: {bug}"));
            }
            // Last before the wait: what was just decided may have to be on Kafka before it can commit.
            if let Some((record, why)) = self.mouth.pump(&mut self.producer) {
                self.refused(record.tag, &why);
                // It may be spent, and would refuse all others too.
                if let Err(error) = self.reopen_producer(&why).await {
                    return Exit::Failed(error.to_string());
                }
            }
            if self.mouth.is_empty() && self.flights.is_empty() && self.quiet() && end.is_some() {
                break;
            }
            // On the way out nothing new begins, so nothing that is due is waited for.
            let wake_at = end.or_else(|| self.next_time());
            let woke = self.wait(&mut stop, end.is_some(), wake_at).await;
            match woke {
                Woke::Stop => {
                    end = Some(self.clock.now().plus(SHUTDOWN_MS));
                    self.consumer.pause(&self.held.iter().cloned().collect::<Vec<_>>());
                }
                Woke::News(news) => {
                    for news in news {
                        if let Err(error) = self.on_news(news).await {
                            return Exit::Failed(error.to_string());
                        }
                    }
                }
                Woke::Delivered(reports) => {
                    if let Err(error) = self.on_delivered(reports).await {
                        return Exit::Failed(error.to_string());
                    }
                }
                Woke::Job(Job::TookOver(lane, attempt, loaded)) if end.is_none() => {
                    self.took_over(lane, &attempt, loaded.0, loaded.1).await;
                }
                Woke::Job(Job::TookOver(..) | Job::Abandoned) => {}
                Woke::Job(Job::Read(flight, found)) => {
                    if let Err(bug) = self.on_read(flight, *found) {
                        return Exit::Failed(format!("a row could not be written as JSON: {bug}"));
                    }
                }
                Woke::Job(Job::Committed(flight, outcome)) => self.on_committed(flight, outcome),
                Woke::Time => {}
            }
            if end.is_some_and(|end| self.clock.now() >= end) {
                tracing::warn!("the shutdown took too long; what is left is said again by the next owner");
                break;
            }
        }
        self.leave().await;
        Exit::Stopped
    }

    /// Waits for whatever comes first.
    async fn wait(
        &mut self,
        mut stop: &mut (impl FusedFuture<Output = ()> + Unpin),
        stopping: bool,
        wake_at: Option<Time>,
    ) -> Woke {
        let news = self.consumer.news().fuse();
        let delivered = self.producer.delivered().fuse();
        let clock = &self.clock;
        let time = async move {
            match wake_at {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        }
        .fuse();
        pin_mut!(news, delivered, time);
        if stopping {
            return select_biased! {
                reports = delivered => Woke::Delivered(reports),
                job = self.jobs.select_next_some() => Woke::Job(job),
                news = news => Woke::News(news),
                () = time => Woke::Time,
            };
        }
        select_biased! {
            () = stop => Woke::Stop,
            job = self.jobs.select_next_some() => Woke::Job(job),
            reports = delivered => Woke::Delivered(reports),
            news = news => Woke::News(news),
            () = time => Woke::Time,
        }
    }

    /// When something is due although nothing comes in.
    fn next_time(&self) -> Option<Time> {
        let said =
            self.lanes.values().filter_map(|lane| lane.again.first_key_value().map(|((at, _), _)| *at)).min();
        if self.all_fly() {
            return said;
        }
        let due =
            self.grounded().flat_map(|(_, lane)| [lane.next_due(), Some(lane.touch_at())]).flatten().min();
        said.into_iter().chain(due).min()
    }

    /// Everything that committed is acknowledged.
    fn quiet(&self) -> bool {
        self.lanes.values().all(|lane| lane.spoken.silent())
    }

    async fn on_news(&mut self, news: News) -> Result<(), BusError> {
        match news {
            News::Assigned(places) => {
                self.held.extend(places.iter().cloned());
                for lane in lanes_of(&places) {
                    if !self.taking.contains_key(&lane) && !self.lanes.contains_key(&lane) {
                        self.take_over(lane, "assigned", 0);
                    }
                }
            }
            News::Revoked(lost) => {
                for place in &lost {
                    self.held.remove(place);
                }
                for lane in lanes_of(&lost) {
                    self.lanes.remove(&lane);
                    self.taking.remove(&lane);
                    self.mouth.forget(lane);
                    self.options.standing.say(lane, None);
                }
                metrics::gauge!(telemetry::LANES).set(self.lanes.len() as f64);
            }
            News::Heard(heard) => self.on_heard(heard),
            News::Lost(why) => {
                tracing::warn!(why, "the consumer is lost; joining again");
                self.held.clear();
                self.taking.clear();
                for lane in std::mem::take(&mut self.lanes).into_keys() {
                    self.mouth.forget(lane);
                }
                let clock = self.clock.clone();
                clock.sleep_until(clock.now().plus(500)).await;
                self.consumer = open(&clock, || self.bus.consumer(group(&self.options))).await?;
            }
        }
        Ok(())
    }

    fn on_heard(&mut self, heard: Heard) {
        let record = heard.record;
        let id = LaneId(record.partition);
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if lane.generations.get(&record.topic) != Some(&heard.generation) {
            return;
        }
        let item = lane::read(record, self.options.lanes, &self.options.default_plan);
        if matches!(item, lane::Item::Request(..)) {
            if lane.requests.push(item) {
                self.consumer.pause(&requests(id));
            }
        } else if lane.inbox.push(item) {
            self.consumer.pause(&others(id));
        }
    }

    /// Lets lanes be heard again that have worked off what they had gathered.
    fn resume_emptied(&mut self) {
        for (id, lane) in &mut self.lanes {
            if lane.requests.emptied() {
                self.consumer.resume(&requests(*id));
            }
            if lane.inbox.emptied() {
                self.consumer.resume(&others(*id));
            }
        }
    }

    async fn on_delivered(&mut self, reports: Vec<Delivered>) -> Result<(), BusError> {
        let mut fatal = None;
        for Delivered { tag, delivery } in reports {
            match delivery {
                Delivery::Acked(_) => {
                    if let Some(lane) = self.lanes.get_mut(&lane_of(tag)) {
                        lane.spoken.acked(tag);
                    } else if let Some(flight) = flight_of(tag).and_then(|id| self.flights.get_mut(&id)) {
                        flight.letters_open = flight.letters_open.saturating_sub(1);
                    }
                }
                Delivery::NotPersisted(why) => self.refused(tag, &why),
                Delivery::PossiblyPersisted(why) => fatal = Some(why),
            }
        }
        if let Some(why) = fatal {
            self.reopen_producer(&why).await?;
        }
        for flight in self.flights.keys().copied().collect::<Vec<_>>() {
            self.commit_if_ready(flight);
        }
        Ok(())
    }

    /// Whatever the producer had may be lost: all lanes are taken over, and say it again.
    async fn reopen_producer(&mut self, why: &str) -> Result<(), BusError> {
        tracing::warn!(why, "the producer is lost; taking over all lanes");
        self.mouth.clear();
        self.drop_letters();
        self.producer = open(&self.clock, || self.bus.producer()).await?;
        for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
            self.take_over(lane, "producer", 0);
        }
        // Take-overs under way have said nothing yet; those that had are lanes.
        Ok(())
    }

    /// Kafka refused a record for good: authorization, size. The lane is taken over slowly, so that it says it again.
    fn refused(&mut self, tag: Tag, why: &str) {
        metrics::counter!(telemetry::REFUSED_BY_KAFKA).increment(1);
        tracing::error!(why, "Kafka refuses a record for good: look at its ACLs and sizes");
        if flight_of(tag).is_some() {
            self.drop_letters();
            for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
                self.take_over(lane, "refused", 5000);
            }
        } else if tag != UNCOUNTED_TAG && self.lanes.contains_key(&lane_of(tag)) {
            self.take_over(lane_of(tag), "refused", 5000);
        }
    }

    /// Letters are lost: so is every batch that waits for some.
    fn drop_letters(&mut self) {
        self.flights.retain(|_, flight| !flight.waits_for_letters());
    }

    /// Writes how far was spoken, and goes without giving up the membership.
    async fn leave(mut self) {
        let now = self.clock.now();
        let mut batch = Batch::default();
        for lane in self.lanes.values_mut().filter(|_| self.flights.is_empty()) {
            batch.lanes.push(Draft::default().write(lane, now).0);
        }
        if !batch.lanes.is_empty() {
            let outcome = self.store.commit(batch).await;
            tracing::debug!(?outcome, "the last word");
        }
        self.consumer.close(false).await;
    }
}

fn lanes_of(places: &[Place]) -> BTreeSet<LaneId> {
    places.iter().filter(|place| HEARD.contains(&place.topic)).map(|place| LaneId(place.partition)).collect()
}
