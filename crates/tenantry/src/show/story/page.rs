//! The lines of a story: its answer, what people did, its end.

use tenantry_contracts::State;
use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::event::{Event, EventKind, TenantRef};

use super::Story;
use crate::out::plain;
use crate::show::code::Outcome;
use crate::show::outputs;
use crate::show::style::{Style, duration, wrap};
use crate::show::trouble::Trouble;

impl Story {
    pub(super) fn tell_answer(&self, event: &Event) -> Vec<String> {
        let style = self.style;
        let named = |tenant: &TenantRef| format!("tenant {}", tenant.id);
        let tenant = event.tenant.as_ref().map(named).unwrap_or_default();
        match event.event {
            EventKind::RequestAccepted => {
                let mut lines = vec![line(style.green("✓"), "accepted", None, &style.dim(&tenant))];
                for assumed in &event.assumed {
                    let text = format!("{} = {} ({})", assumed.field, assumed.value, assumed.why);
                    lines.extend(wrap(&text, 4).into_iter().map(|line| style.dim(&line)));
                }
                lines
            }
            EventKind::RequestDuplicate => {
                let state = event.state.map(|state| format!(", {state}")).unwrap_or_default();
                let mut lines = vec![line(style.yellow("="), "duplicate", None, &format!("{tenant}{state}"))];
                lines.extend(wrap("this request was heard before; nothing is made twice", 4));
                lines
            }
            EventKind::RequestRejected => self.refused("rejected", event),
            EventKind::RequestQuarantined => self.refused("quarantined", event),
            EventKind::OperationRefused => self.refused("refused", event),
            _ => vec![line(style.green("✓"), "accepted", None, &style.dim(&tenant))],
        }
    }

    fn refused(&self, word: &str, event: &Event) -> Vec<String> {
        let mut lines = vec![line(self.style.red("✗"), word, None, "")];
        if let Some(refusal) = &event.refusal {
            lines.extend(Trouble::from(refusal).lines(self.style, 4));
        }
        lines
    }

    /// The last lines, once both topics have told the end.
    pub(super) fn tell_end(&self) -> Vec<String> {
        let (Some((state, at)), Some(closing)) = (self.end, &self.closing) else { return Vec::new() };
        if !self.follow {
            return Vec::new();
        }
        let style = self.style;
        let took = self.began.map(|began| at.since(began));
        let (mark, word) = match Outcome::of(state) {
            Some(Outcome::Done) => (style.green("●"), style.green(state.as_str())),
            Some(Outcome::Parked) => (style.yellow("■"), style.yellow(state.as_str())),
            _ => (style.red("○"), style.red(state.as_str())),
        };
        let slug = closing.tenant.as_ref().map_or("<slug>", |tenant| tenant.slug.as_str());
        let note = match state {
            State::Active => "in all".to_owned(),
            State::RolledBack | State::Rejected => "in all; nothing of it is left".to_owned(),
            _ => "in all; a person must act".to_owned(),
        };
        let pad = " ".repeat(NAME.saturating_sub(state.as_str().len()));
        let took = took.map(duration).unwrap_or_default();
        let mut lines = vec![format!("  {mark} {word}{pad} {took:>9}  {note}")];
        if Outcome::of(state) == Some(Outcome::Parked) {
            lines.push(format!("    next: tenantry why {slug}"));
        }
        if let Some(made) = &closing.outputs {
            let order: Vec<String> = self.steps.iter().map(|step| step.row.clone()).collect();
            lines.extend(outputs::lines(style, made, &order, 4));
        }
        lines
    }
}

/// What a person did, and what came of it.
pub(super) fn of_people(style: Style, event: &AuditEvent, name: &str) -> Vec<String> {
    let by = event.actor.as_ref().map_or_else(|| "time".to_owned(), |actor| plain(&actor.name));
    let second = event.second.as_ref().map(|second| format!(" and {}", plain(&second.name)));
    let by = format!("{by}{}", second.unwrap_or_default());
    let why = event.reason.as_ref().map(|reason| format!(": {}", plain(reason))).unwrap_or_default();
    let note = || event.note.as_deref().map(plain).unwrap_or_default();
    let row = |mark: String, note: &str| {
        let mut lines = wrap(&format!("{name:<NAME$} {:>9}  {note}", ""), 4);
        if let Some(first) = lines.first_mut() {
            *first = line(mark, name, None, note);
        }
        lines
    };
    let said = |mark: String, text: &str| {
        let mut lines = wrap(&format!("* {text}"), 2);
        if let Some(first) = lines.first_mut() {
            *first = first.replacen('*', &mark, 1);
        }
        lines
    };
    let mark = style.bold("▸");
    match event.kind {
        AuditKind::GateDecided => vec![line(mark, name, None, &format!("decided by {by}{why}"))],
        AuditKind::OperationAccepted => said("▸".to_owned(), &format!("taken up for {by}{why}")),
        AuditKind::ProofAsked => {
            row(style.yellow("?"), &format!("looks for {by} whether something is there"))
        }
        AuditKind::ProofRefused => row(style.red("✗"), &format!("not proved: {}", note())),
        AuditKind::StepSkipped => row(style.yellow("↷"), &format!("given up{}", because(event, &by))),
        AuditKind::StepMarkedDone => row(style.green("✓"), &format!("undone by hand{}", because(event, &by))),
        AuditKind::Corrected => said(mark, &format!("corrected by {by}{why}; {}", note())),
        AuditKind::HoldPlaced => said(style.yellow("■"), &format!("on legal hold by {by}{why}")),
        AuditKind::HoldReleased => said(mark, &format!("legal hold lifted by {by}{why}")),
        AuditKind::Paused => said(style.yellow("‖"), &format!("paused by {by}{why}")),
        AuditKind::Unpaused => said(mark, &format!("goes on, says {by}{why}")),
        AuditKind::Forgotten => {
            said(style.red("○"), &format!("the key of its personal data was destroyed by {by}{why}"))
        }
        _ => Vec::new(),
    }
}

/// What allowed it: two people, or what the step saw.
fn because(event: &AuditEvent, by: &str) -> String {
    let people = event.actor.as_ref().map(|_| format!(", says {by}")).unwrap_or_default();
    let proof = event.note.as_ref().map(|note| format!(": {}", plain(note))).unwrap_or_default();
    format!("{people}{proof}")
}

/// The columns of a row's name.
pub(super) const NAME: usize = 20;

pub(super) fn line(mark: String, name: &str, took_ms: Option<i64>, note: &str) -> String {
    let took = took_ms.map(duration).unwrap_or_default();
    format!("  {mark} {name:<NAME$} {took:>9}  {note}").trim_end().to_owned()
}
