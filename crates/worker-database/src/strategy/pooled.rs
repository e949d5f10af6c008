//! Strategy `pooled_rls`: rows of the tenant's own in tables that many tenants share.
//!
//! `set app.tenant` is in everybody's power, so it decides nothing here: whose rows a role may touch follows from the
//! role's own name, which only the worker's account can give. The account itself, which owns the tables, says with
//! `app.tenant` for whom it works. What a module's migrations grant goes to a role of that module, and a tenant's role
//! is a member of those of its modules; such a role has no tenant, so becoming it shows nothing.
//!
//! The schema is made by the first tenant, and its migrations are applied by the first that needs them; both stay. To
//! each table goes a primary key whose first column is the tenant, and references cascade: so one tenant is removed.

use deadpool_postgres::Transaction;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{PgIdent, literal};
use tenantry_step::{Answer, Trouble};
use tokio_postgres::types::Type;

use super::role;
use crate::Module;
use crate::modules::LEDGER;
use crate::provider::{Found, Job, Place, Thing};

/// The comment on the shared schema and its roles, before the beginning of the roles' names. Roles are the server's,
/// not the database's; so that two fleets on one server do not share them, the number of the database is in it.
const TAG: &str = "tenantry pooled tenants, roles ";

/// The shared schema's name.
pub(super) fn schema() -> PgIdent {
    PgIdent::read("pooled").expect("the grammar of names allows it")
}

/// The role that is granted what a module's migrations grant.
pub(crate) fn group(stem: &PgIdent, module: &Module) -> PgIdent {
    PgIdent::read(&format!("{}_{}", stem.as_str(), module.name))
        .expect("modules have short names in ASCII letters")
}

pub(super) async fn find(tx: &Transaction<'_>, job: &Job<'_>) -> Answer<Found> {
    let ground = ground(tx).await?;
    let sql = format!("select {}", role::tag(1));
    let row = tx.query_typed_one(&sql, &[(&job.names.role.as_str(), Type::TEXT)]).await?;
    let (home, stem) = match ground {
        Ground::Absent => (Thing::Absent, None),
        Ground::Foreign => (Thing::Foreign, None),
        Ground::Ours(stem) => (rows(tx, job).await?, Some(stem)),
    };
    Ok(Found { home, role: Thing::by(job.cx, row.get(0)), stem })
}

/// What stands under the shared schema's name.
enum Ground {
    Absent,
    /// Ours, with the beginning of its roles' names.
    Ours(PgIdent),
    Foreign,
}

async fn ground(tx: &Transaction<'_>) -> Answer<Ground> {
    let sql = "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = 'pooled'";
    let Some(row) = tx.query_typed_opt(sql, &[]).await? else {
        return Ok(Ground::Absent);
    };
    let stem = row.get::<_, &str>(0).strip_prefix(TAG).and_then(PgIdent::read);
    Ok(stem.map_or(Ground::Foreign, Ground::Ours))
}

/// Whether a row of the tenant's stands in any of the tables.
async fn rows(tx: &Transaction<'_>, job: &Job<'_>) -> Answer<Thing> {
    job.names.enter(tx, job.cx).await?;
    for (table, key) in tables(tx).await? {
        let sql = format!("select exists (select from {table} where {key} = $1)");
        if tx.query_typed_one(&sql, &[(&job.cx.tenant.0, Type::UUID)]).await?.get(0) {
            return Ok(Thing::Ours);
        }
    }
    Ok(Thing::Absent)
}

