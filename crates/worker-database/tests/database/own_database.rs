//! Databases of the tenants' own: who can enter them, and what becomes of one that was half made.

use tenantry_contracts::Code;
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Observed, Step, Trouble};

use crate::world::{Owners, made};

#[tokio::test]
async fn the_role_of_one_tenant_cannot_connect_to_the_database_of_another() {
    let world = Owners::new("doors").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let (own, other) = (made(&world, &one).await, made(&world, &two).await);
    assert_eq!(own.database, format!("d_{}", one.id.simple()));
    let client = world.login(&own).await.unwrap();
    client.batch_execute(&format!("set app.tenant = '{}'", one.id)).await.unwrap();
    let roles = client.query_one("select count(*) from role", &[]).await.unwrap();
    assert_eq!(roles.get::<_, i64>(0), 4);
    for sql in [
        "select from worker_database.fence".to_owned(),
        "create table public.mine (n int)".to_owned(),
        "create temporary table mine (n int)".to_owned(),
        "delete from audit_logs".to_owned(),
        format!("drop database {}", other.database),
        format!("set role {}", other.role),
    ] {
        let error = client.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}");
    }
    let refused = world.connect(&other.database, Some((&own.role, "of a test"))).await.err().unwrap();
    assert_eq!(refused.code().unwrap().code(), "42501");
}

#[tokio::test]
async fn the_probe_finds_doors_that_are_open() {
    let world = Owners::new("doors_open").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let (own, other) = (made(&world, &one).await, made(&world, &two).await);
    let (mine, others) = ("connect-of-others-to-the-own-database", "connect-to-another-tenants-database");
    for (token, database, role, probe) in [
        (11, &own.database, "public", mine),
        (12, &own.database, &other.role, mine),
        (13, &other.database, &own.role, others),
    ] {
        let open = format!("grant connect on database {database} to {role}");
        world.run(&open).await;
        let no = world.step.execute(&one.cx(token), &world.input(&one)).await.unwrap_err();
        assert!(matches!(&no, Trouble::No { code: Code::IsolationBroken, .. }), "{open}: {no}");
        assert!(no.to_string().contains(probe), "{open}: {no}");
        world.run(&format!("revoke connect on database {database} from {role}")).await;
    }
    assert_eq!(world.step.execute(&one.cx(20), &world.input(&one)).await.unwrap(), own);
}

/// What a worker leaves that dies between making the database and tagging it.
async fn half_made(world: &Owners, tenant: &Tenant) -> String {
    let (id, tag) = (tenant.id.simple(), tenant.cx(10).owner_tag());
    world
        .run(&format!(
            "insert into worker_database.own_database (tenant, owner) values ('{}', '{tag}')",
            tenant.id
        ))
        .await;
    world.run(&format!("create database d_{id} template template0 allow_connections false")).await;
    format!("d_{id}")
}

#[tokio::test]
async fn a_database_that_was_made_and_not_tagged_is_finished_or_removed() {
    let world = Owners::new("half").await;
    for finished in [true, false] {
        let tenant = Tenant::fresh();
        let database = half_made(&world, &tenant).await;
        let seen = world.step.observe(&tenant.cx(11), &world.input(&tenant)).await.unwrap();
        assert!(
            matches!(&seen, Observed::Ours { differences } if differences[0].path == "/database"),
            "{seen:?}"
        );
        if finished {
            assert_eq!(made(&world, &tenant).await.database, database);
            let seen = world.step.observe(&tenant.cx(12), &world.input(&tenant)).await.unwrap();
            assert_eq!(seen, Observed::Ours { differences: vec![] });
        }
        world.step.compensate(&tenant.cx(20), &world.input(&tenant), None).await.unwrap();
        assert_eq!(world.remains(&tenant).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_database_of_somebody_else_is_foreign_even_where_we_meant_to_make_one() {
    let world = Owners::new("foreign").await;
    let tenant = Tenant::fresh();
    let database = half_made(&world, &tenant).await;
    // We died before we made ours, and somebody made an open one meanwhile.
    world.run(&format!("alter database {database} allow_connections true")).await;
    let input = world.input(&tenant);
    let foreseen = world.step.foresee(&tenant.cx(9), &input).await.unwrap_err();
    let no = world.step.execute(&tenant.cx(10), &input).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    assert_eq!(foreseen, no);
    let no = world.step.compensate(&tenant.cx(20), &input, None).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    world.connect(&database, None).await.unwrap();
}

#[tokio::test]
async fn a_database_is_removed_beside_sessions_that_are_still_in_it() {
    let world = Owners::new("sessions").await;
    let tenant = Tenant::fresh();
    let output = made(&world, &tenant).await;
    let client = world.login(&output).await.unwrap();
    world.step.compensate(&tenant.cx(20), &world.input(&tenant), Some(&output)).await.unwrap();
    assert!(client.batch_execute("select 1").await.is_err());
    assert_eq!(world.remains(&tenant).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_fence_inside_refuses_a_late_question_alone() {
    let world = Owners::new("inside").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(30), &input).await.unwrap();
    // As if the late question had passed the other fence before it froze.
    world.run("truncate worker_database.fence").await;
    assert_eq!(world.step.execute(&tenant.cx(10), &input).await, Err(Trouble::Superseded));
    assert_eq!(world.step.execute(&tenant.cx(30), &input).await.unwrap(), output);
}
