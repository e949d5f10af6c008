//! Failures in the middle, lost answers, many at once.

use std::marker::PhantomData;
use std::sync::Arc;

use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::postgres::Databases;
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::proxy::Proxy;
use tenantry_worker_database::{Database, MODULES, Migration, Module, prepare};
use tokio_postgres::{Config, NoTls};

use crate::world::{Of, OwnDatabase, PooledRls, Schema, Strategy, Tenants, made, pool, schema};

macro_rules! keyed {
    ($then:literal) => {
        &[Migration {
            version: 1,
            sql: concat!(
                "create table early (tenant_id uuid primary key);
                 alter table early enable row level security;
                 alter table early force row level security;
                 create policy of_tenant on early using (tenant_id = current_tenant());
                 grant select on early to :\"role\";",
                $then
            ),
        }]
    };
}

const BROKEN: &[Migration] = keyed!("select no_such_function()");
const MENDED: &[Migration] = keyed!("");
const EDITED: &[Migration] = keyed!("create index on early (tenant_id)");

fn with_crm(migrations: &'static [Migration]) -> &'static [Module] {
    let house =
        MODULES.iter().map(|m| Module { name: m.name, required: m.required, migrations: m.migrations });
    let mut modules: Vec<_> = house.collect();
    // Before the last, which a failure leaves untouched.
    modules.insert(2, Module { name: "crm", required: true, migrations });
    modules.leak()
}

/// Modules and versions in the ledger of the tables that the tenant uses.
async fn ledger<S: Strategy>(world: &Of<S>, tenant: &Tenant) -> Vec<String> {
    let (database, schema) = match S::NAME {
        "schema" => (world.shared(), schema(tenant)),
        "database" => (format!("d_{}", tenant.id.simple()), schema(tenant)),
        _ => (world.shared(), "pooled".to_owned()),
    };
    let client = world.connect(&database, None).await.unwrap();
    let sql = format!("select module || version from {schema}.schema_ledger order by 1");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn resumes<S: Strategy>(prefix: &str) {
    let mut world = Of::<S>::new(prefix).await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    for (token, migrations, outcome) in [(10, BROKEN, false), (11, MENDED, true), (12, EDITED, false)] {
        world.step =
            Database::with_modules(world.pool.clone(), world.databases.clone(), with_crm(migrations));
        let foreseen = world.step.foresee(&tenant.cx(5), &input).await;
        let answer = world.step.execute(&tenant.cx(token), &input).await;
        // Only doing it can tell that a file fails; that a file was edited is seen.
        if token == 12 {
            assert_eq!(foreseen.unwrap_err(), *answer.as_ref().unwrap_err());
        } else {
            let foreseen = foreseen.unwrap();
            assert!(answer.as_ref().is_ok_and(|answer| foreseen.as_ref() == Some(answer)) == outcome);
        }
        if outcome {
            let modules = answer.unwrap().modules;
            assert_eq!(modules.iter().map(|m| m.name.as_str()).collect::<Vec<_>>()[2..], ["crm", "auditing"]);
        } else {
            let no = answer.unwrap_err();
            assert!(
                matches!(no, Trouble::No { code: Code::MigrationFailed, class: Class::Config, .. }),
                "{no}"
            );
            assert!(no.to_string().contains("migration 0001 of module crm"), "{no}");
        }
        let applied = ledger(&world, &tenant).await;
        assert!(applied.contains(&"identity2".to_owned()));
        for after in ["crm1", "auditing1"] {
            assert_eq!(applied.contains(&after.to_owned()), token > 10, "{applied:?}");
        }
    }
    world.step.compensate(&tenant.cx(20), &input, None).await.unwrap();
    assert_eq!(world.remains(&tenant).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_migration_stops_there_resumes_there_and_an_edited_one_is_refused() {
    resumes::<Schema>("resume").await;
}

#[tokio::test]
async fn a_failed_migration_resumes_in_a_database_of_the_tenants_own() {
    resumes::<OwnDatabase>("resume_database").await;
}

#[tokio::test]
async fn a_failed_migration_resumes_in_shared_tables() {
    resumes::<PooledRls>("resume_pooled").await;
}

async fn many<S: Strategy>(prefix: &str) {
    let world = Arc::new(Of::<S>::new(prefix).await);
    let tasks: Vec<_> = (0..12)
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

#[tokio::test(flavor = "multi_thread")]
async fn many_tenants_can_be_made_and_undone_and_prepared_for_at_once() {
    many::<Schema>("many").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_databases_can_be_made_and_undone_at_once() {
    many::<OwnDatabase>("many_databases").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_tenants_can_come_to_the_shared_tables_at_once() {
    many::<PooledRls>("many_pooled").await;
}

#[tokio::test]
async fn an_unreachable_postgresql_shakes_and_is_no_final_no() {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(1).user("nobody").dbname("nothing");
    let (pool, databases) = (pool(config.clone(), 1), Databases::new(config, NoTls));
    let step = Database::new(pool.clone(), databases.clone());
    let world = Tenants { step, pool, databases, url: String::new(), strategy: PhantomData };
    let tenant = Tenant::fresh();
    let answer = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await;
    assert!(matches!(answer, Err(Trouble::Shaky(_))), "{answer:?}");
}

/// The step through a proxy that can lose answers; the world itself looks on directly.
async fn through_a_proxy<S: Strategy>(prefix: &str) -> (Of<S>, Proxy) {
    let world = Of::<S>::new(prefix).await;
    let config: Config = world.url.parse().unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], config.get_ports()[0]).into()).await.unwrap();
    let mut through = Config::new();
    through.host("127.0.0.1").port(proxy.address().port()).dbname(config.get_dbname().unwrap());
    through.user(config.get_user().unwrap()).password(config.get_password().unwrap());
    let step = Database::new(pool(through.clone(), 1), Databases::new(through, NoTls));
    (Of { step, ..world }, proxy)
}

async fn loses_answers<S: Strategy>(prefix: &str, bytes: impl Iterator<Item = u64>) -> u64 {
    let (world, proxy) = through_a_proxy::<S>(prefix).await;
    let mut lost = 0;
    for bytes in bytes {
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
    lost
}

// Steps of a prime, so that the cut falls before, inside and after the answers to commits.

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_postgresql_that_is_lost_anywhere_shakes_and_the_repeat_finishes() {
    let lost = loses_answers::<Schema>("lost", (0..6000).step_by(421)).await;
    assert!(lost > 10, "{lost} answers were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_beside_a_database_of_the_tenants_own_shakes_and_the_repeat_finishes() {
    let lost = loses_answers::<OwnDatabase>("lost_database", (0..6000).step_by(421)).await;
    assert!(lost > 10, "{lost} answers were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_beside_shared_tables_shakes_and_the_repeat_finishes() {
    let lost = loses_answers::<PooledRls>("lost_pooled", (0..6000).step_by(421)).await;
    assert!(lost > 10, "{lost} answers were lost");
}
