//! The screen: values for programs, lines for people.

use serde::Serialize;
use tenantry_contracts::event::TenantRef;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Flags, SagaId, State, Time, Topic};

use super::alike::Alike;
use super::cause::{Cause, TURNED_BACK};
use super::help::{Help, helps};
use super::letter::Letter;
use super::tried::{Attempt, tried};
use super::waits::Wait;
use crate::show::code::Outcome;
use crate::show::sheet::Sheet;
use crate::show::style::{Style, count, duration, field, labelled, wrap};
use crate::show::table;
use crate::show::timeline::Told;

/// How many of the newest attempts are printed; `--json` has all.
const ATTEMPTS: usize = 8;
/// A longer command has what it does beneath it.
const COMMAND: usize = 52;
/// How many of the others are named; `--json` has all.
const NAMED: usize = 8;

/// Everything that is told.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    /// The letter that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) letter: Option<Letter>,
    /// The tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<Why>,
}

/// Why a tenant rests where it rests.
#[derive(Debug, Serialize)]
pub(super) struct Why {
    /// Its names.
    pub(super) tenant: TenantRef,
    /// Where it rests.
    pub(super) state: State,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub(super) since: Time,
    /// What stands beside the state.
    pub(super) flags: Flags,
    /// Whose turn it is: `fleet`, `person` or `nobody`.
    pub(super) turn: &'static str,
    /// The saga that runs, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) saga: Option<SagaId>,
    /// Its plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<String>,
    /// The causes, the most telling first; empty where nothing is wrong.
    pub(super) causes: Vec<Cause>,
    /// What is open.
    pub(super) waits: Vec<Wait>,
    /// What was tried, in order; only the rows of the causes and of what is open, and the verbs of people.
    pub(super) tried: Vec<Attempt>,
    /// The rows that are done.
    pub(super) done: Vec<String>,
    /// Who shares the first cause; none where it was not looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shared: Option<Alike>,
    /// What would help.
    pub(super) helps: Vec<Help>,
}

impl Why {
    /// Puts the screen together.
    pub(super) fn of(
        sheet: &Sheet,
        told: &[Told],
        causes: Vec<Cause>,
        waits: Vec<Wait>,
        shared: Option<Alike>,
    ) -> Self {
        let rows: Vec<&str> = causes
            .iter()
            .filter_map(|cause| cause.row.as_deref())
            .chain(waits.iter().map(|wait| wait.row.as_str()))
            .collect();
        let mut tried = sheet.saga.as_ref().map(|saga| tried(told, saga.id)).unwrap_or_default();
        tried.retain(|attempt| attempt.row.as_deref().is_none_or(|row| rows.contains(&row)));
        let done = sheet.saga.iter().flat_map(|saga| &saga.rows).filter(|row| row.state == "done");
        Self {
            tenant: sheet.tenant.clone(),
            state: sheet.state,
            since: sheet.since,
            flags: sheet.flags,
            turn: sheet.turn.of,
            saga: sheet.saga.as_ref().map(|saga| saga.id),
            plan: sheet.saga.as_ref().map(|saga| saga.plan.clone()),
            helps: helps(sheet, &causes, &waits),
            done: done.map(|row| row.name.clone()).collect(),
            causes,
            waits,
            tried,
            shared,
        }
    }
}

impl Page {
    /// Lines for people.
    pub(super) fn lines(&self, style: Style, now: Time) -> Vec<String> {
        let mut lines = self.letter.as_ref().map(|letter| letter.lines(style, now)).unwrap_or_default();
        if let Some(why) = &self.tenant {
            if self.letter.is_some() {
                lines.push(String::new());
            }
            lines.extend(why.lines(style, now));
        }
        lines
    }
}

