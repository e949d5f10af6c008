//! All about one tenant, from the fold of its journal: values for programs, lines for people.

use std::collections::BTreeMap;

use serde::Serialize;
use tenantry_contracts::event::TenantRef;
use tenantry_contracts::operation::Stopped;
use tenantry_contracts::state::Projection;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Flags, Json, RequestId, SagaId, State, Time, Verb};
use tenantry_saga::{Direction, Registry, RowState, Run, Saga, Tenant, What};

use super::code::Outcome;
use super::style::{Style, duration, field, labelled};
use super::timeline::Told;
use super::trouble::Trouble;
use super::turn::{Turn, turn, waits_for_paused};
use super::{outputs, table};

/// All about one tenant.
#[derive(Debug, Serialize)]
pub struct Sheet {
    /// Its names.
    pub tenant: TenantRef,
    /// Its state.
    pub state: State,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub since: Time,
    /// What stands beside the state.
    pub flags: Flags,
    /// The same in the words of others.
    pub projection: Projection,
    /// Its version: what `--expect-version` compares.
    pub version: i64,
    /// Its plan.
    pub plan: String,
    /// Where its data must stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residency: Option<String>,
    /// Where it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// When it was heard.
    #[serde(with = "rfc3339")]
    pub created: Time,
    /// Who asked for it.
    pub request: RequestId,
    /// Whose turn it is.
    pub turn: Turn,
    /// The saga that runs, or the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaSheet>,
    /// How many requests wait behind it.
    pub queued: usize,
}

/// A saga.
#[derive(Debug, Serialize)]
pub struct SagaSheet {
    /// Its id.
    pub id: SagaId,
    /// Its plan: kind and version.
    pub plan: String,
    /// Whether it still runs.
    pub running: bool,
    /// `forward`, `parked` or `back`.
    pub direction: &'static str,
    /// When it began.
    #[serde(with = "rfc3339")]
    pub began: Time,
    /// Its rows.
    pub rows: Vec<RowSheet>,
    /// Why it went back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Trouble>,
}

/// A row of a saga.
#[derive(Debug, Serialize)]
pub struct RowSheet {
    /// Its name.
    pub name: String,
    /// `step`, `gate`, `wait` or `pivot`.
    pub what: &'static str,
    /// How far it is.
    pub state: &'static str,
    /// How often it was asked.
    pub asked: usize,
    /// What it is asked now, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
    /// Milliseconds from the last answered question to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// What it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Why it failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Trouble>,
}

/// What is open about a row.
#[derive(Debug, Serialize)]
pub struct Open {
    /// `execute`, `compensate`, or `decide`, `wait`, `ask again`.
    pub what: &'static str,
    /// Until when.
    #[serde(with = "rfc3339")]
    pub until: Time,
}

impl Sheet {
    /// The sheet of a tenant at this time. `lane`: its pauses in all, by which deadlines move, and the workers that it asks
    /// nothing of. `told`: its timeline, from which durations come.
    pub fn of(tenant: &Tenant, plans: &Registry, now: Time, lane: (i64, &Stopped), told: &[Told]) -> Self {
        let saga = tenant.saga.as_ref().map(|saga| (saga, true));
        let saga = saga.or(tenant.last.as_deref().map(|saga| (saga, false)));
        Self {
            tenant: TenantRef {
                id: tenant.id,
                slug: tenant.request.slug.clone(),
                environment: tenant.request.environment.clone(),
            },
            state: tenant.state,
            since: tenant.since,
            flags: tenant.flags,
            projection: tenant.state.seeds(),
            version: tenant.version,
            plan: tenant.request.plan.clone(),
            residency: tenant.request.residency.clone(),
            region: tenant.request.region.clone(),
            created: tenant.created,
            request: tenant.request_id.clone(),
            turn: turn(tenant, plans, now, lane),
            saga: saga.map(|(saga, running)| saga_sheet(saga, running, plans, lane, told)),
            queued: tenant.queue.len(),
        }
    }

    /// Lines for people.
    pub fn lines(&self, style: Style, now: Time) -> Vec<String> {
        let state = match Outcome::of(self.state) {
            Some(Outcome::Done) => style.green(self.state.as_str()),
            Some(Outcome::Parked) => style.yellow(self.state.as_str()),
            Some(_) => style.red(self.state.as_str()),
            None => style.bold(self.state.as_str()),
        };
        let flags: String = flags(self.flags).iter().map(|flag| format!(", {flag}")).collect();
        let mut lines = vec![
            format!("{}  {state}{flags}", style.title(self.tenant.slug.as_str())),
            field("tenant", &self.tenant.id.to_string()),
            field("environment", self.tenant.environment.as_str()),
            field("since", &format!("{} ({} ago)", self.since, duration(now.since(self.since)))),
            field("plan", &self.plan),
        ];
        let place: Vec<&str> = self.residency.iter().chain(&self.region).map(String::as_str).collect();
        if !place.is_empty() {
            lines.push(field("place", &place.join(", ")));
        }
        lines.push(field("asked for", &format!("{} as {}", self.created, self.request)));
        lines.push(field("version", &self.version.to_string()));
        lines.extend(labelled("turn", &self.turn.words));
        if !self.turn.verbs.is_empty() {
            lines.extend(labelled("you can", &self.turn.verbs.join(", ")));
        }
        if self.queued > 0 {
            lines.push(field("queued", &self.queued.to_string()));
        }
        if let Some(saga) = &self.saga {
            lines.push(String::new());
            lines.extend(saga.lines(style, now));
        }
        lines
    }
}

