//! What a verb would do to a tenant: the core itself hears it on a copy, and the difference is told. Nothing is sent.

use serde::Serialize;
use tenantry_contracts::event::TenantRef;
use tenantry_contracts::operation::Operation;
use tenantry_contracts::{Flags, State, Time, Verb};
use tenantry_saga::{Heard, Moment, Plan, RowState, Run, Saga, Tenant, What};

use crate::show::Style;
use crate::show::style::wrap;
use crate::show::trouble::Trouble;
use crate::tenant::find::Found;

/// What would happen.
#[derive(Debug, Serialize)]
pub(crate) struct Preview {
    /// Never: a preview sends nothing.
    sent: bool,
    /// The verb.
    verb: &'static str,
    /// About whom.
    tenant: TenantRef,
    /// The tenant's state now.
    state: State,
    /// Its version now.
    version: i64,
    /// The tenant's state right after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<State>,
    /// What becomes of rows.
    rows: Vec<Would>,
    /// What else changes, in words.
    notes: Vec<String>,
    /// Why the fleet would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Trouble>,
}

/// What would become of a row.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Would {
    /// `ask`, `undo`, `look`, `open`, `later`, `give up`, `done`, `undone`, `fail`.
    what: &'static str,
    /// The row of the plan.
    row: String,
    /// Who acts: a worker, or a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

impl Preview {
    /// What this operation would do to that tenant as the store has it now.
    pub(crate) fn of(found: &Found, operation: &Operation, now: Time) -> Self {
        let before = &found.tenant;
        let mut after = before.clone();
        let mut n = found.told.last().map_or(0, |told| told.n);
        let moment = Moment { now, paused_ms: found.paused_ms, n: &mut n };
        let heard = after.hear(&found.plans, moment, Heard::Operation(operation));
        let (rows, mut notes) = match &heard {
            Ok(_) => (rows(found, &after), flags(before.flags, after.flags)),
            Err(_) => (Vec::new(), Vec::new()),
        };
        for (_, change) in heard.iter().flatten() {
            notes.extend(change.note.clone());
        }
        Self {
            sent: false,
            verb: operation.verb.as_str(),
            tenant: TenantRef {
                id: before.id,
                slug: before.request.slug.clone(),
                environment: before.request.environment.clone(),
            },
            state: before.state,
            version: before.version,
            then: heard.is_ok().then_some(after.state),
            rows,
            notes,
            refusal: heard.as_ref().err().map(Trouble::from),
        }
    }

    /// Whether the fleet would refuse it.
    pub(crate) fn refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Lines for people.
    pub(crate) fn lines(&self, style: Style) -> Vec<String> {
        let then = match self.then {
            Some(then) if then != self.state => format!(" -> {}", style.bold(then.as_str())),
            Some(_) => format!(", and stays {}", self.state),
            None => String::new(),
        };
        let (slug, verb, version) = (style.title(self.tenant.slug.as_str()), self.verb, self.version);
        let mut lines = vec![format!("{slug}  {verb}: {} at version {version}{then}", self.state)];
        for would in &self.rows {
            let of = would.of.as_deref().unwrap_or_default();
            let what = style.bold(&format!("{:<8}", would.what));
            lines.push(format!("  {what} {:<24} {}", would.row, style.dim(of)).trim_end().to_owned());
        }
        for note in &self.notes {
            lines.extend(wrap(note, 2));
        }
        if let Some(refusal) = &self.refusal {
            lines.push(format!("  {}", style.red("the fleet would refuse it:")));
            lines.extend(refusal.lines(style, 2));
        } else if self.rows.is_empty() && self.notes.is_empty() {
            lines.push("  nothing else changes".to_owned());
        }
        lines
    }
}

/// What a worker still works on, or will be asked again: it moves on by itself.
pub(crate) fn moves(tenant: &Tenant) -> bool {
    let moves = |run: &Run| matches!(run.state, RowState::Asked { .. } | RowState::Later { .. });
    tenant.saga.as_ref().is_some_and(|saga| saga.rows.iter().any(moves))
}

/// What is different about rows.
fn rows(found: &Found, after: &Tenant) -> Vec<Would> {
    let saga = |tenant: &Tenant| tenant.saga.clone().or_else(|| tenant.last.as_deref().cloned());
    let (was, Some(is)) = (saga(&found.tenant), saga(after)) else { return Vec::new() };
    let was = was.filter(|was| was.id == is.id);
    let Some(plan) = found.plans.find(is.kind, is.version) else { return Vec::new() };
    // Once it turns back, whatever was touched is undone in its turn.
    let turned = is.direction.is_back() && !was.as_ref().is_some_and(|was| was.direction.is_back());
    let each = is.rows.iter().enumerate();
    each.filter_map(|(at, run)| {
        let before = was.as_ref().and_then(|was: &Saga| was.rows.get(at));
        let undone = turned && run.touched && run.state != RowState::Undone;
        let what = if undone { "undo" } else { would(before.map(|before| &before.state), &run.state)? };
        let row = plan.rows.get(usize::from(run.row))?;
        Some(Would { what, row: row.name.to_owned(), of: of(plan, run, what) })
    })
    .collect()
}

fn would(before: Option<&RowState>, after: &RowState) -> Option<&'static str> {
    if before == Some(after) {
        return None;
    }
    match after {
        RowState::Idle => before.map(|_| "later"),
        RowState::Asked { verb: Verb::Compensate, .. } => Some("undo"),
        RowState::Asked { verb: Verb::Observe, .. } => Some("look"),
        RowState::Asked { .. } | RowState::Later { .. } => Some("ask"),
        RowState::Open { .. } => Some("open"),
        RowState::Done => Some("done"),
        RowState::Failed => Some("fail"),
        RowState::Skipped => Some("give up"),
        RowState::Undone => Some("undone"),
        RowState::Stuck => Some("stuck"),
    }
}

fn of(plan: &Plan, run: &Run, what: &str) -> Option<String> {
    match &plan.rows.get(usize::from(run.row))?.what {
        What::Step { worker, .. } if matches!(what, "ask" | "undo" | "look") => {
            Some(format!("worker {worker}"))
        }
        What::Gate { role, .. } if what == "open" => Some(format!("{role} decides")),
        _ => None,
    }
}

fn flags(before: Flags, after: Flags) -> Vec<String> {
    let mut notes = Vec::new();
    let mut say = |was: bool, is: bool, set: &str, lifted: &str| {
        if was != is {
            notes.push(if is { set } else { lifted }.to_owned());
        }
    };
    say(
        before.paused,
        after.paused,
        "nothing new is asked about it from here on; what runs is heard",
        "what waited is asked for again",
    );
    say(
        before.legal_hold,
        after.legal_hold,
        "nothing of it may be destroyed from here on: no undo begins, no key is given up",
        "the hold is lifted: what it holds up goes on",
    );
    say(before.degraded, after.degraded, "it is marked DEGRADED", "it is DEGRADED no more");
    notes
}
