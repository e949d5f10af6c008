//! What answers a letter: a function of the letter, its tenant's past, and what was decided about its id.

use serde::{Deserialize, Serialize};
use tenantry_contracts::command::Question;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::operation::{Operation, OperationVerb};
use tenantry_contracts::result::{Answer, Said};
use tenantry_contracts::{Code, Fleet, RequestId, Time, Verb};
use tenantry_saga::{Heard, Moment, Registry, RowState, Tenant, What};

use super::article::{Article, Subject};
use crate::frozen::past::Past;

/// For how long the fleet remembers an id that it does not know; an older request is refused.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// What answers a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// A command's letter: its tenant is held by it; the coordinator asks afresh.
    AskAfresh,
    /// The raw record goes back to its topic.
    Replay,
    /// What it asked for was done, or was decided.
    AlreadyApplied,
    /// The saga does not wait for it any more.
    SagaMovedOn,
    /// The question was asked again with a newer token.
    Superseded,
    /// The tenant does not exist any more.
    TenantGone,
    /// A request that cannot be served as it is: `tenantry dlq edit`.
    NeedsEdit,
    /// Nothing can be done with it.
    Poison,
}

impl Verdict {
    /// Every verdict, those first that a replay acts on.
    pub(super) const ALL: [Self; 8] = [
        Self::AskAfresh,
        Self::Replay,
        Self::NeedsEdit,
        Self::Poison,
        Self::AlreadyApplied,
        Self::SagaMovedOn,
        Self::Superseded,
        Self::TenantGone,
    ];

    /// The word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AskAfresh => "ask-afresh",
            Self::Replay => "replay",
            Self::AlreadyApplied => "already-applied",
            Self::SagaMovedOn => "saga-moved-on",
            Self::Superseded => "superseded",
            Self::TenantGone => "tenant-gone",
            Self::NeedsEdit => "needs-edit",
            Self::Poison => "poison",
        }
    }

    /// Whether a replay acts on it.
    pub(super) const fn runs(self) -> bool {
        matches!(self, Self::AskAfresh | Self::Replay)
    }

    /// Whether it was answered since: nobody needs to do anything.
    pub(super) const fn answered(self) -> bool {
        matches!(self, Self::AlreadyApplied | Self::SagaMovedOn | Self::Superseded | Self::TenantGone)
    }
}

/// A verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) why: String,
}

fn judged(verdict: Verdict, why: impl Into<String>) -> Judged {
    Judged { verdict, why: why.into() }
}

/// What verdicts are made from.
pub(super) struct Known<'a> {
    pub(super) plans: &'a Registry,
    pub(super) fleet: &'a Fleet,
    pub(super) now: Time,
    /// The tenant that the letter names, where the store knows it.
    pub(super) past: Option<&'a Past>,
    /// The first decision about the letter's request or operation id.
    pub(super) decided: Option<EventKind>,
}

/// What answers this letter now.
pub(super) fn of(article: &Article, known: &Known<'_>) -> Judged {
    if article.letter.code == Some(Code::CrashLoop) {
        return judged(
            Verdict::Poison,
            "a process died of it repeatedly; report it as a bug, and never replay it",
        );
    }
    match &article.subject {
        Subject::Command(question, _) => command(question.as_ref(), known),
        Subject::Request { asked, unreadable, refusal, .. } => match (refusal, known.decided) {
            (_, Some(decided)) => already(decided),
            (Some(refusal), None) => {
                let what = if *unreadable { "cannot be read" } else { "would be refused" };
                judged(Verdict::NeedsEdit, format!("it still {what}: {refusal}"))
            }
            (None, None) if known.now.since(*asked) > REMEMBERED_MS => judged(
                Verdict::NeedsEdit,
                "it is older than ids are remembered; it would be refused as request_too_old",
            ),
            (None, None) => {
                judged(Verdict::Replay, "it can be read now, and nothing was decided about its id")
            }
        },
        Subject::Operation(read) => match (read, known.decided) {
            (_, Some(decided)) => already(decided),
            (Ok(_), None) => {
                judged(Verdict::Replay, "it can be read now, and nothing was decided about its id")
            }
            (Err(refusal), None) => judged(
                Verdict::Poison,
                format!("it still cannot be read ({refusal}); say the verb again with `tenantry tenant`"),
            ),
        },
        Subject::Answer(Err(refusal)) => judged(
            Verdict::Poison,
            format!("it still cannot be read ({refusal}); the question is asked again by itself"),
        ),
        Subject::Answer(Ok(_)) if article.foreign(known.fleet) => {
            judged(Verdict::Poison, "an answer of another fleet")
        }
        Subject::Answer(Ok(answer)) => result(answer, known),
        Subject::Other => judged(Verdict::Poison, "nothing is heard from that topic"),
    }
}

fn already(decided: EventKind) -> Judged {
    judged(Verdict::AlreadyApplied, format!("its id was decided: {}", decided.event_type()))
}

