//! What the program says of itself: its flags, variables and workers, from `--help`; and how it takes a command line.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

use tenantry_tests::harness::binary;

/// Variables that are read beside the flags' own. Each is named in the help of a flag, without `[env: ...]`.
const BESIDE: [&str; 2] = ["TENANTRY_KAFKA_PROPERTIES", "TENANTRY_MASTER_KEY"];
/// What people run.
const OF_PEOPLE: [&[&str]; 5] =
    [&["request"], &["tenant", "ls"], &["tenant", "approve"], &["plan"], &["audit", "verify"]];

/// Runs the program with exactly these variables.
pub(crate) fn run<'a>(
    words: impl IntoIterator<Item = &'a str>,
    environment: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Output {
    let mut command = Command::new(binary());
    command.args(words).env_clear().envs(environment).stdin(Stdio::null());
    command.output().expect("the program starts")
}

/// The long help of a command.
fn help(words: &[&str]) -> String {
    let output = run(words.iter().copied().chain(["--help"]), []);
    let text = String::from_utf8(output.stdout).expect("help is text");
    assert!(output.status.success() && !text.is_empty(), "tenantry {} --help", words.join(" "));
    text
}

/// The subcommand that a command line runs: its words up to the first flag or value.
pub(crate) fn subcommand(line: &[String]) -> Vec<&str> {
    let words = match line.first().map(String::as_str) {
        Some("migrate") => 1,
        Some("serve" | "topics") => 2,
        other => panic!("no service runs {other:?}"),
    };
    line.iter().take(words).map(String::as_str).collect()
}

/// The variables that a command reads.
pub(crate) fn variables(words: &[&str]) -> BTreeSet<String> {
    let text = help(words);
    let mut found: BTreeSet<_> = text
        .split("[env: ")
        .skip(1)
        .filter_map(|rest| rest.split(['=', ']']).next())
        .map(str::to_owned)
        .collect();
    found.extend(BESIDE.iter().filter(|name| text.contains(**name)).map(|name| (*name).to_owned()));
    assert!(found.contains("TENANTRY_LOG"), "the help of {words:?} names no variables as it used to");
    found
}

/// The variables that the commands of people read.
pub(crate) fn variables_of_people() -> BTreeSet<String> {
    OF_PEOPLE.iter().flat_map(|words| variables(words)).collect()
}

/// The workers that the program can be.
pub(crate) fn workers() -> BTreeSet<String> {
    let text = help(&["serve", "worker"]);
    let values = text.split("Possible values:").nth(1).expect("the help lists the workers");
    values
        .lines()
        .skip(1)
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("- ")?.split(':').next())
        .map(str::to_owned)
        .collect()
}
