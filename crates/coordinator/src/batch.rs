//! A batch in the making: everything that one statement will write in one lane.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::{Environment, RequestId, Slug, TenantId, Time};
use tenantry_ports::{Found, LaneWrite, RequestRow, SealedKey, TenantRow};

use crate::lane::{Held, Lane, Written};
use crate::tell::Told;

/// How old a tenant's row may grow while its saga runs, in milliseconds: what a take-over has to fold beyond it.
const ROW_AGE_MS: i64 = 5000;
/// How many rows of tenants that only wait are brought up to date with one batch, at most.
const OUTDATED_MOST: usize = 200;

impl Lane {
    /// Tenants whose row lags behind the journal for longer than it should, although nothing happens to them: at a gate,
    /// say. What a take-over has to read begins at the oldest such row.
    pub(crate) fn outdated(&self, now: Time) -> Vec<TenantId> {
        if now.since(self.written) < ROW_AGE_MS {
            return Vec::new();
        }
        let lags =
            |held: &&Held| held.row.is_none_or(|row| row.n < held.head_n && now.since(row.at) >= ROW_AGE_MS);
        self.tenants.values().filter(lags).map(|held| held.tenant.id).take(OUTDATED_MOST).collect()
    }
}

/// What one batch decided in one lane.
#[derive(Default)]
pub(crate) struct Draft {
    /// Rows with their facts, in order.
    pub(crate) told: Vec<Told>,
    /// Tenants that changed.
    pub(crate) touched: BTreeSet<TenantId>,
    /// Request ids that were decided.
    pub(crate) requests: BTreeMap<RequestId, RequestRow>,
    /// Keys of accepted tenants.
    pub(crate) keys: Vec<SealedKey>,
    /// Tenants whose key is destroyed.
    pub(crate) forgotten: Vec<TenantId>,
    /// Slugs that were freed after the read, with who held them.
    pub(crate) freed: BTreeSet<TenantId>,
}

impl Draft {
    /// What became of a request id: in this batch, or before it.
    pub(crate) fn request<'a>(&'a self, found: &'a Found, id: &RequestId) -> Option<&'a RequestRow> {
        self.requests.get(id).or_else(|| found.requests.get(id))
    }

    /// Who holds a slug: in memory, or as it was read, unless it was freed since.
    pub(crate) fn holder(
        &self,
        lane: &Lane,
        found: &Found,
        environment: &Environment,
        slug: &Slug,
    ) -> Option<TenantId> {
        let key = (environment.clone(), slug.clone());
        let read = || {
            found
                .slugs
                .get(&key)
                .copied()
                .filter(|id| !self.freed.contains(id) && !lane.tenants.contains_key(id))
        };
        lane.slugs.get(&key).copied().or_else(read)
    }

    /// What the statement writes for this lane, and which tenants are at rest after it.
    pub(crate) fn write(&mut self, lane: &mut Lane, now: Time) -> (LaneWrite, Vec<TenantId>) {
        let mut tenants = Vec::new();
        let mut rest = Vec::new();
        for id in &self.touched {
            let Some(held) = lane.tenants.get_mut(id) else { continue };
            let at_rest = held.tenant.at_rest();
            let stale = held.row.is_none_or(|row| row.at_rest || at_rest || now.since(row.at) >= ROW_AGE_MS);
            if stale {
                tenants.push(tenant_row(lane.row.lane, held, at_rest));
                held.row = Some(Written { at: now, n: held.head_n, at_rest });
            }
            if at_rest {
                rest.push(*id);
            }
        }
        lane.row.seen_at = now;
        lane.row.spoken = lane.spoken.upto;
        let write = LaneWrite {
            lane: lane.row.clone(),
            n_before: lane.committed_n,
            rows: self.told.iter().map(|told| told.row.clone()).collect(),
            tenants,
            requests: std::mem::take(&mut self.requests).into_values().collect(),
            keys: std::mem::take(&mut self.keys),
            forgotten: std::mem::take(&mut self.forgotten),
        };
        (write, rest)
    }
}

fn tenant_row(lane: tenantry_contracts::Lane, held: &Held, at_rest: bool) -> TenantRow {
    let tenant = &held.tenant;
    TenantRow {
        tenant: tenant.id,
        lane,
        environment: tenant.request.environment.clone(),
        slug: tenant.request.slug.clone(),
        name: tenant.request.name.clone(),
        plan: tenant.request.plan.clone(),
        state: tenant.state,
        since: tenant.since,
        head_n: held.head_n,
        head_seq: held.head.seq,
        head_hash: held.head.digest,
        at_rest,
        holds_slug: tenant.holds_slug(),
        created: tenant.created,
    }
}
