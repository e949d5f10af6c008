//! The bus: logs in memory, one group, faults on demand.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{pending, poll_fn};
use std::task::{Poll, Waker};

use tenantry_contracts::{Record, Topic};
use tenantry_ports::{
    Bus, BusError, Consumer, Delivered, Delivery, Group, Heard, News, Outgoing, Place, Producer, Refused,
};

use super::{World, breathe};

/// What becomes of a record that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Acked,
    /// Appended or not, the producer is fatal after it.
    Fatal {
        persisted: bool,
    },
    NotPersisted,
    Full,
    Never,
    /// Appended, but the acknowledgement never comes.
    Silent,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) topics: BTreeMap<Place, Vec<Record>>,
    pub(crate) committed: BTreeMap<Place, i64>,
    /// What becomes of the next sends; acknowledged where nothing is listed.
    pub(crate) fates: VecDeque<Sent>,
    pub(crate) refuse_open: u32,
    pub(crate) consumers: u32,
    pub(crate) producers: u32,
    pub(crate) groups: Vec<Group>,
    pub(crate) paused: BTreeSet<Place>,
    assigned: BTreeSet<Place>,
    positions: BTreeMap<Place, i64>,
    generation: u64,
    news: VecDeque<News>,
    reports: Vec<Delivered>,
    consumer_waker: Option<Waker>,
    producer_waker: Option<Waker>,
    appended: i64,
    pub(crate) left: Option<bool>,
}

impl Log {
    pub(crate) fn append(&mut self, mut record: Record) -> i64 {
        let place = Place { topic: record.topic.clone(), partition: record.partition };
        let log = self.topics.entry(place).or_default();
        record.offset = log.len() as i64;
        // Results are read back in the order in which they were appended.
        self.appended += 1;
        if record.topic == Topic::Results {
            record.at.0 = self.appended;
        }
        let offset = record.offset;
        log.push(record);
        wake(&mut self.consumer_waker);
        offset
    }

    pub(crate) fn assign(&mut self, places: &[Place]) {
        self.generation += 1;
        for place in places {
            let from = self.committed.get(place).copied().unwrap_or(0);
            self.assigned.insert(place.clone());
            self.positions.insert(place.clone(), from);
        }
        self.news.push_back(News::Assigned(places.to_vec()));
        wake(&mut self.consumer_waker);
    }

    pub(crate) fn revoke(&mut self, places: &[Place]) {
        for place in places {
            self.assigned.remove(place);
        }
        self.news.push_back(News::Revoked(places.to_vec()));
        wake(&mut self.consumer_waker);
    }

    pub(crate) fn lose(&mut self) {
        self.assigned.clear();
        self.news.push_back(News::Lost("fenced".into()));
        wake(&mut self.consumer_waker);
    }

    pub(crate) fn assigned(&self) -> Vec<Place> {
        self.assigned.iter().cloned().collect()
    }

