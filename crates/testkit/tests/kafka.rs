//! Apache Kafka as the test kit runs it: acknowledged records outlive `kill -9`, and three nodes outlive one.
#![allow(missing_docs, clippy::unwrap_used)]

mod clients;

use std::time::Duration;

use tenantry_testkit::kafka::Kafka;

use self::clients::{make_topic, produce, producer, read_all};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_and_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut kafka = Kafka::start(dir.path()).await.unwrap();
    let bootstrap = kafka.bootstrap();
    make_topic(&bootstrap, "t", 1).await;
    let producer = producer(&bootstrap);
    produce(&producer, "t", "one").await;
    kafka.kill();
    kafka.start_again().await.unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    produce(&producer, "t", "two").await;
    kafka.stop().await.unwrap();
    kafka.start_again().await.unwrap();
    produce(&producer, "t", "three").await;
    assert_eq!(read_all(&bootstrap, "t", 3), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_frozen_broker_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut kafka = Kafka::start(dir.path()).await.unwrap();
    make_topic(&kafka.bootstrap(), "t", 1).await;
    let producer = producer(&kafka.bootstrap());
    produce(&producer, "t", "one").await;
    kafka.freeze(true).unwrap();
    let waiting = tokio::spawn({
        let producer = producer.clone();
        async move { produce(&producer, "t", "two").await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "a halted broker has answered");
    kafka.freeze(false).unwrap();
    waiting.await.unwrap();
    assert_eq!(read_all(&kafka.bootstrap(), "t", 2), ["one", "two"]);
}

#[tokio::test]
async fn three_nodes_go_on_without_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut kafka = Kafka::cluster(dir.path(), 3).await.unwrap();
    make_topic(&kafka.bootstrap(), "t", 3).await;
    let producer = producer(&kafka.bootstrap());
    produce(&producer, "t", "one").await;
    kafka.kill_node(0);
    produce(&producer, "t", "two").await;
    kafka.start_again().await.unwrap();
    produce(&producer, "t", "three").await;
    assert_eq!(read_all(&kafka.bootstrap(), "t", 3), ["one", "two", "three"]);
}

#[tokio::test]
async fn the_shared_broker_is_one_for_the_process() {
    let (one, two) = tokio::join!(Kafka::shared(), Kafka::shared());
    assert!(std::ptr::eq(one, two));
    make_topic(&one.bootstrap(), "shared", 1).await;
}
