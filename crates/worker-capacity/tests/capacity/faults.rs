//! Many at once, broken connections, frozen workers.

use std::sync::Arc;

use deadpool_postgres::{Manager, Pool};
use tenantry_contracts::Code;
use tenantry_contracts::steps::capacity::Reserved;
use tenantry_step::kit::Tenant;
use tenantry_step::{Answer, Cx, Observed, Point, Points, Step, Trouble};
use tenantry_testkit::proxy::Proxy;
use tenantry_worker_capacity::{Commit, Reserve};
use tokio::task::JoinHandle;
use tokio_postgres::{Config, NoTls};

use crate::world::{Capacity, input, refusal};

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_reservations_at_once_on_a_pool_for_twenty_exactly_twenty_succeed() {
    let world = Arc::new(Capacity::new("fifty", [1000, 209, 100_000, 2000]).await);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                let tenant = Tenant::fresh();
                (world.reserve.execute(&tenant.cx(10), &input()).await, tenant)
            })
        })
        .collect();
    let (mut won, mut notices) = (Vec::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            (Ok(reserved), tenant) => {
                notices += reserved.notices.len();
                won.push(tenant);
            }
            (answer, _) => assert_eq!(refusal(answer).0, Code::CapacityInsufficient),
        }
    }
    assert_eq!((won.len(), notices), (20, 1));
    let levels = world.levels().await;
    assert_eq!(
        levels,
        ["database 20+0/1000", "storage 200+0/209", "compute 2000+0/100000", "network 40+0/2000"]
    );
    let undone: Vec<_> = won
        .into_iter()
        .map(|tenant| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.reserve.compensate(&tenant.cx(20), &input(), None).await })
        })
        .collect();
    for task in undone {
        task.await.unwrap().unwrap();
    }
    assert!(world.levels().await.iter().all(|level| level.contains(" 0+0/")));
}

struct HangAt(&'static str);

impl Points for HangAt {
    fn at(&self, _: &Cx, name: &'static str) -> Point {
        if name == self.0 { Point::Hang } else { Point::Pass }
    }
}

/// Starts a reservation that freezes between the sums and its row. It holds the locks of the region's pools from then on.
async fn freeze(world: &Arc<Capacity>, tenant: &Tenant) -> JoinHandle<Answer<Reserved>> {
    let cx = tenant.cx_at(10, Arc::new(HangAt("capacity.half-reserved")));
    let task = {
        let world = Arc::clone(world);
        tokio::spawn(async move { world.reserve.execute(&cx, &input()).await })
    };
    while world.texts(&format!("select pid::text {IDLES}")).await.is_empty() {
        tokio::task::yield_now().await;
    }
    task
}

const IDLES: &str =
    "from pg_stat_activity where datname = current_database() and state = 'idle in transaction'
                     and query like '%set used%'";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_connection_breaks_between_the_sums_and_the_reservation_leaves_nothing() {
    let world = Arc::new(Capacity::new("dies", [1000, 10_000, 100_000, 2000]).await);
    let (victim, other) = (Tenant::fresh(), Tenant::fresh());
    let doomed = freeze(&world, &victim).await;
    let killed = world.texts(&format!("select pg_terminate_backend(pid)::text {IDLES}")).await;
    assert_eq!(killed, ["true"]);
    world.reserve.execute(&other.cx(10), &input()).await.unwrap();
    doomed.abort();
    assert!(doomed.await.unwrap_err().is_cancelled());
    assert_eq!(world.rows(&victim).await, Vec::<String>::new());
    assert_eq!(world.levels().await[1], "storage 10+0/10000");
    world.reserve.execute(&victim.cx(10), &input()).await.unwrap();
    assert_eq!(world.levels().await[1], "storage 20+0/10000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_holds_up_its_region_for_seconds_and_not_for_its_whole_question() {
    let world = Arc::new(Capacity::new("frozen", [1000, 10_000, 100_000, 2000]).await);
    let (mut frozen, mut other) = (Tenant::fresh(), Tenant::fresh());
    (frozen.limit_ms, other.limit_ms) = (60_000, 20_000);
    let task = freeze(&world, &frozen).await;
    world.reserve.execute(&other.cx(10), &input()).await.unwrap();
    task.abort();
    assert_eq!(world.levels().await[1], "storage 10+0/10000");
    assert_eq!(world.rows(&frozen).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_postgresql_that_is_lost_anywhere_shakes_and_the_repeat_counts_once() {
    let world = Capacity::new("lost", [1000, 10_000, 100_000, 2000]).await;
    let config: Config = world.url.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], config.get_ports()[0]).into()).await.unwrap();
    let mut through = Config::new();
    through.host("127.0.0.1").port(proxy.address().port()).dbname(config.get_dbname().unwrap());
    through.user(config.get_user().unwrap()).password(config.get_password().unwrap());
    let pool = Pool::builder(Manager::new(through, NoTls)).max_size(1).build().unwrap();
    let (reserve, commit) = (Reserve::new(pool.clone()), Commit::new(pool));
    let mut lost = 0;
    let mut shook = |trouble: Trouble| {
        assert!(matches!(trouble, Trouble::Shaky(_)), "{trouble}");
        lost += 1;
        assert!(proxy.lost_replies() >= lost, "it shook with nothing lost");
    };
    // Steps of a prime, so that the cut falls before, inside and after the answers to commits.
    for bytes in (0..2500).step_by(101) {
        let tenant = Tenant::fresh();
        proxy.cut_reply_after(bytes);
        while let Err(trouble) = reserve.execute(&tenant.cx(10), &input()).await {
            shook(trouble);
        }
        while let Err(trouble) = commit.execute(&tenant.cx(11), &input()).await {
            shook(trouble);
        }
        assert_eq!(world.levels().await[1], "storage 0+10/10000", "after {bytes} bytes");
        let seen = world.commit.observe(&tenant.cx(12), &input()).await.unwrap();
        assert_eq!(seen, Observed::Ours { differences: vec![] }, "after {bytes} bytes");
        proxy.cut_reply_after(bytes / 3);
        while let Err(trouble) = reserve.compensate(&tenant.cx(20), &input(), None).await {
            shook(trouble);
        }
        assert_eq!(world.rows(&tenant).await, Vec::<String>::new(), "after {bytes} bytes");
        assert_eq!(world.levels().await[1], "storage 0+0/10000", "after {bytes} bytes");
    }
    assert!(lost > 10, "{lost} answers were lost");
}