/// The tenant's past, where the question's saga runs; else what became of it.
fn running<'a>(question: &Question, known: &Known<'a>) -> Result<&'a Past, Judged> {
    let Some(past) = known.past else {
        return Err(judged(
            Verdict::TenantGone,
            format!("the store has no history of tenant {}", question.tenant),
        ));
    };
    let tenant = &past.tenant;
    if past.heard(question.row.as_str(), question.token).is_some_and(|heard| heard.failed.is_none()) {
        let why = format!("a yes to the question with token {} was heard", question.token);
        return Err(judged(Verdict::AlreadyApplied, why));
    }
    if tenant.state.is_final() {
        return Err(judged(Verdict::TenantGone, format!("{} is {}", tenant.request.slug, tenant.state)));
    }
    if tenant.saga.as_ref().is_none_or(|saga| saga.id != question.saga) {
        let why = format!("its saga is over; {} is {}", tenant.request.slug, tenant.state);
        return Err(judged(Verdict::SagaMovedOn, why));
    }
    let tokens = past.tokens(question.saga, question.row.as_str(), question.verb.as_str());
    if !tokens.contains(&question.token) {
        let why = format!("the journal never asked {} with token {}", question.row, question.token);
        return Err(judged(Verdict::Poison, why));
    }
    match tokens.last() {
        Some(last) if *last > question.token => {
            Err(judged(Verdict::Superseded, format!("it was asked again with token {last}")))
        }
        _ => Ok(past),
    }
}

/// A command's letter: it is answered by asking afresh, and only where its tenant is held by it.
pub(super) fn command(question: Option<&Question>, known: &Known<'_>) -> Judged {
    let Some(question) = question else {
        return judged(Verdict::Poison, "its headers name no question; nobody waits for its answer");
    };
    let past = match running(question, known) {
        Ok(past) => past,
        Err(judged) => return judged,
    };
    let (row, tenant) = (question.row.as_str(), &past.tenant);
    match past.row(known.plans, question.saga, row) {
        Some((RowState::Failed | RowState::Stuck, Some(Code::DeadLettered))) => {
            if !retry_applies(tenant, known) {
                let why = format!("retry does not apply to a tenant that is {}", tenant.state);
                return judged(Verdict::SagaMovedOn, why);
            }
            let mut why = format!("{} is {} by it: {row} is asked afresh", tenant.request.slug, tenant.state);
            let also = also(tenant, known.plans, row);
            if !also.is_empty() {
                why.push_str(&format!(", and with it {}", also.join(", ")));
            }
            judged(Verdict::AskAfresh, why)
        }
        Some((RowState::Asked { .. }, _)) => {
            judged(Verdict::SagaMovedOn, "its question is open; the fleet itself waits for the answer")
        }
        Some((_, Some(code))) => judged(
            Verdict::SagaMovedOn,
            format!(
                "{row} failed with {code}, not with this letter; see `tenantry tenant show {}`",
                tenant.request.slug
            ),
        ),
        _ => judged(Verdict::SagaMovedOn, format!("{row} does not wait for it")),
    }
}

fn result(answer: &Answer, known: &Known<'_>) -> Judged {
    let past = match running(&answer.question, known) {
        Ok(past) => past,
        Err(judged) => return judged,
    };
    match (past.heard(answer.question.row.as_str(), answer.question.token), &answer.body.said) {
        (Some(heard), _) if heard.silence => {
            judged(Verdict::SagaMovedOn, "its question's time was up before it was heard")
        }
        (Some(_), _) => judged(Verdict::AlreadyApplied, "an answer to its question was heard"),
        (None, Said::NotYet(_) | Said::Expired) => judged(
            Verdict::SagaMovedOn,
            "it says only that the question is to be asked again, which the fleet does",
        ),
        (None, _) => judged(Verdict::Replay, "its question is open"),
    }
}

/// Whether the core itself would take up a retry.
fn retry_applies(tenant: &Tenant, known: &Known<'_>) -> bool {
    let id = RequestId { source: "dlq".into(), id: "dlq".into() };
    let operation = Operation::new(id, OperationVerb::Retry, Some(tenant.target()), "dlq", "dlq");
    let moment = Moment { now: known.now, paused_ms: 0, n: &mut i64::MAX.saturating_sub(1_000) };
    tenant.clone().hear(known.plans, moment, Heard::Operation(&operation)).is_ok()
}

/// The other rows that a retry of this tenant asks afresh.
fn also(tenant: &Tenant, plans: &Registry, row: &str) -> Vec<&'static str> {
    let Some(saga) = &tenant.saga else { return Vec::new() };
    let Some(plan) = plans.find(saga.kind, saga.version) else { return Vec::new() };
    let failed = saga.rows.iter().filter(|run| matches!(run.state, RowState::Failed | RowState::Stuck));
    let rows = failed.filter_map(|run| plan.rows.get(usize::from(run.row)));
    rows.filter(|have| have.name != row && matches!(have.what, What::Step { .. }))
        .map(|row| row.name)
        .collect()
}

/// The end of an asked-afresh row, where it has one: done, or why not. `None` while it is under way.
pub(super) fn end_of_row(
    question: &Question,
    past: &Past,
    plans: &Registry,
    since: i64,
) -> Option<Result<(), String>> {
    let row = question.row.as_str();
    // An answer that was heard stands, whatever became of the saga after it.
    let tokens = past.tokens(question.saga, row, question.verb.as_str());
    let mut latest =
        tokens.iter().filter(|token| token.0 >= since).filter_map(|token| past.heard(row, *token));
    if latest.clone().any(|heard| heard.failed.is_none()) {
        return Some(Ok(()));
    }
    match past.row(plans, question.saga, row) {
        Some((RowState::Done | RowState::Skipped, _)) => Some(Ok(())),
        Some((RowState::Undone, _)) if question.verb == Verb::Compensate => Some(Ok(())),
        Some((RowState::Undone, code)) => Some(Err(format!("undone ({})", words(code)))),
        Some((RowState::Failed | RowState::Stuck, code)) => Some(Err(words(code))),
        Some(_) => None,
        None => latest.next_back().map(|heard| Err(words(heard.failed))),
    }
}

fn words(code: Option<Code>) -> String {
    code.map_or_else(|| "failed".to_owned(), |code| code.to_string())
}

#[cfg(test)]
mod tests;
