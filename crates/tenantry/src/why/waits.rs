//! What a tenant that is under way waits for, and whether the worker that should answer answers anybody.

use std::collections::BTreeMap;

use serde::Serialize;
use tenantry_contracts::audit::AuditEvent;
use tenantry_contracts::operation::Stopped;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Code, Time, fact};
use tenantry_postgres::{MOST, Queries};
use tenantry_saga::{Plan, Registry, RowState, Tenant, What};

use super::cause::row_name;
use crate::show::turn::waits_for_paused;

/// How many rows of the journal are looked through for answers, over all lanes.
const ROWS: u16 = 4_000;

/// Something that is open.
#[derive(Debug, Serialize)]
pub(super) struct Wait {
    /// The row of the plan.
    pub(super) row: String,
    /// What for: `execute`, `compensate`, `ask again`, `decide`.
    pub(super) what: &'static str,
    /// Which attempt, and of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<(u8, u8)>,
    /// Since when, where a question or a gate is open.
    #[serde(skip_serializing_if = "Option::is_none", with = "since_when")]
    pub(super) since: Option<Time>,
    /// When it ends by itself: no answer, asked again, or expired.
    #[serde(with = "rfc3339")]
    pub(super) until: Time,
    /// The worker is paused: it is asked nothing, and no deadline passes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) paused: bool,
    /// Who should act: a worker, or a role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<String>,
    /// The last answer of that worker to anybody, in the last rows of the journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_answer: Option<LastAnswer>,
}

/// An answer of a worker.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LastAnswer {
    /// When it was taken up.
    #[serde(with = "rfc3339")]
    pub(super) at: Time,
    /// About which row.
    pub(super) row: String,
    /// With which code it said *no*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Code>,
}

/// Everything that is open about this tenant.
pub(super) async fn waits(
    store: &Queries,
    tenant: &Tenant,
    plans: &Registry,
    (paused_ms, stopped): (i64, &Stopped),
) -> anyhow::Result<Vec<Wait>> {
    let Some(saga) = &tenant.saga else { return Ok(Vec::new()) };
    let Some(plan) = plans.find(saga.kind, saga.version) else { return Ok(Vec::new()) };
    let mut waits: Vec<Wait> = Vec::new();
    for run in &saga.rows {
        let (Some(until), Some(row)) = (run.due(paused_ms), plan.rows.get(usize::from(run.row))) else {
            continue;
        };
        let (what, attempt, since) = match &run.state {
            RowState::Asked { verb, attempt, at, .. } => (verb.as_str(), Some(*attempt), Some(*at)),
            RowState::Later { attempt, .. } => ("ask again", Some(*attempt), None),
            RowState::Open { since, .. } => ("decide", None, Some(*since)),
            _ => continue,
        };
        let back = saga.direction.is_back();
        let (of, most) = match &row.what {
            What::Step { worker, attempts, undo, .. } => {
                let forward = run.end.attempts.unwrap_or(*attempts);
                (Some(worker.to_string()), if back { undo.0 } else { forward })
            }
            What::Gate { role, .. } => (Some((*role).to_owned()), 1),
            What::Wait { .. } | What::Pivot => (None, 1),
        };
        let attempt = attempt.map(|attempt| (attempt, most));
        let row = row_name(saga, run, plans);
        let paused = waits_for_paused(plan, stopped, run);
        waits.push(Wait { row, what, attempt, since, until, paused, of, last_answer: None });
    }
    if waits.iter().any(|wait| wait.what != "decide") {
        let heard = heard(store, plan).await?;
        for wait in waits.iter_mut().filter(|wait| wait.what != "decide") {
            wait.last_answer = wait.of.as_ref().and_then(|worker| heard.get(worker)).cloned();
        }
    }
    Ok(waits)
}

/// The last answer of each worker in the last rows of all lanes. An approximation: an older answer is not found.
async fn heard(store: &Queries, plan: &'static Plan) -> anyhow::Result<BTreeMap<String, LastAnswer>> {
    let lanes = store.lanes().await?;
    let each = (usize::from(ROWS) / lanes.len().max(1)).clamp(50, usize::from(MOST)) as u16;
    let mut heard: BTreeMap<String, LastAnswer> = BTreeMap::new();
    for lane in lanes {
        let from = lane.n.saturating_sub(i64::from(each) - 1);
        for row in store.journal_scan(lane.lane, from, each).await? {
            let Some(event) = answer(row.facts) else { continue };
            let Some(name) = event.row.as_ref().map(ToString::to_string) else { continue };
            let worker = plan.rows.iter().find(|row| row.name == name).and_then(|row| match &row.what {
                What::Step { worker, .. } => Some(worker.to_string()),
                _ => None,
            });
            let Some(worker) = worker else { continue };
            if heard.get(&worker).is_none_or(|have| have.at <= event.at) {
                let code = event.failure.map(|failure| failure.code);
                heard.insert(worker, LastAnswer { at: event.at, row: name, code });
            }
        }
    }
    Ok(heard)
}

/// The audit event of a journal row that took up an answer; silence is none.
fn answer(facts: bytes::Bytes) -> Option<AuditEvent> {
    let event: AuditEvent = serde_json::from_slice(&fact::decode(facts)?.first()?.value).ok()?;
    event.took_ms?;
    let silent = event.failure.as_ref().is_some_and(|failure| failure.code == Code::NoAnswer);
    (!silent).then_some(event)
}

mod since_when {
    use serde::Serializer;
    use tenantry_contracts::Time;

    #[allow(clippy::ref_option, reason = "serde asks for this form")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Time>, out: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => out.collect_str(at),
            None => out.serialize_none(),
        }
    }
}
