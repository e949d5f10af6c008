//! Probes of PostgreSQL: what the tenant's role must not be able to do, tried as that role; and what other tenants'
//! roles must not be able to do here, by the rights that PostgreSQL keeps. All attempts are rolled back.
//!
//! The worker `database` probes its own work when it makes it. These come later, from outside, after everybody else has
//! made something, and see the tenants' database and the tenant's own as they are then.

use deadpool_postgres::{ClientWrapper, Transaction};
use tenantry_step::postgres::PgIdent;
use tenantry_step::{Answer, Cx};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::database::Names;
use crate::provider::Outside;
use crate::report::Report;

/// The most schemas of other tenants that are tried one by one; the rights on all are read.
const NEIGHBOURS: i64 = 3;

/// Every probe of the strategy, in the database of the tenant's tables and in the tenants' database. Rows can be tried
/// only where the tenant is `seeded`.
pub(crate) async fn probe(
    outside: &Outside,
    home: &mut ClientWrapper,
    cx: &Cx,
    names: &Names,
    seeded: bool,
    report: &mut Report,
) -> Answer<()> {
    let tx = begin(home, cx).await?;
    own(&tx, names, report).await?;
    others(&tx, names, "database", report).await?;
    powers(&tx, names, report).await?;
    entered(&tx, names, report).await?;
    policies(&tx, names, report).await?;
    if seeded {
        rows(&tx, cx, names, report).await?;
    }
    tx.rollback().await?;
    if names.own_database {
        let mut tenants = outside.connect(cx).await?;
        let tx = begin(&mut tenants, cx).await?;
        others(&tx, names, "tenants-database", report).await?;
        tx.rollback().await?;
    }
    Ok(())
}

async fn begin<'a>(client: &'a mut ClientWrapper, cx: &Cx) -> Answer<Transaction<'a>> {
    let tx = client.transaction().await?;
    let ms = cx.left_ms().min(60_000);
    tx.batch_execute(&format!(
        "set local statement_timeout = {ms}; set local lock_timeout = {ms};
         set local idle_in_transaction_session_timeout = {ms}"
    ))
    .await?;
    Ok(tx)
}

/// What the tenant's role must not do where its own tables lie.
async fn own(tx: &Transaction<'_>, names: &Names, report: &mut Report) -> Answer<()> {
    let Names { schema, role, .. } = names;
    for (name, sql) in [
        ("database.own-ledger", format!("delete from {schema}.schema_ledger where false")),
        ("database.create-table", format!("create table {schema}.probe_of_a_tenant (n int)")),
        ("database.create-role", "create role probe_of_a_tenant".to_owned()),
        ("database.password-catalogue", "select rolpassword from pg_catalog.pg_authid".to_owned()),
    ] {
        let worked = attempt(tx, role, &sql).await?;
        report.probe(name, worked.then_some("the tenant's role could do it"));
    }
    Ok(())
}

/// What the tenant's role must not do with the schemas of others in this database.
async fn others(tx: &Transaction<'_>, names: &Names, place: &str, report: &mut Report) -> Answer<()> {
    let (schema, role) = (names.schema.as_str(), names.role.as_str());
    let worked = attempt(tx, &names.role, "create schema probe_of_a_tenant").await?;
    report.probe(&format!("{place}.create-schema"), worked.then_some("the tenant's role could do it"));

    let kinds = [
        ("schemas-of-workers", "n.nspname like 'worker\\_%' and $3 > 0"),
        (
            "schemas-of-other-tenants",
            "(n.nspname = 'probe_canary' or n.nspname in (select nspname from pg_namespace
                where nspname like 't\\_%' and nspname <> $1 order by oid desc limit $3))",
        ),
        ("shared-schema", "n.nspname = 'pooled' and $3 > 0"),
    ];
    for (name, which) in kinds {
        if name == "shared-schema" && names.shared {
            continue;
        }
        let sql = format!(
            "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind in ('r', 'p', 'v', 'm') and n.nspname <> $1 and $2 <> '' and {which}"
        );
        let keys = [(&schema as _, Type::TEXT), (&role as _, Type::TEXT), (&NEIGHBOURS as _, Type::INT8)];
        let mut open = false;
        for row in tx.query_typed(&sql, &keys).await? {
            let table: &str = row.get(0);
            open |= attempt(tx, &names.role, &format!("select from {table}")).await?;
            open |= attempt(tx, &names.role, &format!("delete from {table} where false")).await?;
        }
        report.probe(
            &format!("{place}.{name}"),
            open.then_some("the tenant's role could read or write in one"),
        );
    }

    let sql = "select exists (select from pg_namespace n, pg_roles r
                   where r.rolname = $2 and n.nspname <> $1 and n.nspname ~ '^(t_|worker_|pooled$|probe_canary$)'
                     and has_schema_privilege(r.oid, n.oid, 'usage, create'))";
    let keys = [(&schema as _, Type::TEXT), (&role as _, Type::TEXT)];
    let open: bool = tx.query_typed_one(sql, &keys).await?.get(0);
    let what = open.then_some("the tenant's role has rights on a schema that is not its own");
    report.probe(&format!("{place}.rights-on-schemas"), what);
    Ok(())
}

