//! Strategy `database`: a database of the tenant's own on the same server.
//!
//! PostgreSQL makes and drops a database in no transaction, so one session does everything: it takes the tenant's
//! lock, raises the fence and commits, looks, then acts. A late question waits at the lock and then finds the higher
//! fence; a session that dies lets go of the lock when its statement has ended. A row of our own is written before the
//! database is made and removed after it is dropped: it says whose a database without a comment is.

use deadpool_postgres::{ClientWrapper, Object, Transaction};
use tenantry_step::postgres::{PgIdent, literal};
use tenantry_step::{Answer, Trouble};
use tokio_postgres::types::Type;

use super::{role, schema};
use crate::provider::{Found, Job, Place, Thing};

/// The databases that we are about to make, or made.
pub(crate) const INTENTS: &str = "
    create table if not exists worker_database.own_database (
        tenant uuid primary key,
        owner text not null,
        at timestamptz not null default now()
    );";

/// The tenant's name of a database; the strategy always has one.
fn name<'a>(job: &'a Job<'_>) -> Answer<&'a PgIdent> {
    job.names.database.as_ref().ok_or_else(|| {
        let (code, class) = (tenantry_contracts::Code::Bug, tenantry_contracts::Class::Bug);
        Trouble::no(code, class, "the strategy `database` has no name for a database")
    })
}

pub(super) async fn find(tx: &Transaction<'_>, job: &Job<'_>) -> Answer<Found> {
    let sql = format!(
        "select coalesce(shobj_description(d.oid, 'pg_database'), '') as tag,
                -- What we made and did not open yet; what we began to drop.
                not d.datallowconn and r.rolname = current_user as unopened,
                d.datconnlimit = -2 as dropping,
                (select owner from worker_database.own_database where tenant = $3) as intent,
                {} as role
         from (values (1)) one left join pg_database d on d.datname = $1 left join pg_roles r on r.oid = d.datdba",
        role::tag(2)
    );
    let keys = [name(job)?.as_str(), job.names.role.as_str()];
    let row = tx
        .query_typed_one(
            &sql,
            &[(&keys[0], Type::TEXT), (&keys[1], Type::TEXT), (&job.cx.tenant.0, Type::UUID)],
        )
        .await?;
    let there: Option<bool> = row.get("dropping");
    let intent = Thing::by(job.cx, row.get("intent"));
    let home = match (there, row.get::<_, &str>("tag")) {
        _ if intent == Thing::Foreign => Thing::Foreign,
        (None, _) => Thing::Absent,
        (Some(_), "") if intent == Thing::Ours && row.get("unopened") => Thing::Half,
        (Some(true), tag) if job.cx.owns(tag) => Thing::Half,
        (Some(_), tag) => Thing::by(job.cx, Some(tag)),
    };
    Ok(Found { home, role: Thing::by(job.cx, row.get("role")), stem: None })
}

/// A session that holds the tenant's lock until it is dropped. Frozen in between it is ended by the server.
async fn lock(job: &Job<'_>) -> Answer<ClientWrapper> {
    // Taken out of the pool, so that the lock never goes back into it.
    let session = Object::take(job.connect().await?);
    let (ms, tenant) = (job.cx.left_ms().min(60_000), job.cx.tenant);
    session
        .batch_execute(&format!(
            "set statement_timeout = {ms}; set lock_timeout = {ms}; set idle_session_timeout = {ms};
             select pg_advisory_lock(hashtextextended('tenantry database {tenant}', 0))"
        ))
        .await?;
    Ok(session)
}

/// Role and database with their tags, and in it the schema with the ledger of migrations.
pub(super) async fn make<'a>(job: &'a Job<'a>) -> Answer<Place<'a>> {
    let (database, role, cx) = (name(job)?, &job.names.role, job.cx);
    let tag = literal(&cx.owner_tag());
    let mut session = lock(job).await?;
    let tx = job.begin(&mut session).await?;
    let found = find(&tx, job).await?.ours_only(job)?;
    let mut sql = role::make(job, found.role, "noinherit").await?;
    sql += &format!(
        "insert into worker_database.own_database (tenant, owner) values ('{}', {tag}) on conflict do nothing",
        cx.tenant
    );
    tx.batch_execute(&sql).await?;
    tx.commit().await?;

    if found.home != Thing::Ours {
        cx.point("database.before-create").await?;
        if found.home == Thing::Half {
            drop_database(&session, database).await?;
        }
        // Nobody gets in before public has lost its right to; nobody is connected to `template0`, so it can be copied.
        let create = format!("create database {database} template template0 allow_connections false");
        session.batch_execute(&create).await?;
        cx.point("database.before-tag").await?;
        let tx = job.begin(&mut session).await?;
        tx.batch_execute(&format!(
            "comment on database {database} is {tag};
             revoke all on database {database} from public;
             grant connect on database {database} to {role};
             alter database {database} allow_connections true"
        ))
        .await?;
        tx.commit().await?;
    }
    inside(job, database).await?;
    Ok(Place::new(job, None))
}

/// The second fence, and the schema, which is made and found as the strategy `schema` does.
async fn inside(job: &Job<'_>, database: &PgIdent) -> Answer<()> {
    let Some(mut client) = job.databases.connect(job.cx, database).await? else {
        return Err(Trouble::shaky("the tenant's database was removed beside the worker"));
    };
    job.provider.prepare_in(&mut client, "").await?;
    let tx = job.begin(&mut client).await?;
    let found = schema::find(&tx, job).await?.ours_only(job)?;
    if found.home == Thing::Absent {
        tx.batch_execute("revoke all on schema public from public").await?;
    }
    tx.batch_execute(&schema::ground(job, found.home)).await?;
    Ok(tx.commit().await?)
}

/// Drops database and role, and last the row that says that they were ours.
pub(super) async fn remove(job: &Job<'_>) -> Answer<()> {
    let mut session = lock(job).await?;
    let tx = job.begin(&mut session).await?;
    let found = find(&tx, job).await?.ours_only(job)?;
    tx.commit().await?;
    if found.home != Thing::Absent {
        drop_database(&session, name(job)?).await?;
    }
    job.cx.point("database.before-forget").await?;
    let tx = job.begin(&mut session).await?;
    let sql = format!("delete from worker_database.own_database where tenant = '{}';", job.cx.tenant);
    tx.batch_execute(&(sql + &role::remove(job, found.role))).await.map_err(role::failed)?;
    Ok(tx.commit().await?)
}

async fn drop_database(session: &ClientWrapper, database: &PgIdent) -> Answer<()> {
    Ok(session.batch_execute(&format!("drop database {database} with (force)")).await?)
}
