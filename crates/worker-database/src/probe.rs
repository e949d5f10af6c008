//! The isolation probe: as the tenant's own role, try what must not work. Every attempt must be refused by PostgreSQL
//! itself, or the tenant is not activated.

use deadpool_postgres::Transaction;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{PgIdent, Provider};
use tenantry_step::{Answer, Cx, Resource, Trouble};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::provider::Names;

/// A schema like another tenant's that is always there, so that there is one to try.
pub(crate) const CANARY: &str = "
    create schema if not exists probe_canary;
    revoke all on schema probe_canary from public;
    create table if not exists probe_canary.schema_ledger (note text primary key);
    insert into probe_canary.schema_ledger values ('no tenant may read this') on conflict do nothing;";

/// Runs all attempts in one transaction that is rolled back; answers their names.
///
/// # Errors
/// `isolation_broken` with the name of what was possible.
pub(crate) async fn run(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    names: &Names,
) -> Answer<Vec<String>> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    names.enter(&tx, cx).await?;
    let Names { schema, role } = names;
    let mut done = Vec::new();

    let neighbour = match neighbour(&tx, names).await? {
        Some(other) => format!("select from {other}.schema_ledger"),
        None => "select from probe_canary.schema_ledger".to_owned(),
    };
    let attempts = [
        ("canary-schema", "select from probe_canary.schema_ledger".to_owned()),
        ("schema-of-another-tenant", neighbour),
        ("fence", "select from worker_database.fence".to_owned()),
        ("password-catalogue", "select rolpassword from pg_catalog.pg_authid".to_owned()),
        ("create-schema", "create schema probe_of_a_tenant".to_owned()),
        ("create-table", format!("create table {schema}.probe (n int)")),
        ("own-ledger", format!("delete from {schema}.schema_ledger")),
    ];
    for (name, sql) in attempts {
        match attempt(&tx, role, &sql).await? {
            Attempt::Refused => done.push(name.to_owned()),
            // Another tenant was undone meanwhile: nothing is there to be read.
            Attempt::NothingThere if name == "schema-of-another-tenant" => done.push(name.to_owned()),
            Attempt::NothingThere | Attempt::Worked => return Err(broken(name)),
        }
    }
    powers(&tx, names).await?;
    done.push("powers-of-the-role".to_owned());
    forced(&tx, names).await?;
    done.push("row-level-security-forced".to_owned());
    rows(&tx, cx, names).await?;
    done.push("rows-of-another-tenant".to_owned());
    tx.rollback().await?;
    Ok(done)
}

fn broken(what: &str) -> Trouble {
    let message =
        format!("the isolation probe `{what}` was not refused; the tenant's role can do what it must not");
    Trouble::no(Code::IsolationBroken, Class::Policy, message)
}

async fn neighbour(tx: &Transaction<'_>, names: &Names) -> Answer<Option<PgIdent>> {
    let sql = "select nspname::text from pg_namespace
               where nspname like 't\\_%' and nspname <> $1
                 and obj_description(oid, 'pg_namespace') like 'tenantry tenant=%' limit 1";
    let row = tx.query_typed_opt(sql, &[(&names.schema.as_str(), Type::TEXT)]).await?;
    Ok(row.and_then(|row| PgIdent::read(row.get(0))))
}

enum Attempt {
    Refused,
    NothingThere,
    Worked,
}

/// One attempt as the tenant's role. Leaves the transaction as it was.
async fn attempt(tx: &Transaction<'_>, role: &PgIdent, sql: &str) -> Answer<Attempt> {
    tx.batch_execute(&format!("savepoint probe; set local role {role}")).await?;
    let outcome = tx.batch_execute(sql).await;
    // The role goes back with the savepoint.
    let undo = "rollback to savepoint probe; release savepoint probe";
    match outcome {
        Ok(()) => tx.batch_execute(undo).await.map(|()| Attempt::Worked).map_err(Into::into),
        Err(error) => {
            let state = error.code().cloned();
            let gone = [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME];
            let attempt = match state {
                Some(SqlState::INSUFFICIENT_PRIVILEGE) => Attempt::Refused,
                Some(state) if gone.contains(&state) => Attempt::NothingThere,
                _ => return Err(error.into()),
            };
            tx.batch_execute(undo).await?;
            Ok(attempt)
        }
    }
}

/// The role is nobody special, and a member of nothing.
async fn powers(tx: &Transaction<'_>, names: &Names) -> Answer<()> {
    let sql = "select rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
                   or exists (select from pg_auth_members where member = r.oid)
               from pg_roles r where rolname = $1";
    match tx.query_typed_opt(sql, &[(&names.role.as_str(), Type::TEXT)]).await? {
        Some(row) if !row.get::<_, bool>(0) => Ok(()),
        _ => Err(broken("powers-of-the-role")),
    }
}

/// Every table that the tenant's role can touch has row-level security, also for its owner; every view asks as the
/// one who reads.
async fn forced(tx: &Transaction<'_>, names: &Names) -> Answer<()> {
    let sql = "select exists (
            select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f')
              and has_table_privilege($2, c.oid, 'select, insert, update, delete, truncate')
              and not (c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity
                       and exists (select from pg_policy where polrelid = c.oid))
              and not (c.relkind = 'v' and coalesce(c.reloptions @> array['security_invoker=true'], false)))";
    let keys = [names.schema.as_str(), names.role.as_str()];
    if tx.query_typed_one(sql, &[(&keys[0], Type::TEXT), (&keys[1], Type::TEXT)]).await?.get(0) {
        return Err(broken("row-level-security-forced"));
    }
    Ok(())
}

/// A row of another tenant is planted among the tenant's own; its role must see its own row and no other, write none,
/// and see nothing at all where no tenant is set.
async fn rows(tx: &Transaction<'_>, cx: &Cx, names: &Names) -> Answer<()> {
    let what = "rows-of-another-tenant";
    let other = Uuid::new_v5(&cx.tenant.0, b"probe");
    let insert = format!("insert into tenant_config (id, name, limits) values ('{other}', 'probe', '{{}}')");
    tx.batch_execute(&format!(
        "set local app.tenant = '{other}'; {insert}; set local app.tenant = '{}'",
        cx.tenant
    ))
    .await?;
    if !matches!(
        attempt(tx, &names.role, &insert.replace(&other.to_string(), &Uuid::nil().to_string())).await?,
        Attempt::Refused
    ) {
        return Err(broken(what));
    }
    tx.batch_execute(&format!("set local role {}", names.role)).await?;
    let count = "select count(*), count(*) filter (where id = $1) from tenant_config";
    let seen = tx.query_typed_one(count, &[(&other, Type::UUID)]).await?;
    tx.batch_execute("set local app.tenant = ''").await?;
    let unset = tx.query_typed_one(count, &[(&other, Type::UUID)]).await?;
    tx.batch_execute("set local role none").await?;
    match (seen.get::<_, i64>(0), seen.get::<_, i64>(1), unset.get::<_, i64>(0)) {
        (1, 0, 0) => Ok(()),
        (0, 0, 0) => Err(Trouble::no(
            Code::Misconfigured,
            Class::Config,
            "the tenant's role cannot read the tenant's own settings; grants or policies of the schema are missing",
        )),
        _ => Err(broken(what)),
    }
}
