//! The tenants' database that the tests work on, one world for each strategy, and how they look into it without the step.

use std::marker::PhantomData;

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::steps::database::{Input, Output, Settings};
use tenantry_contracts::steps::validate::Requirements;
use tenantry_step::Step;
use tenantry_step::kit::{Tenant, World};
use tenantry_step::postgres::Databases;
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_database::{Database, POINTS, prepare};
use tokio_postgres::{Client, Config, NoTls};

pub(crate) const EMAIL: &str = "ada.canary@example.com";
pub(crate) const NAME: &str = "a\"; DROP SCHEMA public CASCADE;--";

/// A strategy, as a type.
pub(crate) trait Strategy: Send + Sync + 'static {
    const NAME: &'static str;
    /// The points that only other strategies pass are left out.
    const POINTS: &'static [&'static str];
}

pub(crate) struct Schema;
pub(crate) struct OwnDatabase;
pub(crate) struct PooledRls;

const IN_ONE_TRANSACTION: &[&str] = &[
    "database.before-ddl",
    "database.before-migration",
    "database.before-seed",
    "database.before-probe",
    "database.before-answer",
    "database.before-drop",
    "database.after-drop",
];

impl Strategy for Schema {
    const NAME: &'static str = "schema";
    const POINTS: &'static [&'static str] = IN_ONE_TRANSACTION;
}

impl Strategy for OwnDatabase {
    const NAME: &'static str = "database";
    const POINTS: &'static [&'static str] = POINTS;
}

impl Strategy for PooledRls {
    const NAME: &'static str = "pooled_rls";
    const POINTS: &'static [&'static str] = IN_ONE_TRANSACTION;
}

pub(crate) struct Of<S> {
    pub(crate) url: String,
    pub(crate) pool: Pool,
    pub(crate) databases: Databases,
    pub(crate) step: Database,
    pub(crate) strategy: PhantomData<S>,
}

pub(crate) type Tenants = Of<Schema>;
pub(crate) type Owners = Of<OwnDatabase>;
pub(crate) type Sharers = Of<PooledRls>;

pub(crate) fn pool(config: Config, size: usize) -> Pool {
    let manager = Manager::new(config, NoTls);
    Pool::builder(manager).max_size(size).runtime(Runtime::Tokio1).build().unwrap()
}

impl<S: Strategy> Of<S> {
    pub(crate) async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let config: Config = url.parse().unwrap();
        let (pool, databases) = (pool(config.clone(), 8), Databases::new(config, NoTls));
        prepare(&pool).await.unwrap();
        let step = Database::new(pool.clone(), databases.clone());
        Self { step, databases, pool, url, strategy: PhantomData }
    }

    /// The database that the tests look into where the tenant has none of its own.
    pub(crate) fn shared(&self) -> String {
        self.url.parse::<Config>().unwrap().get_dbname().unwrap().to_owned()
    }

    /// A connection of one's own to this database, as the superuser or as a tenant's role.
    pub(crate) async fn connect(
        &self,
        database: &str,
        role: Option<(&str, &str)>,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config: Config = self.url.parse().unwrap();
        config.dbname(database);
        if let Some((role, password)) = role {
            config.user(role).password(password);
        }
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// A session of the tenant's own, logged in as its applications do.
    pub(crate) async fn login(&self, made: &Output) -> Result<Client, tokio_postgres::Error> {
        self.run(&format!("alter role {} password 'of a test'", made.role)).await;
        self.connect(&made.database, Some((&made.role, "of a test"))).await
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

/// Whatever is called after the tenant in the catalogues, and whatever anybody may do to such a thing.
fn catalogues(tenant: &Tenant) -> String {
    let (id, hyphenated) = (tenant.id.simple(), tenant.id.to_string());
    format!(
        "select 'schema ' || nspname from pg_namespace where nspname like '%{id}%'
         union all select 'database ' || datname || ' open ' || datallowconn from pg_database where datname like '%{id}%'
         union all select 'role ' || rolname || ' may hold ' || rolconnlimit from pg_roles where rolname like '%{id}%'
         union all select 'table ' || oid::regclass from pg_class where relnamespace::regnamespace::text like '%{id}%'
         union all select 'setting ' || setconfig::text from pg_db_role_setting where setconfig::text like '%{id}%'
         union all select 'comment ' || description from pg_description where description like '%{hyphenated}%'
         union all select 'comment ' || description from pg_shdescription where description like '%{hyphenated}%'
         union all select 'member of ' || roleid::regrole from pg_auth_members where member::regrole::text like '%{id}%'
         union all select 'dependency on a role' from pg_shdepend d where refclassid = 'pg_authid'::regclass
             and not exists (select from pg_roles r where r.oid = d.refobjid)
         order by 1"
    )
}

impl<S: Strategy> World for Of<S> {
    type Step = Database;
    const POINTS: &'static [&'static str] = S::POINTS;

    fn step(&self) -> &Database {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        Input {
            isolation: S::NAME.to_owned(),
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
                    network_segments: 1,
                },
            },
        }
    }

    /// What the catalogues have, and every row of every table with the tenant's id in it, but for the fences.
    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let mut remains = self.texts(&catalogues(tenant)).await;
        let tables = "select format('select %L || t::text from %s t', c.oid::regclass, c.oid::regclass) from pg_class c
                      where relkind = 'r' and relname not in ('fence')
                        and relnamespace::regnamespace::text in ('pooled', 'worker_database')";
        for sql in self.texts(tables).await {
            remains.extend(self.texts(&format!("{sql} where t::text like '%{}%'", tenant.id)).await);
        }
        remains.sort();
        remains
    }

    async fn plant(&self, tenant: &Tenant) {
        let (schema, id) = (schema(tenant), tenant.id.simple());
        match S::NAME {
            "schema" => {
                self.run(&format!(
                    "create schema {schema}; create table {schema}.theirs (n int);
                     insert into {schema}.theirs values (1)"
                ))
                .await;
            }
            "database" => {
                self.run(&format!("create database d_{id} template template0")).await;
                let client = self.connect(&format!("d_{id}"), None).await.unwrap();
                client.batch_execute("create table theirs as select 1 as n").await.unwrap();
            }
            _ => self.run(&format!("create role r_{id} connection limit 3")).await,
        }
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let id = tenant.id.simple();
        let remains = self.remains(tenant).await;
        match S::NAME {
            "schema" => {
                self.texts(&format!("select n::text from t_{id}.theirs")).await == ["1"]
                    && remains == [format!("schema t_{id}"), format!("table t_{id}.theirs")]
            }
            "database" => {
                let client = self.connect(&format!("d_{id}"), None).await.unwrap();
                client.query_one("select n from theirs", &[]).await.unwrap().get::<_, i32>(0) == 1
                    && remains == [format!("database d_{id} open true")]
            }
            _ => remains == [format!("role r_{id} may hold 3")],
        }
    }
}

pub(crate) async fn made<S: Strategy>(world: &Of<S>, tenant: &Tenant) -> Output {
    world.step.execute(&tenant.cx(10), &world.input(tenant)).await.unwrap()
}