/// The role is nobody special, a member of nothing but the groups of the shared schema, and may connect to no database
/// of another tenant's.
async fn powers(tx: &Transaction<'_>, names: &Names, report: &mut Report) -> Answer<()> {
    let special = "rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication";
    let sql = format!(
        "select {special} or exists (
            select from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid and not (
                $2 and g.rolname like 'pooled\\_%' and not ({special})
                and not exists (select from pg_auth_members more where more.member = g.oid)))
         from pg_roles r where rolname = $1"
    );
    let role = names.role.as_str();
    let special = tx.query_typed_opt(&sql, &[(&role, Type::TEXT), (&names.shared, Type::BOOL)]).await?;
    let special = special.is_some_and(|row| row.get(0));
    let what = special.then_some("the tenant's role has powers, or those of another role");
    report.probe("database.powers-of-the-role", what);

    let sql = "select exists (select from pg_database d, pg_roles r
                   where r.rolname = $1 and d.datname like 'd\\_%' and d.datallowconn and d.datname <> current_database()
                     and has_database_privilege(r.oid, d.oid, 'connect'))";
    let open: bool = tx.query_typed_one(sql, &[(&role, Type::TEXT)]).await?.get(0);
    let what = open.then_some("the tenant's role may connect to another tenant's database");
    report.probe("database.databases-of-other-tenants", what);
    Ok(())
}

/// No other tenant's role may come in here, nor become the tenant's.
async fn entered(tx: &Transaction<'_>, names: &Names, report: &mut Report) -> Answer<()> {
    let sql = "select
            exists (select from others where $3 and has_database_privilege(oid, current_database(), 'connect')),
            exists (select from others, pg_namespace n where n.nspname = $2
                    and has_schema_privilege(others.oid, n.oid, 'usage, create')),
            exists (select from others, pg_auth_members m, pg_roles r
                    where r.rolname = $1 and m.roleid = r.oid and m.member = others.oid)
        from (values (1)) one";
    let others =
        "with others as (select oid from pg_roles where rolname ~ '^r_[0-9a-f]{32}$' and rolname <> $1
                                  union all select 0::oid)";
    let keys = [
        (&names.role.as_str() as _, Type::TEXT),
        (&names.schema.as_str() as _, Type::TEXT),
        (&names.own_database as _, Type::BOOL),
    ];
    let row = tx.query_typed_one(&format!("{others} {sql}"), &keys).await?;
    if names.own_database {
        let what =
            row.get::<_, bool>(0).then_some("another tenant's role may connect to the tenant's database");
        report.probe("database.entered-by-others", what);
    }
    if !names.shared {
        let what = row.get::<_, bool>(1).then_some("another tenant's role has rights on the tenant's schema");
        report.probe("database.schema-entered-by-others", what);
    }
    let what = row.get::<_, bool>(2).then_some("another tenant's role may become the tenant's");
    report.probe("database.role-taken-by-others", what);
    Ok(())
}

