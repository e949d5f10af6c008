//! Rows as sqlx reads them, and as the ports name them.

use tenantry_contracts::operation::Stopped;
use tenantry_contracts::{Environment, Lane, Sealed, Slug, State, TenantId, Time};
use tenantry_ports::{HeardAt, LaneRow, Row, TenantRow};
use uuid::Uuid;

use crate::Error;
use crate::pack::unpack;

pub(super) struct TenantRecord {
    pub(super) tenant: Uuid,
    pub(super) lane: i32,
    pub(super) environment: String,
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) plan: String,
    pub(super) state: String,
    pub(super) since: i64,
    pub(super) head_n: i64,
    pub(super) head_seq: i64,
    pub(super) head_hash: Vec<u8>,
    pub(super) at_rest: bool,
    pub(super) holds_slug: bool,
    pub(super) created: i64,
}

pub(super) struct JournalRecord {
    pub(super) lane: i32,
    pub(super) n: i64,
    pub(super) tenant: Option<Uuid>,
    pub(super) seq: i64,
    pub(super) prev_n: i64,
    pub(super) at: i64,
    pub(super) entry: Vec<u8>,
    pub(super) facts: Vec<u8>,
}

pub(super) struct LaneRecord {
    pub(super) lane: i32,
    pub(super) epoch: i64,
    pub(super) n: i64,
    pub(super) spoken: i64,
    pub(super) requests_next: i64,
    pub(super) requests_last: Vec<u8>,
    pub(super) results_next: i64,
    pub(super) results_last: Vec<u8>,
    pub(super) operations_next: i64,
    pub(super) operations_last: Vec<u8>,
    pub(super) fruitless: i32,
    pub(super) seen_at: i64,
    pub(super) paused_ms: i64,
    pub(super) chain_seq: i64,
    pub(super) chain_head: Vec<u8>,
    pub(super) stopped: Option<String>,
}

impl TryFrom<TenantRecord> for TenantRow {
    type Error = Error;

    fn try_from(row: TenantRecord) -> Result<Self, Error> {
        Ok(Self {
            tenant: TenantId(row.tenant),
            lane: lane(row.lane)?,
            environment: Environment::parse(&row.environment)
                .map_err(|_| strange("tenant.environment", &row.environment))?,
            slug: Slug::parse(&row.slug).map_err(|_| strange("tenant.slug", &row.slug))?,
            name: Sealed::read(row.name),
            plan: row.plan,
            state: state(&row.state)?,
            since: Time(row.since),
            head_n: row.head_n,
            head_seq: row.head_seq,
            head_hash: fixed("tenant.head_hash", &row.head_hash)?,
            at_rest: row.at_rest,
            holds_slug: row.holds_slug,
            created: Time(row.created),
        })
    }
}

impl TryFrom<JournalRecord> for Row {
    type Error = Error;

    fn try_from(row: JournalRecord) -> Result<Self, Error> {
        let (entry, facts) =
            unpack(&row.entry, &row.facts).ok_or_else(|| strange("journal.entry", "a format of storage"))?;
        Ok(Self {
            lane: lane(row.lane)?,
            n: row.n,
            tenant: row.tenant.map(TenantId),
            seq: row.seq,
            prev_n: row.prev_n,
            at: Time(row.at),
            entry,
            facts,
        })
    }
}

impl TryFrom<LaneRecord> for LaneRow {
    type Error = Error;

    fn try_from(row: LaneRecord) -> Result<Self, Error> {
        let heard =
            |next, last: &[u8]| Ok::<_, Error>(HeardAt { next, last_id: fixed("lane.*_last", last)? });
        Ok(Self {
            lane: lane(row.lane)?,
            epoch: row.epoch,
            n: row.n,
            spoken: row.spoken,
            requests: heard(row.requests_next, &row.requests_last)?,
            results: heard(row.results_next, &row.results_last)?,
            operations: heard(row.operations_next, &row.operations_last)?,
            fruitless: row.fruitless,
            seen_at: Time(row.seen_at),
            paused_ms: row.paused_ms,
            chain_seq: row.chain_seq,
            chain_head: fixed("lane.chain_head", &row.chain_head)?,
            stopped: Stopped::parse(row.stopped.as_deref().unwrap_or_default()),
        })
    }
}

pub(super) fn all<R, T: TryFrom<R, Error = Error>>(records: Vec<R>) -> Result<Vec<T>, Error> {
    records.into_iter().map(T::try_from).collect()
}

pub(super) fn state(text: &str) -> Result<State, Error> {
    State::parse(text).ok_or_else(|| strange("tenant.state", text))
}

pub(super) fn lane(number: i32) -> Result<Lane, Error> {
    u16::try_from(number).map(Lane).map_err(|_| strange("lane", &number.to_string()))
}

pub(super) fn fixed<const N: usize>(column: &str, bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| strange(column, &format!("{} bytes", bytes.len())))
}

fn strange(column: &str, value: &str) -> Error {
    Error::Strange(format!("{column} holds {value:?}"))
}
