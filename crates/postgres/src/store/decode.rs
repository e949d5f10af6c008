//! From rows of a result to the ports' types. What does not read was written by somebody else, and is an error.

use tenantry_contracts::operation::Stopped;
use tenantry_contracts::{Environment, Lane, RequestId, Sealed, Slug, State, TenantId, Time};
use tenantry_ports::{HeardAt, LaneRow, RequestRow, Row, StoreError, TenantRow};
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::FromSql;

use crate::pack::unpack;

/// The columns that [`journal`] reads, of a table `j`.
macro_rules! journal_columns {
    () => {
        "j.lane, j.n, j.tenant, j.seq, j.prev_n, j.at, j.entry, j.facts"
    };
}
/// The columns that [`tenant`] reads, of a table `t`.
macro_rules! tenant_columns {
    () => {
        "t.tenant, t.lane, t.environment, t.slug, t.name, t.plan, t.state, t.since, t.head_n, t.head_seq, \
         t.head_hash, t.at_rest, t.holds_slug, t.created"
    };
}
pub(super) use {journal_columns, tenant_columns};

pub(super) fn lane(row: &PgRow) -> Result<LaneRow, StoreError> {
    let heard =
        |next, last| Ok::<_, StoreError>(HeardAt { next: get(row, next)?, last_id: fixed(row, last)? });
    Ok(LaneRow {
        lane: lane_number(row, 0)?,
        epoch: get(row, 1)?,
        n: get(row, 2)?,
        spoken: get(row, 3)?,
        requests: heard(4, 5)?,
        results: heard(6, 7)?,
        operations: heard(8, 9)?,
        fruitless: get(row, 10)?,
        seen_at: Time(get(row, 11)?),
        paused_ms: get(row, 12)?,
        chain_seq: get(row, 13)?,
        chain_head: fixed(row, 14)?,
        stopped: Stopped::parse(get::<Option<&str>>(row, 15)?.unwrap_or_default()),
    })
}

pub(super) fn journal(row: &PgRow) -> Result<Row, StoreError> {
    let (entry, facts) = unpack(get(row, 6)?, get(row, 7)?).ok_or_else(|| {
        StoreError("a journal row is stored in a format that this program does not know".to_owned())
    })?;
    Ok(Row {
        lane: lane_number(row, 0)?,
        n: get(row, 1)?,
        tenant: get::<Option<uuid::Uuid>>(row, 2)?.map(TenantId),
        seq: get(row, 3)?,
        prev_n: get(row, 4)?,
        at: Time(get(row, 5)?),
        entry,
        facts,
    })
}

pub(super) fn tenant(row: &PgRow) -> Result<TenantRow, StoreError> {
    let state: &str = get(row, 6)?;
    Ok(TenantRow {
        tenant: TenantId(get(row, 0)?),
        lane: lane_number(row, 1)?,
        environment: environment(get(row, 2)?)?,
        slug: slug(get(row, 3)?)?,
        name: Sealed::read(get::<String>(row, 4)?),
        plan: get(row, 5)?,
        state: State::parse(state).ok_or_else(|| strange("tenant.state", state))?,
        since: Time(get(row, 7)?),
        head_n: get(row, 8)?,
        head_seq: get(row, 9)?,
        head_hash: fixed(row, 10)?,
        at_rest: get(row, 11)?,
        holds_slug: get(row, 12)?,
        created: Time(get(row, 13)?),
    })
}

pub(super) fn request(row: &PgRow) -> Result<RequestRow, StoreError> {
    Ok(RequestRow {
        id: RequestId { source: get(row, 0)?, id: get(row, 1)? },
        digest: fixed(row, 2)?,
        tenant: get::<Option<uuid::Uuid>>(row, 3)?.map(TenantId),
        origin: get(row, 4)?,
        at: Time(get(row, 5)?),
    })
}

pub(super) fn slug(text: &str) -> Result<Slug, StoreError> {
    Slug::parse(text).map_err(|_| strange("tenant.slug", text))
}

pub(super) fn environment(text: &str) -> Result<Environment, StoreError> {
    Environment::parse(text).map_err(|_| strange("tenant.environment", text))
}

fn lane_number(row: &PgRow, at: usize) -> Result<Lane, StoreError> {
    let number: i32 = get(row, at)?;
    u16::try_from(number).map(Lane).map_err(|_| strange("lane", &number.to_string()))
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a PgRow, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| StoreError(format!("column {at} of a result: {error}")))
}

fn fixed<const N: usize>(row: &PgRow, at: usize) -> Result<[u8; N], StoreError> {
    let bytes: &[u8] = get(row, at)?;
    bytes
        .try_into()
        .map_err(|_| StoreError(format!("column {at} of a result has {} bytes instead of {N}", bytes.len())))
}

fn strange(column: &str, value: &str) -> StoreError {
    StoreError(format!("{column} holds {value:?}, which this program does not know"))
}
