//! The pools as the file says: brought up to date, never taking away what is reserved.

use tenantry_contracts::Code;
use tenantry_contracts::steps::capacity::Input;
use tenantry_step::Step;
use tenantry_step::kit::Tenant;
use tenantry_worker_capacity::{Pools, prepare, unbalanced, usage};

use crate::world::{Capacity, input, pools, refusal};

const NAMED: &str = r#"{"regions": {
    "*": {"database": {"total": 100}, "storage": {"total": 100}, "compute": {"total": 1000}, "network": {"total": 100}},
    "eu-central-1": {"database": {"total": 7, "threshold_percent": 90}, "storage": {"total": 8},
                     "compute": {"total": 9}, "network": {"total": 10}}
}}"#;

#[tokio::test]
async fn a_named_region_has_its_own_totals_and_the_others_follow_the_star() {
    let world = Capacity::new("named", [10, 100, 1000, 10]).await;
    let there = Input { region: "us-east-1".to_owned(), ..input() };
    world.reserve.execute(&Tenant::fresh().cx(10), &input()).await.unwrap();
    world.reserve.execute(&Tenant::fresh().cx(10), &there).await.unwrap();
    prepare(&world.pool, &Pools::read("named.json", NAMED).unwrap()).await.unwrap();
    // Lowered under what is used: everything stays, and nothing more fits.
    assert_eq!(
        world.levels().await,
        [
            "database 1+0/7",
            "storage 10+0/8",
            "compute 100+0/9",
            "network 2+0/10",
            "database 1+0/100",
            "storage 10+0/100",
            "compute 100+0/1000",
            "network 2+0/100",
        ]
    );
    assert_eq!(usage(&world.pool).await.unwrap()[0].threshold_percent, 90);
    let (code, _, message) = refusal(world.reserve.execute(&Tenant::fresh().cx(10), &input()).await);
    assert_eq!(code, Code::CapacityInsufficient);
    assert!(message.contains("storage needs 10 of 0 left, compute needs 100 of 0 left"), "{message}");
    world.reserve.execute(&Tenant::fresh().cx(10), &there).await.unwrap();
    // Named no more, it follows the star again.
    prepare(&world.pool, &pools([10, 100, 1000, 10])).await.unwrap();
    assert_eq!(world.levels().await[1], "storage 10+0/100");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_prepared_for_at_once_while_tenants_reserve() {
    let world = std::sync::Arc::new(Capacity::new("at_once", [1000, 10_000, 100_000, 2000]).await);
    let tasks: Vec<_> = (0..24_u64)
        .map(|n| {
            let world = std::sync::Arc::clone(&world);
            tokio::spawn(async move {
                if n % 3 == 0 {
                    return prepare(&world.pool, &pools([1000, 10_000, 100_000, 2000 + n])).await;
                }
                let input = Input { region: format!("region-{}", n % 4), ..input() };
                world.reserve.execute(&Tenant::fresh().cx(10), &input).await.map(drop)
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let networks =
        world.texts("select distinct total::text from worker_capacity.pool where pool = 'network'").await;
    assert_eq!(networks.len(), 1, "every region follows the star: {networks:?}");
    world.levels().await;
}

#[tokio::test]
async fn a_sum_that_a_foreign_hand_changed_is_found() {
    let world = Capacity::new("foreign", [10, 100, 1000, 10]).await;
    world.reserve.execute(&Tenant::fresh().cx(10), &input()).await.unwrap();
    world
        .run("update worker_capacity.pool set used = used + 1 where pool = 'storage' and region <> '*'")
        .await;
    let found = unbalanced(&world.pool).await.unwrap();
    assert_eq!(found, ["eu-central-1/storage: 11 counted, 10 reserved"]);
}
