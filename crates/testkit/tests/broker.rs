//! Both brokers through the same value: the address stays, and acknowledged records outlive a stop and a kill.
#![allow(missing_docs, clippy::unwrap_used)]

mod clients;

use tenantry_testkit::broker::{AnyBroker, Kind};

use self::clients::{make_topic, produce, producer, read_all};

#[tokio::test]
async fn either_broker_keeps_its_address_and_what_it_acknowledged() {
    for kind in Kind::ALL {
        let dir = tempfile::tempdir().unwrap();
        let mut broker = AnyBroker::start(kind, dir.path()).await.unwrap();
        assert_eq!(broker.kind(), kind);
        let bootstrap = broker.bootstrap();
        make_topic(&bootstrap, "t", 1).await;
        let producer = producer(&bootstrap);
        produce(&producer, "t", "one").await;
        broker.kill();
        broker.start_again().await.unwrap();
        produce(&producer, "t", "two").await;
        broker.stop().await.unwrap();
        broker.start_again().await.unwrap();
        produce(&producer, "t", "three").await;
        assert_eq!(broker.bootstrap(), bootstrap);
        assert_eq!(read_all(&bootstrap, "t", 3), ["one", "two", "three"], "{kind:?}");
    }
}

#[test]
fn a_shared_broker_outlives_the_runtime_that_started_it() {
    for kind in Kind::ALL {
        let run = |topic: &'static str| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let bootstrap = kind.shared().await;
                make_topic(&bootstrap, topic, 1).await;
                produce(&producer(&bootstrap), topic, topic).await;
                assert_eq!(read_all(&bootstrap, topic, 1), [topic], "{kind:?}");
                bootstrap
            })
        };
        assert_eq!(run("first"), run("second"));
    }
}