impl SagaSheet {
    fn lines(&self, style: Style, now: Time) -> Vec<String> {
        let running = if self.running { self.direction } else { "ended" };
        let mut lines = vec![style.bold(&format!("{}, {running}", self.plan))];
        let mut rows = table::new(style, &["ROW", "STATE", "ASKED", "TOOK", "OPEN"]);
        for row in &self.rows {
            let open = row.open.as_ref().map(|open| {
                let left = open.until.since(now);
                let when = match left {
                    0.. => format!("{} left", duration(left)),
                    _ => format!("due {} ago", duration(-left)),
                };
                format!("{}, {when}", open.what)
            });
            rows.add_row([
                row.name.clone(),
                row.state.to_owned(),
                if row.asked > 0 { row.asked.to_string() } else { String::new() },
                row.took_ms.map(duration).unwrap_or_default(),
                open.unwrap_or_default(),
            ]);
        }
        lines.extend(table::lines(&mut rows, 2));
        for row in &self.rows {
            if let Some(failure) = &row.failure {
                lines.push(format!("  {}", style.bold(&format!("{} failed", row.name))));
                lines.extend(failure.lines(style, 4));
            }
        }
        let made: Vec<String> = self
            .rows
            .iter()
            .filter_map(|row| Some((row.name.as_str(), row.output.as_ref()?.read().ok()?)))
            .flat_map(|(name, output)| outputs::of_row(style, name, &output, 2))
            .collect();
        if !made.is_empty() {
            let word = if self.rows.iter().any(|row| row.state == "undone") { "was made" } else { "made" };
            lines.push(style.bold(word));
            lines.extend(made);
        }
        lines
    }
}

fn saga_sheet(
    saga: &Saga,
    running: bool,
    plans: &Registry,
    (paused_ms, stopped): (i64, &Stopped),
    told: &[Told],
) -> SagaSheet {
    let plan = plans.find(saga.kind, saga.version);
    let took: BTreeMap<&str, i64> = told
        .iter()
        .filter(|told| told.saga == Some(saga.id))
        .filter_map(|told| Some((told.row.as_deref()?, told.took_ms?)))
        .collect();
    let asked = |name: &str| {
        told.iter()
            .filter(|told| told.saga == Some(saga.id))
            .flat_map(|told| &told.asks)
            .filter(|asked| asked.row == name)
            .count()
    };
    let rows = saga.rows.iter().map(|run| {
        let row = plan.and_then(|plan| plan.rows.get(usize::from(run.row)));
        let name = row.map_or_else(|| format!("row {}", run.row), |row| row.name.to_owned());
        let paused = plan.is_some_and(|plan| waits_for_paused(plan, stopped, run));
        let due = run.due(paused_ms).filter(|_| !paused);
        RowSheet {
            what: row.map_or("step", |row| match row.what {
                What::Step { .. } => "step",
                What::Gate { .. } => "gate",
                What::Wait { .. } => "wait",
                What::Pivot => "pivot",
            }),
            state: if paused { "paused" } else { word(&run.state) },
            asked: asked(&name),
            open: due.map(|until| Open { what: open_word(&run.state), until }),
            took_ms: took.get(name.as_str()).copied(),
            output: run.output.clone(),
            failure: failure(run),
            name,
        }
    });
    SagaSheet {
        id: saga.id,
        plan: format!("{}/{}", saga.kind.as_str(), saga.version),
        running,
        direction: match saga.direction {
            Direction::Forward => "forward",
            Direction::Parked => "parked",
            Direction::Back | Direction::BackToReject => "back",
        },
        began: saga.began,
        rows: rows.collect(),
        cause: saga.cause.as_ref().map(Trouble::from),
    }
}

/// What stands beside the state, in words.
pub fn flags(flags: Flags) -> Vec<&'static str> {
    let all = [
        (flags.degraded, "DEGRADED"),
        (flags.drifted, "DRIFTED"),
        (flags.legal_hold, "LEGAL HOLD"),
        (flags.paused, "PAUSED"),
    ];
    all.into_iter().filter(|(stands, _)| *stands).map(|(_, word)| word).collect()
}

/// A failure that a later answer made up for is history, and stands in the timeline.
fn failure(run: &Run) -> Option<Trouble> {
    let over = matches!(run.state, RowState::Done);
    run.failure.as_ref().filter(|_| !over).map(Trouble::from)
}

fn word(state: &RowState) -> &'static str {
    match state {
        RowState::Idle => "waiting",
        RowState::Asked { verb: Verb::Compensate, .. } => "undoing",
        RowState::Asked { verb: Verb::Observe, .. } => "looked at",
        RowState::Asked { .. } => "running",
        RowState::Later { .. } => "again soon",
        RowState::Open { .. } => "open",
        RowState::Done => "done",
        RowState::Failed => "failed",
        RowState::Skipped => "skipped",
        RowState::Undone => "undone",
        RowState::Stuck => "stuck",
    }
}

fn open_word(state: &RowState) -> &'static str {
    match state {
        RowState::Asked { verb, .. } => verb.as_str(),
        RowState::Later { .. } => "asked again",
        _ => "decide",
    }
}

#[cfg(test)]
mod tests;
