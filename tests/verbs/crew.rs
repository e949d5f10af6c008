//! Whoever is on call: a fleet, and the command line.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tenantry_contracts::Topic;
use tenantry_contracts::audit::{AuditEvent, AuditKind, decode};
use tenantry_tests::harness::{Ground, Topics, Up, binary, request};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Crew {
    pub(crate) up: Up,
    pub(crate) topics: Topics,
    pub(crate) ground: Ground,
}

impl Crew {
    pub(crate) async fn of(up: Up) -> Self {
        Self { topics: Topics::of(&up.running), ground: Ground::of(&up.running).await, up }
    }

    /// Asks for tenants, and does not wait.
    pub(crate) async fn ask(&self, slugs: &[&str], change: impl Fn(&mut Value)) {
        let records = slugs.iter().map(|slug| {
            let mut body = request(slug, &format!("Name of {slug}"));
            change(&mut body);
            self.topics.binary(slug, slug, &body)
        });
        self.topics.publish(records.collect()).await;
    }

    /// Waits until the tenant is in a state, and shows it.
    pub(crate) async fn rests(&self, slug: &str, state: &str) -> Value {
        self.until(slug, state, |shown| shown["state"] == state).await
    }

    /// Waits until what `tenant show` says holds.
    pub(crate) async fn until(&self, slug: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let output = self.up.run(&["tenant", "show", slug, "--json"]);
            let shown = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if holds(&shown) {
                return shown;
            }
            assert!(tokio::time::Instant::now() < end, "{slug} is not {what}: {shown:#}{}", said(&output));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Runs a command. What is about a file and needs no fleet is not told where one is.
    fn run(&self, args: &[&str]) -> Output {
        match args {
            ["operation", "show" | "sign", ..] => {
                std::process::Command::new(binary()).args(args).output().expect("the program starts")
            }
            _ => self.up.run(args),
        }
    }

    /// A command that exits so: what it printed.
    #[track_caller]
    pub(crate) fn says(&self, exit: i32, args: &[&str]) -> String {
        let output = self.run(args);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {text}");
        text
    }

    /// The same with `--json`: its document.
    #[track_caller]
    pub(crate) fn json(&self, exit: i32, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {}", said(&output));
        let read = serde_json::from_slice(&output.stdout);
        read.unwrap_or_else(|error| panic!("{args:?}: {error}: {}", said(&output)))
    }

    /// A verb about a tenant that is taken up.
    #[track_caller]
    pub(crate) fn does(&self, verb: &[&str]) -> String {
        self.says(0, &[&["tenant"], verb, &["--yes", "--actor", "ada"]].concat())
    }

    /// A verb about a tenant that is refused with this code.
    #[track_caller]
    pub(crate) fn refused(&self, code: &str, verb: &[&str]) -> String {
        let text = self.says(3, &[&["tenant"], verb, &["--yes", "--actor", "ada"]].concat());
        assert!(text.contains(code), "{verb:?} is not refused with {code}: {text}");
        text
    }

    /// How many operations were ever published.
    pub(crate) async fn operations(&self) -> usize {
        self.topics.read(vec![Topic::Operations]).await.len()
    }

    /// The audit events of a kind, of a tenant or of the lanes (no slug), in order.
    pub(crate) async fn audit(&self, slug: Option<&str>, kind: AuditKind) -> Vec<AuditEvent> {
        let records = self.topics.read(vec![Topic::Audit]).await;
        let all = records.iter().map(|record| decode(record).expect("an audit event"));
        all.filter(|event| {
            event.kind == kind && event.tenant.as_ref().map(|tenant| tenant.slug.as_str()) == slug
        })
        .collect()
    }

    /// The last audit event of a kind, with who is behind it: names, and whether the fleet knows that it was them.
    pub(crate) async fn behind(&self, slug: &str, kind: AuditKind) -> (AuditEvent, Vec<(String, bool)>) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.audit(Some(slug), kind).await.pop() {
                let people = event.actor.iter().chain(&event.second);
                let people = people.map(|person| (person.name.clone(), person.verified)).collect();
                return (event, people);
            }
            assert!(tokio::time::Instant::now() < end, "{slug} has no {}", kind.as_str());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The whole audit proves to be in order.
    #[track_caller]
    pub(crate) fn audit_verifies(&self) {
        self.says(0, &["audit", "verify"]);
    }
}

/// The state of a row, as `tenant show` has it.
pub(crate) fn row<'a>(shown: &'a Value, name: &str) -> &'a str {
    let rows = shown["saga"]["rows"].as_array();
    let row = rows.into_iter().flatten().find(|row| row["name"] == name);
    row.and_then(|row| row["state"].as_str()).unwrap_or("absent")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}
