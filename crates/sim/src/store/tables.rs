//! The rows, and what one statement does to them.

use std::collections::{BTreeMap, BTreeSet};

use crate::zoo::Bug;
use bytes::Bytes;
use tenantry_contracts::operation::Stopped;
use tenantry_contracts::{Environment, Lane, RequestId, Slug, TenantId, Time, Token};
use tenantry_ports::{
    Batch, Conflict, Fence, Found, HeardAt, LaneRow, LaneWrite, Loaded, Mark, Marked, Need, Remembered,
    RequestRow, Row, TenantRow,
};

/// Everything that is durable.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// The lanes.
    pub lanes: BTreeMap<Lane, LaneRow>,
    /// The journal.
    pub journal: BTreeMap<(Lane, i64), Row>,
    /// Where each tenant's rows are.
    pub by_tenant: BTreeMap<TenantId, Vec<i64>>,
    /// The tenants.
    pub tenants: BTreeMap<TenantId, TenantRow>,
    /// The slugs that are held.
    pub slugs: BTreeMap<(Environment, Slug), TenantId>,
    /// The request ids.
    pub requests: BTreeMap<RequestId, RequestRow>,
    /// The wrapped keys.
    pub keys: BTreeMap<TenantId, Vec<u8>>,
    /// The workers' fences.
    pub fences: BTreeMap<String, Token>,
    /// The workers' first answers.
    pub answers: BTreeMap<String, Bytes>,
    /// A bug that is planted.
    pub bug: Option<Bug>,
}

impl Tables {
    /// The batch statement: everything or nothing for each lane whose epoch and number match; nothing at all where a
    /// unique key is there already.
    ///
    /// # Errors
    /// The key.
    pub fn commit(&mut self, batch: &Batch) -> Result<Vec<Lane>, Conflict> {
        let matches = |write: &&LaneWrite| {
            let any = self.bug == Some(Bug::NoCompareAndSet);
            let number = self.bug != Some(Bug::EpochNotRaised);
            let same =
                |lane: &LaneRow| lane.epoch == write.lane.epoch && (!number || lane.n == write.n_before);
            self.lanes.get(&write.lane.lane).is_some_and(|lane| any || same(lane))
        };
        let won: Vec<&LaneWrite> = batch.lanes.iter().filter(matches).collect();
        self.unique(&won)?;
        for write in &won {
            self.write(write);
        }
        Ok(won.iter().map(|write| write.lane.lane).collect())
    }

