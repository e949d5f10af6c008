//! Setting aside: the kit, all or nothing, one notice for one crossing.

use tenantry_contracts::steps::capacity::{Input, Part};
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_worker_capacity::{RESERVE_POINTS, Reserve};

use crate::world::{Capacity, input, refusal, storing};

const PLENTY: [u64; 4] = [1000, 10_000, 100_000, 2000];

impl World for Capacity {
    type Step = Reserve;
    const POINTS: &'static [&'static str] = RESERVE_POINTS;

    fn step(&self) -> &Reserve {
        &self.reserve
    }

    fn input(&self, _: &Tenant) -> Input {
        input()
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        self.rows(tenant).await
    }

    async fn plant(&self, tenant: &Tenant) {
        Capacity::plant(self, tenant).await;
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        Capacity::planted_stands(self, tenant).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_and_leaves_the_sums_right() -> Result<(), Failure> {
    let world = Capacity::new("kit", PLENTY).await;
    kit::all(&world).await?;
    // The kit leaves some of its tenants made.
    let kept =
        world.texts("select count(*)::text from worker_capacity.reservation where region <> 'theirs'").await;
    assert_eq!(world.levels().await[0], format!("database {}+0/1000", kept[0]));
    Ok(())
}

#[tokio::test]
async fn the_parts_are_told_and_counted_and_free_again_after_the_undo() {
    let world = Capacity::new("parts", PLENTY).await;
    let tenant = Tenant::fresh();
    let reserved = world.reserve.execute(&tenant.cx(10), &input()).await.unwrap();
    let part = |pool: &str, amount| Part { pool: pool.to_owned(), amount };
    assert_eq!(
        reserved.parts,
        [part("database", 1), part("storage", 10), part("compute", 100), part("network", 2)]
    );
    assert_eq!(reserved.notices, []);
    let levels = world.levels().await;
    assert_eq!(
        levels,
        ["database 1+0/1000", "storage 10+0/10000", "compute 100+0/100000", "network 2+0/2000"]
    );
    world.reserve.compensate(&tenant.cx(20), &input(), Some(&reserved)).await.unwrap();
    assert!(world.levels().await.iter().all(|level| level.contains(" 0+0/")));
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_of_the_rest_is_kept() {
    let world = Capacity::new("short", [1000, 10_000, 99, 1]).await;
    let tenant = Tenant::fresh();
    let foreseen = world.reserve.foresee(&tenant.cx(5), &input()).await.unwrap_err();
    let refused = world.reserve.execute(&tenant.cx(10), &input()).await.unwrap_err();
    assert_eq!(foreseen, refused);
    assert!(matches!(&refused, Trouble::No { pointer: Some(at), .. } if at == "/requirements"));
    let (code, class, message) = refusal::<()>(Err(refused));
    assert_eq!((code, class), (Code::CapacityInsufficient, Class::Capacity));
    assert_eq!(
        message,
        "Insufficient resources: compute, network (region eu-central-1: compute needs 100 of 99 left, network \
         needs 2 of 1 left)"
    );
    // Not even the pools of a new region: nothing was reserved there.
    assert_eq!(world.levels().await, Vec::<String>::new());
    assert_eq!(world.reserve.observe(&tenant.cx(11), &input()).await.unwrap(), Observed::Absent);
    // After more capacity was added, the same question succeeds.
    tenantry_worker_capacity::prepare(&world.pool, &crate::world::pools(PLENTY)).await.unwrap();
    world.reserve.execute(&tenant.cx(11), &input()).await.unwrap();
}

#[tokio::test]
async fn a_third_part_that_fails_frees_the_first_two() {
    let world = Capacity::new("third", [1000, 10_000, 150, 2000]).await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    world.reserve.execute(&one.cx(10), &input()).await.unwrap();
    let before = world.levels().await;
    let (code, _, message) = refusal(world.reserve.execute(&two.cx(10), &input()).await);
    assert_eq!(code, Code::CapacityInsufficient);
    assert!(message.starts_with("Insufficient resources: compute ("), "{message}");
    assert_eq!(world.levels().await, before);
    assert_eq!(world.rows(&two).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_pool_that_comes_to_its_threshold_is_told_once_for_each_time() {
    let world = Capacity::new("threshold", [1000, 100, 100_000, 2000]).await;
    let tenants: Vec<_> = (0..3).map(|_| Tenant::fresh()).collect();
    let said = async |at: usize, token: i64, bytes: u64| {
        let reserved = world.reserve.execute(&tenants[at].cx(token), &storing(bytes)).await.unwrap();
        reserved.notices.into_iter().map(|notice| (notice.code, notice.message)).collect::<Vec<_>>()
    };
    let alert = |percent: u32| {
        let message = format!("pool storage of region eu-central-1 is {percent}% used (threshold 80%)");
        vec![(Code::CapacityLow, message)]
    };
    assert_eq!(said(0, 10, 79).await, []);
    let foreseen = world.reserve.foresee(&tenants[1].cx(5), &storing(10)).await.unwrap().unwrap();
    assert_eq!(said(1, 10, 10).await, alert(89));
    assert_eq!(foreseen.notices.len(), 1);
    // Above it already, so there is nothing new to say; but a repeat says what was said.
    assert_eq!(said(2, 10, 1).await, []);
    assert_eq!(said(1, 11, 10).await, alert(89));
    world.reserve.compensate(&tenants[1].cx(20), &storing(10), None).await.unwrap();
    // 80 of 100 is the threshold, and this one comes from 80.
    assert_eq!(said(1, 30, 5).await, []);
    world.reserve.compensate(&tenants[2].cx(20), &storing(1), None).await.unwrap();
    world.reserve.compensate(&tenants[1].cx(40), &storing(5), None).await.unwrap();
    assert_eq!(said(1, 50, 1).await, alert(80));
}

#[tokio::test]
async fn changed_needs_replace_what_was_held_and_may_move_to_another_region() {
    let world = Capacity::new("changed", [1000, 100, 100_000, 2000]).await;
    let tenant = Tenant::fresh();
    world.reserve.execute(&tenant.cx(10), &storing(60)).await.unwrap();
    let seen = world.reserve.observe(&tenant.cx(11), &storing(70)).await.unwrap();
    assert!(matches!(&seen, Observed::Ours { differences } if differences.len() == 1), "{seen:?}");
    // 60 are its own, so 100 fit.
    world.reserve.execute(&tenant.cx(11), &storing(100)).await.unwrap();
    assert_eq!(world.levels().await[1], "storage 100+0/100");
    assert_eq!(
        refusal(world.reserve.execute(&tenant.cx(12), &storing(101)).await).0,
        Code::CapacityInsufficient
    );
    assert_eq!(world.levels().await[1], "storage 100+0/100");
    let moved = Input { region: "us-east-1".to_owned(), ..storing(100) };
    world.reserve.execute(&tenant.cx(13), &moved).await.unwrap();
    let levels = world.levels().await;
    assert_eq!((levels[1].as_str(), levels[5].as_str()), ("storage 0+0/100", "storage 100+0/100"));
    world.reserve.compensate(&tenant.cx(20), &moved, None).await.unwrap();
    assert!(world.levels().await.iter().all(|level| level.contains(" 0+0/")));
}

#[tokio::test]
async fn the_star_is_no_region() {
    let world = Capacity::new("star", PLENTY).await;
    let star = Input { region: "*".to_owned(), ..input() };
    for answer in [
        world.reserve.execute(&Tenant::fresh().cx(10), &star).await.map(drop),
        world.reserve.foresee(&Tenant::fresh().cx(10), &star).await.map(drop),
    ] {
        assert_eq!(refusal(answer).0, Code::RegionUnknown);
    }
}
