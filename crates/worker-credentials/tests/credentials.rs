//! The step on a real PostgreSQL and a real directory: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use deadpool_postgres::{Manager, Pool, Runtime};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tenantry_contracts::steps::credentials::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, NOW, Tenant, World};
use tenantry_step::postgres::Databases;
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_credentials::{Credentials, POINTS, prepare};
use tokio_postgres::{Client, Config, NoTls};

const EMAIL: &str = "ada.canary@example.com";
/// The identity module, as the step before this one migrates it.
const IDENTITY: &[&str] = &[
    include_str!("../../../migrations/tenant/identity/0001_accounts_and_roles.sql"),
    include_str!("../../../migrations/tenant/identity/0002_claims.sql"),
];

/// Where the step before this one puts the tenant's tables.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Schema,
    Database,
    Shared,
}

struct Mails {
    place: Place,
    config: Config,
    pool: Pool,
    databases: Databases,
    step: Credentials,
    outbox: TempDir,
}

impl Mails {
    async fn new(prefix: &str) -> Self {
        Self::at(Place::Schema, prefix).await
    }

    async fn at(place: Place, prefix: &str) -> Self {
        let config: Config = Postgres::shared().await.fresh_database(prefix).await.parse().unwrap();
        let manager = Manager::new(config.clone(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        let outbox = tempfile::tempdir().unwrap();
        let databases = Databases::new(config.clone(), NoTls);
        let out = outbox.path().join("out");
        let step = Credentials::new(pool.clone(), databases.clone(), out, "https://id.example.com/");
        let world = Self { place, config, pool, databases, step, outbox };
        if place == Place::Shared {
            let comment = "comment on schema pooled is 'tenantry pooled tenants, roles pooled_1'";
            world.tables(&world.connect(None).await, "pooled", comment).await;
        }
        world
    }

    /// The identity module in a new schema.
    async fn tables(&self, client: &Client, schema: &str, comment: &str) {
        let sql = IDENTITY.concat().replace(":\"role\"", "public");
        let sql = format!(
            "begin; create schema {schema}; {comment}; set local search_path = {schema};
             create function current_tenant() returns uuid stable language sql
                 return nullif(current_setting('app.tenant', true), '')::uuid;
             {sql}; commit"
        );
        client.batch_execute(&sql).await.unwrap();
    }

    fn database(&self, tenant: &Tenant) -> String {
        match self.place {
            Place::Database => format!("d_{}", tenant.id.simple()),
            Place::Schema | Place::Shared => self.config.get_dbname().unwrap().to_owned(),
        }
    }

    fn schema(&self, tenant: &Tenant) -> String {
        if self.place == Place::Shared { "pooled".to_owned() } else { schema(tenant) }
    }

    /// A connection of one's own, to the database of the tenant's tables.
    async fn connect(&self, tenant: Option<&Tenant>) -> Client {
        let mut config = self.config.clone();
        if let Some(tenant) = tenant {
            config.dbname(self.database(tenant));
        }
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The digest beside the account, in hexadecimal.
    async fn hash(&self, tenant: &Tenant) -> Option<String> {
        let sql = format!(
            "select encode(claim_hash, 'hex') from {}.account where claim_hash is not null and tenant_id = $1",
            self.schema(tenant)
        );
        let row = self.connect(Some(tenant)).await.query_opt(&sql, &[&tenant.id.0]).await.unwrap();
        row.map(|row| row.get(0))
    }

    fn read(&self, message: &str) -> String {
        std::fs::read_to_string(self.outbox.path().join(format!("out/{message}.eml"))).unwrap()
    }
}

fn schema(tenant: &Tenant) -> String {
    format!("t_{}", tenant.id.simple())
}

/// Every file below, with fences.
fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn secret(mail: &str) -> &str {
    mail.lines().find_map(|line| line.strip_prefix("https://id.example.com/claim/")).unwrap()
}

impl World for Mails {
    type Step = Credentials;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Credentials {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        Input {
            email: Some(tenant.seal("admin.email", EMAIL)),
            name: tenant.seal("name", "Acme Ünïon\r\nBcc: everybody@example.com"),
            database: self.database(tenant),
            schema: self.schema(tenant),
            admin_user: tenant.id.to_string(),
        }
    }

    async fn before(&self, tenant: &Tenant) {
        let (schema, id, tag) = (self.schema(tenant), tenant.id, tenant.cx(1).owner_tag());
        if self.place == Place::Database {
            let (client, database) = (self.connect(None).await, self.database(tenant));
            client.batch_execute(&format!("create database {database} template template0")).await.unwrap();
            client.batch_execute(&format!("comment on database {database} is '{tag}'")).await.unwrap();
        }
        let client = self.connect(Some(tenant)).await;
        if self.place != Place::Shared {
            self.tables(&client, &schema, &format!("comment on schema {schema} is '{tag}'")).await;
        }
        let sql = format!("insert into {schema}.account (tenant_id, id) values ('{id}', '{id}')");
        client.batch_execute(&sql).await.unwrap();
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let mut remains: Vec<_> = files(self.outbox.path())
            .into_iter()
            .filter(|path| !path.parent().unwrap().ends_with(".fence"))
            .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(&tenant.id.simple()))
            .map(|path| format!("{} {}", path.display(), std::fs::read_to_string(&path).unwrap()))
            .collect();
        remains.extend(self.hash(tenant).await);
        remains
    }

    async fn plant(&self, tenant: &Tenant) {
        let dir = self.outbox.path().join("out");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{}-10.eml", tenant.id.simple())), "somebody else's").unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.read(&format!("{}-10", tenant.id.simple())) == "somebody else's"
            && self.hash(tenant).await.is_none()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Mails::new("kit").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_where_tenants_have_databases() -> Result<(), Failure> {
    kit::all(&Mails::at(Place::Database, "kit_database").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_where_tenants_share_tables() -> Result<(), Failure> {
    kit::all(&Mails::at(Place::Shared, "kit_shared").await).await
}

#[tokio::test]
async fn in_a_database_of_the_tenants_own_the_fence_inside_refuses_a_late_question_alone() {
    let world = Mails::at(Place::Database, "inside").await;
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let input = world.input(&tenant);
    world.step.compensate(&tenant.cx(20), &input, None).await.unwrap();
    // As if the late question had passed the other fences before it froze.
    world.pool.get().await.unwrap().batch_execute("truncate worker_credentials.fence").await.unwrap();
    std::fs::remove_dir_all(world.outbox.path().join("out")).unwrap();
    assert_eq!(world.step.execute(&tenant.cx(10), &input).await, Err(Trouble::Superseded));
    assert_eq!(world.hash(&tenant).await, None);
}

#[tokio::test]
async fn a_database_that_is_not_the_tenants_is_never_touched_and_one_that_is_gone_needs_no_undo() {
    let world = Mails::at(Place::Database, "databases").await;
    let (tenant, other) = (Tenant::fresh(), Tenant::fresh());
    world.before(&tenant).await;
    world.before(&other).await;
    let input = Input { database: world.database(&other), ..world.input(&tenant) };
    let no = world.step.execute(&tenant.cx(10), &input).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::OwnedByOther, .. }), "{no}");
    assert_eq!(world.hash(&other).await, None);

    let input = world.input(&tenant);
    world.step.execute(&tenant.cx(11), &input).await.unwrap();
    let drop = format!("drop database {} with (force)", world.database(&tenant));
    world.connect(None).await.batch_execute(&drop).await.unwrap();
    world.step.compensate(&tenant.cx(20), &input, None).await.unwrap();
    assert_eq!(world.step.observe(&tenant.cx(21), &input).await.unwrap(), Observed::Absent);
    let late = world.step.execute(&tenant.cx(12), &input).await;
    assert_eq!(late, Err(Trouble::Superseded));
}

#[tokio::test]
async fn the_link_stands_in_the_mail_and_nowhere_else_and_its_digest_beside_the_account() {
    let world = Mails::new("link").await;
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    assert_eq!(output.message, format!("{}-10", tenant.id.simple()));
    assert_eq!(output.expires, Some(NOW.plus(72 * 3_600_000)));

    let mail = world.read(&output.message);
    let secret = secret(&mail);
    assert_eq!(secret.len(), 43);
    assert_eq!(world.hash(&tenant).await.unwrap(), hex::encode(Sha256::digest(secret)));
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("To: <{EMAIL}>\r\nSubject: ")), "{head}");
    assert!(
        !head.contains("Bcc") && body.starts_with("Acme Ünïon  Bcc: everybody@example.com is ready"),
        "{mail}"
    );

    let path = world.outbox.path().join(format!("out/{}.eml", output.message));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    for other in files(world.outbox.path()).into_iter().filter(|other| *other != path) {
        let text = std::fs::read_to_string(&other).unwrap();
        assert!(!text.contains(secret) && !text.contains(EMAIL), "{}", other.display());
    }
    let tables = "select format('select t::text from %s t', oid::regclass) from pg_class
                  where relkind = 'r' and relnamespace::regnamespace::text not in ('pg_catalog', 'information_schema')";
    let mut everything = String::new();
    for sql in world.texts(tables).await {
        everything += &world.texts(&sql).await.join("\n");
    }
    assert!(everything.contains(&tenant.id.to_string()));
    for clear in [secret, &hex::encode(secret), EMAIL, &hex::encode(EMAIL)] {
        assert!(!everything.contains(clear), "{everything}");
    }
}

#[tokio::test]
async fn the_same_question_mints_once_and_a_later_one_replaces_mail_and_digest() {
    let world = Mails::new("again").await;
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let input = world.input(&tenant);
    let first = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let mail = world.read(&first.message);
    assert_eq!(world.step.execute(&tenant.cx(10), &input).await.unwrap(), first);
    assert_eq!(world.read(&first.message), mail);

    let later = world.step.execute(&tenant.cx(11), &input).await.unwrap();
    let replaced = world.read(&later.message);
    assert_ne!(secret(&replaced), secret(&mail));
    assert_eq!(world.hash(&tenant).await.unwrap(), hex::encode(Sha256::digest(secret(&replaced))));
    assert_eq!(world.remains(&tenant).await.len(), 2, "one mail, one digest");
    let late = world.step.execute(&tenant.cx(10), &input).await;
    assert_eq!(late, Err(Trouble::Superseded));
}

#[tokio::test]
async fn each_of_the_two_fences_refuses_a_late_question_alone() {
    let world = Mails::new("fences").await;
    let out = world.outbox.path().join("out");
    for lost in ["database", "directory"] {
        let tenant = Tenant::fresh();
        world.before(&tenant).await;
        let input = world.input(&tenant);
        world.step.compensate(&tenant.cx(20), &input, None).await.unwrap();
        if lost == "database" {
            world.pool.get().await.unwrap().batch_execute("truncate worker_credentials.fence").await.unwrap();
        } else {
            std::fs::remove_dir_all(&out).unwrap();
        }
        let late = world.step.execute(&tenant.cx(10), &input).await;
        assert_eq!(late, Err(Trouble::Superseded), "without the fence in the {lost}");
        assert!(world.remains(&tenant).await.is_empty());
    }
}

#[tokio::test]
async fn without_an_address_nobody_is_told_and_nothing_is_written() {
    let world = Mails::new("nobody").await;
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let input = Input { email: None, ..world.input(&tenant) };
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    assert_eq!((output.message.as_str(), output.expires), ("none", None));
    assert!(files(world.outbox.path()).is_empty());
    assert_eq!(world.hash(&tenant).await, None);
    assert_eq!(world.step.observe(&tenant.cx(11), &input).await.unwrap(), Observed::Absent);
    world.step.compensate(&tenant.cx(20), &input, Some(&output)).await.unwrap();
}

#[tokio::test]
async fn an_address_that_could_smuggle_headers_is_refused() {
    let world = Mails::new("smuggle").await;
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    for bad in [
        "ada",
        "@b",
        "a@",
        "a@b@c",
        "a b@c",
        "a@b\r\nBcc: x@y",
        "a@b>,<x@y",
        &format!("{}@b", "a".repeat(260)),
    ] {
        let input = Input { email: Some(tenant.seal("admin.email", bad)), ..world.input(&tenant) };
        let no = world.step.execute(&tenant.cx(10), &input).await.unwrap_err();
        let expected = matches!(&no, Trouble::No { code: Code::EmailInvalid, class: Class::Validation, pointer: Some(at), .. } if at == "/email");
        assert!(expected, "{bad}: {no}");
        assert!(!no.to_string().contains(bad));
    }
    assert!(files(world.outbox.path()).is_empty());
}

#[tokio::test]
async fn a_schema_or_account_that_is_not_the_tenants_is_never_touched() {
    let world = Mails::new("schema").await;
    let (tenant, other) = (Tenant::fresh(), Tenant::fresh());
    world.before(&tenant).await;
    world.before(&other).await;
    let sound = || world.input(&tenant);
    for (input, code) in [
        (Input { schema: schema(&other), ..sound() }, Code::OwnedByOther),
        (Input { schema: "t_nothing".to_owned(), ..sound() }, Code::Misconfigured),
        (Input { schema: "t\"; drop schema public;--".to_owned(), ..sound() }, Code::Misconfigured),
        (Input { admin_user: "' or true".to_owned(), ..sound() }, Code::Misconfigured),
        (Input { admin_user: other.id.to_string(), ..sound() }, Code::Misconfigured),
    ] {
        let no = world.step.execute(&tenant.cx(10), &input).await.unwrap_err();
        assert!(matches!(&no, Trouble::No { code: got, .. } if *got == code), "{no}");
        assert_eq!((world.hash(&tenant).await, world.hash(&other).await), (None, None));
    }
    assert!(world.remains(&tenant).await.is_empty());
}

#[tokio::test]
async fn a_mail_can_be_undone_after_the_schema_is_gone_and_after_it_was_picked_up() {
    let world = Mails::new("gone").await;
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    std::fs::remove_file(world.outbox.path().join(format!("out/{}.eml", output.message))).unwrap();
    let seen = world.step.observe(&tenant.cx(11), &input).await.unwrap();
    assert_eq!(seen, Observed::Ours { differences: vec![] }, "picked up is as it should be");
    let drop = format!("drop schema {} cascade", schema(&tenant));
    world.pool.get().await.unwrap().batch_execute(&drop).await.unwrap();
    world.step.compensate(&tenant.cx(20), &input, Some(&output)).await.unwrap();
    assert_eq!(world.step.observe(&tenant.cx(21), &input).await.unwrap(), Observed::Absent);
}

#[tokio::test]
async fn an_outbox_that_cannot_be_used_is_a_matter_of_configuration() {
    let mut world = Mails::new("outbox").await;
    let file = world.outbox.path().join("file");
    std::fs::write(&file, "").unwrap();
    world.step =
        Credentials::new(world.pool.clone(), world.databases.clone(), file, "https://id.example.com");
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let no = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::Misconfigured, class: Class::Config, .. }), "{no}");
}
