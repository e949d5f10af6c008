//! Taking a lane over: raise the epoch, then load. Two statements, since a read inside the raising one would not see
//! the batch that it waited for.

use std::collections::{BTreeMap, HashMap};

use tenantry_contracts::{Lane, TenantId};
use tenantry_ports::{LaneRow, Loaded, Row, StoreError, TenantRow};
use tokio_postgres::types::ToSql;

use super::decode::{self, journal_columns, tenant_columns};
use crate::connect::{Hot, prepared};
use crate::error::store_error;

/// The timeline is read off the name of the WAL file being written: `pg_control_checkpoint` tells it too late after a
/// promotion. It fails on a standby, as it must. A new lane was seen just now: nobody ever owned it, so nothing paused.
const RAISE: &str = "\
insert into lane as l (lane, epoch, n, spoken, settled, requests_next, requests_last, results_next, results_last,
    operations_next, operations_last, fruitless, seen_at, paused_ms, chain_seq, chain_head, system_id, timeline)
select $1, 1, 0, 0, 0, 0, $2, 0, $2, 0, $2, 1,
    (extract(epoch from clock_timestamp()) * 1000)::int8, 0, 0, $3, s.system_identifier,
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int4
from pg_control_system() s
on conflict (lane) do update set
    epoch = l.epoch + 1,
    fruitless = l.fruitless + 1,
    n = case when (l.system_id, l.timeline) = (excluded.system_id, excluded.timeline)
        then l.n else l.n + 4294967296 end,
    system_id = excluded.system_id,
    timeline = excluded.timeline
returning l.lane, l.epoch, l.n, l.spoken, l.requests_next, l.requests_last, l.results_next, l.results_last,
    l.operations_next, l.operations_last, l.fruitless, l.seen_at, l.paused_ms, l.chain_seq, l.chain_head,
    l.stopped";

const AWAKE: &str =
    concat!("select ", tenant_columns!(), " from tenant t where t.lane = $1 and not t.at_rest");

/// Back from each head along `prev_n`. `offset 0` keeps the planner from knowing the lane before the number: on an empty
/// journal it would read the whole lane, and filter.
const BACK: &str = concat!(
    "with recursive walk as (
    select j.* from tenant t
    cross join lateral (select * from journal j where j.lane = t.lane and j.n = t.head_n offset 0) j
    where t.lane = $1 and not t.at_rest
    union all
    select j.* from walk w join journal j on j.lane = w.lane and j.n = w.prev_n where w.prev_n > 0
) select ",
    journal_columns!(),
    " from walk j"
);

/// The rows that the heads do not show yet; none of them is below `settled`.
const AHEAD: &str = concat!(
    "select ",
    journal_columns!(),
    " from lane l
    cross join lateral (select * from journal j where j.lane = l.lane and j.n > l.settled offset 0) j
    join tenant t on t.tenant = j.tenant and t.lane = l.lane and not t.at_rest and t.head_n < j.n
where l.lane = $1"
);

const UNSPOKEN: &str =
    concat!("select ", journal_columns!(), " from journal j where j.lane = $1 and j.n > $2 order by j.n");

/// Asked last: while the epoch is still the one that was raised, nobody has committed since, and what the statements
/// before it saw belongs together although each had a snapshot of its own.
const STILL: &str = "select epoch from lane where lane = $1";

pub(super) const STATEMENTS: [(&str, &str); 6] = [
    ("raise", RAISE),
    ("awake", AWAKE),
    ("back", BACK),
    ("ahead", AHEAD),
    ("unspoken", UNSPOKEN),
    ("still", STILL),
];

pub(super) async fn raise(pool: &Hot, lane: Lane) -> Result<LaneRow, StoreError> {
    let client = pool.lease().await?;
    let statement = prepared(&client, RAISE).await?;
    let row = client
        .query_one(&statement, &[&number(lane), &[0u8; 16].as_slice(), &[0u8; 32].as_slice()])
        .await
        .map_err(|error| store_error(&error))?;
    decode::lane(&row)
}

/// The lane's memory, and for each tenant whose row lags the first number that it does not show.
pub(super) async fn load(pool: &Hot, lane: &LaneRow) -> Result<(Loaded, HashMap<TenantId, i64>), StoreError> {
    let client = pool.lease().await?;
    let key = number(lane.lane);
    let rows = async |sql: &'static str, params: &[&(dyn ToSql + Sync)]| {
        let statement = prepared(&client, sql).await?;
        client.query(&statement, params).await.map_err(|error| store_error(&error))
    };
    let mut tenants: BTreeMap<TenantId, (TenantRow, Vec<Row>)> = BTreeMap::new();
    for row in rows(AWAKE, &[&key]).await? {
        let tenant = decode::tenant(&row)?;
        tenants.insert(tenant.tenant, (tenant, Vec::new()));
    }
    for row in rows(BACK, &[&key]).await? {
        place(&mut tenants, decode::journal(&row)?);
    }
    let mut behind = HashMap::new();
    for row in rows(AHEAD, &[&key]).await? {
        let row = decode::journal(&row)?;
        if let Some(tenant) = row.tenant {
            behind.entry(tenant).and_modify(|n: &mut i64| *n = row.n.min(*n)).or_insert(row.n);
        }
        place(&mut tenants, row);
    }
    for (_, history) in tenants.values_mut() {
        history.sort_unstable_by_key(|row| row.n);
    }
    let unspoken = rows(UNSPOKEN, &[&key, &lane.spoken]).await?;
    let unspoken = unspoken.iter().map(decode::journal).collect::<Result<_, _>>()?;
    let epoch = rows(STILL, &[&key]).await?.first().and_then(|row| row.try_get::<_, i64>(0).ok());
    if epoch != Some(lane.epoch) {
        return Err(StoreError(format!(
            "lane {} was taken over by another owner while it was loaded; raise it again",
            lane.lane
        )));
    }
    Ok((Loaded { tenants: tenants.into_values().collect(), unspoken }, behind))
}

fn place(tenants: &mut BTreeMap<TenantId, (TenantRow, Vec<Row>)>, row: Row) {
    if let Some((_, history)) = row.tenant.and_then(|tenant| tenants.get_mut(&tenant)) {
        history.push(row);
    }
}

fn number(lane: Lane) -> i32 {
    i32::from(lane.0)
}
