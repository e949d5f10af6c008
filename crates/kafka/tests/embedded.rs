//! What a bus must do, on the embedded broker.

mod common;

use common::World;
use tenantry_testkit::broker::Kind;

async fn world() -> World {
    World::new(Kind::Embedded.shared().await)
}

all_promises!(world);
