//! The verbs that many tenants can be sent at once, and what each tenant would make of one.

use tenantry_contracts::operation::{Actor, Operation, OperationVerb, Scope};
use tenantry_contracts::{RequestId, RowName, State, Time};
use tenantry_saga::{Heard, Moment, Registry, Tenant};

use crate::frozen::progress::Ended;

/// Reads a verb: its word, and after a colon the row of the plan where it is about one.
pub(super) fn read(text: &str) -> Result<OperationVerb, String> {
    const KNOWN: &str = "retry, cancel, hold, release, pause, resume, rerun:ROW, skip:ROW, mark-done:ROW";
    let unknown = || format!("{text:?} is no verb for many tenants; there are {KNOWN}");
    let (word, row) = text.split_once(':').map_or((text, None), |(word, row)| (word, Some(row)));
    let row = row.map(str::trim).filter(|row| !row.is_empty()).map(RowName::read);
    Ok(match (word, row) {
        ("retry", None) => OperationVerb::Retry,
        ("cancel", None) => OperationVerb::Cancel,
        ("hold", None) => OperationVerb::Hold,
        ("release", None) => OperationVerb::Release,
        ("pause", None) => OperationVerb::Pause(Scope::Tenant),
        ("resume", None) => OperationVerb::Resume(Scope::Tenant),
        ("rerun", Some(row)) => OperationVerb::Rerun(row),
        ("skip", Some(row)) => OperationVerb::Skip(row),
        ("mark-done", Some(row)) => OperationVerb::MarkDone(row),
        _ => return Err(unknown()),
    })
}

/// Whether it takes something away, or says that something is gone: two people answer for that, however few there are.
pub(super) fn destroys(verb: &OperationVerb) -> bool {
    matches!(
        verb,
        OperationVerb::Cancel | OperationVerb::Skip(_) | OperationVerb::MarkDone(_) | OperationVerb::Release
    )
}

/// What the core itself would say: whether it takes the verb up, else why not.
pub(super) fn preview(
    tenant: &Tenant,
    verb: &OperationVerb,
    plans: &Registry,
    now: Time,
) -> Result<(), String> {
    let id = RequestId { source: "batch".into(), id: "batch".into() };
    let operation = Operation {
        second: Some(Actor::unverified("somebody else")),
        ..Operation::new(id, verb.clone(), Some(tenant.target()), "somebody", "a preview")
    };
    let moment = Moment { now, paused_ms: 0, n: &mut i64::MAX.saturating_sub(1_000) };
    let heard = tenant.clone().hear(plans, moment, Heard::Operation(&operation));
    heard.map(drop).map_err(|refusal| refusal.to_string())
}

/// How the verb ended for a tenant that took it up and is in this state now; `None` while it is under way.
pub(super) fn end(verb: &OperationVerb, state: State) -> Option<Ended> {
    let forward = match verb {
        OperationVerb::Retry | OperationVerb::Rerun(_) | OperationVerb::Skip(_) => true,
        OperationVerb::Cancel | OperationVerb::MarkDone(_) => false,
        // What they change is changed when they are taken up.
        _ => return Some(Ended::Done),
    };
    match state {
        // An undo that was tried again ends here too.
        State::RolledBack | State::Purged => Some(Ended::Done),
        State::Rejected => Some(if forward { Ended::Failed } else { Ended::Done }),
        State::Active | State::Suspended | State::Grace => Some(Ended::Done),
        // The next decision is a person's, as the plan has it.
        State::Awaiting if forward => Some(Ended::Done),
        State::Awaiting | State::Held | State::Blocked | State::Stuck => Some(Ended::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_with_their_row_and_no_others() {
        assert_eq!(read("retry"), Ok(OperationVerb::Retry));
        assert_eq!(read("rerun:database"), Ok(OperationVerb::Rerun(RowName::new("database"))));
        for wrong in ["approve:approval.security", "forget", "rerun", "rerun:", "retry:database", ""] {
            assert!(read(wrong).is_err_and(|error| error.contains("retry, cancel")), "{wrong}");
        }
    }

    #[test]
    fn what_destroys_is_known_and_ends_where_it_should() {
        assert!(destroys(&OperationVerb::Cancel) && !destroys(&OperationVerb::Retry));
        assert_eq!(end(&OperationVerb::Retry, State::Provisioning), None);
        assert_eq!(end(&OperationVerb::Retry, State::Held), Some(Ended::Failed));
        assert_eq!(end(&OperationVerb::Cancel, State::Compensating), None);
        assert_eq!(end(&OperationVerb::Cancel, State::RolledBack), Some(Ended::Done));
        assert_eq!(end(&OperationVerb::Cancel, State::Stuck), Some(Ended::Failed));
        assert_eq!(end(&OperationVerb::Hold, State::Held), Some(Ended::Done));
    }
}
