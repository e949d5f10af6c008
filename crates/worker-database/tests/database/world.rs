//! The tenants' database that the tests work on, and how they look into it without the step.

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::steps::database::{Input, Output, Settings};
use tenantry_contracts::steps::validate::Requirements;
use tenantry_step::Step;
use tenantry_step::kit::{Tenant, World};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_database::{Database, POINTS, prepare};
use tokio_postgres::NoTls;

pub(crate) const EMAIL: &str = "ada.canary@example.com";
pub(crate) const NAME: &str = "a\"; DROP SCHEMA public CASCADE;--";

pub(crate) struct Tenants {
    pub(crate) url: String,
    pub(crate) pool: Pool,
    pub(crate) step: Database,
}

impl Tenants {
    pub(crate) async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        Self { step: Database::new(pool.clone()), pool, url }
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    /// The first column of every row, as text.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    pub(crate) async fn one(&self, sql: &str) -> String {
        self.texts(sql).await.remove(0)
    }

    /// Everything that PostgreSQL can show of this database and its roles, as text, catalogues and comments included.
    pub(crate) async fn dump(&self) -> String {
        let tables = "select format('select %L || t::text from %s t', c.oid::regclass, c.oid::regclass)
                      from pg_class c where relkind in ('r', 'p')";
        let mut everything = String::new();
        for sql in self.texts(tables).await {
            everything += &self.texts(&sql).await.join("\n");
        }
        assert!(everything.len() > 100_000, "the catalogues alone are more");
        everything
    }
}

pub(crate) fn schema(tenant: &Tenant) -> String {
    format!("t_{}", tenant.id.simple())
}

impl World for Tenants {
    type Step = Database;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Database {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        Input {
            isolation: "schema".to_owned(),
            modules: vec!["multitenancy".to_owned(), "identity".to_owned(), "auditing".to_owned()],
            admin_email: Some(tenant.seal("admin.email", EMAIL)),
            admin_role: None,
            demo_data: false,
            connections: 7,
            settings: Settings {
                name: tenant.seal("name", NAME),
                domain: Some("acme.example.com".to_owned()),
                customisation: None,
                limits: Requirements {
                    seats: 5,
                    storage_bytes: 1,
                    database_connections: 7,
                    compute_millis: 100,
                },
            },
        }
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        // Whatever is called after the tenant, and whatever anybody may do to such a thing.
        let id = tenant.id.simple();
        let hyphenated = tenant.id.to_string();
        self.texts(&format!(
            "select 'schema ' || nspname from pg_namespace where nspname like '%{id}%'
             union all select 'role ' || rolname || ' may hold ' || rolconnlimit from pg_roles where rolname like '%{id}%'
             union all select 'table ' || oid::regclass from pg_class where relnamespace::regnamespace::text like '%{id}%'
             union all select 'setting ' || setconfig::text from pg_db_role_setting where setconfig::text like '%{id}%'
             union all select 'comment ' || description from pg_description where description like '%{hyphenated}%'
             union all select 'comment ' || description from pg_shdescription where description like '%{hyphenated}%'
             union all select 'dependency on a role' from pg_shdepend d where refclassid = 'pg_authid'::regclass
                 and not exists (select from pg_roles r where r.oid = d.refobjid)
             order by 1"
        ))
        .await
    }

    async fn plant(&self, tenant: &Tenant) {
        let schema = schema(tenant);
        self.run(&format!(
            "create schema {schema}; create table {schema}.theirs (n int); insert into {schema}.theirs values (1)"
        ))
        .await;
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let id = tenant.id.simple();
        self.texts(&format!("select n::text from {}.theirs", schema(tenant))).await == ["1"]
            && self.remains(tenant).await == [format!("schema t_{id}"), format!("table t_{id}.theirs")]
    }
}

pub(crate) async fn made(world: &Tenants, tenant: &Tenant) -> Output {
    world.step.execute(&tenant.cx(10), &world.input(tenant)).await.unwrap()
}
