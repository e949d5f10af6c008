//! The tenant's role against everything that is not the tenant's, and the account of the worker against more than it needs.

use tenantry_contracts::Code;
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::postgres::Databases;
use tenantry_step::{Step, Trouble};
use tenantry_worker_database::{Database, prepare};
use tokio_postgres::{Config, NoTls};

use crate::world::{Of, OwnDatabase, PooledRls, Schema, Strategy, Tenants, made, pool};

#[tokio::test]
async fn the_tenants_role_can_use_its_own_tables_and_not_its_neighbours() {
    let world = Tenants::new("neighbours").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let (own, other) = (made(&world, &one).await, made(&world, &two).await);
    let client = world.pool.get().await.unwrap();
    let enter = format!("set role {}; set app.tenant = '{}'", own.role, one.id);
    client.batch_execute(&enter).await.unwrap();
    let roles = format!("select count(*) from {}.role", own.schema);
    assert_eq!(client.query_one(&roles, &[]).await.unwrap().get::<_, i64>(0), 4);
    let log = format!("insert into {}.audit_logs (actor, action) values ('ada', 'login')", own.schema);
    client.batch_execute(&log).await.unwrap();
    for sql in [
        format!("select from {}.role", other.schema),
        format!("delete from {}.audit_logs", own.schema),
        format!("update {}.audit_logs set actor = 'nobody'", own.schema),
        "select from worker_database.fence".to_owned(),
    ] {
        let error = client.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}");
    }
    client.batch_execute("set app.tenant = ''").await.unwrap();
    assert_eq!(client.query_one(&roles, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn the_probe_finds_every_planted_hole() {
    let world = Tenants::new("holes").await;
    let (neighbour, tenant) = (Tenant::fresh(), Tenant::fresh());
    made(&world, &neighbour).await;
    let output = made(&world, &tenant).await;
    let (schema, role, other) = (&output.schema, &output.role, format!("t_{}", neighbour.id.simple()));
    let holes = [
        (
            format!("grant usage on schema {other} to {role}; grant select on {other}.schema_ledger to {role}"),
            format!("revoke all on schema {other} from {role}; revoke all on {other}.schema_ledger from {role}"),
            "schema-of-another-tenant",
        ),
        (
            "grant usage on schema probe_canary to public; grant select on probe_canary.schema_ledger to public".into(),
            "revoke all on schema probe_canary from public; revoke all on probe_canary.schema_ledger from public".into(),
            "canary-schema",
        ),
        (format!("grant pg_read_all_data to {role}"), format!("revoke pg_read_all_data from {role}"), "powers-of-the-role"),
        (format!("alter role {role} bypassrls"), format!("alter role {role} nobypassrls"), "powers-of-the-role"),
        (
            format!("alter table {schema}.account no force row level security"),
            format!("alter table {schema}.account force row level security"),
            "row-level-security-forced",
        ),
        (
            format!("create view {schema}.leak as select * from {schema}.account; grant select on {schema}.leak to {role}"),
            format!("drop view {schema}.leak"),
            "row-level-security-forced",
        ),
        (
            format!("create policy all_rows on {schema}.tenant_config using (true)"),
            format!("drop policy all_rows on {schema}.tenant_config"),
            "rows-of-another-tenant",
        ),
        (
            format!("grant create on schema {schema} to {role}"),
            format!("revoke create on schema {schema} from {role}"),
            "create-table",
        ),
    ];
    for (token, (open, close, name)) in (11..).zip(holes) {
        world.run(&open).await;
        let no = world.step.execute(&tenant.cx(token), &world.input(&tenant)).await.unwrap_err();
        assert!(matches!(&no, Trouble::No { code: Code::IsolationBroken, .. }), "{open}: {no}");
        assert!(no.to_string().contains(name), "{open}: {no}");
        world.run(&close).await;
    }
    assert_eq!(
        world.step.execute(&tenant.cx(99), &world.input(&tenant)).await.unwrap().probes,
        output.probes
    );
}

/// The step with an account that may do `powers` and nothing more; the superuser's world looks on.
async fn least<S: Strategy>(prefix: &str, powers: &str) -> Result<(), Failure> {
    let world = Of::<S>::new(prefix).await;
    let account = format!("provisioner_{}", Tenant::fresh().id.simple());
    world.run(&format!("create role {account} login {powers} password 'only for this test'")).await;
    world.run(&format!("grant create on database {} to {account}", world.shared())).await;
    let mut config: Config = world.url.parse().unwrap();
    config.user(&account).password("only for this test");
    let pool = pool(config.clone(), 8);
    world.run("drop schema worker_database cascade; drop schema probe_canary cascade").await;
    prepare(&pool).await.unwrap();
    let least = Of { step: Database::new(pool, Databases::new(config, NoTls)), ..world };
    kit::do_twice(&least).await?;
    kit::foreign_is_left_alone(&least).await?;
    kit::side_by_side(&least).await?;
    kit::late_do_refused(&least).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_create_schemas_and_roles_and_nothing_more_is_enough() -> Result<(), Failure> {
    least::<Schema>("least", "createrole").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_account_is_enough_for_shared_tables_whose_policies_bind_it() -> Result<(), Failure> {
    least::<PooledRls>("least_pooled", "createrole").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_also_create_databases_is_enough_for_databases() -> Result<(), Failure> {
    least::<OwnDatabase>("least_database", "createrole createdb").await
}
