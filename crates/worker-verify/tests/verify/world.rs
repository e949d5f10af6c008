//! Tenants that the real steps made, and how the tests look at them without the step.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use deadpool_postgres::{Manager, Pool, Runtime};
use tempfile::TempDir;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::validate::Requirements;
use tenantry_contracts::steps::verify::{Input, Output};
use tenantry_contracts::steps::{config, database, quota, secrets, storage};
use tenantry_contracts::{MasterKey, TenantId};
use tenantry_step::kit::{Tenant, World};
use tenantry_step::postgres::{Databases, PgIdent};
use tenantry_step::{Answer, Step};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_config::Config;
use tenantry_worker_database::Database;
use tenantry_worker_quota::Quota;
use tenantry_worker_secrets::Secrets;
use tenantry_worker_storage::Storage;
use tenantry_worker_verify::{POINTS, Verify, prepare};
use tokio_postgres::{Config as Server, NoTls};

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const QUOTA: u64 = 10_000;

pub(crate) struct Fleet {
    pub(crate) pool: Pool,
    pub(crate) databases: Databases,
    pub(crate) step: Verify,
    isolation: &'static str,
    database: Database,
    storage: Storage,
    secrets: Secrets,
    config: Config,
    quota: Quota,
    made: Mutex<HashMap<TenantId, Input>>,
    dir: TempDir,
}

impl Fleet {
    pub(crate) async fn new(isolation: &'static str) -> Self {
        let url = Postgres::shared().await.fresh_database("verify").await;
        let server: Server = url.parse().unwrap();
        let databases = Databases::new(server.clone(), NoTls);
        let manager = Manager::new(server, NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        let dir = TempDir::new().unwrap();
        let (files, keys) = (dir.path().join("storage"), dir.path().join("secrets"));
        let (master, catalogue) = (MasterKey::new([7; 32]), Arc::new(Catalogue::built_in()));
        tenantry_worker_database::prepare(&pool).await.unwrap();
        tenantry_worker_storage::prepare(&files).await.unwrap();
        tenantry_worker_secrets::prepare(&keys).await.unwrap();
        tenantry_worker_config::prepare(&pool).await.unwrap();
        tenantry_worker_quota::prepare(&pool).await.unwrap();
        prepare(&pool).await.unwrap();
        Self {
            step: Verify::new(pool.clone(), databases.clone(), &files, &keys, master.clone()),
            isolation,
            database: Database::new(pool.clone(), databases.clone()),
            storage: Storage::new(files, None),
            secrets: Secrets::new(keys, master),
            config: Config::new(pool.clone(), Arc::clone(&catalogue)),
            quota: Quota::new(pool.clone(), catalogue),
            made: Mutex::default(),
            pool,
            databases,
            dir,
        }
    }

    /// A tenant that all the other steps have made.
    pub(crate) async fn tenant(&self) -> Tenant {
        let tenant = Tenant::fresh();
        self.before(&tenant).await;
        tenant
    }

    pub(crate) async fn verify(&self, tenant: &Tenant, token: i64) -> Answer<Output> {
        self.step.execute(&tenant.cx(token), &self.input(tenant)).await
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    /// The same where the tenant's tables lie.
    pub(crate) async fn run_at(&self, tenant: &Tenant, sql: &str) {
        if self.isolation != "database" {
            return self.run(sql).await;
        }
        let database = PgIdent::of_tenant("d", tenant.id);
        let client = self.databases.connect(&tenant.cx(1), &database).await.unwrap().unwrap();
        client.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) fn bucket(&self, tenant: &Tenant) -> PathBuf {
        self.dir.path().join("storage").join(REGION).join(format!("t-{}", tenant.id))
    }

    pub(crate) fn keys(&self, tenant: &Tenant) -> PathBuf {
        self.dir.path().join("secrets").join(format!("{}.keys", tenant.id))
    }

    /// The same fleet, where the worker was given another master key.
    pub(crate) fn with_another_master_key(&self) -> Verify {
        let (files, keys) = (self.dir.path().join("storage"), self.dir.path().join("secrets"));
        Verify::new(self.pool.clone(), self.databases.clone(), files, keys, MasterKey::new([8; 32]))
    }

    async fn make(&self, tenant: &Tenant) -> Input {
        let (cx, modules) =
            (tenant.cx(5), ["multitenancy", "identity", "auditing"].map(str::to_owned).to_vec());
        let limits = Requirements {
            seats: 5,
            storage_bytes: QUOTA,
            database_connections: 7,
            compute_millis: 100,
            network_segments: 1,
        };
        let template = Catalogue::built_in().newest("enterprise").unwrap().pinned();
        let database = database::Input {
            isolation: self.isolation.to_owned(),
            modules: modules.clone(),
            admin_email: Some(tenant.seal("admin.email", "ada@example.com")),
            admin_role: None,
            demo_data: false,
            connections: limits.database_connections,
            settings: database::Settings {
                name: tenant.seal("name", "Acme"),
                domain: None,
                customisation: None,
                limits: limits.clone(),
            },
        };
        let quota = quota::Input { template: template.clone(), seats: 5, storage_bytes: QUOTA };
        let config = config::Input {
            template,
            customisation: None,
            domain: None,
            features: vec![],
            integrations: vec![],
            modules,
            retention_days: None,
            encryption: None,
            limits,
        };
        let storage = storage::Input { region: REGION.to_owned(), quota_bytes: QUOTA };
        let level = if self.isolation == "database" { "enhanced" } else { "standard" };
        let secrets = secrets::Input { level: level.to_owned(), generation: 1 };
        Input {
            isolation: self.isolation.to_owned(),
            database: self.database.execute(&cx, &database).await.unwrap(),
            storage: self.storage.execute(&cx, &storage).await.unwrap(),
            secrets: self.secrets.execute(&cx, &secrets).await.unwrap(),
            config: self.config.execute(&cx, &config).await.unwrap(),
            quota: self.quota.execute(&cx, &quota).await.unwrap(),
        }
    }
}

impl World for Fleet {
    type Step = Verify;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Verify {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        self.made.lock().unwrap()[&tenant.id].clone()
    }

    async fn before(&self, tenant: &Tenant) {
        let made = self.make(tenant).await;
        self.made.lock().unwrap().insert(tenant.id, made);
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!("select document::text from worker_verify.record where tenant = '{id}'")).await
    }

    async fn plant(&self, tenant: &Tenant) {
        self.run(&format!(
            "insert into worker_verify.record (tenant, owner, digest, document) values ('{}', 'somebody', '', '{{}}')",
            tenant.id
        ))
        .await;
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.remains(tenant).await == ["{}"]
    }
}
