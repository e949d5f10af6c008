//! A batch as columns: the arrays that the statement of [`super::commit`] takes, in the order of its parameters.

use std::collections::HashSet;

use tenantry_contracts::{Lane, TenantId};
use tenantry_ports::{Batch, LaneWrite, RequestRow, Row, SealedKey, TenantRow};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::settled::Plan;
use crate::pack::pack;

/// The batch as columns: one array for each parameter.
#[derive(Default)]
pub(super) struct Columns<'a> {
    lanes: Lanes<'a>,
    rows: Rows,
    tenants: Tenants<'a>,
    requests: Requests<'a>,
    keys: SealedKeys<'a>,
    forgotten: Forgotten,
}

#[derive(Default)]
struct Lanes<'a> {
    lane: Vec<i32>,
    epoch: Vec<i64>,
    n_before: Vec<i64>,
    n: Vec<i64>,
    spoken: Vec<i64>,
    settled: Vec<Option<i64>>,
    next: [Vec<i64>; 3],
    last: [Vec<&'a [u8]>; 3],
    seen_at: Vec<i64>,
    paused_ms: Vec<i64>,
    chain_seq: Vec<i64>,
    chain_head: Vec<&'a [u8]>,
    stopped: Vec<Option<String>>,
}

#[derive(Default)]
struct Rows {
    lane: Vec<i32>,
    n: Vec<i64>,
    tenant: Vec<Option<Uuid>>,
    seq: Vec<i64>,
    prev_n: Vec<i64>,
    at: Vec<i64>,
    entry: Vec<Vec<u8>>,
    facts: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Tenants<'a> {
    tenant: Vec<Uuid>,
    lane: Vec<i32>,
    environment: Vec<&'a str>,
    slug: Vec<&'a str>,
    name: Vec<&'a str>,
    plan: Vec<&'a str>,
    state: Vec<&'a str>,
    since: Vec<i64>,
    head_n: Vec<i64>,
    head_seq: Vec<i64>,
    head_hash: Vec<&'a [u8]>,
    at_rest: Vec<bool>,
    holds_slug: Vec<bool>,
    created: Vec<i64>,
    is_new: Vec<bool>,
}

#[derive(Default)]
struct Requests<'a> {
    lane: Vec<i32>,
    source: Vec<&'a str>,
    id: Vec<&'a str>,
    digest: Vec<&'a [u8]>,
    tenant: Vec<Option<Uuid>>,
    origin: Vec<&'a str>,
    at: Vec<i64>,
}

#[derive(Default)]
struct SealedKeys<'a> {
    lane: Vec<i32>,
    tenant: Vec<Uuid>,
    wrapped: Vec<&'a [u8]>,
}

#[derive(Default)]
struct Forgotten {
    lane: Vec<i32>,
    tenant: Vec<Uuid>,
}

