//! Whose turn it is with a tenant, and what a person can ask for.

use serde::Serialize;
use tenantry_contracts::operation::{Operation, OperationVerb};
use tenantry_contracts::{RequestId, RowName, Time};
use tenantry_saga::{Heard, Moment, Registry, RowState, Tenant, What};

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

pub(super) fn turn(tenant: &Tenant, plans: &Registry, now: Time, paused_ms: i64) -> Turn {
    let verbs = verbs(tenant, plans, now, paused_ms);
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

/// What a person can ask for: the verbs that the core itself would take up.
fn verbs(tenant: &Tenant, plans: &Registry, now: Time, paused_ms: i64) -> Vec<String> {
    let plan = tenant.saga.as_ref().and_then(|saga| plans.find(saga.kind, saga.version));
    let open = tenant
        .saga
        .iter()
        .flat_map(|saga| &saga.rows)
        .filter(|run| matches!(run.state, RowState::Open { .. }));
    let rows = open.filter_map(|run| Some(RowName::new(plan?.rows.get(usize::from(run.row))?.name)));
    let decisions = rows.flat_map(|row| [OperationVerb::Approve(row.clone()), OperationVerb::Reject(row)]);
    let seen = |verb: &OperationVerb| match verb {
        OperationVerb::Approve(row) | OperationVerb::Reject(row) => {
            Some(tenant.saga.as_ref()?.seen(plan?, plan?.index_of(row.as_str())?))
        }
        _ => None,
    };
    let applies = |verb: &OperationVerb| {
        let id = RequestId { source: "show".into(), id: "show".into() };
        let operation = Operation {
            seen: seen(verb),
            ..Operation::new(id, verb.clone(), Some(tenant.target()), "show", "show")
        };
        let moment = Moment { now, paused_ms, n: &mut i64::MAX.saturating_sub(1_000) };
        tenant.clone().hear(plans, moment, Heard::Operation(&operation)).is_ok()
    };
    [OperationVerb::Retry, OperationVerb::Cancel]
        .into_iter()
        .chain(decisions)
        .filter(applies)
        .map(|verb| match &verb {
            OperationVerb::Approve(row) | OperationVerb::Reject(row) => format!("{} {row}", verb.as_str()),
            _ => verb.as_str().to_owned(),
        })
        .collect()
}
