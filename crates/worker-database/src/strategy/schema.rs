//! Strategy `schema`: a schema of the tenant's own in the tenants' database.

use deadpool_postgres::Transaction;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{PgIdent, literal};
use tenantry_step::{Answer, Trouble};
use tokio_postgres::types::Type;

use super::role;
use crate::modules::LEDGER;
use crate::provider::{Found, Job, Place, Thing};

pub(super) async fn find(tx: &Transaction<'_>, job: &Job<'_>) -> Answer<Found> {
    let sql = format!(
        "select (select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1), {}",
        role::tag(2)
    );
    let keys = [job.names.schema.as_str(), job.names.role.as_str()];
    let row = tx.query_typed_one(&sql, &[(&keys[0], Type::TEXT), (&keys[1], Type::TEXT)]).await?;
    Ok(Found { home: Thing::by(job.cx, row.get(0)), role: Thing::by(job.cx, row.get(1)), stem: None })
}

/// Schema and role with their tags, and the ledger of migrations: everything or nothing.
pub(super) async fn make<'a>(job: &'a Job<'a>) -> Answer<Place<'a>> {
    let mut client = job.connect().await?;
    let tx = job.begin(&mut client).await?;
    let found = find(&tx, job).await?.ours_only(job)?;
    let mut sql = role::make(job, found.role, "noinherit").await?;
    sql += &ground(job, found.home);
    tx.batch_execute(&sql).await?;
    tx.commit().await?;
    Ok(Place::new(job, None))
}

/// The schema with what migrations rely on. A tenant's role that sets no `app.tenant` sees nothing.
pub(super) fn ground(job: &Job<'_>, found: Thing) -> String {
    let (schema, role) = (&job.names.schema, &job.names.role);
    let usage = format!("grant usage on schema {schema} to {role};");
    if found != Thing::Absent {
        return usage;
    }
    let tag = literal(&job.cx.owner_tag());
    format!(
        "create schema {schema};
         comment on schema {schema} is {tag};
         set local search_path = {schema};
         {LEDGER}
         create function current_tenant() returns uuid stable parallel safe language sql
             return nullif(current_setting('app.tenant', true), '')::uuid;
         {usage}"
    )
}

/// Drops schema and role.
pub(super) async fn remove(job: &Job<'_>) -> Answer<()> {
    let mut client = job.connect().await?;
    let tx = job.begin(&mut client).await?;
    let found = find(&tx, job).await?.ours_only(job)?;
    let mut sql = String::new();
    if found.home != Thing::Absent {
        leaned_on(&tx, &job.names.schema).await?;
        sql += &format!("drop schema {} cascade;", job.names.schema);
    }
    sql += &role::remove(job, found.role);
    tx.batch_execute(&sql).await.map_err(role::failed)?;
    Ok(tx.commit().await?)
}

/// `cascade` would also drop what others built on the tenant's tables: their views and foreign keys.
async fn leaned_on(tx: &Transaction<'_>, schema: &PgIdent) -> Answer<()> {
    let sql = "select exists (
            select from pg_depend d
            join pg_class ours on d.refclassid = 'pg_class'::regclass and d.refobjid = ours.oid
            join pg_rewrite rule on d.classid = 'pg_rewrite'::regclass and d.objid = rule.oid
            join pg_class view on view.oid = rule.ev_class
            where ours.relnamespace = n.oid and view.relnamespace <> n.oid
        ) or exists (
            select from pg_constraint fk
            join pg_class ours on fk.confrelid = ours.oid
            where ours.relnamespace = n.oid and fk.connamespace <> n.oid
        ) from pg_namespace n where nspname = $1";
    if tx.query_typed_one(sql, &[(&schema.as_str(), Type::TEXT)]).await?.get(0) {
        let message =
            "something outside the tenant's schema is built on its tables and would be dropped with them";
        return Err(Trouble::no(Code::OwnedByOther, Class::Conflict, message));
    }
    Ok(())
}