impl<'a> Columns<'a> {
    /// Lanes, tenants, requests and keys are sorted, so that two batches lock what both want in one order.
    pub(super) fn new(batch: &'a Batch, plans: &[Plan]) -> Self {
        let mut columns = Self::default();
        let mut lanes: Vec<_> = batch.lanes.iter().zip(plans).collect();
        lanes.sort_unstable_by_key(|(write, _)| write.lane.lane);
        let (mut tenants, mut requests, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        let mut forgotten: Vec<(TenantId, Lane)> = Vec::new();
        let mut new = HashSet::new();
        for (write, plan) in lanes {
            columns.lanes.push(write, plan);
            for row in &write.rows {
                columns.rows.push(row);
                new.extend(row.tenant.filter(|_| row.prev_n == 0));
            }
            tenants.extend(&write.tenants);
            requests.extend(write.requests.iter().map(|row| (write.lane.lane, row)));
            keys.extend(write.keys.iter().map(|key| (write.lane.lane, key)));
            forgotten.extend(write.forgotten.iter().map(|tenant| (*tenant, write.lane.lane)));
        }
        tenants.sort_unstable_by_key(|row| row.tenant);
        requests.sort_unstable_by_key(|(_, row)| &row.id);
        keys.sort_unstable_by_key(|(_, key)| key.tenant);
        forgotten.sort_unstable();
        tenants.into_iter().for_each(|row| columns.tenants.push(row, &new));
        requests.into_iter().for_each(|(lane, row)| columns.requests.push(lane, row));
        keys.into_iter().for_each(|(lane, key)| columns.keys.push(lane, key));
        for (tenant, lane) in forgotten {
            columns.forgotten.lane.push(i32::from(lane.0));
            columns.forgotten.tenant.push(tenant.0);
        }
        columns
    }

    pub(super) fn params(&self) -> [&(dyn ToSql + Sync); 52] {
        let Self { lanes: l, rows: r, tenants: t, requests: q, keys: k, forgotten: f } = self;
        [
            &l.lane,
            &l.epoch,
            &l.n_before,
            &l.n,
            &l.spoken,
            &l.settled,
            &l.next[0],
            &l.last[0],
            &l.next[1],
            &l.last[1],
            &l.next[2],
            &l.last[2],
            &l.seen_at,
            &l.paused_ms,
            &l.chain_seq,
            &l.chain_head,
            &l.stopped,
            &r.lane,
            &r.n,
            &r.tenant,
            &r.seq,
            &r.prev_n,
            &r.at,
            &r.entry,
            &r.facts,
            &t.tenant,
            &t.lane,
            &t.environment,
            &t.slug,
            &t.name,
            &t.plan,
            &t.state,
            &t.since,
            &t.head_n,
            &t.head_seq,
            &t.head_hash,
            &t.at_rest,
            &t.holds_slug,
            &t.created,
            &t.is_new,
            &q.lane,
            &q.source,
            &q.id,
            &q.digest,
            &q.tenant,
            &q.origin,
            &q.at,
            &k.lane,
            &k.tenant,
            &k.wrapped,
            &f.lane,
            &f.tenant,
        ]
    }
}

impl<'a> Lanes<'a> {
    fn push(&mut self, write: &'a LaneWrite, plan: &Plan) {
        let row = &write.lane;
        self.lane.push(i32::from(row.lane.0));
        self.epoch.push(row.epoch);
        self.n_before.push(write.n_before);
        self.n.push(row.n);
        self.spoken.push(row.spoken);
        self.settled.push(plan.settled);
        for (i, heard) in [&row.requests, &row.results, &row.operations].into_iter().enumerate() {
            self.next[i].push(heard.next);
            self.last[i].push(&heard.last_id);
        }
        self.seen_at.push(row.seen_at.0);
        self.paused_ms.push(row.paused_ms);
        self.chain_seq.push(row.chain_seq);
        self.chain_head.push(&row.chain_head);
        self.stopped.push((!row.stopped.is_empty()).then(|| row.stopped.to_string()));
    }
}

impl Rows {
    fn push(&mut self, row: &Row) {
        self.lane.push(i32::from(row.lane.0));
        self.n.push(row.n);
        self.tenant.push(row.tenant.map(|tenant| tenant.0));
        self.seq.push(row.seq);
        self.prev_n.push(row.prev_n);
        self.at.push(row.at.0);
        let (entry, facts) = pack(&row.entry, &row.facts);
        self.entry.push(entry);
        self.facts.push(facts);
    }
}

impl<'a> Tenants<'a> {
    fn push(&mut self, row: &'a TenantRow, new: &HashSet<TenantId>) {
        self.tenant.push(row.tenant.0);
        self.lane.push(i32::from(row.lane.0));
        self.environment.push(row.environment.as_str());
        self.slug.push(row.slug.as_str());
        self.name.push(row.name.as_str());
        self.plan.push(&row.plan);
        self.state.push(row.state.as_str());
        self.since.push(row.since.0);
        self.head_n.push(row.head_n);
        self.head_seq.push(row.head_seq);
        self.head_hash.push(&row.head_hash);
        self.at_rest.push(row.at_rest);
        self.holds_slug.push(row.holds_slug);
        self.created.push(row.created.0);
        self.is_new.push(new.contains(&row.tenant));
    }
}

impl<'a> Requests<'a> {
    fn push(&mut self, lane: Lane, row: &'a RequestRow) {
        self.lane.push(i32::from(lane.0));
        self.source.push(&row.id.source);
        self.id.push(&row.id.id);
        self.digest.push(&row.digest);
        self.tenant.push(row.tenant.map(|tenant| tenant.0));
        self.origin.push(&row.origin);
        self.at.push(row.at.0);
    }
}

impl<'a> SealedKeys<'a> {
    fn push(&mut self, lane: Lane, key: &'a SealedKey) {
        self.lane.push(i32::from(lane.0));
        self.tenant.push(key.tenant.0);
        self.wrapped.push(&key.wrapped);
    }
}
