//! The topics: what exists, with which settings, kept in a journal; and the way to a partition's log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::journal::Journal;
use crate::settings::{Configs, Settings};
use crate::topic::{Partition, Topic};

/// Producer ids are handed out of blocks of this size; what is left of a block at a crash is skipped.
const PRODUCER_ID_BLOCK: i64 = 1000;

/// All topics of the broker.
pub(crate) struct Store {
    dir: PathBuf,
    pub(crate) cluster_id: Uuid,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Whoever changes a topic holds this from the check to the end of the change.
    changes: Mutex<Changes>,
}

struct Changes {
    journal: Journal,
    next_producer_id: i64,
    /// End of the block that the journal knows.
    producer_ids_until: i64,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Cluster { id: Uuid },
    Created { name: String, id: Uuid, partitions: usize, configs: Configs },
    Deleted { id: Uuid },
    Grown { id: Uuid, partitions: usize },
    Configured { id: Uuid, configs: Configs },
    Started { id: Uuid, partition: usize, offset: i64 },
    ProducerIds { until: i64 },
}

impl Topic {
    /// Adds partitions or changes settings in a copy, as the journal says.
    fn changed(&self, dir: &Path, change: &Change) -> Topic {
        let mut topic = self.clone();
        match change {
            Change::Grown { partitions, .. } => {
                let have = topic.partitions.len();
                topic
                    .partitions
                    .extend((have..*partitions).map(|number| Partition::new(&self.dir(dir), number, 0)));
            }
            Change::Configured { configs, .. } => {
                topic.settings = Settings::of(configs);
                topic.configs.clone_from(configs);
            }
            Change::Started { partition, offset, .. } => {
                if let Some(partition) = topic.partitions.get(*partition) {
                    partition.start.fetch_max(*offset, Ordering::Relaxed);
                }
            }
            Change::Cluster { .. }
            | Change::Created { .. }
            | Change::Deleted { .. }
            | Change::ProducerIds { .. } => {}
        }
        topic
    }
}

