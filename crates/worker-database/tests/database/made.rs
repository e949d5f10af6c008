//! What is made, what stands in it, and what is not ours.

use tenantry_contracts::steps::database::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Observed, Step, Trouble};

use crate::world::{EMAIL, NAME, Tenants, made, schema};

#[tokio::test]
async fn a_role_of_that_name_that_is_not_ours_is_left_alone() {
    let world = Tenants::new("role").await;
    let tenant = Tenant::fresh();
    let role = format!("r_{}", tenant.id.simple());
    world.run(&format!("create role {role}; comment on role {role} is 'somebody else''s'")).await;
    let no = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, class: Class::Conflict, .. }), "{no}");
    let no = world.step.compensate(&tenant.cx(20), &world.input(&tenant), None).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    assert_eq!(world.remains(&tenant).await, [format!("role {role} may hold -1")]);
}

#[tokio::test]
async fn another_fleets_tenant_of_the_same_id_is_foreign() {
    let world = Tenants::new("fleets").await;
    let tenant = Tenant::fresh();
    made(&world, &tenant).await;
    let mut theirs = tenant.clone();
    theirs.fleet = tenantry_contracts::Fleet::new("kit token=1");
    let mut input = world.input(&theirs);
    input.admin_email = None;
    let no = world.step.execute(&theirs.cx(30), &input).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    let seen = world.step.observe(&theirs.cx(30), &input).await.unwrap();
    assert!(matches!(seen, Observed::Foreign { .. }), "{seen:?}");
}

