//! Shared tables: one tenant tries to pass for another.

use tenantry_contracts::Code;
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Step, Trouble};
use tokio_postgres::Client;

use crate::world::{Sharers, made};

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn a_tenant_sees_and_writes_its_own_rows_whatever_it_says_that_it_is() {
    let world = Sharers::new("attack").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let (own, other) = (made(&world, &one).await, made(&world, &two).await);
    assert_eq!((own.schema.as_str(), other.schema.as_str()), ("pooled", "pooled"));
    assert_eq!(own.database, world.shared());
    let before = world.remains(&two).await;

    let client = world.login(&own).await.unwrap();
    let group = world
        .one(&format!(
            "select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
             where m.member = '{}'::regrole and g.rolname like '%identity'",
            own.role
        ))
        .await;
    for claim in [
        String::new(),
        format!("set app.tenant = '{}'", two.id),
        format!("begin; set local app.tenant = '{}'", two.id),
    ] {
        client.batch_execute(&claim).await.unwrap();
        assert_eq!(count(&client, "select count(*) from tenant_config").await, 1, "{claim}");
        assert_eq!(count(&client, "select count(*) from role").await, 4, "{claim}");
        for table in ["role", "permission", "role_permission", "account", "account_role", "audit_logs"] {
            let others = format!("select count(*) from {table} where tenant_id = '{}'", two.id);
            assert_eq!(count(&client, &others).await, 0, "{claim} {table}");
        }
        let changed = client.execute("update tenant_config set domain = 'stolen'", &[]).await.unwrap();
        assert_eq!(changed, 1, "{claim}");
        let removed = format!("delete from account where tenant_id = '{}'", two.id);
        assert_eq!(client.execute(&removed, &[]).await.unwrap(), 0, "{claim}");
    }
    client.batch_execute("commit").await.unwrap();
    for sql in [
        format!("insert into role (tenant_id, id, name, description) values ('{0}', '{0}', 'x', '')", two.id),
        format!("insert into audit_logs (tenant_id, actor, action) values ('{}', 'x', 'x')", two.id),
        format!("update account set tenant_id = '{}'", two.id),
        format!("set role {}", other.role),
        format!("set session authorization {}", other.role),
        "alter role current_user bypassrls".to_owned(),
        "select from schema_ledger".to_owned(),
        "create function pooled.substr(name, int) returns text language sql as $$ select 'x' $$".to_owned(),
        "drop policy of_tenant on role".to_owned(),
        "alter table role disable row level security".to_owned(),
        "delete from audit_logs".to_owned(),
    ] {
        let error = client.batch_execute(&sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}");
    }
    // The role of a module can be become; it has no rows, whatever it says.
    client.batch_execute(&format!("set role {group}; set app.tenant = '{}'", two.id)).await.unwrap();
    assert_eq!(count(&client, "select count(*) from pooled.role").await, 0);
    client.batch_execute("reset role").await.unwrap();
    // A line without a tenant is the tenant's own.
    client.batch_execute("insert into audit_logs (actor, action) values ('ada', 'login')").await.unwrap();
    assert_eq!(count(&client, "select count(*) from audit_logs").await, 2);
    assert_eq!(world.remains(&two).await, before);
}

#[tokio::test]
async fn functions_of_the_tenants_own_do_not_change_whose_rows_it_sees() {
    let world = Sharers::new("hijack").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let own = made(&world, &one).await;
    made(&world, &two).await;
    // As in a database that is older than PostgreSQL 15, where everybody may create in `public`.
    world.run("grant create on schema public to public").await;
    let client = world.login(&own).await.unwrap();
    let role = format!("r_{}", two.id.simple());
    client
        .batch_execute(&format!(
            "create function public.substr(text, int) returns text immutable language sql as $$ select '{0}'::text $$;
             create function public.current_tenant() returns uuid immutable language sql as $$ select '{1}'::uuid $$;
             create function public.current_setting(text, boolean) returns text immutable language sql as $$ select '{1}'::text $$;
             create domain public.uuid as text;
             set search_path = public, pooled, pg_catalog; set app.tenant = '{1}'",
            &role[2..],
            two.id
        ))
        .await
        .unwrap();
    let ids = client.query("select id::text from pooled.tenant_config", &[]).await.unwrap();
    assert_eq!(ids.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), [one.id.to_string()]);
}

