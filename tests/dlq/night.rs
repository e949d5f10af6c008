//! A night with dead letters: commands that a worker cannot handle, on behalf of tenants that wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tenantry_contracts::audit::{self, AuditEvent, AuditKind};
use tenantry_contracts::command::Question;
use tenantry_contracts::{Record, Topic, WorkerName};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Ground, Topics, Up, binary, request};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// Tenants of this night are first told *not yet* by the worker `quota`, so that their question stays open a while.
pub(crate) const FAULTS: &str = "quota.before-record=not-yet:3600000:slug:night-*";

/// So many letters in a row do not stop a worker yet.
const AT_ONCE: usize = 40;

/// What is wrong with the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A body that cannot be read.
    Unreadable,
    /// A step that the worker does not have.
    UnknownStep,
    /// An input that breaks the step's schema.
    WrongInput,
}

impl Cause {
    /// The code on its letters.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "not_json",
            Self::UnknownStep => "misconfigured",
            Self::WrongInput => "field_invalid",
        }
    }

    fn spoil(self, value: &[u8]) -> Vec<u8> {
        let mut body: Value = serde_json::from_slice(value).expect("a command's body is JSON");
        match self {
            Self::Unreadable => return b"{ broken".to_vec(),
            Self::UnknownStep => body["step"] = "quota.nonsense".into(),
            Self::WrongInput => body["input"] = 7.into(),
        }
        serde_json::to_vec(&body).expect("JSON")
    }
}

/// The slugs of a cause's tenants.
pub(crate) fn slugs(cause: Cause, from: usize, count: usize) -> Vec<String> {
    let name = format!("{cause:?}").to_lowercase();
    (from..from + count).map(|n| format!("night-{name}-{n}")).collect()
}

fn commands() -> Topic {
    Topic::Commands(WorkerName::new("quota"))
}

/// The tokens under which each slug's quota was asked for.
pub(crate) async fn tokens(topics: &Topics) -> BTreeMap<String, BTreeSet<i64>> {
    let mut tokens: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for record in topics.read(vec![commands()]).await {
        if let (Some(slug), Some(question)) = (slug(&record), Question::of(&record)) {
            tokens.entry(slug).or_default().insert(question.token.0);
        }
    }
    tokens
}

fn slug(record: &Record) -> Option<String> {
    record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned)
}

/// Asks for tenants, and says their commands once more, spoiled; returns when the worker has put them all aside and the
/// tenants are held.
pub(crate) async fn hold(topics: &Topics, ground: &Ground, cause: Cause, slugs: &[String]) {
    for slugs in slugs.chunks(AT_ONCE) {
        hold_some(topics, ground, cause, slugs).await;
    }
}

async fn hold_some(topics: &Topics, ground: &Ground, cause: Cause, slugs: &[String]) {
    let asked =
        slugs.iter().map(|slug| topics.binary(slug, slug, &request(slug, &format!("Name of {slug}"))));
    topics.publish(asked.collect()).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    let mut spoiled = BTreeSet::new();
    while spoiled.len() < slugs.len() {
        let all = topics.read(vec![commands()]).await;
        let new: Vec<_> = all
            .into_iter()
            .filter(|record| slug(record).is_some_and(|slug| slugs.contains(&slug) && spoiled.insert(slug)))
            .map(|record| Outgoing {
                place: Place { topic: record.topic.clone(), partition: record.partition },
                value: record.value.as_deref().map(|value| Bytes::from(cause.spoil(value))),
                key: record.key,
                headers: record.headers,
                tag: 0,
            })
            .collect();
        topics.publish(new).await;
        assert!(tokio::time::Instant::now() < end, "only {} questions were asked", spoiled.len());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    state(ground, slugs, "HELD").await;
    // A good command in between: too many letters in a row would rightly stop the worker.
    let good = format!("good-after-{}", slugs[0]);
    topics.publish(vec![topics.binary(&good, &good, &request(&good, &format!("Name of {good}")))]).await;
    topics.outcomes(&[good], PATIENCE).await;
}

/// Waits until all of these tenants are in a state.
pub(crate) async fn state(ground: &Ground, slugs: &[String], state: &str) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let now = states(ground).await;
        let other = slugs.iter().find(|slug| now.get(*slug).is_none_or(|have| have != state));
        let Some(other) = other else { return };
        assert!(tokio::time::Instant::now() < end, "{other} is {:?}, not {state}", now.get(other));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// The state of every tenant, by slug.
pub(crate) async fn states(ground: &Ground) -> BTreeMap<String, String> {
    ground.tenants().await.into_values().map(|tenant| (tenant.slug, tenant.state)).collect()
}

/// What people did with the fleet's tools, as the audit has it: each event once, in the order of the lane's chain.
pub(crate) async fn deeds(topics: &Topics, kind: AuditKind) -> Vec<AuditEvent> {
    let events = topics.read(vec![Topic::Audit]).await;
    let events = events.iter().map(|record| audit::decode(record).expect("an event"));
    let all: BTreeMap<(String, i64), AuditEvent> = events
        .filter(|event| event.kind == kind)
        .map(|event| ((event.chain.clone(), event.seq), event))
        .collect();
    all.into_values().collect()
}

/// Runs the program on a frozen selection, and kills it with signal 9 once so many entries were begun; says how many were.
pub(crate) async fn killed(up: &Up, args: &[&str], progress: &Path, begun: usize) -> usize {
    let mut command = Command::new(binary());
    command.args(args).arg("--data-dir").arg(up.dir()).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let now = || {
        let text = std::fs::read_to_string(progress).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("{\"begun\"")).count()
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    while now() < begun {
        assert!(tokio::time::Instant::now() < end, "it does not get on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("a child can be waited for");
    now()
}

/// The parts of a report, which sum up.
#[track_caller]
pub(crate) fn sums(report: &Value) -> [u64; 6] {
    assert_eq!(report["sums_match"], true, "{report}");
    ["planned", "done", "already", "moved_on", "failed", "left"]
        .map(|part| report[part].as_u64().unwrap_or_else(|| panic!("no {part}: {report}")))
}

/// A number in the words of an entry.
#[track_caller]
pub(crate) fn part(note: &str, name: &str) -> usize {
    let rest = note.split_once(name).map(|(_, rest)| rest).unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no {name}: {note}"))
}

/// Runs `tenantry dlq` and reads the JSON document that it prints.
pub(crate) fn json(up: &Up, args: &[&str]) -> (i32, Value) {
    document(up, &[&["dlq"], args].concat())
}

/// Runs the program and reads the JSON document that it prints.
pub(crate) fn document(up: &Up, args: &[&str]) -> (i32, Value) {
    let output = up.run(&[args, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let read = serde_json::from_str(&text);
    let value = read.unwrap_or_else(|error| panic!("{args:?}: {error}\n{text}\n{errors}"));
    (output.status.code().expect("an exit code"), value)
}

/// Runs `tenantry dlq`: its exit code and all it printed.
pub(crate) fn text(up: &Up, args: &[&str]) -> (i32, String) {
    said(up, &[&["dlq"], args].concat())
}

/// Runs the program: its exit code and all it printed.
pub(crate) fn said(up: &Up, args: &[&str]) -> (i32, String) {
    let output = up.run(args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().expect("an exit code"), String::from_utf8_lossy(&text).into_owned())
}
