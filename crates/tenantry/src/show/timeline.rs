//! What happened to one tenant, row by row of its journal.

use serde::Serialize;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::Actor;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Origin, RowName, SagaId, State, Time};
use tenantry_coordinator::{Cause, Entry};
use tenantry_ports::Row;
use tenantry_saga::{Change, Registry, Set, Tenant};

use super::style::{Style, duration, wrap};
use super::trouble::Trouble;

/// One row of the journal, told.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Its place in the tenant's chain.
    pub seq: i64,
    /// Its number in the lane's journal.
    pub n: i64,
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Time,
    /// What happened.
    pub what: AuditKind,
    /// The saga.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaId>,
    /// The row of the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// The tenant's state from here on, where it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Milliseconds from the question to its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<i64>,
    /// What was asked with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<Asks>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Trouble>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Who else answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<Actor>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The record that caused it; none for a due time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Origin>,
}

impl Told {
    /// Who decided, whether the fleet knows it was them, and why.
    pub fn by(&self) -> Option<String> {
        let name =
            |actor: &Actor| format!("{}{}", actor.name, if actor.verified { "" } else { " (unverified)" });
        let actor = name(self.actor.as_ref()?);
        let second = self.second.as_ref().map(|second| format!(" and {}", name(second))).unwrap_or_default();
        Some(format!("{actor}{second}: {}", self.reason.as_deref().unwrap_or_default()))
    }
}

/// A question that was asked with a row.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Asks {
    /// The row of the plan.
    pub row: String,
    /// `execute` or `compensate`.
    pub verb: &'static str,
    /// Which attempt it is.
    pub attempt: u8,
}

/// The journal could not be folded: where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal row {0} cannot be read by this version")]
pub struct Unreadable(pub i64);

/// Tells the rows of one tenant, in order from its first, and the tenant that they fold to.
///
/// # Errors
/// Where a row cannot be read: it was written by a newer version, or is damaged.
pub fn tell(rows: &[Row], plans: &Registry) -> Result<Option<(Tenant, Vec<Told>)>, Unreadable> {
    let mut folded: Option<Tenant> = None;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let entry: Entry<'_> = serde_json::from_slice(&row.entry).map_err(|_| Unreadable(row.n))?;
        let change = entry.change.ok_or(Unreadable(row.n))?;
        // A change that ends a saga speaks of its rows; so names are looked up in the saga of before or after.
        let before = folded.as_ref().and_then(|tenant| tenant.saga.clone());
        match &mut folded {
            Some(tenant) => tenant.apply(row.n, row.at, entry.paused_ms, &change),
            None => folded = Tenant::begin(row.n, row.at, entry.paused_ms, &change),
        }
        let tenant = folded.as_ref().ok_or(Unreadable(row.n))?;
        let saga = before.as_ref().filter(|_| change.begun.is_none()).or(tenant.saga.as_ref());
        let name = |run: u16| {
            let plan = saga.and_then(|saga| plans.find(saga.kind, saga.version));
            let row = saga.and_then(|saga| saga.rows.get(usize::from(run))).map(|run| run.row);
            plan.zip(row)
                .and_then(|(plan, row)| plan.rows.get(usize::from(row)))
                .map_or_else(|| format!("row {run}"), |row| RowName::new(row.name).to_string())
        };
        let cause = match entry.cause {
            Cause::Record(origin) => Some(origin),
            Cause::Timer => None,
        };
        all.push(told(row, &change, saga.map(|saga| saga.id), cause, name));
    }
    Ok(folded.map(|tenant| (tenant, all)))
}

fn told(
    row: &Row,
    change: &Change,
    saga: Option<SagaId>,
    cause: Option<Origin>,
    name: impl Fn(u16) -> String,
) -> Told {
    let asks = change.moves.iter().filter_map(|(run, set)| match set {
        Set::Ask { verb, attempt, .. } => {
            Some(Asks { row: name(*run), verb: verb.as_str(), attempt: *attempt })
        }
        _ => None,
    });
    Told {
        seq: row.seq,
        n: row.n,
        at: row.at,
        what: change.what,
        saga,
        row: change.run.map(&name),
        state: change.state,
        took_ms: change.answered.map(|(_, ms)| ms),
        asks: asks.collect(),
        failure: change.failure.as_ref().map(Trouble::from),
        actor: change.by.as_ref().map(|by| by.actor.clone()),
        second: change.by.as_ref().and_then(|by| by.second.clone()),
        reason: change.by.as_ref().map(|by| by.reason.clone()),
        note: change.note.clone(),
        cause,
    }
}

/// Lines for people: the place in the chain, the time since the beginning, what happened, and why.
pub fn lines(style: Style, all: &[Told]) -> Vec<String> {
    let Some(first) = all.first() else { return Vec::new() };
    let mut lines = vec![format!("{:>4} {:>11}  {}", "SEQ", "AFTER", "WHAT")];
    for told in all {
        let mut what = told.what.as_str().trim_start_matches("tenant.").to_owned();
        if let Some(row) = &told.row {
            what = format!("{what}  {}", style.bold(row));
        }
        if let Some(ms) = told.took_ms {
            what = format!("{what}  {}", style.dim(&duration(ms)));
        }
        if let Some(state) = told.state {
            what = format!("{what}  -> {}", style.bold(state.as_str()));
        }
        let after = duration(told.at.since(first.at));
        lines.push(format!("{:>4} {after:>11}  {what}", told.seq));
        let asks: Vec<String> = told.asks.iter().map(asked).collect();
        if !asks.is_empty() {
            lines.extend(wrap(&format!("asks {}", asks.join(", ")), 20).iter().map(|line| style.dim(line)));
        }
        if let Some(by) = told.by() {
            lines.extend(wrap(&format!("by {by}"), 20));
        }
        // What turns a saga round or ends it repeats the failure of the step.
        if let Some(failure) = told.failure.as_ref().filter(|_| told.row.is_some()) {
            lines.extend(failure.in_short(style, 20));
        }
        if let Some(note) = &told.note {
            lines.extend(wrap(note, 20));
        }
    }
    lines
}

fn asked(asks: &Asks) -> String {
    let verb = if asks.verb == "execute" { String::new() } else { format!("{} ", asks.verb) };
    let attempt = if asks.attempt == 1 { String::new() } else { format!(" (attempt {})", asks.attempt) };
    format!("{verb}{}{attempt}", asks.row)
}
