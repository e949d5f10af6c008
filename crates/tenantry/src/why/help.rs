//! The commands that would help, from the verbs that the core itself would take up now.

use serde::Serialize;
use tenantry_contracts::{Code, Environment, State};

use super::cause::{Cause, TURNED_BACK};
use super::waits::Wait;
use crate::show::sheet::Sheet;

/// A command to copy, and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Help {
    /// The command.
    pub(super) command: String,
    /// What it does.
    pub(super) does: String,
}

fn help(command: impl Into<String>, does: impl Into<String>) -> Help {
    Help { command: command.into(), does: does.into() }
}

/// What a person can do about this tenant, the most useful first.
pub(super) fn helps(sheet: &Sheet, causes: &[Cause], waits: &[Wait]) -> Vec<Help> {
    let slug = sheet.tenant.slug.as_str();
    let environment = &sheet.tenant.environment;
    let place = if *environment == Environment::default() {
        slug.to_owned()
    } else {
        format!("{slug} -e {environment}")
    };
    let mut all = Vec::new();
    for trouble in causes.iter().filter_map(|cause| cause.trouble.as_ref()) {
        let code = trouble.code;
        let page = help(format!("tenantry explain {code}"), "what it means, what to look at, when to call");
        if !all.contains(&page) {
            all.push(page);
        }
        // The message ends with the letter's place.
        if code == Code::DeadLettered
            && let Some(letter) = trouble.message.rsplit(' ').next().filter(|word| word.contains('/'))
        {
            all.push(help(format!("tenantry why {letter}"), "why the worker could not handle it"));
        }
    }
    if waits.iter().any(|wait| wait.attempt.is_some()) {
        if causes.is_empty() {
            let silence = format!("tenantry explain {}", Code::NoAnswer);
            all.push(help(silence, "what it means if the worker stays silent, and what to look at"));
        }
        all.push(help("tenantry top", "whether that worker answers others, and its breaker"));
    }
    for wait in waits.iter().filter(|wait| wait.paused) {
        let worker = wait.of.as_deref().unwrap_or_default();
        let command = format!("tenantry fleet resume --worker {worker} --reason \"...\" --yes");
        let go_on = help(command, "asks the worker again; without --worker where the whole fleet is paused");
        if !all.contains(&go_on) {
            all.insert(0, go_on);
        }
    }
    let holding = causes.iter().filter(|cause| cause.how != TURNED_BACK);
    let mut rows: Vec<&str> = holding.filter_map(|cause| cause.row.as_deref()).collect();
    rows.dedup();
    let rows = rows.join(", ");
    // Pausing, holding and forgetting help nobody out of anything.
    let helps = |verb: &&str| !matches!(*verb, "pause" | "hold" | "forget");
    let mut verbs: Vec<&str> = sheet.turn.verbs.iter().map(String::as_str).filter(helps).collect();
    verbs.sort_by_key(|verb| rank(verb));
    all.extend(verbs.into_iter().map(|verb| of_verb(verb, &place, &rows, sheet.state)));
    if matches!(sheet.state, State::Rejected | State::RolledBack) {
        all.push(help(
            "tenantry plan -f request.json",
            "what a corrected request would meet; writes nothing",
        ));
        all.push(help("tenantry request -f request.json --watch", "asks for the tenant anew"));
    }
    all.push(help(format!("tenantry tenant timeline {place}"), "everything that happened, in order"));
    all
}

/// Where somebody is asked to decide, the decisions come first; giving things up comes last.
fn rank(verb: &str) -> u8 {
    match verb.split(' ').next().unwrap_or_default() {
        "approve" | "reject" => 0,
        "release" | "resume" => 1,
        "retry" => 2,
        "mark-done" => 3,
        "correct" => 4,
        "rerun" => 5,
        "skip" => 6,
        _ => 7,
    }
}

fn of_verb(verb: &str, place: &str, rows: &str, state: State) -> Help {
    let (verb, row) = verb.split_once(' ').map_or((verb, None), |(verb, row)| (verb, Some(row)));
    let gate = match (verb, row) {
        ("approve" | "reject", Some(row)) => format!(" --gate {row}"),
        (_, Some(row)) => format!(" {row}"),
        (_, None) => String::new(),
    };
    let does = match verb {
        "retry" if state == State::Stuck => format!("once mended: undoes {rows} again"),
        "retry" => format!("once mended: goes on with {rows}; what is done stays done"),
        "cancel" => "undoes everything that was made; the slug is free then".to_owned(),
        "approve" => "says yes to what stands there now; never by whoever asked for it".to_owned(),
        "reject" => "says no; the reason is part of the audit".to_owned(),
        "release" => "lifts the legal hold; what it holds up goes on".to_owned(),
        "resume" => "goes on where it was paused".to_owned(),
        "rerun" => "asks a step again, and everything that was built on it".to_owned(),
        "correct" => "goes on with a corrected request; everything is validated again".to_owned(),
        "skip" => "goes on without it, if a look shows nothing half made; else with --second".to_owned(),
        "mark-done" => "once undone by hand: a look proves it; else with --second".to_owned(),
        _ => "see `tenantry tenant --help`".to_owned(),
    };
    let more = match verb {
        "correct" => " --set member=value",
        "release" => " --second <account>",
        _ => "",
    };
    help(format!("tenantry tenant {verb} {place}{gate}{more} --reason \"...\" --yes"), does)
}
