//! Publishing a record and following what the fleet says of it. Needs Kafka alone.
//!
//! The ends of `tenant.events` and `tenant.audit.events` are noted before anything is published, so that nothing that
//! is said of it can be missed. What is said more than once is told once.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tenantry_contracts::event::Event;
use tenantry_contracts::{Headers, Origin, Record, Topic, audit};
use tenantry_kafka::{Kafka, KafkaProducer, Options, Read, Reader, Start};
use tenantry_ports::{Bus, Delivery, Outgoing, Place, Producer, Refused};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::out::{self, failed};
use crate::show::code::Outcome;
use crate::show::progress::Screen;
use crate::show::story::Story;

/// How long an acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);
/// How often a line that moves is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// How many lanes the fleet has: the partitions of `tenant.requests`.
///
/// # Errors
/// Where the topics are missing or the brokers cannot be reached.
pub async fn lanes(options: &Options) -> anyhow::Result<u16> {
    let places = Reader::places(options, vec![Topic::Requests]).await.map_err(out::bus)?;
    Ok(u16::try_from(places.len()).unwrap_or(u16::MAX))
}

/// Publishes one record and waits until all replicas have it: its place.
///
/// # Errors
/// `publish_refused` where it can never be published, `publish_unconfirmed` where nobody knows.
pub async fn publish(
    options: &Options,
    place: Place,
    key: Option<Bytes>,
    headers: Headers,
    value: Bytes,
) -> anyhow::Result<Origin> {
    Ok(Publisher::open(options).await?.publish(place, key, headers, value).await?)
}

/// Publishes records one at a time.
pub struct Publisher(KafkaProducer);

impl Publisher {
    /// Connects.
    ///
    /// # Errors
    /// Where the brokers cannot be reached.
    pub async fn open(options: &Options) -> Result<Self, out::Refused> {
        Kafka::new(options.clone()).producer().await.map(Self).map_err(out::bus)
    }

    /// Publishes one record and waits until all replicas have it: its place.
    ///
    /// # Errors
    /// As [`publish`].
    pub async fn publish(
        &mut self,
        place: Place,
        key: Option<Bytes>,
        headers: Headers,
        value: Bytes,
    ) -> Result<Origin, out::Refused> {
        let producer = &mut self.0;
        let (topic, partition) = (place.topic.name(), place.partition);
        let refused = |why: String| failed("publish_refused", format!("{topic}/{partition}: {why}"));
        let record = Outgoing { place, key, headers, value: Some(value), tag: 0 };
        match producer.send(record) {
            Ok(()) => {}
            Err(Refused::Never(_, why)) => return Err(refused(why)),
            Err(Refused::Full(_)) => return Err(refused("the producer's queue is full; try again".into())),
        }
        let unconfirmed = |why: &str| {
            failed(
                "publish_unconfirmed",
                format!(
                    "{topic}/{partition}: {why}; it may have been published: see that the brokers run, then repeat the \
                 command with the same --id, which makes nothing twice"
                ),
            )
        };
        let Ok(delivered) = timeout(ACKNOWLEDGED, producer.delivered()).await else {
            return Err(unconfirmed("not acknowledged within 30 s"));
        };
        match delivered.into_iter().next().map(|report| report.delivery) {
            Some(Delivery::Acked(offset)) => Ok(Origin { topic, partition, offset }),
            Some(Delivery::NotPersisted(why)) => Err(refused(why)),
            Some(Delivery::PossiblyPersisted(why)) => Err(unconfirmed(&why)),
            None => Err(unconfirmed("no report came")),
        }
    }
}

/// Hears what the fleet says in one lane, from the moment it was opened.
pub struct Ear {
    options: Options,
    reader: Reader,
    next: BTreeMap<Place, i64>,
}

impl Ear {
    /// Notes the ends of both topics in this lane.
    ///
    /// # Errors
    /// Where the topics are missing or the brokers cannot be reached.
    pub async fn open(options: &Options, lane: u16) -> anyhow::Result<Self> {
        let places = [Topic::Events, Topic::Audit].map(|topic| Place { topic, partition: lane });
        let reader = Reader::open(options, places.to_vec(), Start::End).await.map_err(out::bus)?;
        let next = reader.ends().clone();
        Ok(Self { options: options.clone(), reader, next })
    }

    /// Follows until the story has an outcome, or until the time is up. Prints what the story tells where there is a
    /// screen. A broker that comes and goes is waited for.
    ///
    /// # Errors
    /// Never before the time is up; then what kept it from reading, where something did.
    pub async fn follow(
        &mut self,
        story: &mut Story,
        mut screen: Option<&mut Screen>,
        until: Instant,
    ) -> anyhow::Result<Outcome> {
        let mut trouble = None;
        loop {
            if let Some(outcome) = story.outcome() {
                return Ok(outcome);
            }
            if Instant::now() >= until {
                return trouble.map_or(Ok(Outcome::Timeout), Err);
            }
            if let Some(screen) = screen.as_deref_mut() {
                screen.doing(&story.doing());
            }
            let tick = until.min(Instant::now() + TICK);
            match timeout_at(tick, self.reader.read()).await {
                Err(_) | Ok(Ok(Read::CaughtUp)) => {}
                Ok(Ok(Read::Records(records))) => {
                    trouble = None;
                    for record in &records {
                        let lines = self.hear(story, record);
                        if let Some(screen) = screen.as_deref() {
                            screen.lines(&lines);
                        }
                    }
                }
                Ok(Err(error)) => {
                    trouble = Some(out::bus(error).into());
                    sleep(TICK).await;
                    let places = self.next.keys().cloned().collect();
                    if let Ok(reader) =
                        Reader::open(&self.options, places, Start::At(self.next.clone())).await
                    {
                        self.reader = reader;
                    }
                }
            }
        }
    }

    fn hear(&mut self, story: &mut Story, record: &Record) -> Vec<String> {
        let place = Place { topic: record.topic.clone(), partition: record.partition };
        let next = self.next.entry(place).or_default();
        if record.offset < *next {
            return Vec::new();
        }
        *next = record.offset + 1;
        // What cannot be read is not ours to judge here; `audit verify` does.
        match record.topic {
            Topic::Audit => audit::decode(record).map(|event| story.audit(&event)).unwrap_or_default(),
            _ => {
                let id = record.header("ce_id").map_or_else(|| record.origin().to_string(), str::to_owned);
                Event::decode(record).map(|event| story.event(&id, &event)).unwrap_or_default()
            }
        }
    }
}
