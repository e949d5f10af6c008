//! Owners of lanes that die, share, or are doubled by mistake, on a real PostgreSQL and on both brokers: real coordinators
//! over the real bus and store, and a real worker.
//!
//! `cargo test -p tenantry-tests --test lanes`; `TENANTRY_SEED` repeats a run that was printed.

#![allow(clippy::print_stdout)] // Seeds, and what a run came to.

mod bent;
mod ground;
mod judge;
mod work;

use std::collections::BTreeSet;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tenantry_testkit::broker::Kind;
use tokio::sync::Mutex;

use ground::{Ground, LANES, PATIENCE, until};
use judge::{judge, tenants};

/// One story at a time: two brokers and their fleets beside each other only make each other late.
static ONE: Mutex<()> = Mutex::const_new(());

/// How long a double run lasts at most.
const DOUBLE: Duration = Duration::from_secs(60);
const NEVER: u64 = u64::MAX;

fn slugs(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("tenant-{n}")).collect()
}

fn random(name: &str) -> ChaCha8Rng {
    let seed = std::env::var("TENANTRY_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("{name}: TENANTRY_SEED={seed} cargo test -p tenantry-tests --test lanes -- {name}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn all_lanes() -> BTreeSet<u16> {
    (0..LANES).collect()
}

/// The first owner says some records, of sagas of every age, then nothing any more, while it hears, decides and commits
/// on. The second one has its member id, as the same process started again.
async fn what_the_dead_committed_is_said_by_the_next(kind: Kind, name: &str) {
    let _one = ONE.lock().await;
    let dumb_after = random(name).random_range(1..150);
    println!("dumb after {dumb_after} records");
    let ground = Ground::new(kind).await;
    let first = ground.owner("owner", "", dumb_after).await;
    let loud = slugs(0, 24);
    let mut ids = ground.publish(&loud).await;
    until("the first owner goes dumb", async || first.spy.is_dumb()).await;
    let unsaid = slugs(24, 48);
    let unsaid_ids = ground.publish(&unsaid).await;
    until("the dumb owner commits all tenants", async || tenants(&ground).await.len() == 48).await;
    let lanes = ground.store.lanes().await.expect("the lanes");
    assert!(lanes.iter().all(|lane| lane.n > lane.spoken), "every lane has rows that nobody said: {lanes:?}");
    first.kill().await;
    let answers = ground.topics.answers().await;
    assert!(unsaid_ids.iter().all(|id| !answers.contains_key(id)), "they were committed, and not said");

    let second = ground.owner("owner", "", NEVER).await;
    ids.extend(unsaid_ids);
    ground.topics.outcomes(&ids, PATIENCE).await;
    second.stop().await;
    let report = judge(&ground, &slugs(0, 48)).await;
    println!("{} records of {} chains, {} repeats", report.records, report.chains, report.repeats);
    ground.close().await;
}

/// Two owners in different groups both hold every lane, hear everything and decide everything.
async fn a_double_run_hurts_nothing(kind: Kind) {
    let _one = ONE.lock().await;
    let ground = Ground::new(kind).await;
    let (one, other) =
        (ground.owner("owner", ".one", NEVER).await, ground.owner("owner", ".other", NEVER).await);
    until("both hold all lanes", async || one.spy.held() == all_lanes() && other.spy.held() == all_lanes())
        .await;
    let mut ids = ground.publish(&slugs(0, 100)).await;
    // That nothing is harmed is promised, not that two who take the lanes from each other get far: so at most this long.
    let all = tokio::time::timeout(DOUBLE, ground.topics.outcomes(&ids, PATIENCE)).await;
    assert!(all.is_ok(), "two owners shut each other out, but not for ever: all ends although both run");
    let raised: i64 = ground.store.lanes().await.expect("the lanes").iter().map(|lane| lane.epoch).sum();
    assert!(raised > 2 * i64::from(LANES), "the loser of a batch took its lane over again: {raised}");

    one.stop().await;
    // The other one is alone now; as long as a lane of its is being taken over, its requests wait.
    let more = slugs(100, 120);
    let homes: BTreeSet<u16> = more.iter().map(|slug| ground.topics.home(slug)).collect();
    assert_eq!(homes, all_lanes(), "every lane is asked for something");
    ids.extend(ground.publish(&more).await);
    ground.topics.outcomes(&ids, PATIENCE).await;
    other.stop().await;
    let report = judge(&ground, &slugs(0, 120)).await;
    println!("{} records, {} repeats, {raised} take-overs", report.records, report.repeats);
    ground.close().await;
}

/// Two owners in one group share the lanes; one dies amid its work, and the group gives its lanes to the other.
async fn the_living_take_the_lanes_of_the_dead(kind: Kind, name: &str) {
    let _one = ONE.lock().await;
    let dies_after = random(name).random_range(1..200);
    println!("one dies after {dies_after} records");
    let ground = Ground::new(kind).await;
    let (one, other) = (ground.owner("one", "", NEVER).await, ground.owner("other", "", NEVER).await);
    until("each holds some lanes, and together they hold all", async || {
        let (one, other) = (one.spy.held(), other.spy.held());
        !one.is_empty() && !other.is_empty() && one.is_disjoint(&other) && &one | &other == all_lanes()
    })
    .await;
    let mut ids = ground.publish(&slugs(0, 60)).await;
    until("one has said enough", async || one.spy.said() >= dies_after).await;
    one.kill().await;
    ids.extend(ground.publish(&slugs(60, 100)).await);
    until("the other one holds all lanes", async || other.spy.held() == all_lanes()).await;
    ground.topics.outcomes(&ids, PATIENCE).await;
    assert!(other.spy.said() > 0, "both worked");
    other.stop().await;
    let report = judge(&ground, &slugs(0, 100)).await;
    println!("{} records of {} chains, {} repeats", report.records, report.chains, report.repeats);
    ground.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dead_committed_is_said_by_the_next_on_the_embedded_broker() {
    let name = "what_the_dead_committed_is_said_by_the_next_on_the_embedded_broker";
    what_the_dead_committed_is_said_by_the_next(Kind::Embedded, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dead_committed_is_said_by_the_next_on_apache_kafka() {
    let name = "what_the_dead_committed_is_said_by_the_next_on_apache_kafka";
    what_the_dead_committed_is_said_by_the_next(Kind::Apache, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_run_hurts_nothing_on_the_embedded_broker() {
    a_double_run_hurts_nothing(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_run_hurts_nothing_on_apache_kafka() {
    a_double_run_hurts_nothing(Kind::Apache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_living_take_the_lanes_of_the_dead_on_the_embedded_broker() {
    let name = "the_living_take_the_lanes_of_the_dead_on_the_embedded_broker";
    the_living_take_the_lanes_of_the_dead(Kind::Embedded, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_living_take_the_lanes_of_the_dead_on_apache_kafka() {
    let name = "the_living_take_the_lanes_of_the_dead_on_apache_kafka";
    the_living_take_the_lanes_of_the_dead(Kind::Apache, name).await;
}
