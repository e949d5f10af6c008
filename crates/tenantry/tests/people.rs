//! What people do with the program, on a real fleet: the embedded broker, a private PostgreSQL, real workers.

// A helper of a test fails the test.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tenantry::settings::Home;
use tenantry::watch;
use tenantry_contracts::Topic;
use tenantry_kafka::Options;
use tenantry_ports::Place;

/// A folder that PostgreSQL's own account can reach, removed afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(PathBuf::from("/var/tmp").join(format!("tenantry-people-{}", uuid::Uuid::new_v4().simple())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A fleet that is up; stopped with the test.
struct Fleet {
    child: Child,
    dir: PathBuf,
}

impl Fleet {
    fn up(dir: &Path, faults: &str) -> Self {
        let mut child = program(dir, &["up"])
            .env("TENANTRY_FAULTS", faults)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("up prints where it is").unwrap();
        assert!(first.contains("is up"), "{first}");
        // Somebody must read the rest, so that nothing waits for the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, dir: dir.to_owned() }
    }

    /// Runs a command: its exit code and what it printed.
    fn run(&self, args: &[&str]) -> (i32, String) {
        text(&program(&self.dir, args).output().unwrap())
    }

    /// The same with `--json`: its exit code and its document.
    fn json(&self, args: &[&str]) -> (i32, Value) {
        let all: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let output = program(&self.dir, &all).output().unwrap();
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", text(&output).1));
        (output.status.code().unwrap(), document)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("tenantry"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TENANTRY_")) {
        command.env_remove(name);
    }
    command.args(args).env("TENANTRY_DATA_DIR", dir).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> (i32, String) {
    let printed = [output.stdout.as_slice(), b"\n", &output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8(printed).unwrap())
}

#[test]
fn the_demo_shows_a_tenant_made_and_one_undone_and_proves_both() {
    let folder = Folder::new();
    let (exit, made) = text(&program(&folder.0, &["demo"]).output().unwrap());
    assert_eq!(exit, 0, "{made}");
    for part in [
        "✓ validate",
        "✓ database",
        "✓ credentials",
        "● ACTIVE",
        "row-level security forced",
        ".eml",
        "OK tenant.audit.events",
        "and there is nothing else",
    ] {
        assert!(made.contains(part), "{part} is missing in\n{made}");
    }
    assert!(!made.contains('\u{1b}') && !made.contains('\r'), "a log has no control characters\n{made}");
    let wide: Vec<&str> = made.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.iter().all(|line| line.contains("/var/tmp")), "wider than a plain terminal: {wide:?}");

    // The second run finds the first one's data, and has a name of its own.
    let (exit, undone) = text(&program(&folder.0, &["demo", "--fail", "database"]).output().unwrap());
    assert_eq!(exit, 0, "{undone}");
    for part in [
        "fault_injected",
        "undoing",
        "○ ROLLED_BACK",
        "nothing: no database, schema",
        "OK tenant.audit.events",
    ] {
        assert!(undone.contains(part), "{part} is missing in\n{undone}");
    }
}

#[test]
fn people_ask_look_retry_cancel_and_verify() {
    let folder = Folder::new();
    let faults = "credentials.before-mail=no:slug:late-*; database.before-seed=no:class:config:slug:held-*";
    let fleet = Fleet::up(&folder.0, faults);

    // Asked: followed to the end; once more under the same id: the same tenant; another one for the slug: refused.
    let ask = [
        "request",
        "--name",
        "Acme Corp",
        "--slug",
        "acme",
        "--admin-email",
        "ada@acme.example",
        "--id",
        "1",
        "--watch",
    ];
    let (exit, first) = fleet.json(&ask);
    assert_eq!((exit, &first["outcome"], &first["state"]), (0, &"done".into(), &"ACTIVE".into()), "{first}");
    assert_eq!(first["steps"].as_array().map(Vec::len), Some(14), "{first}");
    let (exit, again) = fleet.json(&ask);
    assert_eq!((exit, &again["answer"]["event"]), (0, &"request-duplicate".into()), "{again}");
    assert_eq!(again["tenant"]["id"], first["tenant"]["id"]);
    let (exit, taken) = fleet.run(&["request", "--name", "Acme Other", "--slug", "acme"]);
    assert!(exit == 3 && taken.contains("slug_taken at /slug") && taken.contains("next: "), "{exit} {taken}");

    // Refused before it is published, and published all the same.
    let bad = ["request", "--name", "Bad", "--slug", "Bad_Slug"];
    let (exit, refused) = fleet.run(&bad);
    assert!(
        exit == 3 && refused.contains("slug_invalid") && refused.contains("nothing was published"),
        "{refused}"
    );
    let (exit, raw) = fleet.json(&[&bad[..], &["--raw"]].concat());
    assert_eq!((exit, &raw["refusal"]["code"]), (3, &"slug_invalid".into()), "{raw}");

    // Looked at.
    let (exit, list) = fleet.json(&["tenant", "ls"]);
    assert_eq!((exit, list["tenants"].as_array().map(Vec::len)), (0, Some(1)), "{list}");
    assert_eq!(list["tenants"][0]["projection"]["health"], "ready");
    let (_, sheet) = fleet.json(&["tenant", "show", "acme"]);
    assert_eq!((&sheet["state"], &sheet["turn"]["of"]), (&"ACTIVE".into(), &"nobody".into()), "{sheet}");
    let id = first["tenant"]["id"].as_str().unwrap();
    let (exit, timeline) = fleet.run(&["tenant", "timeline", id]);
    assert!(exit == 0 && timeline.contains("step.succeeded  database"), "{timeline}");
    assert!(!timeline.contains("ada@"), "personal data stays sealed\n{timeline}");
    let (exit, unknown) = fleet.run(&["tenant", "show", "nobody-here"]);
    assert!(exit == 1 && unknown.contains("tenant_unknown"), "{unknown}");

    // Behind the pivot nothing is undone: a retry is taken up, a cancel is not.
    let (exit, late) =
        fleet.run(&["request", "--name", "Late One", "--admin-email", "a@b.example", "--watch"]);
    assert!(exit == 5 && late.contains("■ HELD") && late.contains("fault_injected"), "{exit} {late}");
    let (exit, cancel) = fleet.run(&["tenant", "cancel", "late-one", "--reason", "not wanted", "--yes"]);
    assert!(exit == 3 && cancel.contains("verb_not_allowed"), "{exit} {cancel}");
    let (exit, retry) = fleet.run(&["tenant", "retry", "late-one", "--reason", "mended", "--yes", "--watch"]);
    assert!(exit == 5 && retry.contains("taken up for") && retry.contains("mended"), "{exit} {retry}");

    // Before it a cancel undoes everything; a version that moved on is refused.
    let (exit, held) = fleet.run(&["request", "--name", "Held One", "--watch"]);
    assert!(exit == 5 && held.contains("■ HELD"), "{exit} {held}");
    let (_, sheet) = fleet.json(&["tenant", "show", "held-one"]);
    let verbs = ["retry", "cancel", "rerun <row>", "correct", "pause", "hold"];
    assert_eq!(sheet["turn"]["verbs"], serde_json::json!(verbs), "{sheet}");
    let cancel = ["tenant", "cancel", "held-one", "--reason", "not wanted", "--yes"];
    let (exit, stale) = fleet.run(&[&cancel[..], &["--expect-version", "1"]].concat());
    assert!(exit == 3 && stale.contains("version_stale"), "{exit} {stale}");
    let version = sheet["version"].to_string();
    let (exit, undone) = fleet.run(&[&cancel[..], &["--expect-version", &version, "--watch"]].concat());
    assert!(exit == 4 && undone.contains("○ ROLLED_BACK"), "{exit} {undone}");
    let (_, held) = fleet.json(&["tenant", "ls", "--state", "held"]);
    assert_eq!(held["tenants"].as_array().map(Vec::len), Some(1), "{held}");

    // Proved: from the topic, from the journal, and of one tenant alone.
    for how in [
        &["--from", "topic"][..],
        &["--from", "journal"],
        &["--tenant", "acme"],
        &["--tenant", id],
        &["--no-store"],
    ] {
        let (exit, verdict) = fleet.json(&[&["audit", "verify"], how].concat());
        assert_eq!((exit, &verdict["verdict"]), (0, &"ok".into()), "{how:?}: {verdict}");
        assert!(verdict["found"]["records"].as_u64().unwrap() > 0, "{how:?}: {verdict}");
        let ends = verdict["ends"]["compared"].as_u64();
        assert_eq!(ends.is_none(), how == ["--no-store"], "{how:?}: {verdict}");
    }

    // Whoever can write to the topic can break it, and is found out.
    let running = Home::running(&folder.0).unwrap().unwrap();
    let options = Options::new(running.brokers, "local");
    let place = Place { topic: Topic::Audit, partition: 0 };
    let forged = watch::publish(&options, place, Some("lane-0".into()), Vec::new(), "{}".into());
    let at = tokio::runtime::Runtime::new().unwrap().block_on(forged).unwrap();
    let (exit, broken) = fleet.json(&["audit", "verify"]);
    assert_eq!((exit, &broken["verdict"]), (1, &"broken".into()), "{broken}");
    assert_eq!(
        (&broken["problem"]["code"], &broken["problem"]["at"]["offset"]),
        (&"audit_unreadable".into(), &at.offset.into())
    );
    let (exit, journal) = fleet.json(&["audit", "verify", "--from", "journal"]);
    assert_eq!((exit, &journal["verdict"]), (0, &"ok".into()), "the journal is untouched: {journal}");
}

#[test]
fn without_a_fleet_every_command_says_how_to_find_one() {
    let folder = Folder::new();
    for args in [
        &["request", "--name", "Acme"][..],
        &["tenant", "ls"],
        &["tenant", "show", "acme"],
        &["tenant", "retry", "acme", "--reason", "r"],
        &["audit", "verify"],
    ] {
        let (exit, said) = text(&program(&folder.0, args).output().unwrap());
        assert!(exit == 1 && said.contains("not_running") && said.contains("--"), "{args:?}: {exit} {said}");
    }
}
