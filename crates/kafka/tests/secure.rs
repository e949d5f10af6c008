//! The direct producer behind TLS and SASL: whom it lets in, and whom it leaves out with a clear word.

mod common;

use std::time::Duration;

use common::World;
use common::more::{numbers, outgoing, read_all};
use tempfile::TempDir;
use tenantry_kafka::{Kafka, Options, ProducerKind};
use tenantry_ports::conformance::bus::BusWorld;
use tenantry_ports::{Bus, Delivered, Delivery, Place, Producer};
use tenantry_testkit::kafka;
use tenantry_testkit::kafka::secure::{PASSWORD, STRANGER, USER};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_go_through_tls_and_sasl() {
    let dir = TempDir::new().expect("a folder can be made");
    let broker = kafka::Kafka::secured(dir.path()).await.expect("the broker starts");
    let (address, root) = broker.secure().expect("it has a secure listener");
    let world = World::new(broker.bootstrap(), ProducerKind::Librdkafka);
    let place = Place { topic: world.topic(1).await, partition: 0 };
    let root = root.display().to_string();

    let mut said = 0;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let mut producer = producer(&address, &root, mechanism, USER, PASSWORD).await;
        for _ in 0..100 {
            producer.send(outgoing(&place, said)).expect("it is taken");
            said += 1;
        }
        let mut waiting = 100;
        while waiting > 0 {
            for report in soon(&mut producer).await.expect("a report comes") {
                assert!(matches!(report.delivery, Delivery::Acked(_)), "{mechanism}: {report:?}");
                waiting -= 1;
            }
        }
    }
    assert_eq!(read_all(&world, &place).await, numbers(0..300));

    // Who may not write is told so.
    let mut stranger = producer(&address, &root, "SCRAM-SHA-512", STRANGER, PASSWORD).await;
    stranger.send(outgoing(&place, 1)).expect("it is taken");
    let reports = soon(&mut stranger).await.expect("a report comes");
    assert!(
        matches!(&reports[0].delivery, Delivery::NotPersisted(why) if why.contains("Authorization")),
        "{reports:?}"
    );

    // Who is not let in waits: the password may be set right while the producer runs.
    let other = dir.path().join("other.pem").display().to_string();
    let certificate = std::fs::read_to_string(dir.path().join("server.pem")).expect("it is there");
    let own = certificate.split_inclusive("-----END CERTIFICATE-----").next().expect("the first of it");
    std::fs::write(&other, own).expect("it can be written");
    for (root, password) in [(&root, "wrong"), (&other, PASSWORD)] {
        let mut nobody = producer(&address, root, "SCRAM-SHA-512", USER, password).await;
        nobody.send(outgoing(&place, 1)).expect("it is taken");
        assert_eq!(soon(&mut nobody).await, None);
    }
    assert_eq!(read_all(&world, &place).await.len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_property_that_is_not_known_is_refused_when_it_opens() {
    let mut options = Options { producer: ProducerKind::Direct, ..Options::new("127.0.0.1:1", "f") };
    options.properties = vec![("ssl.cipher.suites".into(), "any".into())];
    let Err(error) = Kafka::new(options).producer().await else { panic!("it is taken") };
    assert!(error.0.starts_with("bus_settings") && error.0.contains("ssl.cipher.suites"), "{error}");
}

async fn producer(
    address: &str,
    root: &str,
    mechanism: &str,
    user: &str,
    password: &str,
) -> impl Producer + use<> {
    let mut options = Options { producer: ProducerKind::Direct, ..Options::new(address, "secure") };
    options.properties = [
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.location", root),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    Kafka::new(options).producer().await.expect("the settings are right")
}

/// The next reports, if there are any soon.
async fn soon(producer: &mut impl Producer) -> Option<Vec<Delivered>> {
    tokio::time::timeout(Duration::from_secs(5), producer.delivered()).await.ok()
}
