//! The fleet's topics: made where they are missing, and checked before anything is said.
//!
//! Saying something on a topic that does not exist shows as silence, not as an error; so they are checked first. The
//! number of partitions is chosen when `tenant.requests` is made, and is never changed: it decides where a slug lives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use tenantry_contracts::topic::Name;
use tenantry_contracts::{Topic, WorkerName};
use tenantry_ports::BusError;

use crate::client::{Quiet, beside, put_away, refused, unreachable};
use crate::options::Options;
use crate::probe::Probe;

/// With so many replicas a topic survives the loss of one broker, and must not acknowledge with less than two.
const SAFE: usize = 3;
/// How long the brokers may take until what was made or deleted shows.
const SETTLES: Duration = Duration::from_secs(30);

/// How a topic is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// A stable code, such as `topic_missing`.
    pub code: &'static str,
    /// The topic's name.
    pub topic: Name,
    /// What was found, what is wanted, and what to do.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code, self.topic, self.text)
    }
}

/// What [`apply`] did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The topics it made.
    pub made: Vec<Topic>,
    /// What it found different and left as it was.
    pub differences: Vec<Difference>,
}

/// Makes the topics that are missing, and waits until every partition has a leader. Leaves those that exist as they are.
///
/// # Errors
/// Where the brokers cannot be reached, or refuse.
pub async fn apply(
    options: &Options,
    workers: &[WorkerName],
    lanes: u16,
    replication: u16,
) -> Result<Report, BusError> {
    let admin = Admin::open(options)?;
    let wanted = Topic::all(workers);
    let found = admin.found().await?;
    // What exists decides, or the same slug would live on two partitions; that it differs is reported.
    let made_with = found.get(&Topic::Requests.name()).map_or(lanes.into(), |shape| shape.partitions);
    let missing: Vec<_> = wanted.iter().filter(|topic| !found.contains_key(&topic.name())).cloned().collect();
    admin.make(&missing, made_with, replication).await?;
    admin.led(&missing).await?;
    let differences = admin.differences(&wanted, &admin.found().await?, Some(lanes.into())).await?;
    Ok(Report { made: missing, differences })
}

/// How the topics differ from what they should be; empty where all is well. Changes nothing.
///
/// # Errors
/// Where the brokers cannot be reached, or refuse.
pub async fn check(options: &Options, workers: &[WorkerName]) -> Result<Vec<Difference>, BusError> {
    let admin = Admin::open(options)?;
    let found = admin.found().await?;
    let lanes = found.get(&Topic::Requests.name()).map(|shape| shape.partitions);
    admin.differences(&Topic::all(workers), &found, lanes).await
}