impl Store {
    /// Reads the journal and makes the directories agree with it. No log is read.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub(crate) fn open(data_dir: &Path) -> Result<Store, Error> {
        let dir = data_dir.join("topics");
        fs::create_dir_all(&dir).map_err(|source| Error::io("make the directory", &dir, source))?;
        let mut topics: BTreeMap<Uuid, Topic> = BTreeMap::new();
        let (mut cluster, mut until) = (None, 0);
        let mut journal = Journal::open(data_dir.join("topics.journal"), |change: Change| match change {
            Change::Cluster { id } => cluster = Some(id),
            Change::Created { name, id, partitions, configs } => {
                topics.insert(id, Topic::new(&dir, name, id, partitions, configs));
            }
            Change::Deleted { id } => drop(topics.remove(&id)),
            Change::ProducerIds { until: next } => until = next,
            Change::Grown { id, .. } | Change::Configured { id, .. } | Change::Started { id, .. } => {
                if let Some(topic) = topics.get_mut(&id) {
                    *topic = topic.changed(&dir, &change);
                }
            }
        })?;
        let cluster_id = match cluster {
            Some(id) => id,
            None => {
                let id = Uuid::new_v4();
                journal.append(&Change::Cluster { id })?;
                id
            }
        };
        agree(&dir, &topics)?;
        let topics = topics.into_values().map(|topic| (topic.name.clone(), Arc::new(topic))).collect();
        let changes = Changes { journal, next_producer_id: until, producer_ids_until: until };
        Ok(Store { dir, cluster_id, topics: RwLock::new(topics), changes: Mutex::new(changes) })
    }

    pub(crate) fn topic(&self, name: &str) -> Result<Arc<Topic>, ResponseError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(name).cloned().ok_or(ResponseError::UnknownTopicOrPartition)
    }

    /// All topics, by name.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Makes a topic whose name, number of partitions and settings were checked.
    ///
    /// # Errors
    /// `TopicAlreadyExists`, `KafkaStorageError`.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: usize,
        configs: Configs,
    ) -> Result<Uuid, ResponseError> {
        let mut changes = lock(&self.changes);
        if self.topic(name).is_ok() {
            return Err(ResponseError::TopicAlreadyExists);
        }
        let topic = Topic::new(&self.dir, name.to_owned(), Uuid::new_v4(), partitions, configs);
        let id = topic.id;
        fs::create_dir_all(topic.dir(&self.dir))
            .map_err(|error| storage("make the directory of a topic", &error))?;
        let configs = topic.configs.clone();
        changes.write(self, &Change::Created { name: name.to_owned(), id, partitions, configs })?;
        self.put(topic);
        Ok(id)
    }

    /// Deletes a topic with everything in it.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, `KafkaStorageError`.
    pub(crate) fn delete(&self, name: &str) -> Result<(), ResponseError> {
        let mut changes = lock(&self.changes);
        let topic = self.topic(name)?;
        changes.write(self, &Change::Deleted { id: topic.id })?;
        self.topics.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        topic.partitions.iter().for_each(|partition| partition.wake());
        if let Err(error) = fs::remove_dir_all(topic.dir(&self.dir)) {
            tracing::warn!(topic = name, %error, "a deleted topic's files stay until the next start");
        }
        Ok(())
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, `InvalidPartitions` where it would not grow, `KafkaStorageError`.
    pub(crate) fn grow(&self, name: &str, partitions: usize) -> Result<(), ResponseError> {
        self.change(name, |topic| {
            let grown = Change::Grown { id: topic.id, partitions };
            if partitions > topic.partitions.len() {
                Ok(grown)
            } else {
                Err(ResponseError::InvalidPartitions)
            }
        })
    }

    /// Replaces a topic's settings by what `edit` makes of them.
    ///
    /// # Errors
    /// What `edit` says, `UnknownTopicOrPartition`, `KafkaStorageError`.
    pub(crate) fn configure(
        &self,
        name: &str,
        edit: impl FnOnce(&Configs) -> Result<Configs, ResponseError>,
    ) -> Result<(), ResponseError> {
        self.change(name, |topic| Ok(Change::Configured { id: topic.id, configs: edit(&topic.configs)? }))
    }

    /// Deletes the records of a partition before `offset`, -1 for all; answers with its first offset.
    ///
    /// # Errors
    /// `UnknownTopicOrPartition`, `OffsetOutOfRange`, `KafkaStorageError`.
    pub(crate) fn delete_records(&self, name: &str, number: i32, offset: i64) -> Result<i64, ResponseError> {
        let topic = self.topic(name)?;
        let partition = topic.partition(number)?;
        let (start, end) = partition.with(|log| Ok((log.start(), log.end())))?;
        let offset = if offset == -1 { end } else { offset };
        if offset < 0 || offset > end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if offset > start {
            let partition = usize::try_from(number).map_err(|_| ResponseError::UnknownTopicOrPartition)?;
            self.change(name, |topic| Ok(Change::Started { id: topic.id, partition, offset }))?;
        }
        partition.with(|log| {
            log.delete_before(offset)?;
            Ok(log.start())
        })
    }

    /// A producer id that was never given out.
    ///
    /// # Errors
    /// `KafkaStorageError`.
    pub(crate) fn new_producer_id(&self) -> Result<i64, ResponseError> {
        let mut changes = lock(&self.changes);
        if changes.next_producer_id >= changes.producer_ids_until {
            let until = changes.next_producer_id + PRODUCER_ID_BLOCK;
            changes.write(self, &Change::ProducerIds { until })?;
            changes.producer_ids_until = until;
        }
        changes.next_producer_id += 1;
        Ok(changes.next_producer_id - 1)
    }

    /// Deletes what no topic keeps any longer.
    pub(crate) fn enforce_retention(&self) {
        for topic in self.topics() {
            for (number, partition) in topic.partitions.iter().enumerate() {
                let done = partition.with(|log| Ok(log.enforce_retention(&topic.settings, now_ms())));
                if let Ok(Err(error)) = done {
                    tracing::warn!(topic = topic.name, partition = number, %error, "old records could not be deleted");
                }
            }
        }
    }

    fn change(
        &self,
        name: &str,
        what: impl FnOnce(&Topic) -> Result<Change, ResponseError>,
    ) -> Result<(), ResponseError> {
        let mut changes = lock(&self.changes);
        let topic = self.topic(name)?;
        let change = what(&topic)?;
        changes.write(self, &change)?;
        self.put(topic.changed(&self.dir, &change));
        Ok(())
    }

    fn put(&self, topic: Topic) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.insert(topic.name.clone(), Arc::new(topic));
    }

    /// The shortest journal that says what is now.
    fn snapshot(&self, producer_ids_until: i64) -> Vec<Change> {
        let mut all =
            vec![Change::Cluster { id: self.cluster_id }, Change::ProducerIds { until: producer_ids_until }];
        for topic in self.topics() {
            let (id, partitions) = (topic.id, topic.partitions.len());
            all.push(Change::Created {
                name: topic.name.clone(),
                id,
                partitions,
                configs: topic.configs.clone(),
            });
            for (partition, log) in topic.partitions.iter().enumerate() {
                let offset = log.start.load(Ordering::Relaxed);
                if offset > 0 {
                    all.push(Change::Started { id, partition, offset });
                }
            }
        }
        all
    }
}

impl Changes {
    fn write(&mut self, store: &Store, change: &Change) -> Result<(), ResponseError> {
        if self.journal.is_long() {
            // Before the new line, since the topics in memory do not have it yet.
            if let Err(error) = self.journal.rewrite(store.snapshot(self.producer_ids_until)) {
                tracing::warn!(%error, "the journal of topics stays long");
            }
        }
        self.journal.append(change).map_err(|error| storage("write the journal", &error))
    }
}

/// Every topic has a directory, and nothing is left of a deleted one.
fn agree(dir: &Path, topics: &BTreeMap<Uuid, Topic>) -> Result<(), Error> {
    let failed = |source| Error::io("tidy the directory", dir, source);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let id = entry.file_name().to_str().and_then(|name| Uuid::parse_str(name).ok());
        if id.is_some_and(|id| !topics.contains_key(&id)) {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    topics.values().try_for_each(|topic| fs::create_dir_all(topic.dir(dir))).map_err(failed)
}

fn storage(what: &str, error: &dyn std::fmt::Display) -> ResponseError {
    tracing::error!(%error, "the topics could not be changed: {what}");
    ResponseError::KafkaStorageError
}

/// A lock whose holder cannot have left half a change: what can fail comes before what is assigned.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