/// The shared tables, each with the column that says whose a row is.
async fn tables(tx: &Transaction<'_>) -> Answer<Vec<(String, String)>> {
    let sql = "select format('%I.%I', n.nspname, c.relname), quote_ident(a.attname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        join pg_index i on i.indrelid = c.oid and i.indisprimary
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where n.nspname = 'pooled' and c.relkind in ('r', 'p') and c.relrowsecurity order by 1";
    Ok(tx.query_typed(sql, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The tenant's role as a member of its modules' roles, and below it the shared schema, where it is not there yet.
pub(super) async fn make<'a>(job: &'a Job<'a>) -> Answer<Place<'a>> {
    let mut client = job.connect().await?;
    let tx = job.begin(&mut client).await?;
    let found = find(&tx, job).await?.ours_only(job)?;
    let missing = match &found.stem {
        Some(stem) => !missing(&tx, stem, &job.modules).await?.is_empty(),
        None => true,
    };
    let stem = if missing { share(&tx, job).await? } else { found.stem };
    let Some(stem) = stem else {
        return Err(foreign("the schema `pooled`"));
    };
    let role = &job.names.role;
    let mut sql = role::make(job, found.role, "inherit").await?;
    for module in &job.modules {
        sql += &format!("grant {} to {role};", group(&stem, module));
    }
    tx.batch_execute(&sql).await?;
    tx.commit().await?;
    Ok(Place::new(job, Some(stem)))
}

fn foreign(what: &str) -> Trouble {
    Trouble::no(
        Code::OwnedByOther,
        Class::Conflict,
        format!("{what} in PostgreSQL has no tag of this worker"),
    )
}

/// Makes what the tenants share, one question at a time.
async fn share(tx: &Transaction<'_>, job: &Job<'_>) -> Answer<Option<PgIdent>> {
    tx.batch_execute("select pg_advisory_xact_lock(hashtextextended('tenantry pooled', 0))").await?;
    if let Ground::Absent = ground(tx).await? {
        let sql =
            "select 'pooled_' || oid, current_user::text from pg_database where datname = current_database()";
        let row = tx.query_typed_one(sql, &[]).await?;
        let (tag, account) = (literal(&format!("{TAG}{}", row.get::<_, &str>(0))), literal(row.get(1)));
        // The body is read now and not at each call, so no search path of a caller's can change what it means.
        tx.batch_execute(&format!(
            "create schema pooled;
             comment on schema pooled is {tag};
             revoke all on schema pooled from public;
             set local search_path = pooled;
             {LEDGER}
             create function current_tenant() returns uuid stable parallel safe language sql
             return case
                 when current_user = {account} then nullif(current_setting('app.tenant', true), '')::uuid
                 when current_user ~ '^r_[0-9a-f]{{32}}$' then substr(current_user, 3)::uuid
             end;"
        ))
        .await?;
    }
    let Ground::Ours(stem) = ground(tx).await? else {
        return Ok(None);
    };
    let tag = literal(&format!("{TAG}{}", stem.as_str()));
    for group in missing(tx, &stem, &job.modules).await? {
        tx.batch_execute(&format!(
            "create role {group} nologin noinherit;
             comment on role {group} is {tag};
             grant usage on schema pooled to {group}"
        ))
        .await?;
    }
    Ok(Some(stem))
}

/// The roles of these modules that are not there yet.
async fn missing(tx: &Transaction<'_>, stem: &PgIdent, modules: &[&'static Module]) -> Answer<Vec<PgIdent>> {
    let sql = format!("select {}", role::tag(1));
    let mut missing = Vec::new();
    for module in modules {
        let group = group(stem, module);
        let row = tx.query_typed_one(&sql, &[(&group.as_str(), Type::TEXT)]).await?;
        match row.get::<_, Option<&str>>(0) {
            None => missing.push(group),
            Some(tag) if tag.strip_prefix(TAG) == Some(stem.as_str()) => {}
            Some(_) => return Err(foreign("the role of a shared module")),
        }
    }
    Ok(missing)
}

/// Whether the tenant's role is a member of the module's.
pub(super) async fn gives(
    tx: &Transaction<'_>,
    job: &Job<'_>,
    found: &Found,
    module: &Module,
) -> Answer<bool> {
    let Some(stem) = &found.stem else {
        return Ok(false);
    };
    let sql = "select exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid
                              join pg_roles r on r.oid = m.member where g.rolname = $1 and r.rolname = $2)";
    let keys = [group(stem, module), job.names.role.clone()];
    let keys = [keys[0].as_str(), keys[1].as_str()];
    Ok(tx.query_typed_one(sql, &[(&keys[0], Type::TEXT), (&keys[1], Type::TEXT)]).await?.get(0))
}

/// Removes the tenant's rows from every table, and its role.
pub(super) async fn remove(job: &Job<'_>) -> Answer<()> {
    let mut client = job.connect().await?;
    let tx = job.begin(&mut client).await?;
    let found = find(&tx, job).await?.ours_only(job)?;
    job.names.enter(&tx, job.cx).await?;
    for (table, key) in tables(&tx).await? {
        let sql = format!("delete from {table} where {key} = $1");
        tx.execute_typed(&sql, &[(&job.cx.tenant.0, Type::UUID)]).await?;
    }
    tx.batch_execute(&role::remove(job, found.role)).await.map_err(role::failed)?;
    Ok(tx.commit().await?)
}
