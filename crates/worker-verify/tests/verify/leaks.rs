//! Leaks that are planted for every strategy and store: each is found and named, and is gone when it is mended.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::{Answer, Trouble};

use crate::world::{Fleet, REGION};

fn assert_leaks(answer: Answer<impl std::fmt::Debug>, probe: &str, how: &str) {
    let no = answer.expect_err(how);
    let Trouble::No { code, class, message, .. } = &no else { panic!("{how}: {no}") };
    assert_eq!((*code, *class), (Code::IsolationBroken, Class::Policy), "{how}: {no}");
    assert!(message.contains(&format!("{probe}: ")), "{how}: {no}");
}

/// Opens each hole, hears its name, closes it; at the end the tenant is well.
async fn each(fleet: &Fleet, holes: &[(bool, &str, &str, &str)]) {
    let (tenant, neighbour) = (fleet.tenant().await, fleet.tenant().await);
    let (own, other) = (fleet.input(&tenant).database, fleet.input(&neighbour).database);
    let worded = |sql: &str| {
        sql.replace("{schema}", &own.schema)
            .replace("{role}", &own.role)
            .replace("{other}", &other.schema)
            .replace("{other role}", &other.role)
            .replace("{database}", &own.database)
            .replace("{other database}", &other.database)
    };
    for (token, (at_home, open, close, probe)) in (10..).zip(holes) {
        for (sql, leaks) in [(open, true), (close, false)] {
            let sql = worded(sql);
            if *at_home {
                fleet.run_at(&tenant, &sql).await
            } else {
                fleet.run(&sql).await
            }
            if leaks {
                assert_leaks(fleet.verify(&tenant, token).await, probe, &sql);
            }
        }
    }
    assert!(fleet.remains(&tenant).await.is_empty());
    fleet.verify(&tenant, 99).await.unwrap();
}

