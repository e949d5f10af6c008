//! A broker that is killed while records are said and heard: nothing acknowledged is lost, nothing is doubled, order is
//! kept, and producer and consumer go on by themselves.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::World;
use common::more::{numbers, outgoing, read_all};
use tempfile::TempDir;
use tenantry_contracts::Topic;
use tenantry_kafka::ProducerKind;
use tenantry_ports::conformance::bus::BusWorld;
use tenantry_ports::{Bus, Consumer, Delivery, Group, News, Place, Producer, Refused};
use tenantry_testkit::broker::{AnyBroker, Kind};
use tenantry_testkit::kafka::Kafka;

const EACH: usize = 6_000;
const KILLS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_may_be_killed() {
    kill(Kind::Embedded, ProducerKind::Librdkafka).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_may_be_killed_under_the_direct_producer() {
    kill(Kind::Embedded, ProducerKind::Direct).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_kafka_may_be_killed() {
    kill(Kind::Apache, ProducerKind::Librdkafka).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_kafka_may_be_killed_under_the_direct_producer() {
    kill(Kind::Apache, ProducerKind::Direct).await;
}

/// Of three brokers the one dies that leads a third of the partitions; the others take over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_may_be_killed_under_the_direct_producer() {
    const PARTITIONS: usize = 6;
    const ALL: usize = 60_000;
    let dir = TempDir::new().expect("a folder can be made");
    let mut cluster = Kafka::cluster(dir.path(), 3).await.expect("the brokers start");
    let world = World::new(cluster.bootstrap(), ProducerKind::Direct);
    let topic = world.missing();
    world.make(&topic, PARTITIONS as u16, 3).await;
    let places: Vec<_> =
        (0..PARTITIONS as u16).map(|partition| Place { topic: topic.clone(), partition }).collect();

    let mut producer = world.bus().producer().await.expect("a producer can be opened");
    let mut acked = BTreeMap::new();
    let mut next = 0;
    for kill in 0..3 {
        let until = (kill + 1) * ALL / 3;
        while acked.len() < until {
            // As many as are always under way, so that some are when the broker dies.
            next = fill(&mut producer, &places, next, (acked.len() + 5_000).min(ALL));
            note(producer.delivered().await, &mut acked);
        }
        match kill {
            0 => cluster.kill_node(0),
            1 => cluster.start_again().await.expect("the broker starts again"),
            _ => {}
        }
    }
    for (at, place) in places.iter().enumerate() {
        let said: Vec<_> = numbers(0..ALL).into_iter().skip(at).step_by(PARTITIONS).collect();
        assert!(read_all(&world, place).await == said, "{place:?}: lost, doubled or out of order");
        for (n, (_, offset)) in acked.iter().filter(|(tag, _)| **tag as usize % PARTITIONS == at).enumerate()
        {
            assert!(*offset == n as i64 || *offset == -1, "{place:?}: {offset} is not {n}");
        }
    }
}

/// A broker that says nothing for longer than an answer may take is asked again over a new connection; when it comes back
/// it finds both requests, and keeps one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_may_fall_silent_under_the_direct_producer() {
    const ALL: usize = 20_000;
    let dir = TempDir::new().expect("a folder can be made");
    let mut broker = Kafka::start(dir.path()).await.expect("the broker starts");
    let world = World::new(broker.bootstrap(), ProducerKind::Direct);
    let place = Place { topic: world.topic(1).await, partition: 0 };
    let places = std::slice::from_ref(&place);
    let mut producer = world.bus().producer().await.expect("a producer can be opened");
    let mut acked = BTreeMap::new();
    let mut next = fill(&mut producer, places, 0, ALL / 2);
    note(producer.delivered().await, &mut acked);
    broker.freeze(true).expect("it can be halted");
    next = fill(&mut producer, places, next, ALL);
    assert_eq!(next, ALL);
    tokio::time::sleep(std::time::Duration::from_secs(18)).await;
    broker.freeze(false).expect("it can go on");
    while acked.len() < ALL {
        note(producer.delivered().await, &mut acked);
    }
    assert!(read_all(&world, &place).await == numbers(0..ALL), "lost, doubled or out of order");
}

async fn kill(kind: Kind, producer: ProducerKind) {
    let dir = TempDir::new().expect("a folder can be made");
    let mut broker = AnyBroker::start(kind, dir.path()).await.expect("the broker starts");
    let world = World::new(broker.bootstrap(), producer);
    let topic = world.topic(2).await;
    let places = [0, 1].map(|partition| Place { topic: topic.clone(), partition });
    let ear = tokio::spawn(hear(World::new(broker.bootstrap(), producer), group(&world, &topic)));

    let mut producer = world.bus().producer().await.expect("a producer can be opened");
    let mut acked = BTreeMap::new();
    let mut next = 0;
    for round in 1..=KILLS + 1 {
        // The kill falls into the middle of what is under way.
        let (early, late) = ((round * 2 - 1) * 2 * EACH, round * 2 * 2 * EACH);
        let (early, late) = (early / (2 * KILLS + 2), late / (2 * KILLS + 2));
        while acked.len() < early {
            next = fill(&mut producer, &places, next, early);
            note(producer.delivered().await, &mut acked);
        }
        next = fill(&mut producer, &places, next, late);
        if round <= KILLS {
            broker.kill();
            broker.start_again().await.expect("the broker starts again");
        }
    }
    while acked.len() < 2 * EACH {
        next = fill(&mut producer, &places, next, 2 * EACH);
        note(producer.delivered().await, &mut acked);
    }

    for (at, place) in places.iter().enumerate() {
        assert!(read_all(&world, place).await == said(at), "{place:?}: lost, doubled or out of order");
        let offsets: Vec<_> =
            acked.iter().filter(|(tag, _)| **tag % 2 == at as u64).map(|(_, offset)| *offset).collect();
        // Where the broker knew a repeat already the offset may be unknown.
        assert!(offsets.iter().enumerate().all(|(n, offset)| *offset == n as i64 || *offset == -1));
    }
    let heard = tokio::time::timeout(std::time::Duration::from_secs(60), ear).await;
    let heard = heard.expect("it hears everything within a minute").expect("it does not panic");
    for (at, place) in places.iter().enumerate() {
        assert_eq!(heard[place].len(), said(at).len(), "{place:?}");
    }
}

/// What is said on the first and on the second partition: the even and the odd numbers.
fn said(at: usize) -> Vec<String> {
    numbers(0..2 * EACH).into_iter().skip(at).step_by(2).collect()
}

/// Queues numbers up to `end`, or until the queue is full.
fn fill(producer: &mut impl Producer, places: &[Place], mut next: usize, end: usize) -> usize {
    while next < end {
        match producer.send(outgoing(&places[next % places.len()], next as u64)) {
            Ok(()) => next += 1,
            Err(Refused::Full(_)) => break,
            Err(Refused::Never(_, why)) => panic!("the producer gave up: {why}"),
        }
    }
    next
}

fn note(reports: Vec<tenantry_ports::Delivered>, acked: &mut BTreeMap<u64, i64>) {
    for report in reports {
        let Delivery::Acked(offset) = report.delivery else { panic!("the producer gave up: {report:?}") };
        assert!(acked.insert(report.tag, offset).is_none(), "two reports on {}", report.tag);
    }
}

fn group(world: &World, topic: &Topic) -> Group {
    Group { id: world.group(), member: Some("one".into()), topics: vec![topic.clone()], resumes: true }
}

/// Hears until everything was heard, and stores what it heard. In order within each generation. A static member whose
/// join was answered by a broker that died right then is fenced by itself: it is lost, and joins again.
async fn hear(world: World, group: Group) -> BTreeMap<Place, BTreeSet<i64>> {
    let mut consumer = world.bus().consumer(group.clone()).await.expect("it joins");
    let mut heard: BTreeMap<Place, BTreeSet<i64>> = BTreeMap::new();
    let mut last: BTreeMap<Place, (u64, i64)> = BTreeMap::new();
    while heard.values().map(BTreeSet::len).sum::<usize>() < 2 * EACH {
        for news in consumer.news().await {
            match news {
                News::Heard(one) => {
                    let place = Place { topic: one.record.topic.clone(), partition: one.record.partition };
                    let now = (one.generation, one.record.offset);
                    let before = last.insert(place.clone(), now);
                    assert!(before.is_none_or(|before| before < now), "{now:?} after {before:?}");
                    consumer.store(&place, one.record.offset + 1);
                    heard.entry(place).or_default().insert(one.record.offset);
                }
                News::Lost(why) => {
                    assert!(why.contains("FencedInstanceId"), "the consumer was lost: {why}");
                    consumer = world.bus().consumer(group.clone()).await.expect("it joins again");
                    last.clear();
                    break;
                }
                News::Assigned(_) | News::Revoked(_) => {}
            }
        }
    }
    consumer.close(true).await;
    heard
}
