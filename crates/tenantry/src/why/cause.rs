//! What holds a tenant where it is: the rows that failed, refused or wait, and with which code.

use serde::Serialize;
use tenantry_contracts::{Code, State};
use tenantry_saga::{Registry, RowState, Run, Saga, Tenant};

use crate::show::trouble::Trouble;

/// One thing that holds a tenant where it is, or brought it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    /// The row of the plan, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) row: Option<String>,
    /// What the row does: `failed`, `refused`, `undo failed`, `waits for a decision`, `tried again`, `given up`, `undone`.
    pub(crate) how: &'static str,
    /// The code with its message; none for a gate that only waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<Trouble>,
}

/// The word for what turned a saga round, which no longer holds it.
pub(crate) const TURNED_BACK: &str = "undone";

/// By what two tenants are said to share a cause.
pub(crate) type Key = (Option<Code>, Option<String>);

impl Cause {
    /// What it shares with others; `None` where there is nothing to share.
    pub(crate) fn key(&self) -> Option<Key> {
        let code = self.trouble.as_ref().map(|trouble| trouble.code);
        (code.is_some() || self.row.is_some()).then(|| (code, self.row.clone()))
    }
}

/// Everything that holds this tenant, the most telling first; empty where nothing is wrong.
pub(crate) fn causes(tenant: &Tenant, plans: &Registry) -> Vec<Cause> {
    let Some(saga) = tenant.saga.as_ref().or(tenant.last.as_deref()) else { return Vec::new() };
    let how: fn(&Run) -> Option<&'static str> = match tenant.state {
        State::Held => |run| (run.state == RowState::Failed).then_some("failed"),
        State::Blocked => |run| (run.state == RowState::Failed).then_some("refused"),
        State::Stuck => |run| (run.state == RowState::Stuck).then_some("undo failed"),
        State::Awaiting => |run| matches!(run.state, RowState::Open { .. }).then_some("waits for a decision"),
        State::Rejected | State::RolledBack => |_| None,
        // In service: what it does without.
        State::Active | State::Suspended => {
            |run| (run.state == RowState::Skipped && run.failure.is_some()).then_some("given up")
        }
        State::Requested
        | State::Provisioning
        | State::Compensating
        | State::Updating
        | State::Offboarding
        | State::Grace
        | State::Purging
        | State::Purged => |run| {
            let tried = matches!(run.state, RowState::Asked { .. } | RowState::Later { .. });
            (tried && run.failure.is_some()).then_some("tried again")
        },
    };
    let of = |run: &Run| {
        let how = how(run)?;
        Some(Cause {
            row: Some(row_name(saga, run, plans)),
            how,
            trouble: run.failure.as_ref().map(Trouble::from),
        })
    };
    let mut causes: Vec<Cause> = saga.rows.iter().filter_map(of).collect();
    // A row that says why comes before one that only waits.
    causes.sort_by_key(|cause| cause.trouble.is_none());
    causes.extend(turned_back(tenant, saga, plans));
    causes
}

/// Why the saga was turned round, where it was.
fn turned_back(tenant: &Tenant, saga: &Saga, plans: &Registry) -> Option<Cause> {
    let failure = saga.cause.as_ref()?;
    let over = matches!(tenant.state, State::Rejected | State::RolledBack);
    (over || saga.direction.is_back()).then(|| {
        let row = saga.rows.iter().find(|run| run.failure.as_ref() == Some(failure));
        Cause {
            row: row.map(|run| row_name(saga, run, plans)),
            how: TURNED_BACK,
            trouble: Some(Trouble::from(failure)),
        }
    })
}

/// A row's name in the plan.
pub(crate) fn row_name(saga: &Saga, run: &Run, plans: &Registry) -> String {
    let plan = plans.find(saga.kind, saga.version);
    let row = plan.and_then(|plan| plan.rows.get(usize::from(run.row)));
    row.map_or_else(|| format!("row {}", run.row), |row| row.name.to_owned())
}
