//! The store: the journal of the lanes, written by one statement a batch under the lane's epoch.

use std::collections::BTreeMap;
use std::future::Future;

use bytes::Bytes;
use tenantry_contracts::operation::Stopped;
use tenantry_contracts::{Environment, Lane, RequestId, Sealed, Slug, State, TenantId, Time};

/// The place in one of the three topics of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeardAt {
    /// The next offset to be heard.
    pub next: i64,
    /// [`tenantry_contracts::Record::content_id`] of the record before it; zeros where nothing was heard yet.
    pub last_id: [u8; 16],
}

/// The row of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneRow {
    /// The lane.
    pub lane: Lane,
    /// Raised by each take-over; shuts out every earlier owner.
    pub epoch: i64,
    /// The highest journal number. A new PostgreSQL timeline or system makes it jump by 2^32 at take-over.
    pub n: i64,
    /// The highest journal number with everything up to it acknowledged on Kafka.
    pub spoken: i64,
    /// What was heard of `tenant.requests`.
    pub requests: HeardAt,
    /// What was heard of `tenant.results`.
    pub results: HeardAt,
    /// What was heard of `tenant.operations`.
    pub operations: HeardAt,
    /// Take-overs without a commit since the last commit.
    pub fruitless: i32,
    /// When the owner last said that it lives.
    pub seen_at: Time,
    /// Milliseconds in which nobody owned the lane, in all; open step deadlines move by what was added since they
    /// were set.
    pub paused_ms: i64,
    /// The number of the last record of the lane's own chain.
    pub chain_seq: i64,
    /// The digest of the last record of the lane's own chain.
    pub chain_head: [u8; 32],
    /// The workers that nothing is asked of, because a person paused them.
    pub stopped: Stopped,
}

/// One row of the journal. Never changed, never removed while it is needed for a fold or a proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The lane.
    pub lane: Lane,
    /// Its number in the lane.
    pub n: i64,
    /// The tenant; `None` for rows of the lane's own chain.
    pub tenant: Option<TenantId>,
    /// The place in its chain, counted from one.
    pub seq: i64,
    /// The number of the previous row of the same tenant; zero for the first.
    pub prev_n: i64,
    /// When, by the fleet's clock.
    pub at: Time,
    /// What was heard and what it changed (JSON, written by the coordinator).
    pub entry: Bytes,
    /// What is said of it, exactly ([`tenantry_contracts::fact::encode`]).
    pub facts: Bytes,
}

/// The row of a tenant: what a list shows and a take-over needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantRow {
    /// The tenant.
    pub tenant: TenantId,
    /// Its lane.
    pub lane: Lane,
    /// Its environment.
    pub environment: Environment,
    /// Its slug.
    pub slug: Slug,
    /// Its display name, sealed as field `name`.
    pub name: Sealed,
    /// Its plan.
    pub plan: String,
    /// Its state when this row was written.
    pub state: State,
    /// Since when.
    pub since: Time,
    /// The journal number of its last row when this row was written.
    pub head_n: i64,
    /// The place of that row in the tenant's chain.
    pub head_seq: i64,
    /// The digest of the audit record of that row.
    pub head_hash: [u8; 32],
    /// Nothing is open: no question, no timer. Rows at rest are not in a lane's memory.
    pub at_rest: bool,
    /// It holds its slug.
    pub holds_slug: bool,
    /// When it was heard.
    pub created: Time,
}

/// What became of a request id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// The id.
    pub id: RequestId,
    /// SHA-256 of the document.
    pub digest: [u8; 32],
    /// The tenant that it made, or that its operation was about; `None` where it was refused.
    pub tenant: Option<TenantId>,
    /// The record that was decided (`topic/partition/offset`), before any forwarding: the same record again is silent,
    /// another record with the same id is answered as a duplicate.
    pub origin: String,
    /// When it was decided. Accepted ones are kept for ever, others for thirty days.
    pub at: Time,
}

/// A tenant's key, wrapped by the fleet's master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
}

/// What one batch writes in one lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneWrite {
    /// The lane as it shall be; `epoch` is the owner's own and must match, everything else is written.
    pub lane: LaneRow,
    /// The number the lane must have for the write to count.
    pub n_before: i64,
    /// New rows, in order, numbered from `n_before + 1`; after an accepted restore from beyond what was published.
    pub rows: Vec<Row>,
    /// Tenants to insert or to update, each once.
    pub tenants: Vec<TenantRow>,
    /// Request ids that were decided, each once.
    pub requests: Vec<RequestRow>,
    /// Keys of tenants that were accepted.
    pub keys: Vec<SealedKey>,
    /// Tenants whose key is destroyed.
    pub forgotten: Vec<TenantId>,
}

/// Everything one statement writes: several lanes, each under its own epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Each lane once.
    pub lanes: Vec<LaneWrite>,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It committed for these lanes. The others had another epoch or number: they were lost, nothing of them was written.
    Done(Vec<Lane>),
    /// Nothing was written: another lane has the same key. Read again, step again.
    Conflict(Conflict),
    /// Nothing was written, certainly. May be repeated as it is.
    Failed(String),
    /// Nobody knows. Take over, and see.
    Unknown(String),
}

/// Which unique key two lanes both wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A request id.
    Request,
    /// A tenant id that upstream brought.
    Tenant,
    /// Another one, or a deadlock.
    Other,
}

/// What a batch must know before it is stepped, read in one round trip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Request ids: were they decided?
    pub requests: Vec<RequestId>,
    /// Slugs: who holds them?
    pub slugs: Vec<(Environment, Slug)>,
    /// Tenant ids: do they exist, and what is their history?
    pub tenants: Vec<TenantId>,
}

impl Need {
    /// Nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.slugs.is_empty() && self.tenants.is_empty()
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Those request ids that are known.
    pub requests: BTreeMap<RequestId, RequestRow>,
    /// Those slugs that are held.
    pub slugs: BTreeMap<(Environment, Slug), TenantId>,
    /// Those tenants that exist, with all their rows in order.
    pub tenants: BTreeMap<TenantId, (TenantRow, Vec<Row>)>,
}

/// What a take-over finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The tenants that are not at rest, each with all its rows in order.
    pub tenants: Vec<(TenantRow, Vec<Row>)>,
    /// The rows above `spoken`, in order.
    pub unspoken: Vec<Row>,
}

/// The store cannot do it now; nothing is wrong with what was asked. Try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("store: {0}")]
pub struct StoreError(pub String);

/// The coordinator's store.
pub trait Store: Clone + Send + Sync + 'static {
    /// Raises the lane's epoch, waiting for a batch in doubt, and counts a fruitless take-over. Makes the lane where
    /// there is none. Returns the lane as it was left, with the new epoch.
    ///
    /// # Errors
    /// Where the store cannot be reached, or a batch in doubt did not end in time. May be repeated.
    fn raise(&self, lane: Lane) -> impl Future<Output = Result<LaneRow, StoreError>> + Send;

    /// Loads a lane that was just raised.
    ///
    /// # Errors
    /// Where the store cannot be reached. May be repeated.
    fn load(&self, lane: &LaneRow) -> impl Future<Output = Result<Loaded, StoreError>> + Send;

    /// Reads what a batch needs.
    ///
    /// # Errors
    /// Where the store cannot be reached. May be repeated.
    fn read(&self, need: Need) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Writes everything or nothing for each lane whose epoch and number match.
    fn commit(&self, batch: Batch) -> impl Future<Output = CommitOutcome> + Send;
}