impl Letter {
    fn lines(&self, style: Style, now: Time) -> Vec<String> {
        let ago = format!("{} ({} ago)", self.at, duration(now.since(self.at)));
        let mut lines = vec![style.title(&format!("letter {}", self.lies)), field("laid down", &ago)];
        if let Some(was) = &self.was {
            lines.extend(labelled("was", was));
        }
        if let Some(row) = &self.row {
            lines.push(field("asked by", row));
        }
        let code = self.code.map_or("without a code", |code| code.as_str());
        let class = self.class.as_ref().map(|class| format!(" ({class})")).unwrap_or_default();
        lines.push(field("cause", &format!("{}{class}", style.red(code))));
        if let Some(summary) = &self.summary {
            lines.extend(wrap(summary, 14));
        }
        if let Some(build) = &self.build {
            lines.push(field("build", build));
        }
        let whose = match (&self.tenant, &self.slug) {
            (Some(tenant), _) => tenant.to_string(),
            (None, Some(slug)) => slug.to_string(),
            (None, None) => "it names none".to_owned(),
        };
        lines.push(field("tenant", &whose));
        lines.push(style.bold("do"));
        if let Some(code) = self.code {
            lines.push(format!("  tenantry explain {code}"));
        }
        // Letters are known by where their record was heard.
        let quarantine = if self.lies.starts_with(&*Topic::Quarantine.name()) { "quarantine " } else { "" };
        lines.push(format!("  tenantry dlq {quarantine}show {}", self.was.as_ref().unwrap_or(&self.lies)));
        lines
    }
}

impl Why {
    fn lines(&self, style: Style, now: Time) -> Vec<String> {
        let state = match Outcome::of(self.state) {
            Some(Outcome::Done) => style.green(self.state.as_str()),
            Some(Outcome::Parked) => style.yellow(self.state.as_str()),
            Some(_) => style.red(self.state.as_str()),
            None => style.bold(self.state.as_str()),
        };
        let degraded = if self.flags.degraded { ", DEGRADED" } else { "" };
        let plan = self.plan.as_ref().map(|plan| format!(", {plan}")).unwrap_or_default();
        let mut lines = vec![
            format!("{}  {state}{degraded}", style.title(self.tenant.slug.as_str())),
            field("rests", &format!("since {} ({}){plan}", self.since, duration(now.since(self.since)))),
            field("tenant", &format!("{} ({})", self.tenant.id, self.tenant.environment)),
            field("turn", self.turn_words()),
        ];
        lines.extend(self.cause_lines(style));
        lines.extend(self.wait_lines(style, now));
        lines.extend(self.tried_lines(style, now));
        lines.extend(self.shared_lines());
        lines.push(style.bold("do"));
        let long = |help: &&Help| help.command.chars().count() > COMMAND;
        let short = self.helps.iter().filter(|help| !long(help)).map(|help| help.command.chars().count());
        let width = short.max().unwrap_or_default();
        for help in &self.helps {
            let Help { command, does } = help;
            if long(&help) {
                lines.push(format!("  {command}"));
                lines.push(format!("  {:width$}  {}", "", style.dim(does)));
            } else {
                lines.push(format!("  {command:<width$}  {}", style.dim(does)));
            }
        }
        lines
    }

