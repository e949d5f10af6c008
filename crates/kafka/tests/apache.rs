//! What a bus must do, on Apache Kafka.

mod common;

use common::World;
use tenantry_testkit::broker::Kind;

async fn world() -> World {
    World::new(Kind::Apache.shared().await)
}

all_promises!(world);

// The embedded broker has no transactions.
promises!(world, common::more: the_end_of_a_transaction_is_no_stall);
