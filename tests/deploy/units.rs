//! The systemd units and the file of settings that they share.

use std::collections::BTreeSet;

use crate::program::variables;
use crate::{read, top};

const UNITS: [(&str, &[&[&str]]); 4] = [
    ("tenantry-coordinator.service", &[&["serve", "coordinator"]]),
    ("tenantry-signer.service", &[&["serve", "signer"]]),
    ("tenantry-worker@.service", &[&["serve", "worker"]]),
    ("tenantry-migrate.service", &[&["migrate"], &["topics", "apply"]]),
];

/// The values of a key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The name in `NAME=value`.
fn name(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default()
}

#[test]
fn every_unit_runs_what_there_is_with_variables_that_are_read() {
    for (file, commands) in UNITS {
        let unit = read(&format!("deploy/systemd/{file}"));
        let lines = values(&unit, "ExecStart");
        let wanted: Vec<_> =
            commands.iter().map(|words| format!("/usr/local/bin/tenantry {}", words.join(" "))).collect();
        assert_eq!(lines.len(), wanted.len(), "{file}");
        for (line, wanted) in lines.iter().zip(&wanted) {
            let rest = line.strip_prefix(wanted.as_str()).unwrap_or_else(|| panic!("{file} runs {line}"));
            assert!(rest.is_empty() || rest == " ${WORKERS}", "{file} runs {line}");
        }
        let known: BTreeSet<_> = commands.iter().flat_map(|words| variables(words)).collect();
        for setting in values(&unit, "Environment") {
            let name = name(setting);
            assert!(
                name == "WORKERS" || known.contains(name),
                "{file} sets {name}, which nothing in it reads"
            );
        }
    }
}

#[test]
fn every_secret_of_a_unit_is_a_credential_that_is_loaded() {
    let readme = read("deploy/README.md");
    for (file, _) in UNITS {
        let unit = read(&format!("deploy/systemd/{file}"));
        let loaded: Vec<_> =
            values(&unit, "LoadCredential").iter().filter_map(|load| load.split_once(':')).collect();
        for (_, path) in &loaded {
            let secret = path.strip_prefix("/etc/tenantry/").unwrap_or_else(|| panic!("{file} loads {path}"));
            assert!(
                readme.contains(&format!("`{secret}`")),
                "deploy/README.md does not say what {secret} is"
            );
        }
        let named: Vec<_> = values(&unit, "Environment")
            .iter()
            .filter_map(|setting| setting.split_once("_FILE=%d/").map(|(_, credential)| credential))
            .collect();
        let credentials: Vec<_> = loaded.iter().map(|(credential, _)| *credential).collect();
        assert_eq!(named, credentials, "{file}");
    }
}

#[test]
fn a_unit_that_serves_is_started_again_but_not_after_a_wrong_setting() {
    for (file, commands) in UNITS {
        let unit = read(&format!("deploy/systemd/{file}"));
        assert_eq!(values(&unit, "NoNewPrivileges"), ["yes"], "{file}");
        assert_eq!(values(&unit, "ProtectSystem"), ["strict"], "{file}");
        assert_eq!(values(&unit, "User"), ["tenantry"], "{file}");
        if commands[0][0] == "serve" {
            assert_eq!(values(&unit, "Restart"), ["on-failure"], "{file}");
            assert_eq!(values(&unit, "RestartPreventExitStatus"), ["2"], "{file}");
            assert_eq!(values(&unit, "TimeoutStopSec"), ["15"], "{file}");
        }
    }
    assert!(top("deploy/systemd/tenantry.sysusers").is_file());
}

#[test]
fn the_example_of_settings_names_variables_that_are_read() {
    let known: BTreeSet<_> =
        UNITS.iter().flat_map(|(_, commands)| *commands).flat_map(|words| variables(words)).collect();
    let text = read("deploy/systemd/tenantry.env.example");
    let settings: Vec<_> = text
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| line.starts_with("TENANTRY_"))
        .collect();
    assert!(settings.len() > 5, "{settings:?}");
    for setting in settings {
        assert!(known.contains(name(setting)), "tenantry.env.example names {setting}");
    }
}
