//! A topic and its partitions, as the handlers of requests use them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use uuid::Uuid;

use crate::batch;
use crate::log::Log;
use crate::settings::{Configs, Settings};
use crate::store::{lock, now_ms};

/// One partition. Its log is opened, and its newest file read, when somebody first needs it.
pub(crate) struct Partition {
    dir: PathBuf,
    /// First offset that was not deleted by request.
    pub(crate) start: AtomicI64,
    log: Mutex<Option<Log>>,
}

/// A topic as it is at one moment; a change makes a new value that shares the partitions.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) configs: Configs,
    pub(crate) settings: Settings,
    pub(crate) partitions: Vec<Arc<Partition>>,
}

impl Partition {
    pub(crate) fn new(topic_dir: &Path, number: usize, start: i64) -> Arc<Partition> {
        Arc::new(Partition {
            dir: topic_dir.join(number.to_string()),
            start: AtomicI64::new(start),
            log: Mutex::default(),
        })
    }

    /// Works on the log, which is opened if need be.
    ///
    /// # Errors
    /// What `work` returns, and `KafkaStorageError` where the log cannot be opened.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Log) -> Result<T, ResponseError>,
    ) -> Result<T, ResponseError> {
        let mut log = lock(&self.log);
        if log.is_none() {
            let opened =
                Log::open(self.dir.clone(), self.start.load(Ordering::Relaxed)).map_err(|error| {
                    tracing::error!(path = %self.dir.display(), %error, "the log could not be opened");
                    ResponseError::KafkaStorageError
                })?;
            *log = Some(opened);
        }
        log.as_mut().map_or(Err(ResponseError::KafkaStorageError), work)
    }

    /// Checks and stores one batch; answers with its first offset and the log's first offset.
    pub(crate) fn append(&self, records: &Bytes, settings: &Settings) -> Result<(i64, i64), ResponseError> {
        let header = batch::accept(records)?;
        self.with(|log| Ok((log.append(header, records, settings, now_ms())?, log.start())))
    }

    pub(crate) fn wake(&self) {
        if let Some(log) = lock(&self.log).as_mut() {
            log.wake();
        }
    }
}

impl Topic {
    pub(crate) fn new(dir: &Path, name: String, id: Uuid, partitions: usize, configs: Configs) -> Topic {
        let dir = dir.join(id.to_string());
        let partitions = (0..partitions).map(|number| Partition::new(&dir, number, 0)).collect();
        Topic { name, id, settings: Settings::of(&configs), configs, partitions }
    }

    pub(crate) fn dir(&self, store: &Path) -> PathBuf {
        store.join(self.id.to_string())
    }

    pub(crate) fn partition(&self, number: i32) -> Result<&Arc<Partition>, ResponseError> {
        let number = usize::try_from(number).ok();
        number.and_then(|number| self.partitions.get(number)).ok_or(ResponseError::UnknownTopicOrPartition)
    }
}