/// Deletes those of these topics that exist, with every record in them, and waits until they are gone.
///
/// # Errors
/// Where the brokers cannot be reached, refuse, or still know of one after half a minute.
pub async fn delete(options: &Options, topics: &[Topic]) -> Result<(), BusError> {
    let admin = Admin::open(options)?;
    let found = admin.found().await?;
    let names: Vec<Name> = topics.iter().map(Topic::name).filter(|name| found.contains_key(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let asked: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let deleted = admin
        .client()
        .delete_topics(&asked, &admin.options())
        .await
        .map_err(|error| unreachable(&admin.brokers, error))?;
    for result in deleted {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((name, RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                return Err(refused("topic_forbidden", name, "allow this user to delete topics"));
            }
            Err((name, code)) => {
                let what = format_args!("{name}: {code}");
                return Err(refused("topic_refused", what, "see the brokers' settings, then delete again"));
            }
        }
    }
    admin.gone(&names).await
}

/// How many lanes the fleet has: the partitions of `tenant.requests`.
///
/// # Errors
/// Where the topic does not exist, or the brokers cannot be reached.
pub async fn lanes(options: &Options) -> Result<u16, BusError> {
    let options = options.clone();
    beside(move || Probe::new(&options)?.partitions(&Topic::Requests)).await
}

/// A topic as the brokers have it.
#[derive(Clone, Copy, Debug)]
struct Shape {
    partitions: usize,
    replicas: usize,
    leaderless: usize,
}

struct Admin {
    client: Option<Arc<AdminClient<Quiet>>>,
    timeout: Duration,
    brokers: String,
}

impl Admin {
    fn open(options: &Options) -> Result<Self, BusError> {
        let client =
            options.asking().create_with_context(Quiet).map_err(|error: rdkafka::error::KafkaError| {
                refused("bus_settings", error, "correct the Kafka properties")
            })?;
        Ok(Self {
            client: Some(Arc::new(client)),
            timeout: options.timeout,
            brokers: options.brokers.clone(),
        })
    }

    fn client(&self) -> &Arc<AdminClient<Quiet>> {
        self.client.as_ref().expect("only taken when it is dropped")
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    async fn found(&self) -> Result<BTreeMap<Name, Shape>, BusError> {
        let (client, timeout, brokers) = (Arc::clone(self.client()), self.timeout, self.brokers.clone());
        beside(move || {
            let all =
                client.inner().fetch_metadata(None, timeout).map_err(|error| unreachable(&brokers, error))?;
            let whole = all.topics().iter().filter(|topic| topic.error().is_none());
            Ok(whole
                .map(|topic| {
                    let partitions = topic.partitions();
                    let replicas =
                        partitions.iter().map(|part| part.replicas().len()).min().unwrap_or_default();
                    let leaderless =
                        partitions.iter().filter(|part| part.leader() < 0 || part.error().is_some()).count();
                    (
                        topic.name().to_owned().into(),
                        Shape { partitions: partitions.len(), replicas, leaderless },
                    )
                })
                .collect())
        })
        .await
    }

    async fn make(&self, topics: &[Topic], lanes: usize, replication: u16) -> Result<(), BusError> {
        if topics.is_empty() {
            return Ok(());
        }
        let partitions = i32::try_from(lanes).unwrap_or(i32::MAX);
        let described: Vec<_> =
            topics.iter().map(|topic| (topic.name(), settings(topic, replication))).collect();
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(&described)
            .map(|(topic, (name, settings))| {
                let count = if topic.settings().keyed { partitions } else { 1 };
                let new = NewTopic::new(name, count, TopicReplication::Fixed(replication.into()));
                settings.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let made = self
            .client()
            .create_topics(&new, &self.options())
            .await
            .map_err(|error| unreachable(&self.brokers, error))?;
        for result in made {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                    return Err(refused("topic_forbidden", name, "allow this user to create topics"));
                }
                Err((name, code)) => {
                    let what = format_args!("{name}: {code}");
                    return Err(refused(
                        "topic_refused",
                        what,
                        "see the brokers' settings, then apply again",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Waits until the topics have leaders: an admin call is answered before the brokers know of it.
    async fn led(&self, topics: &[Topic]) -> Result<(), BusError> {
        let until = Instant::now() + SETTLES;
        loop {
            let found = self.found().await?;
            let led = |topic: &Topic| {
                found.get(&topic.name()).is_some_and(|shape| shape.partitions > 0 && shape.leaderless == 0)
            };
            let Some(waiting) = topics.iter().find(|topic| !led(topic)) else { return Ok(()) };
            if Instant::now() > until {
                return Err(refused(
                    "topic_leaderless",
                    waiting,
                    "see that enough brokers run, then apply again",
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nobody knows of these topics: what is made too early meets what is still being deleted.
    async fn gone(&self, names: &[Name]) -> Result<(), BusError> {
        let until = Instant::now() + SETTLES;
        loop {
            let found = self.found().await?;
            let Some(there) = names.iter().find(|name| found.contains_key(*name)) else { return Ok(()) };
            if Instant::now() > until {
                return Err(refused("topic_remains", there, "see that all brokers run, then delete again"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn differences(
        &self,
        wanted: &[Topic],
        found: &BTreeMap<Name, Shape>,
        lanes: Option<usize>,
    ) -> Result<Vec<Difference>, BusError> {
        let mut all = Vec::new();
        let names: Vec<Name> =
            wanted.iter().map(Topic::name).filter(|name| found.contains_key(name)).collect();
        let asked: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let mut configs = BTreeMap::new();
        if !asked.is_empty() {
            let told = self
                .client()
                .describe_configs(&asked, &self.options())
                .await
                .map_err(|error| unreachable(&self.brokers, error))?;
            for (name, config) in names.iter().zip(told) {
                let config = config.map_err(|code| {
                    let what = format_args!("{name}: {code}");
                    refused("topic_forbidden", what, "allow this user to describe the topic's settings")
                })?;
                configs.insert(name.clone(), config);
            }
        }
        for topic in wanted {
            let name = topic.name();
            let Some(shape) = found.get(&name) else {
                let text = "does not exist; make the fleet's topics".into();
                all.push(Difference { code: "topic_missing", topic: name, text });
                continue;
            };
            let entry = |setting: &str| {
                let entry = configs.get(&name)?.entries.iter().find(|entry| entry.name == setting)?;
                entry.value.clone()
            };
            let keyed = topic.settings().keyed;
            let want = if keyed { lanes.unwrap_or(shape.partitions) } else { 1 };
            shape_differs(&name, shape, want, &mut all);
            settings_differ(topic, shape, &entry, &mut all);
        }
        Ok(all)
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        put_away(self.client.take());
    }
}

/// How a topic is made.
fn settings(topic: &Topic, replication: u16) -> Vec<(&'static str, String)> {
    let wanted = topic.settings();
    let mut all = vec![
        ("retention.ms", wanted.retention_ms.to_string()),
        ("max.message.bytes", wanted.max_message_bytes.to_string()),
        ("cleanup.policy", "delete".into()),
    ];
    if usize::from(replication) >= SAFE {
        all.push(("min.insync.replicas", "2".into()));
    }
    all
}

fn shape_differs(name: &Name, shape: &Shape, want: usize, all: &mut Vec<Difference>) {
    let mut add = |code, text| all.push(Difference { code, topic: name.clone(), text });
    if shape.partitions != want {
        let have = shape.partitions;
        add(
            "topic_partitions",
            format!("has {have} partitions, wants {want}; make it anew while it is empty"),
        );
    }
    if shape.leaderless > 0 {
        let count = shape.leaderless;
        add("topic_leaderless", format!("{count} partitions have no leader; see that enough brokers run"));
    }
}

/// Only what breaks a promise is a difference: records kept for longer, or larger ones, harm nobody.
fn settings_differ(
    topic: &Topic,
    shape: &Shape,
    entry: &dyn Fn(&str) -> Option<String>,
    all: &mut Vec<Difference>,
) {
    let wanted = topic.settings();
    let mut add = |code, text| all.push(Difference { code, topic: topic.name(), text });
    let number = |setting: &str| entry(setting).and_then(|value| value.parse::<i64>().ok());
    let shown = |value: Option<i64>| value.map_or("nothing".to_string(), |value| value.to_string());
    let kept = number("retention.ms");
    if kept.is_none_or(|ms| ms >= 0 && ms < wanted.retention_ms) {
        let (kept, want) = (shown(kept), wanted.retention_ms);
        add("topic_retention", format!("retention.ms is {kept}, wants {want}; raise it"));
    }
    let size = number("max.message.bytes");
    if size.is_none_or(|bytes| bytes < i64::from(wanted.max_message_bytes)) {
        let (size, want) = (shown(size), wanted.max_message_bytes);
        add("topic_size", format!("max.message.bytes is {size}, wants {want}; raise it"));
    }
    let cleanup = entry("cleanup.policy").unwrap_or_default();
    if cleanup != "delete" {
        add("topic_cleanup", format!("cleanup.policy is {cleanup:?}, wants \"delete\"; set it"));
    }
    let insync = number("min.insync.replicas");
    if shape.replicas >= SAFE && insync.is_none_or(|count| count < 2) {
        let insync = shown(insync);
        add("topic_replicas", format!("min.insync.replicas is {insync}, wants 2; raise it"));
    }
}

#[cfg(test)]
mod tests;
