//! `tenantry up`: starts, stops, is alone on its folder, and comes back from every kind of death.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::process::{Folder, Running, program, said};

/// Publishes a request, and does not wait for its end.
fn ask(dir: &Path, name: &str) {
    let dir = dir.to_str().unwrap();
    let mut command = program(&["request", "-f", "-", "--data-dir", dir]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let document = format!("{{\"name\": \"{name}\", \"slug\": \"{name}\"}}");
    child.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The states of all tenants, by slug.
fn states(dir: &Path) -> Vec<(String, String)> {
    let output = program(&["tenant", "ls", "--json", "--data-dir", dir.to_str().unwrap()]).output().unwrap();
    let (code, text, errors) = said(output);
    assert_eq!(code, 0, "{errors}");
    let list: Value = serde_json::from_str(&text).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let tenants = list["tenants"].as_array().unwrap().iter();
    tenants.map(|tenant| (word(&tenant["tenant"]["slug"]), word(&tenant["state"]))).collect()
}

fn all_active(dir: &Path, count: usize) -> bool {
    let states = states(dir);
    states.len() == count && states.iter().all(|(_, state)| state == "ACTIVE")
}

fn postgres_of(dir: &Path) -> Option<i32> {
    let text = std::fs::read_to_string(dir.join("postgres/data/postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok()
}

#[test]
fn it_starts_tells_where_everything_is_stops_cleanly_and_is_found_at_the_same_places_again() {
    let folder = Folder::new();
    let up = Running::up(folder.path(), &[]);
    let (status, body) = up.get("/readyz");
    let ready: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &ready["ready"]), (200, &Value::Bool(true)), "{body}");
    assert_eq!(up.get("/healthz").0, 200);
    assert!(up.told["database_url"].as_str().unwrap().contains(":***@"), "{}", up.told);

    let again = program(&["up", "--data-dir", folder.path().to_str().unwrap()]).output().unwrap();
    let (code, _, errors) = said(again);
    assert_eq!(code, 1);
    assert!(errors.contains("already_running") && errors.contains(&up.told["pid"].to_string()), "{errors}");

    ask(folder.path(), "acme");
    up.wait(|| all_active(folder.path(), 1), "ACTIVE");
    let metrics = up.get("/metrics").1;
    for name in
        ["active_tenants 1", "provision_duration_seconds_count", "tenantry_build_info", "process_cpu_seconds"]
    {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }

    let first = up.told.clone();
    up.signal(Signal::SIGTERM);
    assert_eq!(up.end().code(), Some(0));
    assert_eq!(postgres_of(folder.path()), None, "PostgreSQL was stopped");
    assert!(!folder.path().join("up.json").exists());

    let up = Running::up(folder.path(), &[]);
    for place in ["fleet", "brokers", "database_url", "http", "lanes"] {
        assert_eq!(up.told[place], first[place], "{place}");
    }
    assert!(all_active(folder.path(), 1));
}

#[test]
fn what_was_unfinished_when_the_process_was_killed_is_finished_by_the_next_one() {
    let folder = Folder::new();
    let up = Running::up(folder.path(), &[("TENANTRY_FAULTS", "database.before-seed=shaky")]);
    for name in ["one-of-them", "two-of-them"] {
        ask(folder.path(), name);
    }
    up.wait(|| states(folder.path()).len() == 2, "two tenants");
    up.signal(Signal::SIGKILL);
    assert_eq!(up.end().code(), None);
    assert!(postgres_of(folder.path()).is_some(), "PostgreSQL was left behind");

    let up = Running::up(folder.path(), &[]);
    up.wait(|| all_active(folder.path(), 2), "ACTIVE");
}

#[test]
fn a_postgresql_that_is_killed_is_started_again_and_the_work_goes_on() {
    let folder = Folder::new();
    let up = Running::up(folder.path(), &[]);
    let killed = postgres_of(folder.path()).unwrap();
    kill(Pid::from_raw(killed), Signal::SIGKILL).unwrap();
    ask(folder.path(), "after-the-fall");
    up.wait(|| postgres_of(folder.path()).is_some_and(|pid| pid != killed), "on a new PostgreSQL");
    up.wait(|| up.get("/readyz").0 == 200, "ready again");
    up.wait(|| all_active(folder.path(), 1), "ACTIVE");
}

#[test]
fn a_fault_that_is_armed_hits_the_chosen_slugs_and_no_others() {
    let folder = Folder::new();
    let up = Running::up(folder.path(), &[("TENANTRY_FAULTS", "database.before-probe=no:slug:broken-*")]);
    for name in ["broken-one", "whole-one"] {
        ask(folder.path(), name);
    }
    let wanted =
        |slug: &str, state: &str| states(folder.path()).contains(&(slug.to_owned(), state.to_owned()));
    up.wait(|| wanted("broken-one", "ROLLED_BACK") && wanted("whole-one", "ACTIVE"), "as the fault says");
}
