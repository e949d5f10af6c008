//! The few things that the tests of the brokers do with a client.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

/// Long enough for anything that is going to happen.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("broker.address.family", "v4")
        .set("reconnect.backoff.max.ms", "500");
    config.set("enable.idempotence", "true").set("enable.auto.commit", "false").set("group.id", "none");
    config
}

pub(crate) fn producer(bootstrap: &str) -> FutureProducer {
    config(bootstrap).create().unwrap()
}

/// Makes a topic with one partition and waits until the metadata show its leader.
pub(crate) async fn make_topic(bootstrap: &str, name: &str, replicas: i32) {
    let admin: AdminClient<_> = config(bootstrap).create().unwrap();
    let made = admin
        .create_topics(&[NewTopic::new(name, 1, TopicReplication::Fixed(replicas))], &AdminOptions::new())
        .await
        .unwrap();
    assert_eq!(made, [Ok(name.to_owned())]);
    let end = Instant::now() + LONG;
    let has_leader = || {
        let found = admin.inner().fetch_metadata(Some(name), LONG).unwrap();
        found.topics()[0].partitions().iter().any(|partition| partition.leader() >= 0)
    };
    while !has_leader() {
        assert!(Instant::now() < end, "no leader");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn produce(producer: &FutureProducer, topic: &str, text: &str) {
    producer.send(FutureRecord::<(), str>::to(topic).payload(text).partition(0), LONG).await.unwrap();
}

pub(crate) fn read_all(bootstrap: &str, topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = config(bootstrap).create().unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&from).unwrap();
    let end = Instant::now() + LONG;
    let mut read = Vec::new();
    while read.len() < count && Instant::now() < end {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            read.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    read
}