#[tokio::test]
async fn what_others_built_on_the_tenants_tables_is_not_dropped_with_them() {
    let world = Tenants::new("views").await;
    let tenant = Tenant::fresh();
    made(&world, &tenant).await;
    world.run(&format!("create view public.report as select * from {}.account", schema(&tenant))).await;
    let no = world.step.compensate(&tenant.cx(20), &world.input(&tenant), None).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    world.run("drop view public.report").await;
    world.step.compensate(&tenant.cx(20), &world.input(&tenant), None).await.unwrap();
    assert_eq!(world.remains(&tenant).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_database_is_seeded_with_roles_permissions_an_administrator_and_settings() {
    let world = Tenants::new("seed").await;
    let tenant = Tenant::fresh();
    let output = made(&world, &tenant).await;
    let schema = &output.schema;
    assert_eq!(
        world.texts(&format!("select name from {schema}.role order by 1")).await,
        ["tenant-admin", "tenant-auditor", "tenant-manager", "tenant-user"]
    );
    let admin = format!(
        "select a.id::text || ' ' || a.state || ' ' || string_agg(p.permission, ',' order by p.permission)
         from {schema}.account a join {schema}.account_role using (tenant_id)
         join {schema}.role_permission p using (tenant_id, role_id)
         where account_role.account_id = a.id group by a.id, a.state"
    );
    let expected = format!(
        "{} invited audit.read,modules.use,settings.manage,tenant.manage,users.manage",
        output.admin_user
    );
    assert_eq!(world.texts(&admin).await, [expected]);
    let sealed = world.one(&format!("select name from {schema}.tenant_config")).await;
    assert_eq!(tenant.cx(1).open("name", &tenantry_contracts::Sealed::read(sealed)).unwrap(), NAME);
    assert_eq!(world.one(&format!("select limits->>'seats' from {schema}.tenant_config")).await, "5");
    assert_eq!(
        world.texts(&format!("select module || version from {schema}.schema_ledger order by at, 1")).await,
        ["multitenancy1", "identity1", "identity2", "auditing1"]
    );
    assert_eq!(world.texts(&format!("select action from {schema}.audit_logs")).await, ["tenant.seeded"]);
    assert_eq!(output.probes.len(), 10);
    assert_eq!(output.database, world.shared());
}

#[tokio::test]
async fn each_role_may_do_what_it_is_for_and_an_auditor_only_reads() {
    let world = Tenants::new("roles").await;
    let schema = made(&world, &Tenant::fresh()).await.schema;
    let may = format!(
        "select r.name || ': ' || string_agg(p.permission, ' ' order by p.permission) from {schema}.role r
         join {schema}.role_permission p on p.role_id = r.id group by r.name order by r.name"
    );
    assert_eq!(
        world.texts(&may).await,
        [
            "tenant-admin: audit.read modules.use settings.manage tenant.manage users.manage",
            "tenant-auditor: audit.read",
            "tenant-manager: modules.use settings.manage users.manage",
            "tenant-user: modules.use",
        ]
    );
}

#[tokio::test]
async fn the_tables_have_the_columns_indexes_constraints_and_functions_of_their_migrations() {
    let world = Tenants::new("tables").await;
    let schema = made(&world, &Tenant::fresh()).await.schema;
    let columns = format!(
        "select column_name || ' ' || data_type from information_schema.columns
         where table_schema = '{schema}' and table_name = 'tenant_config' order by ordinal_position"
    );
    assert_eq!(
        world.texts(&columns).await,
        [
            "id uuid",
            "name text",
            "domain text",
            "theme text",
            "limits jsonb",
            "contact_email text",
            "updated_at timestamp with time zone",
        ]
    );
    let indexes = format!(
        "select indexname::text from pg_indexes where schemaname = '{schema}'
         and tablename in ('account', 'audit_logs') order by 1"
    );
    assert_eq!(
        world.texts(&indexes).await,
        ["account_pkey", "account_tenant_id_email_digest_key", "audit_logs_by_time", "audit_logs_pkey"]
    );
    let constraints = format!(
        "select conname::text from pg_constraint where contype in ('c', 'f')
         and connamespace = '{schema}'::regnamespace and convalidated order by 1"
    );
    assert_eq!(
        world.texts(&constraints).await,
        [
            "account_role_tenant_id_account_id_fkey",
            "account_role_tenant_id_role_id_fkey",
            "account_state_check",
            "audit_logs_kind_check",
            "claim_is_whole",
            "role_permission_tenant_id_permission_fkey",
            "role_permission_tenant_id_role_id_fkey",
        ]
    );
    let functions =
        format!("select proname::text from pg_proc where pronamespace = '{schema}'::regnamespace");
    assert_eq!(world.texts(&functions).await, ["current_tenant"]);
}

#[tokio::test]
async fn demonstration_data_is_seeded_where_it_is_wanted_and_an_unknown_role_is_refused() {
    let world = Tenants::new("demo").await;
    let tenant = Tenant::fresh();
    let mut input = world.input(&tenant);
    input.demo_data = true;
    input.admin_role = Some("Manager".to_owned());
    world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let states =
        format!("select state || count(*) from {}.account group by state order by 1", schema(&tenant));
    assert_eq!(world.texts(&states).await, ["demo4", "invited1"]);
    let log = format!("select kind || count(*) from {}.audit_logs group by kind order by 1", schema(&tenant));
    assert_eq!(world.texts(&log).await, ["audit1", "operational10", "security4"]);
    world.step.execute(&tenant.cx(10), &input).await.unwrap();
    assert_eq!(world.texts(&states).await, ["demo4", "invited1"]);
    assert_eq!(world.texts(&log).await, ["audit1", "operational10", "security4"]);
    input.admin_role = Some("superuser".to_owned());
    let no = world.step.execute(&tenant.cx(11), &input).await.unwrap_err();
    assert!(
        matches!(no, Trouble::No { code: Code::FieldInvalid, pointer: Some(at), .. } if at == "/admin_role")
    );
}

#[tokio::test]
async fn an_unknown_strategy_is_a_matter_of_configuration_and_leaves_nothing_to_undo() {
    let world = Tenants::new("strategy").await;
    let tenant = Tenant::fresh();
    let input = Input { isolation: "cell".to_owned(), ..world.input(&tenant) };
    let no = world.step.execute(&tenant.cx(10), &input).await.unwrap_err();
    assert!(
        matches!(&no, Trouble::No { code: Code::Misconfigured, pointer: Some(at), .. } if at == "/isolation"),
        "{no}"
    );
    world.step.compensate(&tenant.cx(20), &input, None).await.unwrap();
}

#[tokio::test]
async fn personal_data_and_passwords_stand_nowhere_in_clear_and_hostile_names_do_nothing() {
    let world = Tenants::new("canary").await;
    let tenant = Tenant::fresh();
    let output = made(&world, &tenant).await;
    let everything = world.dump().await;
    for clear in [EMAIL, "ada.canary", NAME, "DROP SCHEMA"] {
        assert!(!everything.contains(clear), "{clear} stands in clear");
    }
    assert!(
        everything.contains(world.input(&tenant).admin_email.unwrap().as_str()),
        "the dump sees sealed values"
    );
    let password =
        world.one(&format!("select rolpassword from pg_authid where rolname = '{}'", output.role)).await;
    assert!(password.starts_with("SCRAM-SHA-256$4096:"), "{password}");
    assert_eq!(world.one("select nspname::text from pg_namespace where nspname = 'public'").await, "public");
}

#[tokio::test]
async fn two_tenants_whose_slugs_share_their_beginning_get_two_schemas() {
    let world = Tenants::new("twins").await;
    let (mut one, mut two) = (Tenant::fresh(), Tenant::fresh());
    // 32 bytes is the longest slug; as names of schemas the two would differ in the last byte only.
    one.slug = tenantry_contracts::Slug::parse(&format!("{}a", "x".repeat(31))).unwrap();
    two.slug = tenantry_contracts::Slug::parse(&format!("{}b", "x".repeat(31))).unwrap();
    let (one, two) = (made(&world, &one).await, made(&world, &two).await);
    assert_ne!((&one.schema, &one.role), (&two.schema, &two.role));
    assert!(one.schema.len() < 63 && one.role.len() < 63);
}