#[tokio::test]
async fn the_probe_finds_every_hole_in_shared_tables() {
    let world = Sharers::new("pool_holes").await;
    let (neighbour, tenant) = (Tenant::fresh(), Tenant::fresh());
    let (other, own) = (made(&world, &neighbour).await, made(&world, &tenant).await);
    let setting = "nullif(current_setting('app.tenant', true), '')::uuid";
    let holes = [
        (
            format!("alter policy of_tenant on pooled.account using (tenant_id = {setting})"),
            "alter policy of_tenant on pooled.account using (tenant_id = pooled.current_tenant())".to_owned(),
            "policies-of-the-shared-tables",
        ),
        (
            "create policy all_rows on pooled.account for select using (true)".into(),
            "drop policy all_rows on pooled.account".into(),
            "policies-of-the-shared-tables",
        ),
        (
            "create table pooled.notes (id int, tenant_id uuid); alter table pooled.notes enable row level security;
             alter table pooled.notes force row level security;
             create policy of_tenant on pooled.notes using (tenant_id = pooled.current_tenant())"
                .into(),
            "drop table pooled.notes".into(),
            "policies-of-the-shared-tables",
        ),
        (
            format!("create or replace function pooled.current_tenant() returns uuid stable language sql return {setting}"),
            "create or replace function pooled.current_tenant() returns uuid stable language sql return case
                 when current_user ~ '^r_[0-9a-f]{32}$' then substr(current_user, 3)::uuid
                 else nullif(current_setting('app.tenant', true), '')::uuid end"
                .into(),
            "rows-of-another-tenant",
        ),
        (format!("grant {} to {}", other.role, own.role), format!("revoke {} from {}", other.role, own.role), "powers-of-the-role"),
        (
            format!("grant select on pooled.schema_ledger to {}", own.role),
            format!("revoke select on pooled.schema_ledger from {}", own.role),
            "row-level-security-forced",
        ),
    ];
    for (token, (open, close, name)) in (11..).zip(holes) {
        world.run(&open).await;
        let no = world.step.execute(&tenant.cx(token), &world.input(&tenant)).await.unwrap_err();
        assert!(matches!(&no, Trouble::No { code: Code::IsolationBroken, .. }), "{open}: {no}");
        assert!(no.to_string().contains(name), "{open}: {no}");
        world.run(&close).await;
    }
    assert_eq!(world.step.execute(&tenant.cx(99), &world.input(&tenant)).await.unwrap(), own);
}

#[tokio::test]
async fn a_tenant_has_the_tables_of_its_modules_and_no_others() {
    let world = Sharers::new("modules").await;
    let (with, without) = (Tenant::fresh(), Tenant::fresh());
    made(&world, &with).await;
    let mut input = world.input(&without);
    input.modules.retain(|module| module != "auditing");
    let output = world.step.execute(&without.cx(10), &input).await.unwrap();
    let client = world.login(&output).await.unwrap();
    assert_eq!(count(&client, "select count(*) from account").await, 1);
    let error = client.batch_execute("select from audit_logs").await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    // Wanted later, it differs until it is made.
    let wanted = world.input(&without);
    let seen = world.step.observe(&without.cx(11), &wanted).await.unwrap();
    let tenantry_step::Observed::Ours { differences } = seen else { panic!("{seen:?}") };
    assert_eq!(differences.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["/modules/auditing"]);
    world.step.execute(&without.cx(12), &wanted).await.unwrap();
    assert_eq!(count(&client, "select count(*) from audit_logs").await, 1);
}

#[tokio::test]
async fn a_schema_of_the_shared_name_that_is_not_ours_is_left_alone() {
    let world = Sharers::new("pool").await;
    world.run("create schema pooled; create table pooled.theirs as select 1 as n").await;
    let tenant = Tenant::fresh();
    let foreseen = world.step.foresee(&tenant.cx(9), &world.input(&tenant)).await.unwrap_err();
    let no = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    assert_eq!(foreseen, no);
    assert_eq!(
        world.texts("select relname::text from pg_class where relnamespace = 'pooled'::regnamespace").await,
        ["theirs"]
    );
    assert_eq!(world.remains(&tenant).await, Vec::<String>::new());
}
