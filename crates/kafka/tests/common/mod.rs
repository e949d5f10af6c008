//! The world that the suite of the ports runs in: a broker at an address, and the clock on the wall.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod more;
mod raw;

use std::time::{Duration, SystemTime};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tenantry_contracts::{Time, Topic, WorkerName};
use tenantry_kafka::{Kafka, Options, ProducerKind, Reader, Start};
use tenantry_ports::conformance::bus::BusWorld;
use tenantry_ports::{Clock, Place};

/// The clock on the wall.
#[derive(Clone)]
pub(crate) struct Wall;

impl Clock for Wall {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        Time(i64::try_from(since.as_millis()).expect("in this era"))
    }

    async fn sleep_until(&self, at: Time) {
        let ms = at.since(self.now());
        tokio::time::sleep(Duration::from_millis(ms.try_into().unwrap_or(0))).await;
    }
}

/// A broker at an address.
pub(crate) struct World {
    pub(crate) options: Options,
    bus: Kafka,
}

impl World {
    pub(crate) fn new(brokers: String, producer: ProducerKind) -> Self {
        let options = Options { producer, ..Options::new(brokers, fresh("fleet")) };
        Self { bus: Kafka::new(options.clone()), options }
    }

    /// Makes an empty topic, and waits until it can be used.
    pub(crate) async fn make(&self, topic: &Topic, partitions: u16, replication: i32) {
        let settings = topic.settings();
        let (retention, size) = (settings.retention_ms.to_string(), settings.max_message_bytes.to_string());
        let name = topic.name();
        let new = NewTopic::new(&name, partitions.into(), TopicReplication::Fixed(replication))
            .set("retention.ms", &retention)
            .set("max.message.bytes", &size);
        let made = admin(&self.options).create_topics(&[new], &AdminOptions::new()).await;
        made.expect("the broker answers").remove(0).expect("the topic is made");
        // The answer comes before the brokers know of the topic; until they do it is missing, or has no leaders.
        let places: Vec<_> =
            (0..partitions).map(|partition| Place { topic: topic.clone(), partition }).collect();
        let until = Wall.now().plus(60_000);
        while let Err(error) = Reader::open(&self.options, places.clone(), Start::End).await {
            assert!(Wall.now() < until, "the topic cannot be used: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl BusWorld for World {
    type Bus = Kafka;
    type Clock = Wall;

    fn bus(&self) -> &Kafka {
        &self.bus
    }

    fn clock(&self) -> Wall {
        Wall
    }

    async fn topic(&self, partitions: u16) -> Topic {
        let topic = self.missing();
        self.make(&topic, partitions, 1).await;
        topic
    }

    fn missing(&self) -> Topic {
        Topic::Commands(WorkerName::read(fresh("w")))
    }

    fn group(&self) -> String {
        fresh("group")
    }
}

pub(crate) fn admin(options: &Options) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.brokers);
    config.create().expect("the settings are right")
}

/// A name that nobody used before.
pub(crate) fn fresh(what: &str) -> String {
    format!("{what}-{}", uuid::Uuid::new_v4().simple())
}

/// One test for each promise in `$from`, on the world that `$world` makes.
#[macro_export]
macro_rules! promises {
    ($world:path, $from:path: $($promise:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            use $from as from;
            from::$promise(&$world().await).await;
        }
    )*};
}

/// What both producers must do on both brokers.
#[macro_export]
macro_rules! saying_promises {
    ($world:path) => {
        $crate::promises!($world, tenantry_ports::conformance::bus:
            order_is_kept_and_nothing_is_doubled,
            acknowledgements_carry_the_offsets_in_order,
            what_was_said_comes_back_exactly,
            too_large_is_refused_and_the_producer_goes_on,
        );
        $crate::promises!($world, $crate::common::more:
            a_full_queue_gives_the_record_back,
            compressed_records_come_back,
            a_refusal_by_the_broker_is_not_persisted_and_spends_the_producer,
        );
    };
}

/// What both brokers must do.
#[macro_export]
macro_rules! hearing_promises {
    ($world:path) => {
        $crate::promises!($world, tenantry_ports::conformance::bus:
            what_was_not_stored_is_heard_again,
            reading_resumes_at_what_was_stored,
            nothing_is_heard_before_the_first_seek,
            a_seek_is_followed_by_the_new_generation_only,
            a_foreign_partition_cannot_be_sought,
            a_missing_topic_is_refused,
            paused_partitions_are_silent_and_miss_nothing,
            watermarks_and_records_are_seen_from_beside,
            members_share_lanes_whole,
            partitions_that_went_elsewhere_are_silent_and_nothing_is_missed,
            a_static_member_finds_its_partitions_again,
        );
        $crate::promises!($world, $crate::common::more:
            topics_are_made_checked_and_left_alone,
            a_reader_gives_what_is_there_and_then_what_comes,
            a_second_consumer_of_the_same_name_ends_the_first,
            a_static_member_that_leaves_is_gone,
            a_seek_behind_the_end_is_a_loss_not_a_reset,
            a_busy_consumer_hears_everything_later,
            a_header_whose_name_is_no_text_harms_nobody,
        );
    };
}