    /// Looks for double keys before anything is written.
    fn unique(&self, won: &[&LaneWrite]) -> Result<(), Conflict> {
        let mut requests = BTreeSet::new();
        let mut rows = BTreeSet::new();
        let mut tenants = BTreeSet::new();
        // The slugs are looked at when the statement ends: one batch may free one and claim it again, in any order.
        let mut slugs = BTreeMap::new();
        let all = won.iter().flat_map(|write| &write.tenants);
        let freed: BTreeSet<_> = all.filter(|row| !row.holds_slug).map(|row| row.tenant).collect();
        for write in won {
            for request in &write.requests {
                let forgets = self.bug == Some(Bug::RequestIdsForgotten);
                if !forgets && (self.requests.contains_key(&request.id) || !requests.insert(&request.id)) {
                    return Err(Conflict::Request);
                }
            }
            for tenant in &write.tenants {
                let other = self.tenants.get(&tenant.tenant).is_some_and(|have| have.lane != tenant.lane);
                if other || !tenants.insert(tenant.tenant) {
                    return Err(Conflict::Tenant);
                }
                if !tenant.holds_slug {
                    continue;
                }
                let name = (tenant.environment.clone(), tenant.slug.clone());
                let holder = self.slugs.get(&name).filter(|holder| !freed.contains(holder)).copied();
                let claimed = slugs.insert(name, tenant.tenant);
                if holder.or(claimed).is_some_and(|other| other != tenant.tenant) {
                    return Err(Conflict::Other);
                }
            }
            for key in &write.keys {
                if self.keys.contains_key(&key.tenant) {
                    return Err(Conflict::Other);
                }
            }
            for row in &write.rows {
                let any = matches!(self.bug, Some(Bug::NoCompareAndSet | Bug::EpochNotRaised));
                if !any && (self.journal.contains_key(&(row.lane, row.n)) || !rows.insert((row.lane, row.n)))
                {
                    return Err(Conflict::Other);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, write: &LaneWrite) {
        let lane = self.lanes.entry(write.lane.lane).or_insert_with(|| write.lane.clone());
        *lane = write.lane.clone();
        if self.bug == Some(Bug::SpokenPastUnsaid) {
            lane.spoken = lane.n;
        }
        for row in &write.rows {
            if let Some(tenant) = row.tenant {
                self.by_tenant.entry(tenant).or_default().push(row.n);
            }
            self.journal.insert((row.lane, row.n), row.clone());
        }
        let (held, freed): (Vec<_>, Vec<_>) = write.tenants.iter().partition(|tenant| tenant.holds_slug);
        for tenant in freed.into_iter().chain(held) {
            let name = (tenant.environment.clone(), tenant.slug.clone());
            if tenant.holds_slug {
                self.slugs.insert(name, tenant.tenant);
            } else if self.slugs.get(&name) == Some(&tenant.tenant) {
                self.slugs.remove(&name);
            }
            self.tenants.insert(tenant.tenant, tenant.clone());
        }
        self.requests.extend(write.requests.iter().map(|row| (row.id.clone(), row.clone())));
        self.keys.extend(write.keys.iter().map(|key| (key.tenant, key.wrapped.clone())));
        self.keys.retain(|tenant, _| !write.forgotten.contains(tenant));
    }

    /// Raises the epoch of a lane, which is made where there is none.
    pub fn raise(&mut self, lane: Lane, now: Time, jump: i64) -> LaneRow {
        let row = self.lanes.entry(lane).or_insert_with(|| LaneRow {
            lane,
            epoch: 0,
            n: 0,
            spoken: 0,
            requests: HeardAt::default(),
            results: HeardAt::default(),
            operations: HeardAt::default(),
            fruitless: 0,
            seen_at: now,
            paused_ms: 0,
            chain_seq: 0,
            chain_head: [0; 32],
            stopped: Stopped::default(),
        });
        if self.bug != Some(Bug::EpochNotRaised) {
            row.epoch += 1;
        }
        row.n += jump;
        row.fruitless += 1;
        if self.bug == Some(Bug::NothingSaidAgain) {
            row.spoken = row.n;
        }
        row.clone()
    }

    /// What a take-over finds.
    pub fn load(&self, lane: &LaneRow) -> Loaded {
        let open = self.tenants.values().filter(|row| row.lane == lane.lane && !row.at_rest);
        let unspoken = self.journal.range((lane.lane, lane.spoken + 1)..=(lane.lane, i64::MAX));
        Loaded {
            tenants: open.map(|row| (row.clone(), self.rows(row))).collect(),
            unspoken: unspoken.map(|(_, row)| row.clone()).collect(),
        }
    }

    /// Whether every row of a lane is spoken.
    pub fn spoken(&self, lane: &LaneRow) -> bool {
        self.journal.range((lane.lane, lane.spoken + 1)..=(lane.lane, i64::MAX)).next().is_none()
    }

    /// What a batch needs to know.
    pub fn read(&self, need: &Need) -> Found {
        let remembers = self.bug != Some(Bug::RequestIdsForgotten);
        let requests = need.requests.iter().filter(|_| remembers);
        let requests = requests.filter_map(|id| self.requests.get_key_value(id));
        let slugs = need.slugs.iter().filter_map(|name| self.slugs.get_key_value(name));
        let tenants = need.tenants.iter().filter_map(|id| self.tenants.get(id));
        Found {
            requests: requests.map(|(id, row)| (id.clone(), row.clone())).collect(),
            slugs: slugs.map(|(name, tenant)| (name.clone(), *tenant)).collect(),
            tenants: tenants.map(|row| (row.tenant, (row.clone(), self.rows(row)))).collect(),
        }
    }

    fn rows(&self, tenant: &TenantRow) -> Vec<Row> {
        let numbers = self.by_tenant.get(&tenant.tenant).into_iter().flatten();
        numbers.filter_map(|n| self.journal.get(&(tenant.lane, *n)).cloned()).collect()
    }

    /// The fences of these resources.
    pub fn fences(&self, resources: &[String]) -> Vec<Option<Fence>> {
        let looks = self.bug != Some(Bug::FenceNotChecked);
        let fence = |name| self.fences.get(name).filter(|_| looks).map(|token| Fence { token: *token });
        resources.iter().map(fence).collect()
    }

    /// Raises fences.
    pub fn mark(&mut self, marks: &[Mark]) -> Vec<Marked> {
        let (looks, writes) =
            (self.bug != Some(Bug::FenceNotChecked), self.bug != Some(Bug::NoMarkBeforeUndo));
        let mark = |mark: &Mark| {
            if !writes {
                return Marked::Stands;
            }
            let fence = self.fences.entry(mark.resource.clone()).or_insert(mark.token);
            if *fence > mark.token {
                if !looks {
                    return Marked::Stands;
                }
                return Marked::Superseded;
            }
            *fence = mark.token;
            Marked::Stands
        };
        marks.iter().map(mark).collect()
    }

    /// Remembers first answers.
    pub fn remember(&mut self, answers: &[(String, Bytes)]) -> Vec<Remembered> {
        if self.bug == Some(Bug::FirstAnswerForgotten) {
            return answers.iter().map(|_| Remembered::First).collect();
        }
        let remember = |(id, answer): &(String, Bytes)| match self.answers.get(id) {
            Some(earlier) => Remembered::Earlier(earlier.clone()),
            None => {
                self.answers.insert(id.clone(), answer.clone());
                Remembered::First
            }
        };
        answers.iter().map(remember).collect()
    }
}
