//! The one statement of a batch.
//!
//! Everything or nothing for each lane whose epoch and number match. Behind another writer's lock it waits, looks again,
//! and loses if the other one committed. `begin` is nowhere: the statement is its own transaction.

use tenantry_contracts::Lane;
use tenantry_ports::{Batch, CommitOutcome, Conflict};
use tokio_postgres::error::{DbError, Severity, SqlState};

use super::columns::Columns;
use super::settled::Plan;
use crate::connect::{Hot, prepared};
use crate::error::describe;

/// `won` is read through an array, so it is complete before anything is written, and whatever it lost is written
/// nowhere. `expired` is counted for its effect alone: refused requests of long ago are gone before their ids are
/// inserted again.
///
/// A tenant is new where the batch holds its first row. New ones are plain inserts, so that an id that another lane has
/// too is a unique violation and not a silent change of somebody else's tenant.
pub(super) const SQL: &str = "\
with won as (
    update lane l set n = w.n, spoken = w.spoken, settled = greatest(l.settled, w.settled),
        requests_next = w.requests_next, requests_last = w.requests_last,
        results_next = w.results_next, results_last = w.results_last,
        operations_next = w.operations_next, operations_last = w.operations_last,
        fruitless = 0, seen_at = w.seen_at, paused_ms = w.paused_ms, chain_seq = w.chain_seq, chain_head = w.chain_head,
        stopped = w.stopped
    from unnest($1::int4[], $2::int8[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::bytea[],
        $9::int8[], $10::bytea[], $11::int8[], $12::bytea[], $13::int8[], $14::int8[], $15::int8[], $16::bytea[], $17::text[])
        as w(lane, epoch, n_before, n, spoken, settled, requests_next, requests_last, results_next, results_last,
            operations_next, operations_last, seen_at, paused_ms, chain_seq, chain_head, stopped)
    where l.lane = w.lane and l.epoch = w.epoch and l.n = w.n_before
    returning l.lane
), rows as (
    insert into journal (lane, n, tenant, seq, prev_n, at, entry, facts)
    select r.* from unnest($18::int4[], $19::int8[], $20::uuid[], $21::int8[], $22::int8[], $23::int8[],
        $24::bytea[], $25::bytea[]) as r(lane, n, tenant, seq, prev_n, at, entry, facts)
    where r.lane = any(array(select lane from won))
), t as materialized (
    select t.* from unnest($26::uuid[], $27::int4[], $28::text[], $29::text[], $30::text[], $31::text[], $32::text[],
        $33::int8[], $34::int8[], $35::int8[], $36::bytea[], $37::bool[], $38::bool[], $39::int8[], $40::bool[])
        as t(tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash, at_rest,
            holds_slug, created, is_new)
    where t.lane = any(array(select lane from won))
), made as (
    insert into tenant (tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash, at_rest,
        holds_slug, created)
    select t.tenant, t.lane, t.environment, t.slug, t.name, t.plan, t.state, t.since, t.head_n, t.head_seq,
        t.head_hash, t.at_rest, t.holds_slug, t.created
    from t where t.is_new
), changed as (
    insert into tenant as old (tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash,
        at_rest, holds_slug, created)
    select t.tenant, t.lane, t.environment, t.slug, t.name, t.plan, t.state, t.since, t.head_n, t.head_seq,
        t.head_hash, t.at_rest, t.holds_slug, t.created
    from t where not t.is_new
    on conflict (tenant) do update set name = excluded.name, plan = excluded.plan, state = excluded.state,
        since = excluded.since, head_n = excluded.head_n, head_seq = excluded.head_seq,
        head_hash = excluded.head_hash, at_rest = excluded.at_rest, holds_slug = excluded.holds_slug
    where old.lane = excluded.lane
), q as materialized (
    select q.* from unnest($41::int4[], $42::text[], $43::text[], $44::bytea[], $45::uuid[], $46::text[], $47::int8[])
        as q(lane, source, id, digest, tenant, origin, at)
    where q.lane = any(array(select lane from won))
), expired as (
    delete from request old using q
    where old.source = q.source and old.id = q.id and old.tenant is null and old.at < q.at - 2592000000
    returning 1
), decided as (
    insert into request (source, id, digest, tenant, origin, at)
    select q.source, q.id, q.digest, q.tenant, q.origin, q.at from q where (select count(*) from expired) >= 0
), keys as (
    insert into tenant_key (tenant, wrapped)
    select k.tenant, k.wrapped from unnest($48::int4[], $49::uuid[], $50::bytea[]) as k(lane, tenant, wrapped)
    where k.lane = any(array(select lane from won))
), forgotten as (
    delete from tenant_key old using unnest($51::int4[], $52::uuid[]) as f(lane, tenant)
    where old.tenant = f.tenant and f.lane = any(array(select lane from won))
)
select lane from won";

pub(super) async fn commit(pool: &Hot, batch: &Batch, plans: &[Plan]) -> CommitOutcome {
    if batch.lanes.is_empty() {
        return CommitOutcome::Done(Vec::new());
    }
    let columns = Columns::new(batch, plans);
    // Nothing was sent before the statement itself: whatever fails up to there wrote nothing.
    let client = match pool.lease().await {
        Ok(client) => client,
        Err(error) => return CommitOutcome::Failed(error.0),
    };
    let statement = match prepared(&client, SQL).await {
        Ok(statement) => statement,
        Err(error) => return CommitOutcome::Failed(error.0),
    };
    match client.query(&statement, &columns.params()).await {
        // The rows end with ReadyForQuery, which follows the commit.
        Ok(rows) => match rows.iter().map(|row| row.try_get::<_, i32>(0)).collect::<Result<Vec<_>, _>>() {
            Ok(won) => CommitOutcome::Done(
                won.into_iter().filter_map(|lane| u16::try_from(lane).ok()).map(Lane).collect(),
            ),
            Err(error) => CommitOutcome::Unknown(describe(&error)),
        },
        Err(error) => outcome(&error),
    }
}

/// What a failed statement means. Only an error that the server reports for the statement, on a session that goes on,
/// says for certain that nothing was written; everything else may have come after the commit.
fn outcome(error: &tokio_postgres::Error) -> CommitOutcome {
    let Some(db) = error.as_db_error().filter(|db| is_certain(db)) else {
        return CommitOutcome::Unknown(describe(error));
    };
    match *db.code() {
        SqlState::UNIQUE_VIOLATION | SqlState::EXCLUSION_VIOLATION => {
            CommitOutcome::Conflict(match db.constraint() {
                Some("request_pkey") => Conflict::Request,
                Some("tenant_pkey" | "tenant_key_pkey") => Conflict::Tenant,
                _ => Conflict::Other,
            })
        }
        SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
            CommitOutcome::Conflict(Conflict::Other)
        }
        _ => CommitOutcome::Failed(describe(error)),
    }
}

fn is_certain(db: &DbError) -> bool {
    let code = db.code().code();
    db.parsed_severity() == Some(Severity::Error) && !code.starts_with("08") && code != "40003"
}