/// Every table that the role can touch has row-level security, also for its owner, by policies that ask for the tenant;
/// every view asks as the one who reads.
async fn policies(tx: &Transaction<'_>, names: &Names, report: &mut Report) -> Answer<()> {
    let sql = "select exists (
            select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f')
              and has_table_privilege($2, c.oid, 'select, insert, update, delete, truncate')
              and not (c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity
                       and exists (select from pg_policy where polrelid = c.oid))
              and not (c.relkind = 'v' and coalesce(c.reloptions @> array['security_invoker=true'], false)))
        or exists (
            select from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and p.polpermissive
              and (coalesce(pg_get_expr(p.polqual, c.oid), '') || coalesce(pg_get_expr(p.polwithcheck, c.oid), ''))
                  not like '%current_tenant()%')";
    let keys = [(&names.schema.as_str() as _, Type::TEXT), (&names.role.as_str() as _, Type::TEXT)];
    let open: bool = tx.query_typed_one(sql, &keys).await?.get(0);
    let what =
        open.then_some("a table or a view of the tenant's schema shows rows whatever tenant they belong to");
    report.probe("database.row-level-security", what);
    Ok(())
}

/// Rows of another tenant are planted among the tenant's own; its role must find, change and write none of them. In
/// shared tables also where it says that it is that tenant.
async fn rows(tx: &Transaction<'_>, cx: &Cx, names: &Names, report: &mut Report) -> Answer<()> {
    let other = Uuid::new_v5(&cx.tenant.0, b"probe of the worker verify");
    let Names { schema, role, .. } = names;
    let tables =
        [("tenant_config", "id", "name"), ("account", "tenant_id", "state"), ("role", "tenant_id", "name")];
    tx.batch_execute(&format!(
        "set local search_path = {schema}; set local app.tenant = '{other}';
         insert into tenant_config (id, name, limits) values ('{other}', 'probe', '{{}}');
         insert into account (tenant_id, id, state) values ('{other}', '{other}', 'demo');
         insert into role (tenant_id, id, name, description) values ('{other}', '{other}', 'probe', '')"
    ))
    .await?;
    let said: &[String] = &if names.shared {
        vec![cx.tenant.to_string(), other.to_string()]
    } else {
        vec![cx.tenant.to_string()]
    };
    let (mut seen, mut written) = (false, false);
    for tenant in said {
        let set = format!("set local app.tenant = '{tenant}'");
        tx.batch_execute(&format!("{set}; set local role {role}")).await?;
        for (table, key, column) in tables {
            let sql = format!("select exists (select from {table} where {key} <> $1)");
            seen |= tx.query_typed_one(&sql, &[(&cx.tenant.0, Type::UUID)]).await?.get::<_, bool>(0);
            if table != "role" {
                let sql = format!("update {table} set {column} = {column} where {key} = $1");
                written |= tx.execute_typed(&sql, &[(&other, Type::UUID)]).await? > 0;
            }
        }
        tx.batch_execute("set local role none").await?;
        let stranger = Uuid::new_v5(&other, tenant.as_bytes());
        let insert =
            format!("insert into account (tenant_id, id, state) values ('{other}', '{stranger}', 'demo')");
        written |= attempt(tx, role, &insert).await?;
    }
    report.probe("database.rows-of-another-tenant-read", seen.then_some("the tenant's role sees them"));
    report
        .probe("database.rows-of-another-tenant-written", written.then_some("the tenant's role writes them"));
    Ok(())
}

/// Whether something worked as the tenant's role. Leaves the transaction as it was. What is gone meanwhile did not work.
async fn attempt(tx: &Transaction<'_>, role: &PgIdent, sql: &str) -> Answer<bool> {
    tx.batch_execute(&format!("savepoint probe; set local role {role}")).await?;
    let outcome = tx.batch_execute(sql).await;
    let refused =
        [SqlState::INSUFFICIENT_PRIVILEGE, SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
    if let Err(error) = &outcome
        && !error.code().is_some_and(|state| refused.contains(state))
    {
        return outcome.map(|()| true).map_err(Into::into);
    }
    // The role goes back with the savepoint.
    tx.batch_execute("rollback to savepoint probe; release savepoint probe").await?;
    Ok(outcome.is_ok())
}
