//! What is told of one request or operation while it is followed: records in, lines and an outcome out.
//!
//! Two topics are read side by side. The answer to upstream comes first on the page, whatever came first on the wire;
//! the end is told when both topics have told it.

mod page;
mod report;

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::event::{Event, EventKind, TenantRef};
use tenantry_contracts::steps::Notice;
use tenantry_contracts::{Origin, RequestId, State, TenantId, Time};
use tenantry_saga::{Plan, Registry, What};

use super::code::Outcome;
use super::style::{Style, wrap};
use super::trouble::Trouble;
use crate::out::plain;

use page::line;
pub use report::{Report, Step};

/// Follows one request or operation.
#[derive(Debug)]
pub struct Story {
    style: Style,
    plans: Registry,
    id: RequestId,
    origin: Option<Origin>,
    tenant: Option<TenantRef>,
    /// Audit events that came before the answer.
    early: Vec<AuditEvent>,
    answer: Option<Event>,
    closing: Option<Event>,
    end: Option<(State, Time)>,
    began: Option<Time>,
    /// The next place in the tenant's chain: an older one is a repeat.
    seq: i64,
    /// The ids of the public events that were told: the same id again is a repeat.
    told: BTreeSet<String>,
    plan: Option<&'static Plan>,
    rows: BTreeMap<String, Row>,
    undoing: bool,
    steps: Vec<Step>,
    follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    Done,
    Failed,
    Undone,
}

impl Story {
    /// The story of a request or operation under this id. `follow`: to the end of the saga, not only to the answer.
    pub fn new(style: Style, plans: Registry, id: RequestId, follow: bool) -> Self {
        Self {
            style,
            plans,
            id,
            origin: None,
            tenant: None,
            early: Vec::new(),
            answer: None,
            closing: None,
            end: None,
            began: None,
            seq: 0,
            told: BTreeSet::new(),
            plan: None,
            rows: BTreeMap::new(),
            undoing: false,
            steps: Vec::new(),
            follow,
        }
    }

    /// The record lies here: what is said of it without an id is about this request too.
    pub fn at(&mut self, origin: Origin) {
        self.origin = Some(origin);
    }

    /// The answer, once it was heard.
    pub fn answer(&self) -> Option<&Event> {
        self.answer.as_ref()
    }

    /// The public event at the end of the saga, once it was heard.
    pub fn closing(&self) -> Option<&Event> {
        self.closing.as_ref()
    }

    /// The tenant, once it is known.
    pub fn tenant(&self) -> Option<&TenantRef> {
        self.tenant.as_ref()
    }

