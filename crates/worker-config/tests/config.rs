//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::config::Input;
use tenantry_contracts::steps::validate::Requirements;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_config::{Config, POINTS, prepare};
use tokio_postgres::NoTls;

const CUSTOM: &str =
    r##"{"branding":{"primaryColor":"#00aaff","slogan":"canary"},"settings":{"locale":"de-DE"}}"##;

struct Records {
    pool: Pool,
    step: Config,
}

impl Records {
    async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        prepare(&pool).await.unwrap();
        Self { step: Config::new(pool.clone(), Arc::new(Catalogue::built_in())), pool }
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn history(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!("select digest from worker_config.history where tenant = '{id}' order by id"))
            .await
    }
}

impl World for Records {
    type Step = Config;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Config {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        Input {
            template: Catalogue::built_in().newest("enterprise").unwrap().pinned(),
            customisation: Some(tenant.seal("customisation", CUSTOM)),
            domain: Some(format!("{}.example.com", tenant.slug)),
            features: vec!["reports".to_owned()],
            integrations: vec!["slack".to_owned(), "Webhook".to_owned()],
            modules: vec!["multitenancy".to_owned(), "identity".to_owned(), "auditing".to_owned()],
            retention_days: Some(365),
            encryption: None,
            limits: Requirements {
                seats: 250,
                storage_bytes: 500_000_000_000,
                database_connections: 45,
                compute_millis: 3500,
                network_segments: 2,
            },
        }
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!("select document::text from worker_config.record where tenant = '{id}'")).await
    }

    async fn plant(&self, tenant: &Tenant) {
        let sql = format!(
            "insert into worker_config.record (tenant, owner, digest, document) values ('{}', 'somebody', '', '{{}}')",
            tenant.id
        );
        self.pool.get().await.unwrap().batch_execute(&sql).await.unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.remains(tenant).await == ["{}"]
    }
}

fn refusal(answer: Result<impl Sized, Trouble>) -> (Code, Class, String) {
    match answer.err().unwrap() {
        Trouble::No { code, class, pointer, .. } => (code, class, pointer.unwrap_or_default()),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Records::new("kit").await).await
}

#[tokio::test]
async fn what_is_in_force_is_answered_and_the_tenants_words_stand_sealed() {
    let world = Records::new("force").await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    assert_eq!(output.digest.len(), 64);
    assert!(output.flags["reports"] && output.flags["sso"] && !output.flags["analytics"]);
    assert_eq!(output.integrations, ["slack", "webhook"]);
    assert_eq!(output.customised, ["branding", "settings"]);
    assert_eq!((output.retention.operational_days, output.retention.audit_days), (365, 2557));
    assert_eq!(output.encryption, "enhanced");

    let record = world.remains(&tenant).await.remove(0);
    let kept: serde_json::Value = serde_json::from_str(&record).unwrap();
    assert_eq!(kept["output"]["digest"], output.digest.as_str());
    assert_eq!(kept["customisation"], tenant.seal("customisation", CUSTOM).as_str());
    let everything = world.texts("select r::text from worker_config.record r union all select h::text from worker_config.history h").await;
    assert_eq!(everything.len(), 2);
    assert!(!everything.join("\n").contains("canary") && !everything.join("\n").contains("00aaff"));
}

#[tokio::test]
async fn every_version_stays_in_the_history_also_when_the_record_is_undone() {
    let world = Records::new("history").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let one = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    world.step.execute(&tenant.cx(11), &input).await.unwrap();
    let changed = Input { retention_days: Some(400), ..input };
    let two = world.step.execute(&tenant.cx(12), &changed).await.unwrap();
    assert_ne!(one.digest, two.digest);
    world.step.compensate(&tenant.cx(20), &changed, Some(&two)).await.unwrap();
    assert_eq!(world.step.observe(&tenant.cx(21), &changed).await.unwrap(), Observed::Absent);
    assert_eq!(world.history(&tenant).await, [one.digest, two.digest], "a repeat is no version");
    let client = world.pool.get().await.unwrap();
    for sql in ["delete from worker_config.history", "update worker_config.history set digest = ''"] {
        let error = client.batch_execute(sql).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{sql}");
    }
}

#[tokio::test]
async fn a_record_that_was_changed_by_hand_is_seen() {
    let world = Records::new("drift").await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let sql = "update worker_config.record set document = replace(document::text, '\"sso\":true', '\"sso\":false')::json";
    world.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    let seen = world.step.observe(&tenant.cx(11), &input).await.unwrap();
    assert!(matches!(&seen, Observed::Ours { differences } if differences[0].path == "/record"), "{seen:?}");
    let other = Input { retention_days: None, ..input };
    let seen = world.step.observe(&tenant.cx(11), &other).await.unwrap();
    assert!(matches!(&seen, Observed::Ours { differences } if differences[0].path == "/input"), "{seen:?}");
}

#[tokio::test]
async fn what_cannot_be_in_force_is_refused_and_nothing_is_written() {
    let world = Records::new("refused").await;
    let tenant = Tenant::fresh();
    let sound = || world.input(&tenant);
    let sealed = |text: &str| Some(tenant.seal("customisation", text));
    let mut moved = sound();
    moved.template.digest = "0".repeat(64);
    for (input, code, class, at) in [
        (moved, Code::TemplateMoved, Class::Config, "/template/digest"),
        (
            Input { customisation: sealed(r#"{"skin":1}"#), ..sound() },
            Code::CustomisationNotAllowed,
            Class::Validation,
            "/customisation/skin",
        ),
        (
            Input { customisation: sealed("[]"), ..sound() },
            Code::FieldInvalid,
            Class::Validation,
            "/customisation",
        ),
        (
            Input { customisation: Some(tenant.seal("name", "{}")), ..sound() },
            Code::Misconfigured,
            Class::Config,
            "",
        ),
    ] {
        let want = (code, class, at.to_owned());
        assert_eq!(refusal(world.step.foresee(&tenant.cx(9), &input).await), want);
        assert_eq!(refusal(world.step.execute(&tenant.cx(10), &input).await), want);
        assert_eq!(world.step.observe(&tenant.cx(11), &input).await.unwrap(), Observed::Absent);
        assert_eq!(world.history(&tenant).await, Vec::<String>::new());
    }
}
