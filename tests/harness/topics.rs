//! Publishing and reading as an upstream system does: through Kafka alone.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::{Lane, Record, RequestId, Slug, Time, Topic, request as wire};
use tenantry_kafka::{Kafka, Options, Read, Reader, Start};
use tenantry_ports::{Bus, Delivery, Outgoing, Place, Producer, Refused};

use super::up::Running;

/// The topics of a running fleet.
pub struct Topics {
    options: Options,
    lanes: u16,
}

/// The first answer of each kind to each request, by the request's id.
pub type Answers = BTreeMap<String, Vec<Event>>;

/// A request of the canonical shape.
pub fn request(slug: &str, name: &str) -> serde_json::Value {
    serde_json::json!({
        "name": name, "slug": slug, "plan": "starter", "region": "eu-west-1", "residency": "EU",
        "admin": {"email": format!("admin@{slug}.example.com"), "first_name": "Ada", "last_name": "Lovelace"},
    })
}

impl Topics {
    /// Those of this fleet.
    pub fn of(running: &Running) -> Self {
        Self { options: Options::new(&*running.brokers, &*running.fleet), lanes: running.lanes }
    }

    /// The lane of a slug.
    pub fn home(&self, slug: &str) -> u16 {
        Lane::of(&Slug::parse(slug).expect("a slug"), self.lanes).0
    }

    /// A record for `tenant.requests` in binary mode, under this id, on its home partition.
    pub fn binary(&self, id: &str, slug: &str, body: &serde_json::Value) -> Outgoing {
        let key = RequestId { source: "/tests".into(), id: id.into() };
        Outgoing {
            place: Place { topic: Topic::Requests, partition: self.home(slug) },
            key: Some(Bytes::copy_from_slice(slug.as_bytes())),
            headers: wire::headers(wire::TYPE, &key, now(), slug, None),
            value: Some(serde_json::to_vec(body).expect("JSON").into()),
            tag: 0,
        }
    }

    /// Publishes records and waits until all are acknowledged. Keeps trying while the broker is away.
    pub async fn publish(&self, records: Vec<Outgoing>) {
        let mut producer = Kafka::new(self.options.clone()).producer().await.expect("a producer");
        let (mut sent, mut acked) = (0, 0);
        let mut waiting = records.into_iter().peekable();
        while acked < sent || waiting.peek().is_some() {
            if let Some(record) = waiting.next() {
                match producer.send(record) {
                    Ok(()) => sent += 1,
                    Err(Refused::Full(_)) => panic!("a test does not fill the queue"),
                    Err(Refused::Never(record, why)) => {
                        panic!("{:?} cannot be published: {why}", record.place)
                    }
                }
                continue;
            }
            for report in producer.delivered().await {
                assert!(
                    matches!(report.delivery, Delivery::Acked(_)),
                    "not acknowledged: {:?}",
                    report.delivery
                );
                acked += 1;
            }
        }
    }

    /// Everything that stands on these topics now.
    pub async fn read(&self, topics: Vec<Topic>) -> Vec<Record> {
        let places = Reader::places(&self.options, topics).await.expect("the topics");
        let mut reader = Reader::open(&self.options, places, Start::Earliest).await.expect("a reader");
        let mut all = Vec::new();
        while let Read::Records(records) = reader.read().await.expect("records") {
            all.extend(records);
        }
        all
    }

    /// The answers on `tenant.events` so far; repeats of a fact are dropped by their `ce_id`.
    pub async fn answers(&self) -> Answers {
        let mut answers = Answers::new();
        let mut seen = std::collections::BTreeSet::new();
        for record in self.read(vec![Topic::Events]).await {
            let event = Event::decode(&record).expect("an event");
            let id = record.header("ce_id").expect("an event has an id").to_owned();
            if seen.insert(id) {
                let request =
                    event.request.as_ref().map_or_else(|| format!("{:?}", event.origin), |id| id.id.clone());
                answers.entry(request).or_default().push(event);
            }
        }
        answers
    }

    /// Waits until each of these requests has an outcome: an end, a refusal, or a person who must act.
    pub async fn outcomes(&self, ids: &[String], patience: Duration) -> Answers {
        let end = tokio::time::Instant::now() + patience;
        loop {
            let answers = self.answers().await;
            let open: Vec<_> = ids.iter().filter(|id| outcome(&answers, id).is_none()).collect();
            if open.is_empty() {
                return answers;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "{} requests have no outcome, among them {:?}",
                open.len(),
                &open[..1]
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Says everything on these topics once more, as a careless person with a tool would: same partition, key, headers,
    /// value.
    pub async fn replay(&self, topics: Vec<Topic>) -> usize {
        let records = self.read(topics).await;
        let again: Vec<_> = records
            .into_iter()
            .map(|record| Outgoing {
                place: Place { topic: record.topic, partition: record.partition },
                key: record.key,
                headers: record.headers,
                value: record.value,
                tag: 0,
            })
            .collect();
        let count = again.len();
        self.publish(again).await;
        count
    }
}

/// How a request ended, if it did.
pub fn outcome(answers: &Answers, id: &str) -> Option<EventKind> {
    answers.get(id)?.iter().map(|event| event.event).find(|kind| {
        matches!(
            kind,
            EventKind::Provisioned
                | EventKind::RolledBack
                | EventKind::Rejected
                | EventKind::RequestRejected
                | EventKind::RequestQuarantined
                | EventKind::AttentionNeeded
        )
    })
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    Time(i64::try_from(since.as_millis()).expect("before the end of time"))
}
