//! The broker under the client that the fleet uses.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use rdkafka::admin::{
    AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};
use tenantry_embedded_broker::{Broker, Options};

use common::{
    PATIENCE, admin, config, consumer_config, create_topic, held, poll_until, producer_config, take,
};

async fn broker() -> (Broker, String, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("the broker starts");
    let address = broker.address().to_string();
    (broker, address, dir)
}

/// Sends `count` numbered records round the partitions and waits for all; answers with where each went.
async fn produce(address: &str, topic: &str, partitions: i32, count: i32) -> Vec<(i32, i64)> {
    let producer: FutureProducer = producer_config(address).create().expect("a producer");
    let sends = (0..count).map(|number| {
        let (producer, payload) = (producer.clone(), number.to_string());
        async move {
            let record = FutureRecord::<str, _>::to(topic).payload(&payload).partition(number % partitions);
            let delivery = producer.send(record, PATIENCE).await.expect("delivered");
            (delivery.partition, delivery.offset)
        }
    });
    join_all(sends).await
}

fn number(message: &impl Message) -> i32 {
    let payload = message.payload().expect("a payload");
    str::from_utf8(payload).expect("text").parse().expect("a number")
}

fn from_start(address: &str, topic: &str, partitions: i32) -> BaseConsumer {
    let consumer: BaseConsumer = consumer_config(address, "reader").create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning).expect("legal");
    }
    consumer.assign(&all).expect("assigned");
    consumer
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_thousand_idempotent_records_come_back_once_and_in_order() {
    let (broker, address, _dir) = broker().await;
    create_topic(&address, "many", 4, &[]).await;
    let places = produce(&address, "many", 4, 20_000).await;
    let messages = take(&from_start(&address, "many", 4), 20_000);
    let mut next = [0; 4];
    for message in &messages {
        let at = usize::try_from(message.partition()).expect("small");
        assert_eq!(message.offset(), next[at]);
        assert_eq!(
            places[usize::try_from(number(message)).expect("small")],
            (message.partition(), message.offset())
        );
        next[at] += 1;
    }
    assert_eq!(next, [5000; 4]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_codec_the_client_has_passes_through_unopened() {
    let (_broker, address, _dir) = broker().await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        create_topic(&address, codec, 1, &[]).await;
        let mut config = producer_config(&address);
        let producer: FutureProducer =
            config.set("compression.type", codec).set("linger.ms", "20").create().expect("a producer");
        let payload = "aaaaaaaa".repeat(100);
        join_all(
            (0..100).map(|_| producer.send(FutureRecord::<str, _>::to(codec).payload(&payload), PATIENCE)),
        )
        .await
        .into_iter()
        .for_each(|sent| assert!(sent.is_ok(), "{codec}: {sent:?}"));
        let messages = take(&from_start(&address, codec, 1), 100);
        assert!(messages.iter().all(|message| message.payload() == Some(payload.as_bytes())));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_static_members_share_a_topic_and_the_second_inherits_when_the_first_goes() {
    let (_broker, address, _dir) = broker().await;
    create_topic(&address, "shared", 4, &[]).await;
    let member = |instance: &str| -> BaseConsumer {
        let mut config = consumer_config(&address, "pair");
        let consumer: BaseConsumer = config.set("group.instance.id", instance).create().expect("a consumer");
        consumer.subscribe(&["shared"]).expect("subscribed");
        consumer
    };
    let (one, two) = (member("one"), member("two"));
    poll_until(&[&one, &two], "both hold two partitions", || held(&one).len() == 2 && held(&two).len() == 2);
    let mut all = [held(&one), held(&two)].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);

    // A restart within the session gets the same part back, and the other member is not disturbed.
    let (before, undisturbed) = (held(&one), held(&two));
    drop(one);
    let one = member("one");
    poll_until(&[&one, &two], "the restarted member has its part again", || held(&one) == before);
    assert_eq!(held(&two), undisturbed);

    // A static member that stays away loses its part when its session ends.
    drop(one);
    poll_until(&[&two], "the other has everything", || held(&two) == [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_is_replaced_at_once_and_one_that_is_added_gets_its_share() {
    let (_broker, address, _dir) = broker().await;
    create_topic(&address, "shared", 3, &[]).await;
    let member = || -> BaseConsumer {
        let consumer: BaseConsumer = consumer_config(&address, "crowd").create().expect("a consumer");
        consumer.subscribe(&["shared"]).expect("subscribed");
        consumer
    };
    let one = member();
    poll_until(&[&one], "the first has everything", || held(&one) == [0, 1, 2]);
    let two = member();
    poll_until(&[&one, &two], "both have some", || {
        held(&one).len() + held(&two).len() == 3 && !held(&two).is_empty()
    });
    two.unsubscribe();
    poll_until(&[&one, &two], "the first has everything again", || held(&one) == [0, 1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_offsets_with_their_metadata_survive_a_restart_and_a_member_resumes_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts");
    let address = broker.address().to_string();
    create_topic(&address, "resume", 1, &[]).await;
    produce(&address, "resume", 1, 100).await;
    let consumer: BaseConsumer = consumer_config(&address, "tab\tand\nnewline").create().expect("a consumer");
    consumer.subscribe(&["resume"]).expect("subscribed");
    take(&consumer, 10);
    let mut offsets = TopicPartitionList::new();
    let mut one = offsets.add_partition("resume", 0);
    one.set_offset(Offset::Offset(42)).expect("legal");
    one.set_metadata("a\tb\nc");
    consumer.commit(&offsets, CommitMode::Sync).expect("committed");
    drop(consumer);
    broker.stop().await;

    let broker = Broker::start(Options::new(dir.path())).await.expect("starts again");
    assert_eq!(broker.address().to_string(), address, "the port is the one of the last run");
    let consumer: BaseConsumer = consumer_config(&address, "tab\tand\nnewline").create().expect("a consumer");
    consumer.subscribe(&["resume"]).expect("subscribed");
    let first = take(&consumer, 1).remove(0);
    assert_eq!((first.offset(), number(&first)), (42, 42));
    let committed = consumer.committed(PATIENCE).expect("committed offsets");
    let found = committed.find_partition("resume", 0).expect("the partition");
    assert_eq!((found.offset(), found.metadata()), (Offset::Offset(42), "a\tb\nc"));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_seeks_by_offset_and_by_time_and_sees_watermarks() {
    let (_broker, address, _dir) = broker().await;
    create_topic(&address, "timed", 1, &[]).await;
    let producer: FutureProducer = producer_config(&address).create().expect("a producer");
    for number in 0..50i64 {
        let payload = number.to_string();
        let record =
            FutureRecord::<str, _>::to("timed").payload(&payload).timestamp(1_000_000 + number * 1000);
        producer.send(record, PATIENCE).await.expect("delivered");
    }
    let consumer = from_start(&address, "timed", 1);
    take(&consumer, 50);
    consumer.seek("timed", 0, Offset::Offset(33), PATIENCE).expect("sought");
    assert_eq!(number(&take(&consumer, 1)[0]), 33);
    assert_eq!(consumer.fetch_watermarks("timed", 0, PATIENCE).expect("watermarks"), (0, 50));
    let found = consumer.offsets_for_timestamp(1_020_500, PATIENCE).expect("offsets");
    assert_eq!(found.find_partition("timed", 0).expect("there").offset(), Offset::Offset(21));
    let found = consumer.offsets_for_timestamp(9_000_000, PATIENCE).expect("offsets");
    assert_eq!(found.find_partition("timed", 0).expect("there").offset(), Offset::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_deleted_by_request_stay_deleted_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts");
    let address = broker.address().to_string();
    create_topic(&address, "cut", 1, &[]).await;
    produce(&address, "cut", 1, 100).await;
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("cut", 0, Offset::Offset(60)).expect("legal");
    admin(&address).delete_records(&offsets, &AdminOptions::new()).await.expect("deleted");
    broker.stop().await;
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts again");
    let consumer = from_start(&address, "cut", 1);
    assert_eq!(consumer.fetch_watermarks("cut", 0, PATIENCE).expect("watermarks"), (60, 100));
    assert_eq!(number(&take(&consumer, 1)[0]), 60);
    // Out of range: the client's reset policy applies.
    consumer.seek("cut", 0, Offset::Offset(5), PATIENCE).expect("sought");
    assert_eq!(number(&take(&consumer, 1)[0]), 60);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_checked_grown_configured_and_deleted() {
    let (_broker, address, _dir) = broker().await;
    let (admin, options) = (admin(&address), AdminOptions::new());
    let topic = |name, partitions| NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let dry = AdminOptions::new().validate_only(true);
    let dry = admin.create_topics([&topic("dry", 1)], &dry).await.expect("an answer");
    assert_eq!(dry, [Ok("dry".to_owned())]);
    create_topic(&address, "real", 2, &[("max.message.bytes", "2000"), ("cleanup.policy", "compact")]).await;
    let wrong = [
        topic("real", 1),
        topic("a b", 1),
        topic("none", 0),
        NewTopic::new("three", 1, TopicReplication::Fixed(3)),
        topic("unknown-setting", 1).set("retention.msec", "1"),
        topic("illegal-value", 1).set("retention.ms", "soon"),
    ];
    let codes: Vec<RDKafkaErrorCode> = admin
        .create_topics(&wrong, &options)
        .await
        .expect("an answer")
        .into_iter()
        .map(|result| result.expect_err("is refused").1)
        .collect();
    assert_eq!(
        codes,
        [
            RDKafkaErrorCode::TopicAlreadyExists,
            RDKafkaErrorCode::InvalidTopic,
            RDKafkaErrorCode::InvalidPartitions,
            RDKafkaErrorCode::InvalidReplicationFactor,
            RDKafkaErrorCode::InvalidConfig,
            RDKafkaErrorCode::InvalidConfig,
        ]
    );

    admin.create_partitions([&NewPartitions::new("real", 5)], &options).await.expect("an answer")[0]
        .as_ref()
        .expect("grown");
    let consumer: BaseConsumer = config(&address).create().expect("a client");
    let metadata = consumer.fetch_metadata(None, PATIENCE).expect("metadata");
    let topics: BTreeMap<_, _> = metadata.topics().iter().map(|t| (t.name(), t.partitions().len())).collect();
    assert_eq!(topics, BTreeMap::from([("real", 5)]));

    let resource = ResourceSpecifier::Topic("real");
    admin
        .alter_configs([&AlterConfig::new(resource).set("max.message.bytes", "3000")], &options)
        .await
        .expect("an answer")[0]
        .as_ref()
        .expect("altered");
    let described =
        admin.describe_configs([&resource], &options).await.expect("an answer").remove(0).expect("there");
    let value = |name: &str| described.get(name).and_then(|entry| entry.value.clone());
    assert_eq!(value("max.message.bytes").as_deref(), Some("3000"));
    assert_eq!(value("cleanup.policy").as_deref(), Some("delete"));

    let producer: FutureProducer = producer_config(&address).create().expect("a producer");
    let large = "x".repeat(4000);
    let refused = producer.send(FutureRecord::<str, _>::to("real").payload(&large), PATIENCE).await;
    let refused = refused.expect_err("is too large").0;
    assert_eq!(refused, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));

    assert_eq!(admin.delete_topics(&["real"], &options).await.expect("an answer"), [Ok("real".to_owned())]);
    assert!(consumer.fetch_metadata(None, PATIENCE).expect("metadata").topics().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_described_and_deleted_when_nobody_is_in_them() {
    let (_broker, address, _dir) = broker().await;
    create_topic(&address, "watched", 1, &[]).await;
    produce(&address, "watched", 1, 1).await;
    let consumer: BaseConsumer = consumer_config(&address, "watchers").create().expect("a consumer");
    consumer.subscribe(&["watched"]).expect("subscribed");
    take(&consumer, 1);
    consumer.commit_consumer_state(CommitMode::Sync).expect("committed");
    let (admin, options) = (admin(&address), AdminOptions::new());
    let list = || consumer.fetch_group_list(Some("watchers"), PATIENCE).expect("a list");
    let groups = list();
    assert_eq!((groups.groups()[0].state(), groups.groups()[0].members().len()), ("Stable", 1));
    let busy = admin.delete_groups(&["watchers"], &options).await.expect("an answer");
    assert_eq!(busy[0].as_ref().expect_err("is busy").1, RDKafkaErrorCode::NonEmptyGroup);
    consumer.unsubscribe();
    poll_until(&[&consumer], "the group is empty", || list().groups()[0].state() == "Empty");
    assert!(admin.delete_groups(&["watchers"], &options).await.expect("an answer")[0].is_ok());
    assert!(list().groups().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_is_woken_by_the_record_it_waits_for() {
    let (_broker, address, _dir) = broker().await;
    create_topic(&address, "woken", 1, &[]).await;
    let mut config = consumer_config(&address, "sleeper");
    // Longer than the patience of this test: only a wake-up can bring the record.
    let consumer: BaseConsumer = config.set("fetch.wait.max.ms", "290000").create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    all.add_partition_offset("woken", 0, Offset::Beginning).expect("legal");
    consumer.assign(&all).expect("assigned");
    assert!(consumer.poll(Duration::from_millis(700)).is_none());
    for round in 0..20 {
        produce(&address, "woken", 1, 1).await;
        assert_eq!(take(&consumer, 1)[0].offset(), round);
    }
}
