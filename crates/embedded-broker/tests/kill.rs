//! kill -9 of a broker in the middle of acknowledged produce: nothing is lost, nothing is doubled.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message, Offset, TopicPartitionList};

use common::{PATIENCE, Process, consumer_config, create_topic, held, poll_until, producer_config, take};

const KILLS: usize = 5;
const SENDERS: i32 = 16;
const PARTITIONS: i32 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn five_kills_during_acknowledged_produce_lose_and_double_nothing() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let mut broker = Process::start(dir.path());
    let address = broker.address.clone();
    create_topic(&address, "hard", PARTITIONS, &[("segment.bytes", "1048576")]).await;

    let producer: FutureProducer = producer_config(&address).create().expect("a producer");
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> =
        (0..SENDERS).map(|sender| tokio::spawn(send(producer.clone(), sender, stop.clone()))).collect();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(chance.random_range(200..1500))).await;
        broker.kill();
        broker = Process::start(dir.path());
        assert_eq!(broker.address, address, "the port is the one of the last run");
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = HashMap::new();
    for sender in senders {
        acknowledged.extend(sender.await.expect("the sender ended well"));
    }
    println!("{} acknowledged records", acknowledged.len());
    assert!(acknowledged.len() > 100, "too few records for a proof");

    let consumer: BaseConsumer = consumer_config(&address, "proof").create().expect("a consumer");
    let mut all = TopicPartitionList::new();
    let mut stored = 0;
    for partition in 0..PARTITIONS {
        let (low, high) = consumer.fetch_watermarks("hard", partition, PATIENCE).expect("watermarks");
        assert_eq!(low, 0);
        stored += usize::try_from(high).expect("positive");
        all.add_partition_offset("hard", partition, Offset::Beginning).expect("legal");
    }
    assert_eq!(
        stored,
        acknowledged.len(),
        "every send was awaited, so as many are stored as were acknowledged"
    );
    consumer.assign(&all).expect("assigned");
    let mut found = HashMap::new();
    for message in take(&consumer, stored) {
        let text = String::from_utf8(message.payload().expect("a payload").to_vec()).expect("text");
        let place = (message.partition(), message.offset());
        assert_eq!(found.insert(text.clone(), place), None, "{text} is stored twice");
    }
    assert_eq!(found, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_find_together_again_after_a_kill_and_resume_where_they_committed() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Process::start(dir.path());
    let address = broker.address.clone();
    create_topic(&address, "work", PARTITIONS, &[]).await;
    let member = |instance: &str| -> BaseConsumer {
        let mut config = consumer_config(&address, "workers");
        let consumer: BaseConsumer = config.set("group.instance.id", instance).create().expect("a consumer");
        consumer.subscribe(&["work"]).expect("subscribed");
        consumer
    };
    let (one, two) = (member("one"), member("two"));
    let shared = || held(&one).len() == 2 && held(&two).len() == 2;
    poll_until(&[&one, &two], "both hold two partitions", shared);
    let mut offsets = TopicPartitionList::new();
    for partition in held(&one) {
        offsets.add_partition_offset("work", partition, Offset::Offset(0)).expect("legal");
    }
    one.commit(&offsets, CommitMode::Sync).expect("committed");
    broker.kill();
    let _broker = Process::start(dir.path());
    // Whoever has not noticed yet still holds its old part: the new generation takes commits from both.
    let committed = || {
        let commits = [&one, &two].map(|consumer| {
            let mut offsets = TopicPartitionList::new();
            for partition in held(consumer) {
                offsets.add_partition_offset("work", partition, Offset::Offset(0)).expect("legal");
            }
            consumer.commit(&offsets, CommitMode::Sync).is_ok()
        });
        shared() && commits == [true, true]
    };
    let until = Instant::now() + PATIENCE;
    while !committed() {
        assert!(Instant::now() < until, "the group did not find together again");
        for consumer in [&one, &two] {
            // That the broker was gone for a moment is reported here, and is no failure.
            drop(consumer.poll(Duration::from_millis(20)));
        }
    }
    let mut all = [held(&one), held(&two)].concat();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
}

/// Sends one record after the other, each when the last one is acknowledged; answers with where they are.
async fn send(producer: FutureProducer, sender: i32, stop: Arc<AtomicBool>) -> Vec<(String, (i32, i64))> {
    let mut sent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let payload = format!("{sender}-{}-{}", sent.len(), "x".repeat(300));
        let record = FutureRecord::<str, _>::to("hard").payload(&payload).partition(sender % PARTITIONS);
        let delivery =
            producer.send(record, PATIENCE).await.expect("delivered, for a gapless producer never gives up");
        sent.push((payload, (delivery.partition, delivery.offset)));
    }
    sent
}
