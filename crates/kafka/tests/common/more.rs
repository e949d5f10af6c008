//! Promises of this crate beyond those of the ports, for both brokers.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tenantry_contracts::{Topic, WorkerName};
use tenantry_kafka::{Kafka, Options, Read, Reader, Start, topics};
use tenantry_ports::conformance::bus::BusWorld;
use tenantry_ports::{Bus, Consumer, Delivery, Group, News, Outgoing, Place, Producer, Refused};

use super::{World, admin, fresh, raw};

/// One topic of each way to be wrong is named; the others are made, and making them again changes nothing.
pub(crate) async fn topics_are_made_checked_and_left_alone(world: &World) {
    let options = &world.options;
    let workers = [WorkerName::read(fresh("w"))];
    let missing = topics::check(options, &workers).await.unwrap();
    assert!(missing.iter().all(|difference| difference.code == "topic_missing"));
    assert_eq!(missing.len(), Topic::all(&workers).len());
    assert!(topics::lanes(options).await.is_err());

    let wrong = Topic::Quarantine.name();
    let new = NewTopic::new(&wrong, 2, TopicReplication::Fixed(1))
        .set("retention.ms", "1000")
        .set("max.message.bytes", "1000000");
    admin(options).create_topics(&[new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();

    let report = topics::apply(options, &workers, 3, 1).await.unwrap();
    assert_eq!(report.made.len(), Topic::all(&workers).len() - 1);
    let codes: Vec<_> = report.differences.iter().map(|d| (d.topic.as_ref(), d.code)).collect();
    let want = [(&*wrong, "topic_partitions"), (&*wrong, "topic_retention"), (&*wrong, "topic_size")];
    assert_eq!(codes, want);
    assert_eq!(topics::lanes(options).await, Ok(3));
    assert_eq!(topics::check(options, &workers).await.unwrap(), report.differences);

    let again = topics::apply(options, &workers, 5, 1).await.unwrap();
    assert!(again.made.is_empty());
    let requests = again.differences.iter().find(|d| d.topic == "tenant.requests").unwrap();
    assert_eq!(requests.code, "topic_partitions");
    assert_eq!(topics::lanes(options).await, Ok(3), "partitions are never added");
    let later = [workers[0].clone(), WorkerName::read(fresh("later"))];
    let report = topics::apply(options, &later, 5, 1).await.unwrap();
    assert_eq!(report.made.len(), 2);
    let places = Reader::places(options, vec![report.made[0].clone()]).await.unwrap();
    assert_eq!(places.len(), 3, "what exists decides");
}

/// A reader gives all that was there, says so once, and then gives what comes.
pub(crate) async fn a_reader_gives_what_is_there_and_then_what_comes(world: &World) {
    let topics = [world.topic(2).await, world.topic(1).await, world.topic(1).await];
    let places = Reader::places(&world.options, topics.to_vec()).await.unwrap();
    assert_eq!(places.len(), 4);
    for place in &places[..3] {
        say(world, place, 0..1_500).await;
    }
    let mut reader = Reader::open(&world.options, places.clone(), Start::Earliest).await.unwrap();
    assert_eq!(reader.ends()[&places[0]], 1_500);
    assert_eq!(reader.ends()[&places[3]], 0);
    say(world, &places[1], 1_500..1_510).await;
    let mut read = BTreeMap::new();
    until_caught_up(&mut reader, &mut read).await;
    for place in &places[..3] {
        assert_eq!(read[place], numbers(0..1_500));
    }
    say(world, &places[3], 0..1).await;
    while !read.contains_key(&places[3]) || read[&places[1]].len() < 1_510 {
        let Read::Records(records) = reader.read().await.unwrap() else { panic!("caught up twice") };
        note(records, &mut read);
    }
    assert_eq!(read[&places[1]], numbers(0..1_510));

    let start = Start::At([(places[0].clone(), 1_490)].into());
    let mut reader = Reader::open(&world.options, places[..2].to_vec(), start).await.unwrap();
    let mut read = BTreeMap::new();
    until_caught_up(&mut reader, &mut read).await;
    assert_eq!(read[&places[0]], numbers(1_490..1_500));
    assert_eq!(read[&places[1]], numbers(0..1_510));
    let foreign = Place { partition: 7, ..places[0].clone() };
    assert!(Reader::open(&world.options, vec![foreign], Start::End).await.is_err());
}

/// Two consumers under one name: the older one is told that it is lost.
pub(crate) async fn a_second_consumer_of_the_same_name_ends_the_first(world: &World) {
    let topic = world.topic(1).await;
    let member = Some("same".to_string());
    let group = Group { id: world.group(), member, topics: vec![topic], resumes: true };
    let mut old = world.bus().consumer(group.clone()).await.unwrap();
    until(&mut old, |news| matches!(news, News::Assigned(_))).await;
    let mut new = world.bus().consumer(group).await.unwrap();
    until(&mut old, |news| matches!(news, News::Lost(_))).await;
    until(&mut new, |news| matches!(news, News::Assigned(_))).await;
    old.close(false).await;
    new.close(true).await;
}

/// A static member that leaves gives its partitions away at once, long before its session would end.
pub(crate) async fn a_static_member_that_leaves_is_gone(world: &World) {
    let topic = world.topic(1).await;
    let mut options = world.options.clone();
    options.session_timeout_ms = 300_000;
    let bus = Kafka::new(options);
    let id = world.group();
    let group = |member: &str| Group {
        id: id.clone(),
        member: Some(member.into()),
        topics: vec![topic.clone()],
        resumes: true,
    };
    let mut first = bus.consumer(group("first")).await.unwrap();
    until(&mut first, |news| matches!(news, News::Assigned(_))).await;
    first.close(true).await;
    let mut second = bus.consumer(group("second")).await.unwrap();
    until(&mut second, |news| matches!(news, News::Assigned(places) if !places.is_empty())).await;
    second.close(true).await;
}

/// A coordinator that seeks where nothing is kept is told so; it is never put somewhere else.
pub(crate) async fn a_seek_behind_the_end_is_a_loss_not_a_reset(world: &World) {
    let topic = world.topic(1).await;
    let place = Place { topic: topic.clone(), partition: 0 };
    say(world, &place, 0..10).await;
    let group = Group { id: world.group(), member: None, topics: vec![topic], resumes: false };
    let mut consumer = world.bus().consumer(group).await.unwrap();
    until(&mut consumer, |news| matches!(news, News::Assigned(_))).await;
    consumer.seek(&place, 1_000).await.unwrap();
    until(&mut consumer, |news| {
        assert!(!matches!(news, News::Heard(_)), "heard {news:?}");
        matches!(news, News::Lost(_))
    })
    .await;
    consumer.close(true).await;
}

/// A consumer that does not listen holds little, stays in its group, and then hears everything in order.
pub(crate) async fn a_busy_consumer_hears_everything_later(world: &World) {
    const EACH: usize = 30_000;
    let topic = world.topic(2).await;
    let places = [0, 1].map(|partition| Place { topic: topic.clone(), partition });
    let group = Group { id: world.group(), member: None, topics: vec![topic], resumes: true };
    let mut consumer = world.bus().consumer(group).await.unwrap();
    until(&mut consumer, |news| matches!(news, News::Assigned(_))).await;
    consumer.pause(&places[..1]);
    for place in &places {
        say(world, place, 0..EACH).await;
    }
    // Long enough for the queues to fill, and for full partitions to be taken out of fetching.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut read: BTreeMap<Place, Vec<String>> = BTreeMap::new();
    let mut paused = true;
    while read.values().map(Vec::len).sum::<usize>() < 2 * EACH {
        for news in consumer.news().await {
            match news {
                News::Heard(heard) => note(vec![heard.record], &mut read),
                other => panic!("{other:?}"),
            }
        }
        if paused && read[&places[1]].len() == EACH {
            assert!(!read.contains_key(&places[0]));
            consumer.resume(&places);
            paused = false;
        }
    }
    for place in &places {
        assert_eq!(read[place], numbers(0..EACH));
    }
    consumer.close(true).await;
}

/// A header whose name is not UTF-8, which the library underneath cannot show, is heard under a substitute.
pub(crate) async fn a_header_whose_name_is_no_text_harms_nobody(world: &World) {
    let topic = world.topic(1).await;
    let place = Place { topic: topic.clone(), partition: 0 };
    for (name, value) in [(b"good".as_slice(), b"0".as_slice()), (b"\xff\xfe", b"1"), (b"fine", b"2")] {
        let (address, place) = (world.options.brokers.clone(), place.clone());
        tokio::task::spawn_blocking(move || raw::produce(&address, &place, name, value)).await.unwrap();
    }
    let group = Group { id: world.group(), member: None, topics: vec![topic], resumes: true };
    let mut consumer = world.bus().consumer(group).await.unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3 {
        for news in consumer.news().await {
            match news {
                News::Heard(one) => heard.push((one.record.headers[0].0.clone(), one.record.value.unwrap())),
                other => assert!(matches!(other, News::Assigned(_)), "{other:?}"),
            }
        }
    }
    let want = [("good", "0"), ("\u{fffd}", "1"), ("fine", "2")];
    assert_eq!(heard, want.map(|(name, value)| (name.into(), Bytes::from(value))));
    consumer.close(true).await;
}

/// A full queue gives the record back; after a report there is room again, and nothing is lost.
pub(crate) async fn a_full_queue_gives_the_record_back(world: &World) {
    let topic = world.topic(1).await;
    let place = Place { topic, partition: 0 };
    let mut options = world.options.clone();
    options.properties.push(("queue.buffering.max.messages".into(), "10".into()));
    let mut producer = Kafka::new(options).producer().await.unwrap();
    let (mut full, mut acked) = (0, 0);
    for tag in 0..1_000 {
        let mut record = outgoing(&place, tag);
        while let Err(refused) = producer.send(record) {
            let Refused::Full(back) = refused else { panic!("{refused:?}") };
            assert_eq!(*back, outgoing(&place, tag));
            record = *back;
            full += 1;
            acked += producer.delivered().await.len();
        }
    }
    while acked < 1_000 {
        acked += producer.delivered().await.len();
    }
    assert!(full > 0, "the queue was never full");
    assert_eq!(read_all(world, &place).await, numbers(0..1_000));
}

/// However many partitions wait, they go in one request: here the first is under way while the others gather.
pub(crate) async fn a_request_carries_all_partitions_that_wait(world: &World) {
    const PARTITIONS: u16 = 12;
    let topic = world.topic(PARTITIONS).await;
    let places: Vec<_> = (0..PARTITIONS).map(|partition| Place { topic: topic.clone(), partition }).collect();
    let mut producer = world.bus().producer().await.unwrap();
    for round in 0..2 {
        let before = producer.requests().unwrap();
        for place in &places {
            for number in 0..10 {
                producer.send(outgoing(place, round * 10 + number)).unwrap();
            }
        }
        let mut waiting = 10 * usize::from(PARTITIONS);
        while waiting > 0 {
            waiting -= producer.delivered().await.len();
        }
        let made = producer.requests().unwrap() - before;
        assert!((1..=2).contains(&made), "{made} requests for {PARTITIONS} partitions");
    }
    for place in &places {
        assert_eq!(read_all(world, place).await, numbers(0..20));
    }
}

/// What is said compressed is heard as it was said.
pub(crate) async fn compressed_records_come_back(world: &World) {
    for compression in ["lz4", "zstd"] {
        let place = Place { topic: world.topic(1).await, partition: 0 };
        let options = Options { compression: compression.into(), ..world.options.clone() };
        say_on(&Kafka::new(options), &place, 0..1_000).await;
        assert_eq!(read_all(world, &place).await, numbers(0..1_000), "{compression}");
    }
}

/// What the broker refuses for good is named so; the producer is spent, and the next one works.
pub(crate) async fn a_refusal_by_the_broker_is_not_persisted_and_spends_the_producer(world: &World) {
    let topic = world.missing();
    let name = topic.name();
    // Smaller than the fleet makes it, so that the record is not refused here already.
    let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "2000");
    admin(&world.options).create_topics(&[new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let place = Place { topic, partition: 0 };
    while Reader::open(&world.options, vec![place.clone()], Start::End).await.is_err() {}
    let mut producer = world.bus().producer().await.unwrap();
    let large = Outgoing { value: Some(Bytes::from(vec![b'x'; 5_000])), ..outgoing(&place, 1) };
    producer.send(large).unwrap();
    let reports = producer.delivered().await;
    assert!(matches!(reports[0].delivery, Delivery::NotPersisted(_)), "{reports:?}");
    assert!(matches!(producer.send(outgoing(&place, 2)), Err(Refused::Never(..))));
    say(world, &place, 0..3).await;
    assert_eq!(read_all(world, &place).await, numbers(0..3));
}

/// Markers of transactions are offsets without a record: they are no stall.
pub(crate) async fn the_end_of_a_transaction_is_no_stall(world: &World) {
    let topic = world.topic(1).await;
    let place = Place { topic: topic.clone(), partition: 0 };
    let mut options = world.options.clone();
    options.stalled = Duration::from_millis(300);
    let group = Group { id: world.group(), member: None, topics: vec![topic], resumes: true };
    let mut consumer = Kafka::new(options).consumer(group).await.unwrap();
    until(&mut consumer, |news| matches!(news, News::Assigned(_))).await;
    let (brokers, name) = (world.options.brokers.clone(), place.topic.name());
    let said = move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("transactional.id", fresh("t"));
        let producer: BaseProducer = config.create().unwrap();
        let wait = Duration::from_secs(20);
        producer.init_transactions(wait).unwrap();
        for commit in [true, false] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<(), str>::to(&name).partition(0).payload("0")).unwrap();
            producer.flush(wait).unwrap();
            if commit { producer.commit_transaction(wait) } else { producer.abort_transaction(wait) }
                .unwrap();
        }
    };
    tokio::task::spawn_blocking(said).await.unwrap();
    until(&mut consumer, |news| matches!(news, News::Heard(_))).await;
    // The broker writes the last marker a moment after it answered.
    let marked = async { while consumer.watermarks(&place).await.unwrap() != (0, 4) {} };
    tokio::time::timeout(Duration::from_secs(60), marked).await.expect("the markers are written");
    let more = tokio::time::timeout(Duration::from_secs(3), consumer.news()).await;
    assert!(more.is_err(), "{more:?}");
    consumer.close(true).await;
}

