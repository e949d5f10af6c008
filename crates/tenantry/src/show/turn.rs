//! Whose turn it is with a tenant, and what a person can ask for.

use serde::Serialize;
use tenantry_contracts::operation::{Actor, Operation, OperationVerb, Scope, Stopped};
use tenantry_contracts::{Json, RequestId, RowName, Time};
use tenantry_saga::{Heard, Moment, Plan, Registry, RowState, Run, Tenant, What};

use super::code::Outcome;

/// Whose turn it is, and what they can do.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Turn {
    /// `fleet`, `person` or `nobody`.
    pub of: &'static str,
    /// In words.
    pub words: String,
    /// What a person can ask for now.
    pub verbs: Vec<String>,
}

pub(super) fn turn(
    tenant: &Tenant,
    plans: &Registry,
    now: Time,
    (paused_ms, stopped): (i64, &Stopped),
) -> Turn {
    let verbs = verbs(tenant, plans, now, paused_ms);
    if let Some(words) = braked(tenant) {
        return Turn { of: "person", words, verbs };
    }
    let slug = &tenant.request.slug;
    let (of, words) = match (Outcome::of(tenant.state), &tenant.saga) {
        (Some(Outcome::Parked), _) => {
            let reason = tenant.saga.iter().flat_map(|saga| &saga.rows).find_map(|run| {
                let parked = matches!(run.state, RowState::Failed | RowState::Stuck | RowState::Open { .. });
                run.failure.as_ref().filter(|_| parked)
            });
            let words = match reason {
                Some(failure) => format!(
                    "a person's: {} ({}); next: {}",
                    failure.message,
                    failure.code,
                    failure.code.advice()
                ),
                None => "a person's: someone must decide".to_owned(),
            };
            ("person", words)
        }
        (None, Some(saga)) => {
            let plan = plans.find(saga.kind, saga.version);
            let waits: Vec<String> = saga
                .rows
                .iter()
                .filter_map(|run| {
                    let due = run.due(paused_ms)?;
                    let row = plan?.rows.get(usize::from(run.row))?;
                    Some(match (&run.state, &row.what) {
                        (RowState::Asked { .. }, What::Step { worker, .. }) if stopped.stops(worker) => {
                            format!("{} waits for worker {worker}, which is paused", row.name)
                        }
                        (RowState::Asked { .. }, What::Step { worker, .. }) => {
                            format!("worker {worker} answers about {} until {due}", row.name)
                        }
                        (RowState::Later { .. }, _) => format!("{} is asked again at {due}", row.name),
                        _ => format!("{} until {due}", row.name),
                    })
                })
                .collect();
            ("fleet", format!("the fleet's: {}", waits.join("; ")))
        }
        (Some(Outcome::Done), _) => ("nobody", format!("nobody's: {slug} is in service")),
        (Some(_), _) => ("nobody", "nobody's: it is over, and nothing of it is left".to_owned()),
        (None, None) => ("fleet", "the fleet's: it begins soon".to_owned()),
    };
    Turn { of, words, verbs }
}

/// A row that was asked of a worker that nothing is asked of now.
pub(crate) fn waits_for_paused(plan: &Plan, stopped: &Stopped, run: &Run) -> bool {
    let what = plan.rows.get(usize::from(run.row)).map(|row| &row.what);
    matches!((what, &run.state), (Some(What::Step { worker, .. }), RowState::Asked { .. }) if stopped.stops(worker))
}

/// What a person keeps from going on.
fn braked(tenant: &Tenant) -> Option<String> {
    let saga = tenant.saga.as_ref();
    let waits = saga.is_some() || !tenant.queue.is_empty();
    let back = saga.is_some_and(|saga| saga.direction.is_back());
    match tenant.flags {
        flags if flags.paused && waits => Some(
            "a person's: it is paused; what runs is heard, and nothing new begins until it is resumed"
                .to_owned(),
        ),
        flags if flags.legal_hold && back => Some(
            "a person's: a legal hold keeps it from being undone; it goes on when two people release it"
                .to_owned(),
        ),
        _ => None,
    }
}

/// What a person can ask for: the verbs that the core itself would take up.
fn verbs(tenant: &Tenant, plans: &Registry, now: Time, paused_ms: i64) -> Vec<String> {
    let plan = tenant.saga.as_ref().and_then(|saga| plans.find(saga.kind, saga.version));
    let runs = tenant.saga.iter().flat_map(|saga| &saga.rows);
    let named =
        runs.filter_map(|run| Some((RowName::new(plan?.rows.get(usize::from(run.row))?.name), &run.state)));
    let named: Vec<(RowName, &RowState)> = named.collect();
    let seen = |verb: &OperationVerb| match verb {
        OperationVerb::Approve(row) | OperationVerb::Reject(row) => {
            Some(tenant.saga.as_ref()?.seen(plan?, plan?.index_of(row.as_str())?))
        }
        _ => None,
    };
    let applies = |verb: &OperationVerb| {
        let id = RequestId { source: "show".into(), id: "show".into() };
        let two = matches!(verb, OperationVerb::Release | OperationVerb::Forget);
        let operation = Operation {
            seen: seen(verb),
            second: two.then(|| Actor::unverified("second")),
            ..Operation::new(id, verb.clone(), Some(tenant.target()), "show", "show")
        };
        let moment = Moment { now, paused_ms, n: &mut i64::MAX.saturating_sub(1_000) };
        tenant.clone().hear(plans, moment, Heard::Operation(&operation)).is_ok()
    };
    let of_rows = named.iter().flat_map(|(row, state)| match state {
        RowState::Open { .. } => {
            vec![OperationVerb::Approve(row.clone()), OperationVerb::Reject(row.clone())]
        }
        RowState::Failed => vec![OperationVerb::Skip(row.clone())],
        RowState::Stuck => vec![OperationVerb::MarkDone(row.clone())],
        _ => Vec::new(),
    });
    let whole = [OperationVerb::Retry, OperationVerb::Cancel].into_iter();
    let mut all: Vec<String> = whole.chain(of_rows).filter(applies).map(|verb| word(&verb)).collect();
    // Many rows can be asked again; which, the rows themselves say.
    if named.iter().any(|(row, _)| applies(&OperationVerb::Rerun(row.clone()))) {
        all.push("rerun <row>".to_owned());
    }
    // Whether it would be taken up depends on what is corrected; this could always be.
    let seats =
        tenant.saga.as_ref().and_then(|saga| saga.request.seats).map_or(1, |seats| seats.saturating_add(1));
    let patch = Json::of(&serde_json::json!({ "seats": seats })).ok();
    let brakes = [
        OperationVerb::Release,
        OperationVerb::Resume(Scope::Tenant),
        OperationVerb::Pause(Scope::Tenant),
        OperationVerb::Hold,
        OperationVerb::Forget,
    ];
    let rest = patch.map(OperationVerb::Correct).into_iter().chain(brakes);
    all.extend(rest.filter(applies).map(|verb| word(&verb)));
    all
}

fn word(verb: &OperationVerb) -> String {
    match verb {
        OperationVerb::Approve(row)
        | OperationVerb::Reject(row)
        | OperationVerb::Skip(row)
        | OperationVerb::MarkDone(row) => format!("{} {row}", verb.as_str()),
        _ => verb.as_str().to_owned(),
    }
}
