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
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_credentials::{Credentials, POINTS, prepare};
use tokio_postgres::NoTls;

const EMAIL: &str = "ada.canary@example.com";
/// The identity module, as the step before this one migrates it.
const IDENTITY: &[&str] = &[
    include_str!("../../../migrations/tenant/identity/0001_accounts_and_roles.sql"),
    include_str!("../../../migrations/tenant/identity/0002_claims.sql"),
];

struct Mails {
    pool: Pool,
    step: Credentials,
    outbox: TempDir,
}

impl Mails {
    async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        let outbox = tempfile::tempdir().unwrap();
        let step = Credentials::new(pool.clone(), outbox.path().join("out"), "https://id.example.com/");
        Self { pool, step, outbox }
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The digest beside the account, in hexadecimal.
    async fn hash(&self, tenant: &Tenant) -> Option<String> {
        let sql = format!(
            "select encode(claim_hash, 'hex') from {}.account where claim_hash is not null",
            schema(tenant)
        );
        self.texts(&sql).await.pop()
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
            schema: schema(tenant),
            admin_user: tenant.id.to_string(),
        }
    }

    async fn before(&self, tenant: &Tenant) {
        let (schema, id, tag) = (schema(tenant), tenant.id, tenant.cx(1).owner_tag());
        let sql = IDENTITY.concat().replace(":\"role\"", "public");
        let sql = format!(
            "begin; create schema {schema}; comment on schema {schema} is '{tag}'; set local search_path = {schema};
             {sql}; insert into account (tenant_id, id) values ('{id}', '{id}'); commit"
        );
        self.pool.get().await.unwrap().batch_execute(&sql).await.unwrap();
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
    world.step = Credentials::new(world.pool.clone(), file, "https://id.example.com");
    let tenant = Tenant::fresh();
    world.before(&tenant).await;
    let no = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap_err();
    assert!(matches!(no, Trouble::No { code: Code::Misconfigured, class: Class::Config, .. }), "{no}");
}
