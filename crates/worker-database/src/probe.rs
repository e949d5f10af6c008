//! The isolation probe: as the tenant's own role, try what must not work. Every attempt must be refused by PostgreSQL
//! itself, or the tenant is not activated.

mod catalogue;

use deadpool_postgres::Transaction;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::PgIdent;
use tenantry_step::{Answer, Trouble};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::provider::{Job, Names, Place};
use crate::strategy::Strategy;

/// A schema like another tenant's that is always there, so that there is one to try.
pub(crate) const CANARY: &str = "
    create schema if not exists probe_canary;
    revoke all on schema probe_canary from public;
    create table if not exists probe_canary.schema_ledger (note text primary key);
    insert into probe_canary.schema_ledger values ('no tenant may read this') on conflict do nothing;";

/// What is tried in every strategy, in this order; what only one has comes after it.
const ALWAYS: [&str; 10] = [
    "canary-schema",
    "schema-of-another-tenant",
    "fence",
    "password-catalogue",
    "create-schema",
    "create-table",
    "own-ledger",
    "powers-of-the-role",
    "row-level-security-forced",
    "rows-of-another-tenant",
];
const OWN_DATABASE: [&str; 3] = [
    "fence-in-the-own-database",
    "connect-to-another-tenants-database",
    "connect-of-others-to-the-own-database",
];
const SHARED_TABLES: [&str; 1] = ["policies-of-the-shared-tables"];

/// The names of what is tried.
pub(crate) fn of(strategy: Strategy) -> Vec<String> {
    let own: &[&str] = match strategy {
        Strategy::Schema => &[],
        Strategy::Database => &OWN_DATABASE,
        Strategy::Pooled => &SHARED_TABLES,
    };
    ALWAYS.iter().chain(own).map(|&name| name.to_owned()).collect()
}

/// Makes all attempts in transactions that are rolled back; answers their names.
///
/// # Errors
/// `isolation_broken` with the name of what was possible.
pub(crate) async fn run(job: &Job<'_>, place: &mut Place<'_>) -> Answer<Vec<String>> {
    beside(job).await?;
    let groups: Vec<_> = match job.strategy {
        Strategy::Pooled => job.known.iter().map(|module| place.grantee(module)).collect(),
        Strategy::Schema | Strategy::Database => vec![],
    };
    let tx = place.begin().await?;
    let Names { schema, role, .. } = &job.names;
    let mut attempts = vec![
        ("password-catalogue", "select rolpassword from pg_catalog.pg_authid".to_owned()),
        ("create-schema", "create schema probe_of_a_tenant".to_owned()),
        ("create-table", format!("create table {schema}.probe (n int)")),
        ("own-ledger", format!("delete from {schema}.schema_ledger")),
    ];
    if job.strategy == Strategy::Database {
        attempts.push(("fence-in-the-own-database", "select from worker_database.fence".to_owned()));
    }
    refused(&tx, role, &attempts).await?;
    catalogue::powers(&tx, role, &groups).await?;
    catalogue::forced(&tx, &job.names).await?;
    match job.strategy {
        Strategy::Schema => {}
        Strategy::Database => catalogue::own_door(&tx, &job.names).await?,
        Strategy::Pooled => catalogue::policies(&tx, schema).await?,
    }
    rows(&tx, job).await?;
    tx.rollback().await?;
    Ok(of(job.strategy))
}

/// What lies in the tenants' database, beside the tenant's own place.
async fn beside(job: &Job<'_>) -> Answer<()> {
    let mut client = job.connect().await?;
    let tx = job.begin(&mut client).await?;
    let neighbour = match neighbour(&tx, &job.names).await? {
        Some(other) => format!("select from {other}.schema_ledger"),
        None => "select from probe_canary.schema_ledger".to_owned(),
    };
    let attempts = [
        ("canary-schema", "select from probe_canary.schema_ledger".to_owned()),
        ("schema-of-another-tenant", neighbour),
        ("fence", "select from worker_database.fence".to_owned()),
    ];
    refused(&tx, &job.names.role, &attempts).await?;
    if job.strategy == Strategy::Database {
        catalogue::other_doors(&tx, job.cx.tenant, &job.names).await?;
    }
    Ok(tx.rollback().await?)
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

/// Makes the attempts, each of which must be refused.
async fn refused(tx: &Transaction<'_>, role: &PgIdent, attempts: &[(&str, String)]) -> Answer<()> {
    for (name, sql) in attempts {
        match attempt(tx, role, sql).await? {
            Attempt::Refused => {}
            // Another tenant was undone meanwhile: nothing is there to be read.
            Attempt::NothingThere if *name == "schema-of-another-tenant" => {}
            Attempt::NothingThere | Attempt::Worked => return Err(broken(name)),
        }
    }
    Ok(())
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

/// A row of another tenant is planted among the tenant's own; its role must see its own row and no other, and write
/// none. In a place of its own it sees nothing where no tenant is set; in shared tables setting one changes nothing.
async fn rows(tx: &Transaction<'_>, job: &Job<'_>) -> Answer<()> {
    let what = "rows-of-another-tenant";
    let (own, role, pooled) = (job.cx.tenant.0, &job.names.role, job.strategy == Strategy::Pooled);
    let other = Uuid::new_v5(&own, b"probe");
    let insert =
        |id: Uuid| format!("insert into tenant_config (id, name, limits) values ('{id}', 'probe', '{{}}')");
    tx.batch_execute(&format!(
        "set local app.tenant = '{other}'; {}; set local app.tenant = '{own}'",
        insert(other)
    ))
    .await?;
    tx.batch_execute(&format!("set local role {role}")).await?;
    let own_row = seen(tx, &own.to_string(), other).await?;
    let mut others = vec![own_row.1, seen(tx, "", other).await?.1];
    if pooled {
        others.push(seen(tx, &other.to_string(), other).await?.1);
    } else {
        others.push(seen(tx, "", other).await?.0);
    }
    tx.batch_execute(&format!("set local role none; set local app.tenant = '{own}'")).await?;
    if own_row.0 > 1 || others.iter().any(|&seen| seen > 0) {
        return Err(broken(what));
    }
    if own_row.0 == 0 {
        let message =
            "the tenant's role cannot read the tenant's own settings; grants or policies are missing";
        return Err(Trouble::no(Code::Misconfigured, Class::Config, message));
    }
    // Where tables are shared the role tries to pass for the other tenant while it writes.
    let claim = if pooled { format!("set local app.tenant = '{other}';") } else { String::new() };
    for write in [
        insert(Uuid::nil()),
        format!(
            "insert into role (tenant_id, id, name, description) values ('{other}', '{other}', 'probe', '')"
        ),
        format!("update tenant_config set id = '{}'", Uuid::nil()),
    ] {
        if !matches!(attempt(tx, role, &format!("{claim}{write}")).await?, Attempt::Refused) {
            return Err(broken(what));
        }
    }
    Ok(())
}

/// How many rows the role sees under this setting, and how many of them are the other's.
async fn seen(tx: &Transaction<'_>, setting: &str, other: Uuid) -> Answer<(i64, i64)> {
    tx.batch_execute(&format!("set local app.tenant = '{setting}'")).await?;
    let count = "select count(*), count(*) filter (where id = $1) from tenant_config";
    let row = tx.query_typed_one(count, &[(&other, Type::UUID)]).await?;
    Ok((row.get(0), row.get(1)))
}
