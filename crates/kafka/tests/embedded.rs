//! What a bus must do, on the embedded broker.

mod common;

use common::World;
use tenantry_kafka::ProducerKind;
use tenantry_testkit::broker::Kind;

async fn world() -> World {
    World::new(Kind::Embedded.shared().await, ProducerKind::Librdkafka)
}

async fn direct() -> World {
    World::new(Kind::Embedded.shared().await, ProducerKind::Direct)
}

saying_promises!(world);
hearing_promises!(world);

mod direct_producer {
    use super::direct;
    use crate::{common, promises, saying_promises};

    saying_promises!(direct);
    promises!(direct, common::more: a_request_carries_all_partitions_that_wait);
}