async fn until(consumer: &mut impl Consumer, enough: impl Fn(&News) -> bool) {
    let listen = async { while !consumer.news().await.iter().any(&enough) {} };
    tokio::time::timeout(Duration::from_secs(60), listen).await.expect("it happens within a minute");
}

async fn until_caught_up(reader: &mut Reader, read: &mut BTreeMap<Place, Vec<String>>) {
    while let Read::Records(records) = reader.read().await.unwrap() {
        note(records, read);
    }
}

fn note(records: Vec<tenantry_contracts::Record>, read: &mut BTreeMap<Place, Vec<String>>) {
    for record in records {
        let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        read.entry(Place { topic: record.topic, partition: record.partition }).or_default().push(value);
    }
}

/// All values of a partition.
pub(crate) async fn read_all(world: &World, place: &Place) -> Vec<String> {
    let mut read = BTreeMap::new();
    let mut reader = Reader::open(&world.options, vec![place.clone()], Start::Earliest).await.unwrap();
    until_caught_up(&mut reader, &mut read).await;
    read.remove(place).unwrap_or_default()
}

/// Says the numbers on a place, and waits for all acknowledgements.
pub(crate) async fn say(world: &World, place: &Place, numbers: std::ops::Range<usize>) {
    say_on(world.bus(), place, numbers).await;
}

async fn say_on(bus: &Kafka, place: &Place, numbers: std::ops::Range<usize>) {
    let mut producer = bus.producer().await.unwrap();
    let mut waiting = numbers.len();
    for number in numbers {
        producer.send(outgoing(place, number as u64)).unwrap();
    }
    while waiting > 0 {
        for report in producer.delivered().await {
            assert!(matches!(report.delivery, Delivery::Acked(_)), "{report:?}");
            waiting -= 1;
        }
    }
}

/// The number as a record; it is the tag, too.
pub(crate) fn outgoing(place: &Place, number: u64) -> Outgoing {
    let value = Some(Bytes::from(number.to_string()));
    Outgoing { place: place.clone(), key: None, headers: vec![], value, tag: number }
}

/// The numbers as text.
pub(crate) fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}
