//! The ten usual nights: ten tenants that rest for ten reasons on one fleet, and for each of them one command that names
//! the cause and what would help.

mod screen;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tenantry_contracts::{Topic, WorkerName};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Ground, Topics, Up, request};
use tokio_postgres::{Client, NoTls};

use screen::Screen;

const PATIENCE: Duration = Duration::from_secs(90);

/// Which steps fail for whom. Rules name whole slugs, so that no night disturbs another.
const FAULTS: &str = "database.before-ddl=no:class:config:slug:night-config-*;\
    credentials.before-mint=no:class:config:slug:night-late;\
    quota.before-record=no:slug:night-stuck;\
    storage.before-remove=no:slug:night-stuck;\
    verify.before-checks=not-yet:6000:slug:night-leak;\
    config.before-record=shaky:slug:night-shaky";

/// A night: the tenant, where it comes to rest, whose turn it is, the code at the row, and what the screen must offer.
struct Night {
    slug: &'static str,
    state: &'static str,
    turn: &'static str,
    code: Option<&'static str>,
    row: &'static str,
    offers: &'static str,
}

const fn night(
    slug: &'static str,
    (state, turn): (&'static str, &'static str),
    code: Option<&'static str>,
    row: &'static str,
    offers: &'static str,
) -> Night {
    Night { slug, state, turn, code, row, offers }
}

const HELD: (&str, &str) = ("HELD", "person");

const NIGHTS: [Night; 10] = [
    night("night-config-1", HELD, Some("fault_injected"), "database", "tenantry tenant retry night-config-1"),
    night("night-full", HELD, Some("capacity_insufficient"), "capacity", "tenantry tenant retry night-full"),
    night(
        "night-gate",
        ("AWAITING", "person"),
        None,
        "approval.security",
        "approve night-gate --gate approval.security",
    ),
    night(
        "night-no",
        ("BLOCKED", "person"),
        Some("gate_rejected"),
        "approval.security",
        "tenantry tenant retry night-no",
    ),
    night("night-leak", HELD, Some("isolation_broken"), "verify", "tenantry tenant retry night-leak"),
    night("night-late", HELD, Some("fault_injected"), "credentials", "tenantry tenant retry night-late"),
    night(
        "night-stuck",
        ("STUCK", "person"),
        Some("fault_injected"),
        "storage",
        "tenantry tenant retry night-stuck",
    ),
    night("night-foreign", HELD, Some("owned_by_other"), "database", "tenantry tenant retry night-foreign"),
    night("night-shaky", ("PROVISIONING", "fleet"), None, "config", "tenantry explain no_answer"),
    night("night-policy", ("REJECTED", "nobody"), Some("policy_denied"), "policy", "tenantry plan -f"),
];

/// The id that upstream brings for the tenant whose schema is planted.
const FOREIGN: &str = "0190f1f1-0000-7000-8000-00000000f00d";

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_of_each_of_ten_stuck_tenants_is_found_with_one_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let templates = templates(folder.path());
    let pools = pools(folder.path());
    let mut up = Up::start(FAULTS, &["--templates", &templates, "--pools", &pools]);
    let fleet = Fleet::of(&up).await;
    fleet.plant().await;
    fleet.ask_for_all().await;

    // The gate is refused once it is open; the leak is made between two looks of the worker.
    fleet.leak("night-leak").await;
    fleet.rests("night-no", "AWAITING").await;
    let refused = up.run(&[
        "tenant",
        "reject",
        "night-no",
        "--actor",
        "eve",
        "--reason",
        "no evidence of a DPA",
        "--yes",
    ]);
    assert!(refused.status.success(), "{}", String::from_utf8_lossy(&refused.stderr));
    for night in &NIGHTS {
        fleet.rests(night.slug, night.state).await;
    }

    let screen = Screen::of(&up);
    for night in &NIGHTS {
        screen.tells(night);
    }
    screen.shares_a_cause("night-config-1", "night-config-2");
    screen.finds_by_every_name("night-late");
    screen.says_that_nothing_is_wrong("night-well");
    screen.explains_a_letter(&fleet.letter().await);
    screen.shows_all_on_one_board(&NIGHTS);
    screen::explains_every_code();
    up.stop();
}

