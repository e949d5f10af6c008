//! Which other tenants are parked for the same cause, so that one mended thing is seen as one.

use serde::Serialize;
use tenantry_contracts::event::TenantRef;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{State, TenantId, Time};
use tenantry_coordinator::fold;
use tenantry_postgres::{Queries, TenantFilter};
use tenantry_saga::Registry;

use super::cause::{Key, causes};

/// The states in which a person must act.
const PARKED: [State; 4] = [State::Awaiting, State::Held, State::Blocked, State::Stuck];

/// Who shares a cause.
#[derive(Debug, Serialize)]
pub(super) struct Alike {
    /// The others, newest first.
    pub(super) tenants: Vec<Other>,
    /// How many other parked tenants were looked at.
    pub(super) looked_at: usize,
    /// There are more parked tenants than were looked at.
    pub(super) cut: bool,
}

/// Another tenant with the same cause.
#[derive(Debug, Serialize)]
pub(super) struct Other {
    /// Its names.
    pub(super) tenant: TenantRef,
    /// Its state.
    pub(super) state: State,
    /// Since when.
    #[serde(with = "rfc3339")]
    pub(super) since: Time,
}

/// Looks through the newest `most` parked tenants for those with the same code at the same row. One whose journal this
/// version cannot read is passed over: `tenantry audit verify` says which.
pub(super) async fn alike(
    store: &Queries,
    plans: &Registry,
    but: TenantId,
    key: &Key,
    most: u16,
) -> anyhow::Result<Alike> {
    // Two more: the tenant itself, and one that tells that there are more.
    let filter = TenantFilter { states: PARKED.to_vec(), after: None, limit: most.saturating_add(2) };
    let mut rows = store.tenants(&filter).await?;
    rows.retain(|row| row.tenant != but);
    let cut = rows.len() > usize::from(most);
    rows.truncate(usize::from(most));
    let mut found = Alike { tenants: Vec::new(), looked_at: rows.len(), cut };
    for row in rows {
        let history = store.history(row.tenant).await?;
        let Some((tenant, _, _)) = fold(&history) else { continue };
        if causes(&tenant, plans).iter().any(|cause| cause.key().as_ref() == Some(key)) {
            found.tenants.push(Other {
                tenant: TenantRef { id: row.tenant, slug: row.slug, environment: row.environment },
                state: tenant.state,
                since: tenant.since,
            });
        }
    }
    Ok(found)
}
