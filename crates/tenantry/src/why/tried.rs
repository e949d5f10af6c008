//! What was tried, from the folded journal: every question with when it was asked and what became of it.

use serde::Serialize;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Code, SagaId, Time};

use crate::show::timeline::Told;

/// One question to a worker, one opening of a gate, or one verb of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Attempt {
    /// The row of the plan; none for a verb about the whole tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<String>,
    /// `execute`, `compensate`, `observe`, `decide` or `operate`.
    pub(super) verb: &'static str,
    /// Which attempt it is, counted from one.
    pub(super) attempt: u8,
    /// When it began.
    #[serde(with = "rfc3339")]
    pub(super) at: Time,
    /// Milliseconds until its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) took_ms: Option<i64>,
    /// What became of it, in a word or two; `open` while nothing has.
    pub(super) outcome: &'static str,
    /// With which code it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Code>,
    /// Which person, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
}

const OPEN: &str = "open";

/// Everything that was tried in this saga, in order.
pub(super) fn tried(told: &[Told], saga: SagaId) -> Vec<Attempt> {
    let mut all: Vec<Attempt> = Vec::new();
    for told in told.iter().filter(|told| told.saga == Some(saga)) {
        settle(&mut all, told);
        for ask in &told.asks {
            overtaken(&mut all, &ask.row);
            all.push(begun(Some(ask.row.clone()), ask.verb, ask.attempt, told.at));
        }
        if told.what == AuditKind::GateOpened {
            all.push(begun(told.row.clone(), "decide", 1, told.at));
        } else if let Some(outcome) = of_people(told) {
            let attempt = begun(told.row.clone(), "operate", 1, told.at);
            all.push(Attempt { outcome, by: told.by(), ..attempt });
        }
    }
    all
}

/// What came of a person's verb with this row of the journal, where it is one.
fn of_people(told: &Told) -> Option<&'static str> {
    match told.what {
        AuditKind::OperationAccepted | AuditKind::ProofAsked => Some("taken up"),
        AuditKind::Corrected => Some("corrected"),
        AuditKind::StepSkipped if told.actor.is_some() => Some("given up"),
        AuditKind::StepMarkedDone if told.actor.is_some() => Some("marked done"),
        AuditKind::HoldPlaced => Some("on legal hold"),
        AuditKind::HoldReleased => Some("hold lifted"),
        AuditKind::Paused => Some("paused"),
        AuditKind::Unpaused => Some("resumed"),
        _ => None,
    }
}

fn begun(row: Option<String>, verb: &'static str, attempt: u8, at: Time) -> Attempt {
    Attempt { row, verb, attempt, at, took_ms: None, outcome: OPEN, code: None, by: None }
}

/// Notes what a row of the journal says about what is open.
fn settle(all: &mut Vec<Attempt>, told: &Told) {
    let outcome = match told.what {
        AuditKind::StepSucceeded => "succeeded",
        AuditKind::StepUndone => "undone",
        AuditKind::StepFailed | AuditKind::UndoFailed => "failed",
        AuditKind::GateDecided if told.failure.is_some() => "said no",
        AuditKind::GateDecided => "said yes",
        AuditKind::StepSkipped | AuditKind::StepMarkedDone if told.actor.is_none() => "proved",
        AuditKind::ProofRefused => "not proved",
        // What is in doubt is undone in its turn; nobody waits for its answer.
        AuditKind::Compensating => {
            for attempt in all.iter_mut().filter(|attempt| attempt.outcome == OPEN) {
                attempt.outcome = "not waited for";
            }
            return;
        }
        _ => return,
    };
    let is_open = |attempt: &&mut Attempt| attempt.outcome == OPEN && attempt.row == told.row;
    let attempt = match all.iter_mut().rev().find(is_open) {
        Some(attempt) => attempt,
        // A step whose input could not be made was never asked.
        None => {
            all.push(begun(told.row.clone(), "execute", 1, told.at));
            match all.last_mut() {
                Some(attempt) => attempt,
                None => return,
            }
        }
    };
    attempt.outcome = outcome;
    attempt.took_ms = told.took_ms.or_else(|| Some(told.at.since(attempt.at)));
    attempt.code = told.failure.as_ref().map(|failure| failure.code);
    attempt.by = told.by();
}

/// A row is asked again while a question about it is open.
fn overtaken(all: &mut [Attempt], row: &str) {
    let open = |attempt: &&mut Attempt| attempt.outcome == OPEN && attempt.row.as_deref() == Some(row);
    for attempt in all.iter_mut().filter(open) {
        attempt.outcome = "overtaken";
    }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::{Class, TenantId};

    use super::*;
    use crate::show::timeline::Asks;
    use crate::show::trouble::Trouble;

    fn told(at: i64, what: AuditKind, row: Option<&str>, asks: &[(&str, &'static str, u8)]) -> Told {
        let asks =
            asks.iter().map(|(row, verb, attempt)| Asks { row: (*row).into(), verb, attempt: *attempt });
        Told {
            seq: at,
            n: at,
            at: Time(at),
            what,
            saga: Some(saga()),
            row: row.map(str::to_owned),
            state: None,
            took_ms: None,
            asks: asks.collect(),
            failure: None,
            actor: None,
            second: None,
            reason: None,
            note: None,
            cause: None,
        }
    }

    fn saga() -> SagaId {
        SagaId::of(TenantId(uuid::Uuid::from_u128(1)), 1)
    }

    #[test]
    fn every_question_has_its_outcome() {
        let mut failed = told(20, AuditKind::StepFailed, Some("database"), &[]);
        failed.took_ms = Some(10);
        failed.failure = Some(Trouble {
            class: Some(Class::UnknownOutcome),
            ..Trouble::of(Code::NoAnswer, None, "nothing came".into())
        });
        let story = [
            told(10, AuditKind::Started, None, &[("database", "execute", 1), ("storage", "execute", 1)]),
            failed,
            told(30, AuditKind::StepAskedAgain, Some("database"), &[("database", "execute", 2)]),
            told(40, AuditKind::OperationAccepted, None, &[("database", "execute", 1)]),
            told(50, AuditKind::StepSucceeded, Some("database"), &[]),
            told(60, AuditKind::Compensating, None, &[("storage", "compensate", 1)]),
        ];
        let all = tried(&story, saga());
        let seen: Vec<_> = all
            .iter()
            .map(|attempt| {
                (attempt.row.as_deref().unwrap_or("-"), attempt.verb, attempt.attempt, attempt.outcome)
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("database", "execute", 1, "failed"),
                ("storage", "execute", 1, "not waited for"),
                ("database", "execute", 2, "overtaken"),
                ("database", "execute", 1, "succeeded"),
                ("-", "operate", 1, "taken up"),
                ("storage", "compensate", 1, OPEN),
            ]
        );
        assert_eq!((all[0].code, all[0].took_ms), (Some(Code::NoAnswer), Some(10)));
        assert_eq!(
            all[3].took_ms,
            Some(10),
            "from the question to its answer, where the journal does not say it"
        );
        assert!(tried(&story, SagaId::of(TenantId(uuid::Uuid::from_u128(1)), 2)).is_empty());
    }
}