/// The fleet as this story works on it.
struct Fleet {
    topics: Topics,
    ground: Ground,
    tenants: Client,
}

impl Fleet {
    async fn of(up: &Up) -> Self {
        let (tenants, connection) =
            tokio_postgres::connect(&up.running.tenants_url, NoTls).await.expect("the tenants' database");
        tokio::spawn(connection);
        Self { topics: Topics::of(&up.running), ground: Ground::of(&up.running).await, tenants }
    }

    /// Somebody else's schema stands where one of the tenants would be.
    async fn plant(&self) {
        let schema = format!("create schema t_{}", FOREIGN.replace('-', ""));
        self.tenants.batch_execute(&schema).await.expect("a foreign schema");
    }

    async fn ask_for_all(&self) {
        let mut slugs: Vec<&str> = NIGHTS.iter().map(|night| night.slug).collect();
        slugs.extend(["night-config-2", "night-well"]);
        let records = slugs.into_iter().map(|slug| {
            let mut body = request(slug, &format!("Name of {slug}"));
            match slug {
                "night-full" => {
                    body["region"] = json!("us-east-1");
                    body["residency"] = json!("US");
                }
                "night-gate" | "night-no" => body["plan"] = json!("professional"),
                "night-foreign" => {
                    body["plan"] = json!("professional");
                    body["tenant"] = json!(FOREIGN);
                }
                "night-policy" => body["initiator"] = json!("self"),
                _ => {}
            }
            self.topics.binary(slug, slug, &body)
        });
        self.topics.publish(records.collect()).await;
    }

    /// Gives a tenant's role a right that it must not have, as soon as the role is there.
    async fn leak(&self, slug: &str) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let id = self.ground.tenants().await.into_values().find(|tenant| tenant.slug == slug);
            if let Some(tenant) = id {
                let role = format!("r_{}", tenant.id.replace('-', ""));
                let sql = format!("grant usage on schema worker_policy to {role}");
                if self.tenants.batch_execute(&sql).await.is_ok() {
                    return;
                }
            }
            assert!(tokio::time::Instant::now() < end, "{slug} has no role");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn rests(&self, slug: &str, state: &str) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let tenants = self.ground.tenants().await;
            let tenant = tenants.values().find(|tenant| tenant.slug == slug);
            if tenant.is_some_and(|tenant| tenant.state == state) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{slug} is not {state}: {tenant:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// A command that no worker can read, and the letter that becomes of it.
    async fn letter(&self) -> String {
        let commands = Topic::Commands(WorkerName::new("quota"));
        let junk = Outgoing {
            place: Place { topic: commands.clone(), partition: 0 },
            key: None,
            headers: Vec::new(),
            value: Some(bytes::Bytes::from_static(b"\xff\xfe junk")),
            tag: 0,
        };
        self.topics.publish(vec![junk]).await;
        let letters = Topic::DeadLetters(Box::new(commands));
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(letter) = self.topics.read(vec![letters.clone()]).await.first() {
                return letter.origin().to_string();
            }
            assert!(tokio::time::Instant::now() < end, "the junk is no letter");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The built-in templates, with a security review for plan `professional`.
fn templates(folder: &Path) -> String {
    let ours = folder.join("templates");
    std::fs::create_dir(&ours).expect("a folder");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/templates");
    for name in ["starter", "professional", "enterprise"] {
        let text = std::fs::read_to_string(from.join(format!("{name}.json"))).expect("a template");
        let mut template: Value = serde_json::from_str(&text).expect("JSON");
        if name == "professional" {
            template["approvals"] = json!(["security"]);
        }
        std::fs::write(ours.join(format!("{name}.json")), template.to_string()).expect("a template");
    }
    ours.to_str().expect("a path").to_owned()
}

/// Room everywhere but in one region.
fn pools(folder: &Path) -> String {
    let region = |compute: u64| {
        let pool = |total: u64| json!({ "total": total });
        json!({"database": pool(10_000), "storage": pool(1_000_000_000_000_000), "compute": pool(compute), "network": pool(1_000)})
    };
    let path = folder.join("pools.json");
    let pools = json!({"regions": {"*": region(1_000_000), "us-east-1": region(1)}});
    std::fs::write(&path, pools.to_string()).expect("the pools");
    path.to_str().expect("a path").to_owned()
}