    /// Everything that was told.
    pub fn report(&self, outcome: Outcome) -> Report<'_> {
        let refusal = self.closing.as_ref().or(self.answer.as_ref()).and_then(|event| event.refusal.as_ref());
        Report {
            request: &self.id,
            record: self.origin.as_ref(),
            outcome,
            exit: outcome.exit(),
            tenant: self.tenant.as_ref(),
            state: self.end.map(|(state, _)| state).or(self.answer.as_ref().and_then(|answer| answer.state)),
            took_ms: self.end.zip(self.began).map(|((_, end), began)| end.since(began)),
            refusal: refusal.map(Trouble::from),
            steps: &self.steps,
            answer: self.answer.as_ref(),
            end: self.closing.as_ref(),
        }
    }

    /// How it ended, once that is known.
    pub fn outcome(&self) -> Option<Outcome> {
        let answer = self.answer.as_ref()?;
        match answer.event {
            EventKind::RequestRejected | EventKind::RequestQuarantined | EventKind::OperationRefused => {
                return Some(Outcome::Rejected);
            }
            // What rests is not told of again.
            EventKind::RequestDuplicate if answer.state.and_then(Outcome::of).is_some() => {
                return answer.state.and_then(Outcome::of);
            }
            EventKind::RequestDuplicate if answer.state.is_none() => return Some(Outcome::Done),
            _ if !self.follow => return Some(Outcome::Done),
            _ => {}
        }
        self.closing.as_ref()?;
        Outcome::of(self.end?.0)
    }

    /// What is being worked on now, for a line that is drawn anew. Empty where nothing is known to be.
    pub fn doing(&self) -> String {
        if self.answer.is_none() {
            return "waiting for the answer".to_owned();
        }
        if self.undoing {
            return "undoing".to_owned();
        }
        let Some(plan) = self.plan else { return String::new() };
        let running = plan.rows.iter().filter(|row| {
            matches!(row.what, What::Step { .. })
                && !self.rows.contains_key(row.name)
                && row.waits_for.iter().all(|before| self.passed(plan, before))
        });
        running.map(|row| row.name).collect::<Vec<_>>().join(", ")
    }

    /// A row lies behind: it is done, or nothing was ever heard of it (a pivot, a gate that was not chosen) and all
    /// before it are.
    fn passed(&self, plan: &Plan, name: &str) -> bool {
        match self.rows.get(name) {
            Some(row) => *row == Row::Done,
            None => plan.rows.iter().any(|row| {
                row.name == name
                    && matches!(row.what, What::Pivot | What::Gate { .. })
                    && row.waits_for.iter().all(|before| self.passed(plan, before))
            }),
        }
    }

    /// Hears a public event under its id (`ce_id`): lines to print.
    pub fn event(&mut self, id: &str, event: &Event) -> Vec<String> {
        let mine = match &event.request {
            Some(request) => *request == self.id,
            None => event.origin.is_some() && event.origin == self.origin,
        };
        let of_tenant = self.tenant.is_some() && self.tenant == event.tenant;
        if !(mine || of_tenant) || !self.told.insert(id.to_owned()) {
            return Vec::new();
        }
        if is_answer(event.event) {
            if !mine || self.answer.is_some() {
                return Vec::new();
            }
            self.answer = Some(event.clone());
            if let Some(tenant) = &event.tenant {
                self.tenant = Some(tenant.clone());
            }
            let mut lines = self.tell_answer(event);
            for early in std::mem::take(&mut self.early) {
                lines.extend(self.audit(&early));
            }
            return lines;
        }
        if event.event == EventKind::Notice {
            let notices = event.notices.iter();
            let text = |notice: &Notice| format!("! {} ({})", plain(&notice.message), notice.code);
            return notices.flat_map(|notice| wrap(&text(notice), 2)).collect();
        }
        self.closing = Some(event.clone());
        self.tell_end()
    }

    /// Hears an audit event: lines to print.
    pub fn audit(&mut self, event: &AuditEvent) -> Vec<String> {
        if self.answer.is_none() {
            self.early.push(event.clone());
            return Vec::new();
        }
        let chain = |tenant: TenantId| tenant.to_string();
        if self.tenant.as_ref().map(|tenant| chain(tenant.id)).as_deref() != Some(&event.chain)
            || event.seq < self.seq
        {
            return Vec::new();
        }
        self.seq = event.seq + 1;
        self.began.get_or_insert(event.at);
        self.tell(event)
    }

    fn tell(&mut self, event: &AuditEvent) -> Vec<String> {
        let style = self.style;
        let row = event.row.as_ref().map(|row| row.as_str().to_owned());
        let failure = event.failure.as_ref().map(Trouble::from);
        if let Some(row) = &row {
            let step =
                Step { row: row.clone(), what: event.kind, took_ms: event.took_ms, failure: failure.clone() };
            self.steps.push(step);
        }
        let name = row.clone().unwrap_or_default();
        let mut set = |state: Option<Row>| match state {
            Some(state) => self.rows.insert(name.clone(), state),
            None => self.rows.remove(&name),
        };
        let mut lines = match event.kind {
            AuditKind::Started => {
                self.plan = event.plan.as_ref().and_then(|plan| find(&self.plans, &plan.name));
                Vec::new()
            }
            AuditKind::StepSucceeded => {
                set(Some(Row::Done));
                vec![line(style.green("✓"), &name, event.took_ms, "")]
            }
            AuditKind::StepFailed => {
                set(Some(Row::Failed));
                vec![line(style.red("✗"), &name, event.took_ms, "")]
            }
            AuditKind::StepAskedAgain => {
                set(None);
                vec![line(style.yellow("↻"), &name, None, "asked again")]
            }
            AuditKind::GateOpened => {
                set(Some(Row::Failed));
                vec![line(
                    style.yellow("?"),
                    &name,
                    None,
                    event.note.as_deref().unwrap_or("a person decides"),
                )]
            }
            AuditKind::GateDecided => {
                set(event.failure.is_none().then_some(Row::Done));
                page::of_people(style, event, &name)
            }
            // What is given up lies behind.
            AuditKind::StepSkipped => {
                set(Some(Row::Done));
                page::of_people(style, event, &name)
            }
            AuditKind::StepMarkedDone => {
                set(Some(Row::Undone));
                page::of_people(style, event, &name)
            }
            // Everything is asked again.
            AuditKind::Corrected => {
                self.rows.clear();
                page::of_people(style, event, &name)
            }
            AuditKind::WaitEnded => {
                set(Some(Row::Done));
                vec![line(style.green("✓"), &name, None, "waited")]
            }
            AuditKind::Compensating => {
                self.undoing = true;
                vec![format!("  {} undoing everything that may be there, newest first", style.yellow("↺"))]
            }
            AuditKind::StepUndone => {
                set(Some(Row::Undone));
                vec![line(style.green("✓"), &name, event.took_ms, "undone")]
            }
            AuditKind::UndoFailed => vec![line(style.red("✗"), &name, event.took_ms, "could not be undone")],
            AuditKind::OperationAccepted => {
                // What was built on a row that is asked again is asked for again too.
                self.rows.retain(|_, row| *row == Row::Done && name.is_empty());
                page::of_people(style, event, &name)
            }
            AuditKind::Queued => vec![format!("  {} waits behind the running saga", style.dim("…"))],
            _ => page::of_people(style, event, &name),
        };
        // What turns a saga round repeats the failure of the step before it.
        if let Some(trouble) = failure.filter(|_| row.is_some()) {
            lines.extend(trouble.lines(style, 4));
        }
        let ends = matches!(
            event.kind,
            AuditKind::Completed
                | AuditKind::Rejected
                | AuditKind::RolledBack
                | AuditKind::Held
                | AuditKind::Blocked
                | AuditKind::Stuck
                | AuditKind::GateOpened
                | AuditKind::ProofRefused
        );
        if let Some(state) = event.state.filter(|state| ends && Outcome::of(*state).is_some()) {
            if event.kind == AuditKind::Stuck {
                lines.extend(event.note.iter().flat_map(|note| wrap(note, 4)));
            }
            self.undoing = false;
            self.end = Some((state, event.at));
            lines.extend(self.tell_end());
        }
        lines
    }
}

fn is_answer(kind: EventKind) -> bool {
    match kind {
        EventKind::RequestAccepted
        | EventKind::RequestDuplicate
        | EventKind::RequestRejected
        | EventKind::RequestQuarantined
        | EventKind::OperationAccepted
        | EventKind::OperationRefused => true,
        EventKind::Provisioned
        | EventKind::Rejected
        | EventKind::RolledBack
        | EventKind::AttentionNeeded
        | EventKind::Notice => false,
    }
}

/// The plan of a name such as `provision/1`.
fn find(plans: &Registry, name: &str) -> Option<&'static Plan> {
    plans.plans().iter().copied().find(|plan| plan.reference().name == name)
}

#[cfg(test)]
mod tests;
