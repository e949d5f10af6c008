//! What a batch must know before it is stepped: up to four statements, sent together, so that it costs one round trip.

use std::collections::BTreeMap;

use tenantry_contracts::{RequestId, TenantId};
use tenantry_ports::{Found, Need, RequestRow, Row, StoreError, TenantRow};
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::ToSql;

use super::decode::{self, get, journal_columns, tenant_columns};
use crate::connect::{Hot, prepared};
use crate::error::store_error;

const REQUESTS: &str = "\
select r.source, r.id, r.digest, r.tenant, r.origin, r.at
from unnest($1::text[], $2::text[]) as a(source, id)
join request r on r.source = a.source and r.id = a.id";

const SLUGS: &str = "\
select t.environment, t.slug, t.tenant
from unnest($1::text[], $2::text[]) as a(environment, slug)
join tenant t on t.environment = a.environment and t.slug = a.slug and t.holds_slug";

const TENANTS: &str = concat!(
    "select ",
    tenant_columns!(),
    " from unnest($1::uuid[]) as a(tenant) join tenant t on t.tenant = a.tenant"
);

/// All rows of these tenants: back from the head, and for those not at rest what the head does not show yet.
const HISTORY: &str = concat!(
    "with recursive asked as (
    select t.tenant, t.lane, t.head_n, t.at_rest, l.settled
    from unnest($1::uuid[]) as a(tenant) join tenant t on t.tenant = a.tenant join lane l on l.lane = t.lane
), walk as (
    select j.* from asked a join journal j on j.lane = a.lane and j.n = a.head_n
    union all
    select j.* from walk w join journal j on j.lane = w.lane and j.n = w.prev_n where w.prev_n > 0
) select ",
    journal_columns!(),
    " from walk j union all select ",
    journal_columns!(),
    " from asked a join journal j
    on j.lane = a.lane and j.n > greatest(a.head_n, a.settled) and j.tenant = a.tenant
where not a.at_rest"
);

pub(super) const STATEMENTS: [(&str, &str); 4] =
    [("requests", REQUESTS), ("slugs", SLUGS), ("tenants", TENANTS), ("history", HISTORY)];

pub(super) async fn read(pool: &Hot, need: &Need) -> Result<Found, StoreError> {
    if need.is_empty() {
        return Ok(Found::default());
    }
    let client = pool.lease().await?;
    let rows = async |wanted: bool, sql: &'static str, params: &[&(dyn ToSql + Sync)]| {
        if !wanted {
            return Ok(Vec::new());
        }
        let statement = prepared(&client, sql).await?;
        client.query(&statement, params).await.map_err(|error| store_error(&error))
    };
    let sources: Vec<&str> = need.requests.iter().map(|id| id.source.as_str()).collect();
    let ids: Vec<&str> = need.requests.iter().map(|id| id.id.as_str()).collect();
    let environments: Vec<&str> = need.slugs.iter().map(|(environment, _)| environment.as_str()).collect();
    let slugs: Vec<&str> = need.slugs.iter().map(|(_, slug)| slug.as_str()).collect();
    let tenants: Vec<uuid::Uuid> = need.tenants.iter().map(|tenant| tenant.0).collect();
    let asked_requests: [&(dyn ToSql + Sync); 2] = [&sources, &ids];
    let asked_slugs: [&(dyn ToSql + Sync); 2] = [&environments, &slugs];
    let asked_tenants: [&(dyn ToSql + Sync); 1] = [&tenants];
    // Polled together they are sent together. The history is read after the tenants, so it is never the shorter one.
    let (requests, slugs, rows_of_tenants, history) = tokio::join!(
        rows(!need.requests.is_empty(), REQUESTS, &asked_requests),
        rows(!need.slugs.is_empty(), SLUGS, &asked_slugs),
        rows(!need.tenants.is_empty(), TENANTS, &asked_tenants),
        rows(!need.tenants.is_empty(), HISTORY, &asked_tenants),
    );
    Ok(Found {
        requests: requests?
            .iter()
            .map(|row| decode::request(row).map(|row| (row.id.clone(), row)))
            .collect::<Result<BTreeMap<RequestId, RequestRow>, _>>()?,
        slugs: slugs?.iter().map(holder).collect::<Result<_, _>>()?,
        tenants: histories(&rows_of_tenants?, &history?)?,
    })
}

fn holder(
    row: &PgRow,
) -> Result<((tenantry_contracts::Environment, tenantry_contracts::Slug), TenantId), StoreError> {
    Ok(((decode::environment(get(row, 0)?)?, decode::slug(get(row, 1)?)?), TenantId(get(row, 2)?)))
}

fn histories(
    tenants: &[PgRow],
    history: &[PgRow],
) -> Result<BTreeMap<TenantId, (TenantRow, Vec<Row>)>, StoreError> {
    let mut found = BTreeMap::new();
    for row in tenants {
        let tenant = decode::tenant(row)?;
        found.insert(tenant.tenant, (tenant, Vec::new()));
    }
    for row in history {
        let row = decode::journal(row)?;
        if let Some((_, rows)) = row.tenant.and_then(|tenant| found.get_mut(&tenant)) {
            rows.push(row);
        }
    }
    for (_, rows) in found.values_mut() {
        rows.sort_unstable_by_key(|row| row.n);
        rows.dedup_by_key(|row| row.n);
    }
    Ok(found)
}
