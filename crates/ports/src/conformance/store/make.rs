//! A lane as its owner has it, and the rows that the suite writes.

use bytes::Bytes;
use tenantry_contracts::{Environment, Lane, RequestId, Sealed, Slug, State, TenantId, Time};

use crate::{
    Batch, CommitOutcome, HeardAt, LaneRow, LaneWrite, RequestRow, Row, SealedKey, Store, TenantRow,
};

/// When everything happens.
pub(super) const NOW: Time = Time(1_800_000_000_000);

/// The owner of a lane: builds a write, commits it, and remembers where the lane is.
pub(super) struct Owner<S> {
    pub(super) store: S,
    pub(super) row: LaneRow,
}

impl<S: Store> Owner<S> {
    /// Takes the lane over.
    pub(super) async fn of(store: S, lane: Lane) -> Self {
        let row = store.raise(lane).await.expect("a lane can be raised");
        store.load(&row).await.expect("a raised lane can be loaded");
        Self { store, row }
    }

    /// A write that changes nothing yet.
    pub(super) fn write(&self) -> LaneWrite {
        LaneWrite {
            lane: LaneRow { fruitless: 0, seen_at: NOW, ..self.row.clone() },
            n_before: self.row.n,
            rows: Vec::new(),
            tenants: Vec::new(),
            requests: Vec::new(),
            keys: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// Commits it, alone.
    pub(super) async fn commit(&mut self, write: LaneWrite) -> CommitOutcome {
        let lane = write.lane.clone();
        let outcome = self.store.commit(Batch { lanes: vec![write] }).await;
        if outcome == CommitOutcome::Done(vec![lane.lane]) {
            self.row = lane;
        }
        outcome
    }

    /// Commits it, alone, and it must count.
    pub(super) async fn must(&mut self, write: LaneWrite) {
        let lane = write.lane.lane;
        assert_eq!(self.commit(write).await, CommitOutcome::Done(vec![lane]));
    }
}

/// Adds the tenant's next row to a write, and moves the tenant's head there.
pub(super) fn add(write: &mut LaneWrite, tenant: &mut TenantRow) -> Row {
    write.lane.n += 1;
    let row = Row {
        lane: write.lane.lane,
        n: write.lane.n,
        tenant: Some(tenant.tenant),
        seq: tenant.head_seq + 1,
        prev_n: tenant.head_n,
        at: NOW.plus(write.lane.n),
        entry: Bytes::from(format!("{{\"n\":{}}}", write.lane.n)),
        facts: Bytes::from(vec![0, 255, b'\'', (write.lane.n % 251) as u8]),
    };
    tenant.head_n = row.n;
    tenant.head_seq = row.seq;
    tenant.head_hash = [(row.n % 251) as u8; 32];
    write.rows.push(row.clone());
    row
}

/// Adds a row of the lane's own chain.
pub(super) fn add_own(write: &mut LaneWrite) -> Row {
    write.lane.n += 1;
    write.lane.chain_seq += 1;
    write.lane.chain_head = [9; 32];
    let row = Row {
        lane: write.lane.lane,
        n: write.lane.n,
        tenant: None,
        seq: write.lane.chain_seq,
        prev_n: 0,
        at: NOW,
        entry: Bytes::from_static(b"{}"),
        facts: Bytes::new(),
    };
    write.rows.push(row.clone());
    row
}

/// A tenant that no row names yet. `which` tells the tenants of a lane apart.
pub(super) fn tenant(lane: Lane, which: u8) -> TenantRow {
    let mut entropy = [which; 10];
    entropy[..2].copy_from_slice(&lane.0.to_be_bytes());
    TenantRow {
        tenant: TenantId::new(NOW, entropy),
        lane,
        environment: Environment::default(),
        slug: slug(&format!("suite-{}-{which}", lane.0)),
        name: Sealed::read(format!("v1:1:sealed{which}")),
        plan: "standard".to_owned(),
        state: State::Provisioning,
        since: NOW,
        head_n: 0,
        head_seq: 0,
        head_hash: [0; 32],
        at_rest: false,
        holds_slug: true,
        created: NOW,
    }
}

pub(super) fn slug(text: &str) -> Slug {
    Slug::parse(text).expect("the suite's slugs keep to the grammar")
}

/// The decision on a request. `which` tells the requests of a lane apart.
pub(super) fn request(lane: Lane, which: u8, tenant: Option<TenantId>) -> RequestRow {
    RequestRow {
        id: RequestId { source: format!("suite/{}", lane.0), id: format!("request-{which}") },
        digest: [which; 32],
        tenant,
        origin: format!("tenant.requests/{}/{which}", lane.0),
        at: NOW,
    }
}

pub(super) fn key(tenant: TenantId) -> SealedKey {
    SealedKey { tenant, wrapped: vec![1, 0, 255, 2] }
}

/// A place in a topic.
pub(super) fn heard(next: i64) -> HeardAt {
    HeardAt { next, last_id: [(next % 251) as u8; 16] }
}