#[tokio::test]
async fn a_leak_between_schemas_is_found_and_named() {
    let fleet = Fleet::new("schema").await;
    each(
        &fleet,
        &[
            (
                false,
                "grant usage on schema {other} to {role}; grant select on {other}.schema_ledger to {role}",
                "revoke all on schema {other} from {role}; revoke all on {other}.schema_ledger from {role}",
                "database.schemas-of-other-tenants",
            ),
            (
                false,
                "grant usage on schema {other} to {role}",
                "revoke all on schema {other} from {role}",
                "database.rights-on-schemas",
            ),
            (
                false,
                "grant usage on schema {schema} to {other role}",
                "revoke all on schema {schema} from {other role}",
                "database.schema-entered-by-others",
            ),
            (
                false,
                "grant usage on schema {schema} to public",
                "revoke all on schema {schema} from public",
                "database.schema-entered-by-others",
            ),
            (
                false,
                "grant usage on schema worker_config to public; grant select on worker_config.record to public",
                "revoke all on schema worker_config from public; revoke all on worker_config.record from public",
                "database.schemas-of-workers",
            ),
            (
                false,
                "grant create on schema {schema} to {role}",
                "revoke create on schema {schema} from {role}",
                "database.create-table",
            ),
            (
                false,
                "grant delete on {schema}.schema_ledger to {role}",
                "revoke delete on {schema}.schema_ledger from {role}",
                "database.own-ledger",
            ),
            (false, "alter role {role} createrole", "alter role {role} nocreaterole", "database.create-role"),
            (
                false,
                "grant pg_read_all_data to {role}",
                "revoke pg_read_all_data from {role}",
                "database.powers-of-the-role",
            ),
            (
                false,
                "grant {other role} to {role}",
                "revoke {other role} from {role}",
                "database.powers-of-the-role",
            ),
            (
                false,
                "grant {role} to {other role}",
                "revoke {role} from {other role}",
                "database.role-taken-by-others",
            ),
            (
                false,
                "create view {schema}.leak as select * from {schema}.account; grant select on {schema}.leak to {role}",
                "drop view {schema}.leak",
                "database.row-level-security",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_leak_between_rows_is_found_and_named() {
    let fleet = Fleet::new("pooled_rls").await;
    each(
        &fleet,
        &[
            (
                false,
                "create policy leak on pooled.tenant_config for select using (true)",
                "drop policy leak on pooled.tenant_config",
                "database.rows-of-another-tenant-read",
            ),
            (
                false,
                "create policy leak on pooled.account for insert with check (true)",
                "drop policy leak on pooled.account",
                "database.rows-of-another-tenant-written",
            ),
            (
                false,
                "create policy leak on pooled.audit_logs using (true)",
                "drop policy leak on pooled.audit_logs",
                "database.row-level-security",
            ),
            (
                false,
                "create policy leak on pooled.role
                     using (pooled.current_tenant() is not null
                            and tenant_id = nullif(current_setting('app.tenant', true), '')::uuid)",
                "drop policy leak on pooled.role",
                "database.rows-of-another-tenant-read",
            ),
            (
                false,
                "alter table pooled.account no force row level security",
                "alter table pooled.account force row level security",
                "database.row-level-security",
            ),
            (
                false,
                "alter role {role} bypassrls",
                "alter role {role} nobypassrls",
                "database.powers-of-the-role",
            ),
            (
                false,
                "grant create on schema pooled to {role}",
                "revoke create on schema pooled from {role}",
                "database.create-table",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_leak_between_databases_is_found_and_named() {
    let fleet = Fleet::new("database").await;
    each(
        &fleet,
        &[
            (
                false,
                "grant connect on database {other database} to {role}",
                "revoke connect on database {other database} from {role}",
                "database.databases-of-other-tenants",
            ),
            (
                false,
                "grant connect on database {database} to {other role}",
                "revoke connect on database {database} from {other role}",
                "database.entered-by-others",
            ),
            (
                false,
                "grant usage on schema worker_quota to {role}; grant select on worker_quota.record to {role}",
                "revoke all on schema worker_quota from {role}; revoke all on worker_quota.record from {role}",
                "tenants-database.schemas-of-workers",
            ),
            (
                true,
                "grant usage on schema worker_database to {role}; grant insert, select on worker_database.fence to {role}",
                "revoke all on schema worker_database from {role}; revoke all on worker_database.fence from {role}",
                "database.schemas-of-workers",
            ),
            (
                true,
                "grant create on database {database} to {role}",
                "revoke create on database {database} from {role}",
                "database.create-schema",
            ),
        ],
    )
    .await;
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_leak_between_buckets_is_found_and_named() {
    let fleet = Fleet::new("schema").await;
    let (tenant, neighbour) = (fleet.tenant().await, fleet.tenant().await);
    let (own, other) = (fleet.bucket(&tenant), fleet.bucket(&neighbour));
    let leaks = async |token: i64, probe: &str| {
        assert_leaks(fleet.verify(&tenant, token).await, probe, probe);
    };
    fs::create_dir(own.join("inbox")).unwrap();
    symlink(&other, own.join("inbox/theirs")).unwrap();
    leaks(10, "storage.links").await;
    fs::remove_file(own.join("inbox/theirs")).unwrap();
    symlink("/nowhere/yet", own.join("dangling")).unwrap();
    leaks(11, "storage.links").await;
    fs::remove_file(own.join("dangling")).unwrap();

    mode(&own, 0o755);
    leaks(12, "storage.mode").await;
    mode(&own, 0o700);
    mode(&other, 0o750);
    leaks(13, "storage.neighbours").await;
    mode(&other, 0o700);

    let twin = other.with_file_name(format!("t-{}", Tenant::fresh().id));
    symlink(&own, &twin).unwrap();
    leaks(14, "storage.links-of-neighbours").await;
    fs::remove_file(&twin).unwrap();

    let elsewhere = tempfile::TempDir::new().unwrap();
    let moved = elsewhere.path().join("moved");
    fs::rename(&own, &moved).unwrap();
    symlink(&moved, &own).unwrap();
    leaks(15, "storage.inside-root").await;
    fs::remove_file(&own).unwrap();
    fs::rename(&moved, &own).unwrap();

    // A link that stays inside is nobody's business.
    symlink("inbox", own.join("alias")).unwrap();
    let report = fleet.verify(&tenant, 99).await.unwrap();
    assert!(report.probes.contains(&"storage.links".to_owned()));
    assert_eq!(fleet.input(&tenant).storage.region, REGION);
}

#[tokio::test]
async fn a_leak_between_key_files_is_found_and_named() {
    for isolation in ["schema", "database"] {
        let fleet = Fleet::new(isolation).await;
        let (tenant, neighbour) = (fleet.tenant().await, fleet.tenant().await);
        let (own, other) = (fleet.keys(&tenant), fleet.keys(&neighbour));
        let (ours, theirs) = (fs::read(&own).unwrap(), fs::read(&other).unwrap());
        fs::write(&own, &theirs).unwrap();
        assert_leaks(fleet.verify(&tenant, 10).await, "secrets.as-another-tenant", isolation);
        fs::write(&own, &ours).unwrap();
        fs::write(&other, &ours).unwrap();
        assert_leaks(fleet.verify(&tenant, 11).await, "secrets.keys-of-another-tenant", isolation);
        fs::write(&other, &theirs).unwrap();
        mode(&own, 0o640);
        assert_leaks(fleet.verify(&tenant, 12).await, "secrets.mode", isolation);
        mode(&own, 0o600);
        fleet.verify(&tenant, 99).await.unwrap();
    }
}
