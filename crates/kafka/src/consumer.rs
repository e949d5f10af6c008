//! The consumer: takes what the poll thread put in, and says what it wants.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tenantry_contracts::Record;
use tenantry_ports::{BusError, Consumer, Group, News, Place};
use tokio::sync::oneshot;

use crate::client::{beside, caught, refused};
use crate::group::{self, Going, Membership, Shared};
use crate::options::Options;
use crate::probe::Probe;
use crate::watchdog;

/// How long [`Consumer::close`] waits; librdkafka has hung when it is put away (rust-rdkafka issue 509).
const CLOSE: Duration = Duration::from_secs(15);

/// A member of a group on Kafka.
pub struct KafkaConsumer {
    shared: Arc<Shared>,
    probe: Arc<Probe>,
    /// Resolves when the client was put away.
    gone: Option<oneshot::Receiver<()>>,
}

impl KafkaConsumer {
    /// Joins the group. Blocks for as long as the topics are looked up.
    pub(crate) fn join(options: &Options, group: &Group, probe: Arc<Probe>) -> Result<Self, BusError> {
        for topic in &group.topics {
            probe.partitions(topic)?;
        }
        let shared = Arc::new(Shared::default());
        let names: HashMap<_, _> = group.topics.iter().map(|topic| (topic.name(), topic.clone())).collect();
        let membership = Membership {
            shared: Arc::clone(&shared),
            topics: names.clone(),
            resumes: group.resumes,
            is_static: group.member.is_some(),
            rebalances: AtomicU64::new(0),
        };
        let mut consumer: BaseConsumer<Membership> =
            options
                .hearing(group)
                .create_with_context(membership)
                .map_err(|error| refused("bus_settings", error, "correct the Kafka properties"))?;
        let waker = Arc::clone(&shared);
        consumer.set_nonempty_callback(move || waker.stir());
        let names: Vec<&str> = names.keys().map(AsRef::as_ref).collect();
        consumer
            .subscribe(&names)
            .map_err(|error| refused("bus_subscribe", error, "see the topics' names"))?;

        let (done, gone) = oneshot::channel();
        let (looking, stalled) = (Arc::clone(&probe), options.stalled);
        let work = move || {
            let (stop, stopped) = mpsc::channel();
            let (polled, looking) = (&consumer, &looking);
            thread::scope(|scope| {
                let guard = thread::Builder::new().name("kafka-watchdog".into());
                let look = move || watchdog::run(polled, looking, stalled, &stopped);
                // Where no thread can be had the consumer still works; only its silence would go unseen.
                if let Err(error) = guard.spawn_scoped(scope, look) {
                    tracing::error!(target: "tenantry_kafka", %error, "no watchdog for this consumer");
                }
                if caught(|| group::run(polled)).is_none() {
                    let why = "bus_internal: the poll thread ended by a panic; open a new consumer, and report this";
                    polled.context().shared.lose(why.into());
                }
                drop(stop);
            });
            drop(consumer);
            let _ = done.send(());
        };
        thread::Builder::new()
            .name("kafka-group".into())
            .spawn(work)
            .map_err(|error| refused("bus_thread", error, "allow this process more threads"))?;
        Ok(Self { shared, probe, gone: Some(gone) })
    }
}

impl Consumer for KafkaConsumer {
    async fn news(&mut self) -> Vec<News> {
        loop {
            let (news, room) = {
                let mut slots = self.shared.slots();
                (slots.take(), slots.room())
            };
            if !news.is_empty() {
                self.shared.taken(room);
                return news;
            }
            self.shared.wake.notified().await;
        }
    }

    async fn seek(&mut self, place: &Place, offset: i64) -> Result<u64, BusError> {
        let generation = self.shared.slots().seek(place, offset)?;
        self.shared.stir();
        Ok(generation)
    }

    fn pause(&mut self, places: &[Place]) {
        self.shared.slots().pause(places, true);
    }

    fn resume(&mut self, places: &[Place]) {
        self.shared.slots().pause(places, false);
        self.shared.wake.notify_one();
    }

    fn store(&mut self, place: &Place, offset: i64) {
        self.shared.slots().store(place, offset);
    }

    async fn watermarks(&mut self, place: &Place) -> Result<(i64, i64), BusError> {
        let (probe, place) = (Arc::clone(&self.probe), place.clone());
        beside(move || probe.watermarks(&place)).await
    }

    async fn record_at(&mut self, place: &Place, offset: i64) -> Result<Option<Record>, BusError> {
        let (probe, place) = (Arc::clone(&self.probe), place.clone());
        beside(move || probe.record_at(&place, offset)).await
    }

    async fn close(mut self, leave: bool) {
        self.shared.go(if leave { Going::Leaves } else { Going::Drops });
        if let Some(gone) = self.gone.take()
            && tokio::time::timeout(CLOSE, gone).await.is_err()
        {
            tracing::warn!(target: "tenantry_kafka", "a consumer does not end; it is left to itself");
        }
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        if self.gone.is_some() {
            self.shared.go(Going::Drops);
        }
    }
}
