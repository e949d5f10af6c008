//! The tenants' database that the tests work on, and how they look into it without the step.

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::steps::policy::{Input, PROVISION};
use tenantry_contracts::{Class, Code};
use tenantry_step::Trouble;
use tenantry_step::kit::{Tenant, World};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_policy::{Engine, POINTS, Policy, prepare};
use tokio_postgres::NoTls;

pub(crate) struct Decisions {
    pub(crate) pool: Pool,
    pub(crate) step: Policy,
}

impl Decisions {
    pub(crate) async fn new(prefix: &str, engine: Engine) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        Self { step: Policy::new(pool.clone(), engine), pool }
    }

    /// The same database with another engine, as after a restart with other policies.
    pub(crate) fn with(&self, engine: Engine) -> Policy {
        Policy::new(self.pool.clone(), engine)
    }

    /// The first column of every row, as text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The log about a tenant: what was decided and why not.
    pub(crate) async fn logged(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!(
            "select decision || ' ' || allow || ' ' || reasons::text from worker_policy.decision_log
             where tenant = '{id}' order by at, decision"
        ))
        .await
    }
}

/// An input that the house's policies allow.
pub(crate) fn sound() -> Input {
    Input {
        query: PROVISION.to_owned(),
        source: "https://crm.example.com".to_owned(),
        initiator: "admin".to_owned(),
        plan: "enterprise".to_owned(),
        template: Some("enterprise".to_owned()),
        residency: Some("US".to_owned()),
        region: Some("us-east-1".to_owned()),
        seats: Some(250),
        storage_bytes: Some(500_000_000_000),
        encryption: None,
        retention_days: Some(365),
        features: vec!["reports".to_owned()],
        integrations: vec![],
        modules: vec![],
    }
}

/// An engine with one policy file about `tenants/provision`.
pub(crate) fn policy(rules: &str) -> Engine {
    Engine::embedded([("p.rego".to_owned(), format!("package tenants.provision\n{rules}\n"))]).unwrap()
}

/// A final no: code, class and message.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Trouble>) -> (Code, Class, String) {
    match answer.unwrap_err() {
        Trouble::No { code, class, message, .. } => (code, class, message),
        other => panic!("{other}"),
    }
}

impl World for Decisions {
    type Step = Policy;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Policy {
        &self.step
    }

    fn input(&self, _: &Tenant) -> Input {
        sound()
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        // The log stays by design; what stands is the record.
        let id = tenant.id;
        self.texts(&format!(
            "select 'decision ' || document::text from worker_policy.record where tenant = '{id}'"
        ))
        .await
    }

    async fn plant(&self, tenant: &Tenant) {
        let id = tenant.id;
        let sql = format!(
            "insert into worker_policy.record (tenant, owner, digest, document) values ('{id}', 'them', 'x', '1')"
        );
        self.pool.get().await.unwrap().batch_execute(&sql).await.unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let owner = format!("select owner from worker_policy.record where tenant = '{}'", tenant.id);
        self.texts(&owner).await == ["them"] && self.remains(tenant).await == ["decision 1"]
    }
}
