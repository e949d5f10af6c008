//! `requirements.tsv` holds: each demand of the seed documents is there once, and each test that it names exists and runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How many demands each seed document makes; their numbers run from one.
const DEMANDS: [(&str, usize); 5] = [("S0", 38), ("S1", 153), ("S2", 34), ("S3", 81), ("S4", 59)];
/// So many of them are shown by a test, at least.
const SHOWN: usize = 150;
/// What stands in place of a test where the fleet does not do it yet.
const LATER: &str = "later";

/// One demand and what shows it.
struct Row {
    id: String,
    asks: String,
    tests: String,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests stands in the workspace").to_owned()
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(top().join("tests/requirements.tsv")).expect("tests/requirements.tsv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("id\twhat is asked\ttest"), "the header");
    let read = |line: &str| {
        let [id, asks, tests] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three columns: {line}");
        };
        Row { id: id.to_owned(), asks: asks.to_owned(), tests: tests.to_owned() }
    };
    lines.filter(|line| !line.starts_with('#')).map(read).collect()
}

#[test]
fn every_demand_stands_there_once_and_in_order() {
    let rows = rows();
    let wanted = DEMANDS.iter().flat_map(|(seed, count)| (1..=*count).map(move |n| format!("{seed}-{n:02}")));
    let have: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    assert_eq!(have, wanted.collect::<Vec<_>>());
    for row in rows {
        assert!((1..=70).contains(&row.asks.chars().count()), "{}: {:?}", row.id, row.asks);
    }
}

#[test]
fn every_test_that_is_named_exists_and_runs() {
    let top = top();
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    let mut faults = Vec::new();
    for row in rows().iter().filter(|row| row.tests != LATER) {
        for test in row.tests.split(' ') {
            let Some((path, name)) = test.split_once("::") else {
                faults.push(format!("{}: {test:?} is no path::test", row.id));
                continue;
            };
            let text = files
                .entry(path.to_owned())
                .or_insert_with(|| fs::read_to_string(top.join(path)).unwrap_or_default());
            if !built(&top.join(path)) {
                faults.push(format!("{}: {path} is not there, or belongs to no target", row.id));
            } else if let Err(why) = runs(text, name) {
                faults.push(format!("{}: {path}: {name} {why}", row.id));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults in tests/requirements.tsv:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn enough_demands_are_shown_by_a_test() {
    let rows = rows();
    let shown = rows.iter().filter(|row| row.tests != LATER).count();
    println!("{shown} of {} demands are shown by a test", rows.len());
    for (seed, count) in DEMANDS {
        let of = rows.iter().filter(|row| row.id.starts_with(seed) && row.tests != LATER).count();
        println!("  {seed}: {of} of {count}");
    }
    assert!(shown >= SHOWN, "only {shown} demands are shown by a test");
}

#[test]
fn what_is_missing_ignored_or_no_test_is_found_out() {
    let text = "#[test]\nfn one() {}\n\n/// Why.\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}\n\n\
                #[test]\n#[ignore]\nfn three() {}\n\nfn four() {}\n";
    assert_eq!((runs(text, "one"), runs(text, "two")), (Ok(()), Ok(())));
    assert_eq!(runs(text, "three"), Err("is ignored"));
    assert_eq!(runs(text, "four"), Err("is no test"));
    assert_eq!(runs(text, "tw"), Err("is not there"));
    assert!(built(&top().join("tests/stories/life.rs")) && built(&top().join("tests/requirements.rs")));
    assert!(!built(&top().join("tests/stories/death.rs")) && !built(&top().join("tests/requirements.tsv")));
}

/// Whether the function is there, as a test, and is not left out.
fn runs(text: &str, name: &str) -> Result<(), &'static str> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let begins =
        |line: &&str| line.strip_prefix("async ").unwrap_or(line).starts_with(&format!("fn {name}("));
    let at = lines.iter().position(begins).ok_or("is not there")?;
    let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let attributes: Vec<_> = above.filter(|line| line.starts_with("#[")).collect();
    if attributes.iter().any(|line| line.starts_with("#[ignore")) {
        return Err("is ignored");
    }
    let is_test = |line: &&&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    attributes.iter().any(is_test).then_some(()).ok_or("is no test")
}

/// Whether a file is compiled: the root of a target, or a module that the file above it names.
fn built(path: &Path) -> bool {
    let folder = path.parent().expect("a path below the top");
    let (Some(stem), true) = (path.file_stem().and_then(|stem| stem.to_str()), path.is_file()) else {
        return false;
    };
    if is_root(path) {
        return true;
    }
    // `mod.rs` is named where its folder stands.
    let (stem, folder) = match (stem, folder.file_name().and_then(|name| name.to_str()), folder.parent()) {
        ("mod", Some(name), Some(above)) => (name, above),
        _ => (stem, folder),
    };
    let above = ["main.rs", "lib.rs", "mod.rs"].iter().map(|name| folder.join(name));
    above.chain([folder.with_extension("rs")]).filter(|above| above != path).any(|above| {
        let text = fs::read_to_string(&above).unwrap_or_default();
        let named = |line: &str| {
            let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            line == format!("mod {stem};")
        };
        text.lines().any(named) && built(&above)
    })
}

/// Whether a file is the root of a target: by its place, or because the manifest of its package names it.
fn is_root(path: &Path) -> bool {
    let package = path.ancestors().find(|folder| folder.join("Cargo.toml").is_file());
    let package = package.expect("every file belongs to a package");
    let manifest = fs::read_to_string(package.join("Cargo.toml")).unwrap_or_default();
    let inside = path.strip_prefix(package).expect("it stands inside").to_string_lossy().into_owned();
    let parts: Vec<_> = inside.split('/').collect();
    let found = !manifest.contains("autotests = false");
    match parts[..] {
        ["src", "lib.rs" | "main.rs"] => true,
        ["tests", file] if found && file.ends_with(".rs") => true,
        ["tests", _, "main.rs"] if found => true,
        _ => manifest.contains(&format!("path = \"{inside}\"")),
    }
}
