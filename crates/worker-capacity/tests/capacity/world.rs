//! The pools that the tests work on, and how they look into them without the steps.

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::steps::capacity::Input;
use tenantry_contracts::steps::validate::Requirements;
use tenantry_contracts::{Class, Code};
use tenantry_step::Trouble;
use tenantry_step::kit::Tenant;
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_capacity::{Commit, Pools, Reserve, prepare, unbalanced, usage};
use tokio_postgres::NoTls;

pub(crate) struct Capacity {
    pub(crate) url: String,
    pub(crate) pool: Pool,
    pub(crate) reserve: Reserve,
    pub(crate) commit: Commit,
}

/// A file in which every region has these totals: database, storage, compute, network.
pub(crate) fn pools([database, storage, compute, network]: [u64; 4]) -> Pools {
    let text = format!(
        r#"{{"regions": {{"*": {{"database": {{"total": {database}}}, "storage": {{"total": {storage}}},
                                 "compute": {{"total": {compute}}}, "network": {{"total": {network}}}}}}}}}"#
    );
    Pools::read("pools.json", &text).unwrap()
}

/// What a tenant of the kit needs, in `eu-central-1`: 1 connection, 10 bytes, 100 thousandths of a core, 2 segments.
pub(crate) fn input() -> Input {
    Input {
        region: "eu-central-1".to_owned(),
        requirements: Requirements {
            seats: 5,
            storage_bytes: 10,
            database_connections: 1,
            compute_millis: 100,
            network_segments: 2,
        },
    }
}

/// The same with other storage.
pub(crate) fn storing(bytes: u64) -> Input {
    let mut input = input();
    input.requirements.storage_bytes = bytes;
    input
}

pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Trouble>) -> (Code, Class, String) {
    match answer.unwrap_err() {
        Trouble::No { code, class, message, .. } => (code, class, message),
        other => panic!("{other}"),
    }
}

impl Capacity {
    pub(crate) async fn new(prefix: &str, totals: [u64; 4]) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(16).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool, &pools(totals)).await.unwrap();
        Self { reserve: Reserve::new(pool.clone()), commit: Commit::new(pool.clone()), pool, url }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Everything that is kept about the tenant, save the fence.
    pub(crate) async fn rows(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!(
            "select 'reservation ' || owner || region || answer || committed from worker_capacity.reservation
             where tenant = '{id}'
             union all select 'part ' || pool || amount from worker_capacity.part where tenant = '{id}' order by 1"
        ))
        .await
    }

    /// Gives the tenant's reservation to somebody else.
    pub(crate) async fn plant(&self, tenant: &Tenant) {
        let id = tenant.id;
        self.run(&format!(
            "insert into worker_capacity.reservation (tenant, owner, region, answer, committed)
             values ('{id}', 'somebody', 'theirs', '{{}}', true)
             on conflict (tenant) do update set owner = 'somebody', region = 'theirs', answer = '{{}}', committed = true"
        ))
        .await;
    }

    pub(crate) async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.rows(tenant).await.contains(&"reservation somebodytheirs{}true".to_owned())
    }

    /// `pool reserved+committed/total` of every pool, after a look at the sums.
    pub(crate) async fn levels(&self) -> Vec<String> {
        assert_eq!(unbalanced(&self.pool).await.unwrap(), Vec::<String>::new());
        let told = usage(&self.pool).await.unwrap();
        told.iter().map(|u| format!("{} {}+{}/{}", u.pool, u.reserved, u.committed, u.total)).collect()
    }
}
