//! Failures in the middle, lost answers, many at once.

use std::sync::Arc;

use deadpool_postgres::{Manager, Pool};
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::proxy::Proxy;
use tenantry_worker_database::{Database, MODULES, Migration, Module, prepare};
use tokio_postgres::{Config, NoTls};

use crate::world::{Tenants, made, schema};

const BROKEN: &[Migration] =
    &[Migration { version: 1, sql: "create table early (n int); select no_such_function()" }];
const MENDED: &[Migration] = &[Migration { version: 1, sql: "create table early (n int)" }];
const EDITED: &[Migration] = &[Migration { version: 1, sql: "create table early (n bigint)" }];

fn with_crm(migrations: &'static [Migration]) -> &'static [Module] {
    let house =
        MODULES.iter().map(|m| Module { name: m.name, required: m.required, migrations: m.migrations });
    house.chain([Module { name: "crm", required: true, migrations }]).collect::<Vec<_>>().leak()
}

#[tokio::test]
async fn a_failed_migration_stops_there_resumes_there_and_an_edited_one_is_refused() {
    let mut world = Tenants::new("resume").await;
    let tenant = Tenant::fresh();
    let ledger = format!("select module || version from {}.schema_ledger order by 1", schema(&tenant));
    for (token, migrations, outcome) in [(10, BROKEN, false), (11, MENDED, true), (12, EDITED, false)] {
        world.step = Database::with_modules(world.pool.clone(), with_crm(migrations));
        let answer = world.step.execute(&tenant.cx(token), &world.input(&tenant)).await;
        if outcome {
            assert_eq!(answer.unwrap().modules.last().unwrap().name, "crm");
        } else {
            let no = answer.unwrap_err();
            assert!(
                matches!(no, Trouble::No { code: Code::MigrationFailed, class: Class::Config, .. }),
                "{no}"
            );
            assert!(no.to_string().contains("migration 0001 of module crm"), "{no}");
        }
        let applied = world.texts(&ledger).await;
        assert_eq!(applied.contains(&"crm1".to_owned()), token > 10, "{applied:?}");
        assert!(applied.contains(&"auditing1".to_owned()));
    }
    world.step.compensate(&tenant.cx(20), &world.input(&tenant), None).await.unwrap();
    assert_eq!(world.remains(&tenant).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tenants_can_be_made_and_undone_and_prepared_for_at_once() {
    let world = Arc::new(Tenants::new("many").await);
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let world = Arc::clone(&world);
            tokio::spawn(async move {
                prepare(&world.pool).await.unwrap();
                let tenant = Tenant::fresh();
                made(&world, &tenant).await;
                if n % 2 == 0 {
                    world.step.compensate(&tenant.cx(20), &world.input(&tenant), None).await.unwrap();
                }
                (n, world.remains(&tenant).await.is_empty())
            })
        })
        .collect();
    for task in tasks {
        let (n, gone) = task.await.unwrap();
        assert_eq!(gone, n % 2 == 0);
    }
}

#[tokio::test]
async fn an_unreachable_postgresql_shakes_and_is_no_final_no() {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(1).user("nobody").dbname("nothing");
    let pool = Pool::builder(Manager::new(config, NoTls)).max_size(1).build().unwrap();
    let world = Tenants { step: Database::new(pool.clone()), pool, url: String::new() };
    let tenant = Tenant::fresh();
    let answer = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await;
    assert!(matches!(answer, Err(Trouble::Shaky(_))), "{answer:?}");
}

/// The step through a proxy that can lose answers; the world itself looks on directly.
async fn through_a_proxy(prefix: &str) -> (Tenants, Proxy) {
    let world = Tenants::new(prefix).await;
    let config: Config = world.url.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], config.get_ports()[0]).into()).await.unwrap();
    let mut through = Config::new();
    through.host("127.0.0.1").port(proxy.address().port()).dbname(config.get_dbname().unwrap());
    through.user(config.get_user().unwrap()).password(config.get_password().unwrap());
    let pool = Pool::builder(Manager::new(through, NoTls)).max_size(1).build().unwrap();
    (Tenants { step: Database::new(pool), ..world }, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_postgresql_that_is_lost_anywhere_shakes_and_the_repeat_finishes() {
    let (world, proxy) = through_a_proxy("lost").await;
    let mut lost = 0;
    // Steps of a prime, so that the cut falls before, inside and after the answers to commits.
    for bytes in (0..6000).step_by(421) {
        let tenant = Tenant::fresh();
        let input = world.input(&tenant);
        proxy.cut_reply_after(bytes);
        // What was armed hits the first try or a later one, or the undo.
        while let Err(trouble) = world.step.execute(&tenant.cx(10), &input).await {
            assert!(matches!(trouble, Trouble::Shaky(_)), "after {bytes} bytes: {trouble}");
            lost += 1;
            assert!(proxy.lost_replies() >= lost, "it shook with nothing lost");
        }
        let seen = loop {
            match world.step.observe(&tenant.cx(11), &input).await {
                Err(Trouble::Shaky(_)) if proxy.lost_replies() > lost => lost += 1,
                answer => break answer.unwrap(),
            }
        };
        assert_eq!(seen, Observed::Ours { differences: vec![] }, "after {bytes} bytes");
        proxy.cut_reply_after(bytes / 10);
        while let Err(trouble) = world.step.compensate(&tenant.cx(20), &input, None).await {
            assert!(matches!(trouble, Trouble::Shaky(_)), "the undo after {} bytes: {trouble}", bytes / 10);
            lost += 1;
            assert!(proxy.lost_replies() >= lost, "the undo shook with nothing lost");
        }
        assert_eq!(world.remains(&tenant).await, Vec::<String>::new(), "after {bytes} bytes");
    }
    assert!(lost > 10, "{lost} answers were lost");
}
