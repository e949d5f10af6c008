//! The bus on Kafka with a listener at each end: what an owner holds and says is seen, its group can be another one, and
//! it can be struck dumb: from then on its producer takes every record, sends nothing and acknowledges nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tenantry_contracts::{Record, Topic};
use tenantry_kafka::{Kafka, KafkaConsumer, KafkaProducer, Options};
use tenantry_ports::{Bus, BusError, Consumer, Delivered, Group, News, Outgoing, Place, Producer, Refused};

/// What is seen of an owner, and when it is struck dumb.
#[derive(Debug)]
pub(crate) struct Spy {
    held: Mutex<BTreeSet<u16>>,
    said: AtomicU64,
    dumb_after: u64,
}

impl Spy {
    /// Of an owner that goes dumb after so many records; `u64::MAX`: never.
    pub(crate) fn new(dumb_after: u64) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), said: AtomicU64::new(0), dumb_after })
    }

    /// The lanes whose requests it was given.
    pub(crate) fn held(&self) -> BTreeSet<u16> {
        self.held.lock().expect("no holder panics").clone()
    }

    /// How many records it said or believes to have said.
    pub(crate) fn said(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }

    /// Nothing of what it says is heard any more.
    pub(crate) fn is_dumb(&self) -> bool {
        self.said() >= self.dumb_after
    }

    fn note(&self, news: &News) {
        let mut held = self.held.lock().expect("no holder panics");
        let requests = |places: &[Place]| -> Vec<u16> {
            places
                .iter()
                .filter(|place| place.topic == Topic::Requests)
                .map(|place| place.partition)
                .collect()
        };
        match news {
            News::Assigned(places) => held.extend(requests(places)),
            News::Revoked(places) => requests(places).iter().for_each(|lane| {
                held.remove(lane);
            }),
            News::Lost(_) => held.clear(),
            News::Heard(_) => {}
        }
    }
}

/// The bent bus.
pub(crate) struct Bent {
    kafka: Kafka,
    spy: Arc<Spy>,
    /// Put behind the name of the group.
    apart: &'static str,
}

impl Bent {
    /// Does not connect yet.
    pub(crate) fn new(options: Options, spy: Arc<Spy>, apart: &'static str) -> Self {
        Self { kafka: Kafka::new(options), spy, apart }
    }
}

impl Bus for Bent {
    type Consumer = Ear;
    type Producer = Throat;

    async fn consumer(&self, mut group: Group) -> Result<Ear, BusError> {
        group.id.push_str(self.apart);
        Ok(Ear { consumer: self.kafka.consumer(group).await?, spy: Arc::clone(&self.spy) })
    }

    async fn producer(&self) -> Result<Throat, BusError> {
        Ok(Throat { producer: self.kafka.producer().await?, spy: Arc::clone(&self.spy) })
    }
}

/// A consumer that is listened to.
pub(crate) struct Ear {
    consumer: KafkaConsumer,
    spy: Arc<Spy>,
}

impl Consumer for Ear {
    async fn news(&mut self) -> Vec<News> {
        let news = self.consumer.news().await;
        news.iter().for_each(|news| self.spy.note(news));
        news
    }

    async fn seek(&mut self, place: &Place, offset: i64) -> Result<u64, BusError> {
        self.consumer.seek(place, offset).await
    }

    fn pause(&mut self, places: &[Place]) {
        self.consumer.pause(places);
    }

    fn resume(&mut self, places: &[Place]) {
        self.consumer.resume(places);
    }

    fn store(&mut self, place: &Place, offset: i64) {
        self.consumer.store(place, offset);
    }

    async fn watermarks(&mut self, place: &Place) -> Result<(i64, i64), BusError> {
        self.consumer.watermarks(place).await
    }

    async fn record_at(&mut self, place: &Place, offset: i64) -> Result<Option<Record>, BusError> {
        self.consumer.record_at(place, offset).await
    }

    async fn close(self, leave: bool) {
        self.consumer.close(leave).await;
    }
}

/// A producer that is counted, and may be struck dumb.
pub(crate) struct Throat {
    producer: KafkaProducer,
    spy: Arc<Spy>,
}

impl Producer for Throat {
    fn send(&mut self, record: Outgoing) -> Result<(), Refused> {
        if !self.spy.is_dumb() {
            self.producer.send(record)?;
        }
        self.spy.said.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn delivered(&mut self) -> Vec<Delivered> {
        loop {
            let reports = self.producer.delivered().await;
            if !self.spy.is_dumb() {
                return reports;
            }
        }
    }
}
