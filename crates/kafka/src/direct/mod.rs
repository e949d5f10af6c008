//! A producer of our own: one request for each broker carries all partitions that wait.
//!
//! librdkafka sends one partition in a request, and what costs most is the number of requests. So this one speaks the
//! protocol itself, for the one thing that the fleet needs: idempotent records for explicit partitions, acknowledged by
//! all replicas. It never gives up by itself. [`core`] decides, as plain data; [`driver`] carries out, on one task;
//! [`wire`] is one connection.

mod batch;
mod core;
mod driver;
mod sasl;
mod settings;
mod shape;
mod tls;
mod verdict;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tenantry_ports::{BusError, Delivered, Delivery, Outgoing, Refused};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::core::Said;
use self::settings::Settings;
use crate::delivery::Reports;
use crate::options::Options;

/// A producer that speaks to the brokers itself.
pub(crate) struct DirectProducer {
    shared: Arc<Shared>,
    task: AbortHandle,
    most_records: usize,
    most_bytes: usize,
}

/// What the producer and its task share.
#[derive(Default)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    reports: Reports,
    /// Something was said.
    said: Notify,
    /// Requests with records, so far.
    requests: AtomicU64,
}

/// What was said and is not reported yet.
#[derive(Default)]
struct Queue {
    /// Of these, what the task has not taken yet.
    waiting: Vec<Said>,
    records: usize,
    bytes: usize,
    /// Why nothing can be sent any more.
    spent: Option<String>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what was said, for room in which more can be said.
    fn take(&self, room: &mut Vec<Said>) {
        std::mem::swap(&mut self.queue().waiting, room);
    }

    /// Reports. Whoever hears of a report finds the room that it gave back. With `end` no more records are taken, and it
    /// is what there is to say of those that the task had not taken.
    fn tell(&self, mut reports: Vec<Delivered>, bytes: usize, end: Option<Delivery>) {
        if reports.is_empty() && end.is_none() {
            return;
        }
        let mut queue = self.queue();
        queue.records = queue.records.saturating_sub(reports.len());
        queue.bytes = queue.bytes.saturating_sub(bytes);
        if let Some(delivery) = end {
            let report = |said: Said| Delivered { tag: said.record.tag, delivery: delivery.clone() };
            reports.extend(queue.waiting.drain(..).map(report));
            if let Delivery::PossiblyPersisted(why) | Delivery::NotPersisted(why) = delivery {
                queue.spent.get_or_insert(why);
            }
        }
        drop(queue);
        if !reports.is_empty() {
            self.reports.extend(reports);
        }
    }
}

impl DirectProducer {
    /// Does not connect yet. The task is spawned on the current runtime.
    pub(crate) fn open(options: &Options) -> Result<Self, BusError> {
        let settings = Arc::new(Settings::read(options)?);
        let shared = Arc::new(Shared::default());
        let (most_records, most_bytes) = (settings.most_records, settings.most_bytes);
        let task = tokio::spawn(driver::run(settings, Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, task, most_records, most_bytes })
    }

    /// Queues a record of so many bytes, which its topic takes.
    pub(crate) fn send(&mut self, record: Outgoing, bytes: usize) -> Result<(), Refused> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = i64::try_from(time.as_millis()).unwrap_or_default();
        let mut queue = self.shared.queue();
        if let Some(why) = &queue.spent {
            let why = format!("bus_refused: {why}; open a new producer");
            return Err(Refused::Never(Box::new(record), why));
        }
        if queue.records + 1 > self.most_records || queue.bytes + bytes > self.most_bytes {
            // A queue that is full with nothing in it is smaller than the record.
            return Err(match queue.records {
                0 => Refused::Never(
                    Box::new(record),
                    "too_large: it is larger than the queue; make it larger".into(),
                ),
                _ => Refused::Full(Box::new(record)),
            });
        }
        queue.records += 1;
        queue.bytes += bytes;
        queue.waiting.push(Said { record, time, bytes });
        let first = queue.waiting.len() == 1;
        drop(queue);
        // One wake for many: the task takes all.
        if first {
            self.shared.said.notify_one();
        }
        Ok(())
    }

    pub(crate) async fn delivered(&mut self) -> Vec<Delivered> {
        self.shared.reports.take().await
    }

    /// How many requests with records were made.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for DirectProducer {
    /// What is not reported is given up where it stands, as with librdkafka.
    fn drop(&mut self) {
        self.task.abort();
    }
}