    fn turn_words(&self) -> &'static str {
        match self.turn {
            "person" => "a person's: it rests until somebody acts",
            "fleet" => "the fleet's: it goes on by itself",
            _ => "nobody's",
        }
    }

    fn cause_lines(&self, style: Style) -> Vec<String> {
        let mut lines = Vec::new();
        for cause in &self.causes {
            let row = cause.row.as_deref().map(|row| format!("{} ", style.bold(row))).unwrap_or_default();
            lines.push(match cause.how {
                TURNED_BACK => field("undone for", row.trim_end()),
                how => field("cause", &format!("{row}{how}")),
            });
            let Some(trouble) = &cause.trouble else { continue };
            let class = trouble.class.map(|class| format!(" ({})", class.as_str())).unwrap_or_default();
            let place = trouble.pointer.as_ref().map(|at| format!(" at {at}")).unwrap_or_default();
            lines.push(format!("{:14}{}{class}{place}", "", style.red(trouble.code.as_str())));
            lines.extend(wrap(&trouble.message, 14));
            lines.extend(wrap(&format!("next: {}", trouble.advice), 14));
        }
        if self.causes.is_empty() {
            let words = match Outcome::of(self.state) {
                Some(Outcome::Done) => "none: nothing is wrong",
                None => "none so far: nothing has failed in this saga",
                Some(_) => "none is written down",
            };
            lines.push(field("cause", words));
        }
        lines
    }

    fn wait_lines(&self, style: Style, now: Time) -> Vec<String> {
        let mut lines = Vec::new();
        for wait in &self.waits {
            let left = wait.until.since(now);
            let due = if left < 0 {
                format!("due {} ago", duration(-left))
            } else {
                format!("{} left", duration(left))
            };
            let since = wait.since.map(|at| format!(" for {}", duration(now.since(at)))).unwrap_or_default();
            let of = wait.of.as_deref().unwrap_or("time");
            let attempt = wait.attempt.map(|(n, of)| format!(", attempt {n} of {of}")).unwrap_or_default();
            let words = match wait.what {
                _ if wait.paused => format!("{}: worker {of} is paused, and asked nothing", wait.row),
                "decide" => format!("{} open{since}: {of} decides, {due}", wait.row),
                "ask again" => format!("{} is asked again, {due}{attempt}", wait.row),
                verb => format!("{} ({verb}): worker {of} is asked{since}, {due}{attempt}", wait.row),
            };
            lines.extend(labelled("waits for", &words));
            if wait.what == "decide" || wait.of.is_none() || wait.paused {
                continue;
            }
            let heard = match &wait.last_answer {
                Some(answer) => {
                    let said = answer.code.map_or("yes".to_owned(), |code| code.to_string());
                    let ago = duration(now.since(answer.at));
                    format!("{of} last answered {ago} ago, about {} ({said})", answer.row)
                }
                None => format!("{of} has answered nobody in the last rows of the journal: does it run?"),
            };
            lines.extend(wrap(&heard, 14).iter().map(|line| style.dim(line)));
        }
        lines
    }

    fn tried_lines(&self, style: Style, now: Time) -> Vec<String> {
        let word = if self.state == State::Stuck { "still there" } else { "done" };
        let done = (!self.done.is_empty() && !self.causes.is_empty()).then(|| self.done.join(", "));
        let mut lines = done.map(|done| labelled(word, &done)).unwrap_or_default();
        if self.tried.is_empty() {
            return lines;
        }
        let cut = self.tried.len().saturating_sub(ATTEMPTS);
        let earlier = if cut > 0 { format!(" ({cut} earlier: --json)") } else { String::new() };
        lines.push(format!("{}{}", style.bold("tried"), style.dim(&earlier)));
        let mut rows = table::new(style, &["ROW", "WHAT", "TRY", "AGO", "TOOK", "OUTCOME"]);
        for attempt in self.tried.iter().skip(cut) {
            let code = attempt.code.map(|code| format!(": {code}")).unwrap_or_default();
            let by = attempt.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            rows.add_row([
                attempt.row.clone().unwrap_or_else(|| "-".to_owned()),
                attempt.verb.to_owned(),
                attempt.attempt.to_string(),
                duration(now.since(attempt.at)),
                attempt.took_ms.map(duration).unwrap_or_default(),
                crate::out::plain(&format!("{}{code}{by}", attempt.outcome)),
            ]);
        }
        lines.extend(table::lines(&mut rows, 2));
        lines
    }

    fn shared_lines(&self) -> Vec<String> {
        let Some(shared) = &self.shared else { return Vec::new() };
        let among = if shared.cut {
            format!("of the newest {} parked ones; there are more, see --among", shared.looked_at)
        } else {
            format!("of {} that are parked", count(shared.looked_at, "other"))
        };
        let mut words = match shared.tenants.len() {
            0 => format!("nobody else, {among}"),
            n => format!("{n} {among}: "),
        };
        let named: Vec<_> =
            shared.tenants.iter().take(NAMED).map(|other| other.tenant.slug.to_string()).collect();
        words.push_str(&named.join(", "));
        if shared.tenants.len() > NAMED {
            words.push_str(&format!(" and {} more", shared.tenants.len() - NAMED));
        }
        labelled("shared by", &words)
    }
}
