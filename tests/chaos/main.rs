//! Chaos on real servers: 200 requests, 5% of which fail for good, while something is killed with signal 9.
//!
//! `cargo test -p tenantry-tests --test chaos`; `TENANTRY_CHAOS_KILLS` is how often each thing is killed (3), and
//! `TENANTRY_SEED` repeats the moments of a run that was printed.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tenantry_contracts::Topic;
use tenantry_contracts::WorkerName;
use tenantry_contracts::event::EventKind;
use tenantry_testkit::kafka::Kafka;
use tenantry_tests::harness::{Ground, Topics, Up, outcome, request};

const REQUESTS: usize = 200;
/// A final no at points of both workers before the pivot, some before anything was made and some after all of it:
/// together about 5% of the tenants, chosen by their slugs.
const FAULTS: &str = "validate.before-claims=no:1%:class:validation; validate.before-answer=no:1%; database.before-ddl=no:1%; \
                      database.before-answer=no:2%";
const PATIENCE: Duration = Duration::from_secs(300);

fn kills() -> usize {
    std::env::var("TENANTRY_CHAOS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn random(name: &str) -> ChaCha8Rng {
    let seed = std::env::var("TENANTRY_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("{name}: TENANTRY_SEED={seed} cargo test -p tenantry-tests --test chaos -- {name}");
    ChaCha8Rng::seed_from_u64(seed)
}

fn names() -> (Vec<String>, Vec<String>) {
    let slugs: Vec<String> = (0..REQUESTS).map(|n| format!("chaos-{n}")).collect();
    (slugs.iter().map(|slug| format!("id-of-{slug}")).collect(), slugs)
}

/// Publishes the `n`th part of the requests and waits for a moment of chance, so that every kill meets work of every age.
async fn burst(up: &Up, n: usize, random: &mut ChaCha8Rng) {
    let topics = Topics::of(&up.running);
    let (ids, slugs) = names();
    let (from, to) = (REQUESTS * n / kills(), REQUESTS * (n + 1) / kills());
    let records = (from..to)
        .map(|n| topics.binary(&ids[n], &slugs[n], &request(&slugs[n], &format!("Chaos {n}"))))
        .collect();
    topics.publish(records).await;
    tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
}

/// Every outcome right, nothing left, the audit whole, and a replay of everything changes no tenant.
async fn judge(up: &Up) {
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    let (ids, _) = names();
    let answers = topics.outcomes(&ids, PATIENCE).await;
    let count = |kind: EventKind| ids.iter().filter(|id| outcome(&answers, id) == Some(kind)).count();
    let (active, undone, refused) =
        (count(EventKind::Provisioned), count(EventKind::RolledBack), count(EventKind::Rejected));
    println!("{active} active, {undone} rolled back, {refused} rejected");
    assert_eq!(active + undone + refused, REQUESTS, "every request has one of the three outcomes");
    assert!(undone + refused >= 2, "the faults bit");
    assert!(active >= REQUESTS * 8 / 10, "only the chosen ones fail");
    ground.quiet(PATIENCE).await;
    ground.is_all_or_nothing().await;
    let states: Vec<String> = ground.tenants().await.into_values().map(|tenant| tenant.state).collect();
    assert_eq!(states.len(), REQUESTS, "each request made one tenant");
    assert_eq!(states.iter().filter(|state| *state == "ACTIVE").count(), active);

    let before = ground.tenants().await;
    let commands = ["validate", "database", "credentials"].map(|name| Topic::Commands(WorkerName::new(name)));
    topics
        .replay([Topic::Requests, Topic::Operations, Topic::Results].into_iter().chain(commands).collect())
        .await;
    ground.quiet(PATIENCE).await;
    assert_eq!(ground.tenants().await, before, "a replay of all topics changes no tenant");
    ground.is_all_or_nothing().await;

    let verified = up.run(&["audit", "verify"]);
    let said =
        String::from_utf8_lossy(&verified.stdout).into_owned() + &String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success(), "{said}");
    println!("{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_process_is_killed() {
    let mut random = random("the_whole_process_is_killed");
    let mut up = Up::start(FAULTS, &[]);
    for n in 0..kills() {
        burst(&up, n, &mut random).await;
        up.kill();
        up.start_again();
    }
    judge(&up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_killed() {
    let mut random = random("postgresql_is_killed");
    let mut up = Up::start(FAULTS, &[]);
    for n in 0..kills() {
        burst(&up, n, &mut random).await;
        up.kill_postgres();
        // The fleet goes on by itself, or says that it must be started again.
        tokio::time::sleep(Duration::from_secs(5)).await;
        if !up.lives() {
            up.start_again();
        }
    }
    judge(&up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_kafka_is_killed() {
    let mut random = random("apache_kafka_is_killed");
    let dir = tempfile::tempdir().expect("a folder for Kafka");
    let mut kafka = Kafka::start(dir.path()).await.expect("Apache Kafka");
    let bootstrap = kafka.bootstrap();
    let mut up = Up::start(FAULTS, &["--brokers", &bootstrap]);
    for n in 0..kills() {
        burst(&up, n, &mut random).await;
        kafka.kill();
        kafka.start_again().await.expect("Apache Kafka comes back");
        if !up.lives() {
            up.start_again();
        }
    }
    judge(&up).await;
}
