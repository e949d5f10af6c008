//! How far back a take-over must look for rows that a tenant's own row does not show.
//!
//! A tenant's row is not written at every transition, so its head lags behind the journal. Without a bound, finding the
//! rows after an old head means reading the whole lane since then: days of it, for a tenant that waits for a person.
//! The bound is kept in the lane's row, `settled`: every tenant row of the lane shows the journal up to that number. Who
//! commits knows what is behind, since it loaded the lane; who does not know leaves the bound where it is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tenantry_contracts::{Lane, TenantId};
use tenantry_ports::{Batch, CommitOutcome, LaneRow, LaneWrite};

/// What is behind, for each lane that was loaded here.
#[derive(Default)]
pub(super) struct Settled(Mutex<HashMap<Lane, Behind>>);

struct Behind {
    /// The owner's epoch. What another one wrote is not known here.
    epoch: i64,
    /// The first number that the tenant's row does not show, for those that have one.
    first: HashMap<TenantId, i64>,
}

/// What one lane's write will change, if it counts.
pub(super) struct Plan {
    lane: Lane,
    /// The new bound; `None` where nothing is known.
    pub(super) settled: Option<i64>,
    behind: Vec<(TenantId, Option<i64>)>,
}

impl Settled {
    /// A lane was loaded; of these tenants the first unshown number is known, all others are shown.
    pub(super) fn loaded(&self, lane: &LaneRow, first: HashMap<TenantId, i64>) {
        self.lanes().insert(lane.lane, Behind { epoch: lane.epoch, first });
    }

    /// What the batch will change, for each of its lanes in order.
    pub(super) fn plan(&self, batch: &Batch) -> Vec<Plan> {
        let lanes = self.lanes();
        batch.lanes.iter().map(|write| plan(lanes.get(&write.lane.lane), write)).collect()
    }

    /// What became of it.
    pub(super) fn committed(&self, batch: &Batch, plans: Vec<Plan>, outcome: &CommitOutcome) {
        let mut lanes = self.lanes();
        match outcome {
            CommitOutcome::Done(won) => {
                for plan in plans {
                    if !won.contains(&plan.lane) {
                        lanes.remove(&plan.lane);
                    } else if let Some(behind) = lanes.get_mut(&plan.lane) {
                        behind.apply(plan);
                    }
                }
            }
            // As if it had never been.
            CommitOutcome::Conflict(_) | CommitOutcome::Failed(_) => {}
            CommitOutcome::Unknown(_) => {
                for write in &batch.lanes {
                    lanes.remove(&write.lane.lane);
                }
            }
        }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, Behind>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Behind {
    fn apply(&mut self, plan: Plan) {
        for (tenant, first) in plan.behind {
            match first {
                Some(n) => self.first.insert(tenant, n),
                None => self.first.remove(&tenant),
            };
        }
    }
}

fn plan(known: Option<&Behind>, write: &LaneWrite) -> Plan {
    let lane = write.lane.lane;
    let Some(known) = known.filter(|behind| behind.epoch == write.lane.epoch) else {
        return Plan { lane, settled: None, behind: Vec::new() };
    };
    let mut changed: HashMap<TenantId, Option<i64>> = HashMap::new();
    for row in &write.rows {
        if let Some(tenant) = row.tenant {
            let first = changed.entry(tenant).or_insert_with(|| known.first.get(&tenant).copied());
            first.get_or_insert(row.n);
        }
    }
    for shown in &write.tenants {
        let later = write.rows.iter().find(|row| row.tenant == Some(shown.tenant) && row.n > shown.head_n);
        changed.insert(shown.tenant, later.map(|row| row.n));
    }
    let old = known.first.iter().filter(|(tenant, _)| !changed.contains_key(tenant)).map(|(_, n)| *n);
    let first = old.chain(changed.values().flatten().copied()).min();
    let settled = first.map_or(write.lane.n, |n| n - 1);
    Plan { lane, settled: Some(settled), behind: changed.into_iter().collect() }
}
