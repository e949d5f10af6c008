//! Noise on the wire, a second broker on the same directory, and ports.

#[path = "common/raw.rs"]
mod raw;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kafka_protocol::messages::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tenantry_embedded_broker::{Broker, Error, Options};

use raw::{Raw, batch, frame};

static PANICS: AtomicUsize = AtomicUsize::new(0);

fn templates() -> Vec<Vec<u8>> {
    let part =
        produce_request::PartitionProduceData::default().with_records(Some(batch(&["a", "b"], Some(0))));
    let data = produce_request::TopicProduceData::default().with_partition_data(vec![part]);
    let fetch = fetch_request::FetchTopic::default().with_partitions(vec![Default::default(); 3]);
    let protocol = join_group_request::JoinGroupRequestProtocol::default();
    let join = JoinGroupRequest::default().with_protocols(vec![protocol; 2]).with_session_timeout_ms(6000);
    let topic =
        create_topics_request::CreatableTopic::default().with_num_partitions(1).with_replication_factor(1);
    let requests: [(ApiKey, i16, RequestKind); 8] = [
        (ApiKey::Produce, 9, ProduceRequest::default().with_topic_data(vec![data.clone()]).into()),
        (ApiKey::Produce, 8, ProduceRequest::default().with_topic_data(vec![data]).into()),
        (ApiKey::Fetch, 11, FetchRequest::default().with_topics(vec![fetch]).into()),
        (ApiKey::Metadata, 12, MetadataRequest::default().into()),
        (ApiKey::JoinGroup, 5, join.clone().into()),
        (ApiKey::JoinGroup, 9, join.into()),
        (ApiKey::CreateTopics, 5, CreateTopicsRequest::default().with_topics(vec![topic]).into()),
        (ApiKey::OffsetFetch, 7, OffsetFetchRequest::default().into()),
    ];
    requests.iter().map(|(key, version, request)| frame(*key, *version, request).to_vec()).collect()
}

fn noise(chance: &mut ChaCha8Rng, templates: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = match chance.random_range(0..4) {
        0 => (0..chance.random_range(0..200)).map(|_| chance.random()).collect(),
        _ => templates[chance.random_range(0..templates.len())].clone(),
    };
    match chance.random_range(0..3) {
        0 => bytes.truncate(chance.random_range(0..=bytes.len())),
        _ => {
            for _ in 0..chance.random_range(1..6) {
                if bytes.len() > 4 {
                    let at = chance.random_range(4..bytes.len());
                    bytes[at] = if chance.random() { chance.random() } else { 0xff };
                }
            }
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_and_torn_frames_end_connections_and_nothing_else() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(panic);
    }));
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts");
    let templates = templates();
    for _ in 0..2000 {
        let mut client = Raw::connect(broker.address()).await;
        for _ in 0..chance.random_range(1..4) {
            let sent = client.write(&noise(&mut chance, &templates)).await;
            if sent.is_err() {
                break;
            }
        }
        if chance.random_range(0..10) == 0 {
            drop(tokio::time::timeout(Duration::from_millis(1), client.read()).await);
        }
    }
    let mut client = Raw::connect(broker.address()).await;
    client.call(ApiKey::Metadata, 9, MetadataRequest::default()).await;
    broker.stop().await;
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    Broker::start(Options::new(dir.path())).await.expect("starts again").stop().await;
}

#[tokio::test]
async fn a_second_broker_on_the_same_directory_is_refused_until_the_first_has_stopped() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = Broker::start(Options::new(dir.path())).await.expect("starts");
    let refused = Broker::start(Options::new(dir.path())).await.expect_err("is refused");
    assert_eq!(refused.code(), "broker_locked");
    first.stop().await;
    Broker::start(Options::new(dir.path())).await.expect("starts").stop().await;
}

#[tokio::test]
async fn a_remembered_port_that_is_taken_gives_way_and_a_chosen_one_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts");
    let address = broker.address();
    broker.stop().await;
    let _taken = std::net::TcpListener::bind(address).expect("is free again");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts elsewhere");
    assert_ne!(broker.address(), address);
    assert!(broker.address().ip().is_loopback());
    broker.stop().await;
    let chosen = Options { port: address.port(), ..Options::new(dir.path()) };
    assert!(matches!(Broker::start(chosen).await, Err(Error::Listen { .. })));
}

#[tokio::test]
async fn a_dropped_broker_answers_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts");
    let mut client = Raw::connect(broker.address()).await;
    client.call(ApiKey::Metadata, 9, MetadataRequest::default()).await;
    drop(broker);
    assert!(client.read().await.is_none());
}
