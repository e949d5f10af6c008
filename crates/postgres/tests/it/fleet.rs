//! A migrated database of one's own, for each test.

use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use tenantry_contracts::{Environment, Lane, Sealed, Slug, State, TenantId, Time};
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{Batch, CommitOutcome, LaneRow, LaneWrite, Row, Store, TenantRow};
use tenantry_postgres::{PgLedger, PgStore, migrate};
use tenantry_testkit::postgres::Postgres;
use tokio_postgres::Client;

/// When everything happens.
pub(crate) const NOW: Time = Time(1_800_000_000_000);

/// The database.
pub(crate) struct Fleet {
    /// Its URL, for the owner.
    pub(crate) url: String,
    /// Its URLs for a coordinator and for a worker.
    pub(crate) coordinator: String,
    pub(crate) worker: String,
    lanes: AtomicU16,
}

impl Fleet {
    /// A new one, where everybody is the owner.
    pub(crate) async fn new() -> Self {
        let url = Postgres::shared().await.fresh_database("store").await;
        migrate(&url).await.unwrap();
        Self { coordinator: url.clone(), worker: url.clone(), url, lanes: AtomicU16::new(0) }
    }

    /// A connection of the test's own.
    pub(crate) async fn client(&self) -> Client {
        connect(&self.url).await
    }

    /// A URL for a fresh login that is a member of this role and nothing else.
    pub(crate) async fn login(&self, role: &str) -> String {
        let client = self.client().await;
        let database: String = client.query_one("select current_database()", &[]).await.unwrap().get(0);
        let name = format!("{database}_{}", role.trim_start_matches("tenantry_"));
        client.batch_execute(&format!("create role {name} login password 'x' in role {role}")).await.unwrap();
        let host = self.url.split_once('@').unwrap().1;
        format!("postgres://{name}:x@{host}")
    }
}

/// A connection to any URL.
pub(crate) async fn connect(url: &str) -> Client {
    let (config, tls) = tenantry_postgres::connect::plain(url).unwrap();
    let (client, connection) = config.connect(tls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl StoreWorld for Fleet {
    type Store = PgStore;
    type Ledger = PgLedger;

    async fn store(&self) -> PgStore {
        PgStore::connect(&self.coordinator).await.unwrap()
    }

    async fn ledger(&self) -> PgLedger {
        PgLedger::connect(&self.worker).await.unwrap()
    }

    fn lane(&self) -> Lane {
        Lane(self.lanes.fetch_add(1, Ordering::Relaxed))
    }
}

/// A write that changes nothing yet.
pub(crate) fn write(lane: &LaneRow) -> LaneWrite {
    LaneWrite {
        lane: LaneRow { seen_at: NOW, ..lane.clone() },
        n_before: lane.n,
        rows: Vec::new(),
        tenants: Vec::new(),
        requests: Vec::new(),
        keys: Vec::new(),
        forgotten: Vec::new(),
    }
}

/// Adds the tenant's next row.
pub(crate) fn add(write: &mut LaneWrite, tenant: &mut TenantRow) {
    write.lane.n += 1;
    let row = Row {
        lane: write.lane.lane,
        n: write.lane.n,
        tenant: Some(tenant.tenant),
        seq: tenant.head_seq + 1,
        prev_n: tenant.head_n,
        at: NOW,
        entry: Bytes::from_static(b"{}"),
        facts: Bytes::from_static(b"\0\xff"),
    };
    (tenant.head_n, tenant.head_seq) = (row.n, row.seq);
    write.rows.push(row);
}

/// A tenant without a row yet.
pub(crate) fn tenant(lane: Lane, which: u8) -> TenantRow {
    TenantRow {
        tenant: TenantId::new(NOW.plus(i64::from(which)), [which; 10]),
        lane,
        environment: Environment::default(),
        slug: Slug::parse(&format!("acme-{}-{which}", lane.0)).unwrap(),
        name: Sealed::read("v1:1:x"),
        plan: "standard".to_owned(),
        state: State::Provisioning,
        since: NOW,
        head_n: 0,
        head_seq: 0,
        head_hash: [0; 32],
        at_rest: false,
        holds_slug: true,
        created: NOW.plus(i64::from(which)),
    }
}

/// Commits one lane, which must count.
pub(crate) async fn must(store: &PgStore, lane: &mut LaneRow, write: LaneWrite) {
    *lane = write.lane.clone();
    let outcome = store.commit(Batch { lanes: vec![write] }).await;
    assert_eq!(outcome, CommitOutcome::Done(vec![lane.lane]));
}