    fn hear(&mut self) -> Vec<News> {
        if !self.news.is_empty() {
            return self.news.drain(..).collect();
        }
        let mut heard = Vec::new();
        for place in self.assigned.difference(&self.paused) {
            let at = self.positions.entry(place.clone()).or_insert(0);
            let log = self.topics.get(place).map(Vec::as_slice).unwrap_or_default();
            for record in log.iter().skip(*at as usize).take(4) {
                *at = record.offset + 1;
                heard.push(News::Heard(Heard { record: record.clone(), generation: self.generation }));
            }
        }
        heard
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[derive(Clone)]
pub(crate) struct SimBus(pub(crate) World);

impl SimBus {
    fn open(&self) -> Result<(), BusError> {
        let mut state = self.0.state();
        if state.bus.refuse_open > 0 {
            state.bus.refuse_open -= 1;
            return Err(BusError("not authorized".into()));
        }
        Ok(())
    }
}

impl Bus for SimBus {
    type Consumer = SimConsumer;
    type Producer = SimProducer;

    async fn consumer(&self, group: Group) -> Result<SimConsumer, BusError> {
        breathe().await;
        self.open()?;
        let mut state = self.0.state();
        state.bus.consumers += 1;
        let places: Vec<Place> = group
            .topics
            .iter()
            .flat_map(|topic| (0..2).map(|partition| Place { topic: topic.clone(), partition }))
            .collect();
        state.bus.groups.push(group);
        state.bus.news.clear();
        state.bus.assign(&places);
        Ok(SimConsumer(self.0.clone()))
    }

    async fn producer(&self) -> Result<SimProducer, BusError> {
        breathe().await;
        self.open()?;
        let mut state = self.0.state();
        state.bus.producers += 1;
        state.bus.reports.clear();
        Ok(SimProducer { world: self.0.clone(), number: state.bus.producers, fatal: false })
    }
}

pub(crate) struct SimConsumer(World);

impl Consumer for SimConsumer {
    async fn news(&mut self) -> Vec<News> {
        poll_fn(|cx| {
            let mut state = self.0.state();
            let news = state.bus.hear();
            if news.is_empty() {
                state.bus.consumer_waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(news)
        })
        .await
    }

    async fn seek(&mut self, _: &Place, _: i64) -> Result<u64, BusError> {
        Err(BusError("a worker never seeks".into()))
    }

    fn pause(&mut self, places: &[Place]) {
        self.0.state().bus.paused.extend(places.iter().cloned());
    }

    fn resume(&mut self, places: &[Place]) {
        let mut state = self.0.state();
        state.bus.paused.retain(|place| !places.contains(place));
        wake(&mut state.bus.consumer_waker);
    }

    fn store(&mut self, place: &Place, offset: i64) {
        let mut state = self.0.state();
        assert!(state.bus.assigned.contains(place), "stored {offset} for {place:?}, which is not ours");
        let before = state.bus.committed.insert(place.clone(), offset).unwrap_or(0);
        assert!(offset > before, "an offset moved back: {before} to {offset}");
        state.journal.push(format!("stored {}/{} {offset}", place.topic, place.partition));
    }

    async fn watermarks(&mut self, _: &Place) -> Result<(i64, i64), BusError> {
        Err(BusError("not asked by a worker".into()))
    }

    async fn record_at(&mut self, _: &Place, _: i64) -> Result<Option<Record>, BusError> {
        Err(BusError("not asked by a worker".into()))
    }

    async fn close(self, leave: bool) {
        breathe().await;
        self.0.state().bus.left = Some(leave);
    }
}

pub(crate) struct SimProducer {
    world: World,
    number: u32,
    fatal: bool,
}

impl Producer for SimProducer {
    fn send(&mut self, record: Outgoing) -> Result<(), Refused> {
        let mut state = self.world.state();
        if self.fatal {
            return Err(Refused::Never(Box::new(record), "the producer is fatal".into()));
        }
        let fate = state.bus.fates.pop_front().unwrap_or(Sent::Acked);
        let appended = match fate {
            Sent::Full => return Err(Refused::Full(Box::new(record))),
            Sent::Never => return Err(Refused::Never(Box::new(record), "unknown topic".into())),
            Sent::Acked | Sent::Silent | Sent::Fatal { persisted: true } => true,
            Sent::NotPersisted | Sent::Fatal { persisted: false } => false,
        };
        let tag = record.tag;
        let mut offset = -1;
        if appended {
            let id = record.headers.iter().find(|(name, _)| name == "id");
            let id = id.map(|(_, id)| String::from_utf8_lossy(id).into_owned()).unwrap_or_default();
            state.journal.push(format!("said {} {id}", record.place.topic));
            let at = tenantry_contracts::Time(state.now);
            let Outgoing { place: Place { topic, partition }, key, headers, value, .. } = record;
            offset = state.bus.append(Record { topic, partition, offset: 0, at, key, headers, value });
        }
        let delivery = match fate {
            Sent::NotPersisted => Delivery::NotPersisted("not authorized".into()),
            Sent::Fatal { .. } => {
                self.fatal = true;
                Delivery::PossiblyPersisted("fatal".into())
            }
            Sent::Silent => return Ok(()),
            Sent::Acked | Sent::Full | Sent::Never => Delivery::Acked(offset),
        };
        state.bus.reports.push(Delivered { tag, delivery });
        wake(&mut state.bus.producer_waker);
        Ok(())
    }

    async fn delivered(&mut self) -> Vec<Delivered> {
        if self.world.state().bus.producers != self.number {
            // An older producer hears nothing of a newer one's records.
            return pending().await;
        }
        poll_fn(|cx| {
            let mut state = self.world.state();
            if state.bus.reports.is_empty() {
                state.bus.producer_waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut state.bus.reports))
        })
        .await
    }
}
