//! What is attached: the tenant's history and the state it folds to, receipts, policy decisions, the plan, approvals, which
//! build made the bundle, and the control map.

use std::path::Path;

use serde::Serialize;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::steps::policy;
use tenantry_saga::{Saga, Tenant};
use tenantry_worker_receipt::read;

use super::controls;
use super::provenance::Provenance;
use super::sheaf::Sheaf;
use crate::show::sheet::Sheet;
use crate::tenant::find::Found;
use crate::tenant::receipts::sealed;

/// What every bundle has.
pub(super) fn general(sheaf: &mut Sheaf) -> anyhow::Result<()> {
    sheaf.json("provenance.json", &Provenance::of_this_build())?;
    sheaf.put("controls.json", controls::DOCUMENT);
    Ok(())
}

/// What a tenant's bundle has. `now`: for what is still open.
pub(super) fn of_tenant(
    sheaf: &mut Sheaf,
    found: &Found,
    receipts: Option<&Path>,
    now: tenantry_contracts::Time,
) -> anyhow::Result<()> {
    let Found { tenant, told, plans, paused_ms, stopped } = found;
    sheaf.lines("history.ndjson", told)?;
    sheaf.json("state.json", &Sheet::of(tenant, plans, now, (*paused_ms, stopped), told))?;
    let decides =
        |what| matches!(what, AuditKind::GateOpened | AuditKind::GateDecided | AuditKind::GateEscalated);
    sheaf.lines("approvals.ndjson", told.iter().filter(|told| decides(told.what)))?;
    if let Some(saga) = saga(tenant) {
        let plan = plans.find(saga.kind, saga.version);
        if let Some(plan) = plan {
            sheaf.put("plan.txt", plan.to_string());
            sheaf.json("plan.json", &plan.reference())?;
        }
        let output = plan.and_then(|plan| plan.index_of("policy")).and_then(|at| {
            saga.rows.iter().find(|run| run.row == at)?.output.as_ref()?.read::<policy::Output>().ok()
        });
        match output {
            Some(output) => sheaf.json("policy.json", &output)?,
            None => sheaf.left_out.push("policy.json: the policies have decided nothing yet".to_owned()),
        }
    }
    seal(sheaf, found, receipts)
}

fn seal(sheaf: &mut Sheaf, found: &Found, receipts: Option<&Path>) -> anyhow::Result<()> {
    let Ok((sealed, _)) = sealed(found) else {
        sheaf.left_out.push("receipts: none were sealed yet".to_owned());
        return Ok(());
    };
    let Some(root) = receipts else {
        sheaf.left_out.push("receipts: their folder was not named (--receipts)".to_owned());
        return Ok(());
    };
    for sealing in &sealed.receipts {
        match read(root, &sealing.digest)? {
            Some(envelope) => sheaf.put(format!("receipts/{}.dsse.json", sealing.digest), envelope),
            None => sheaf.left_out.push(format!("receipt {}: it is not in its folder", sealing.id)),
        }
    }
    sheaf.lines(
        "receipts/index.ndjson",
        sealed.receipts.iter().map(|sealing| Indexed { sealing, key: &sealed.key }),
    )
}

/// A line of the index of receipts.
#[derive(Serialize)]
struct Indexed<'a> {
    #[serde(flatten)]
    sealing: &'a tenantry_contracts::steps::receipt::Sealing,
    /// The id of the key that signed it.
    key: &'a str,
}

fn saga(tenant: &Tenant) -> Option<&Saga> {
    tenant.saga.as_ref().or(tenant.last.as_deref())
}
