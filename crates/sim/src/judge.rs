//! The judge: waits for rest, looks after what is parked, sweeps, checks, replays everything, and checks again.

use std::collections::BTreeMap;

use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Json, RowName, State, TenantId, Topic};
use tenantry_ports::{Outgoing, Place, TenantRow};

use crate::blows;
use crate::checks::check;
use crate::evidence::{Broken, What};
use crate::exec::{MS, lock};
use crate::history;
use crate::script::verb;
use crate::world::{Options, WORKERS, World, fleet};

const SECOND: i64 = 1000 * MS;

/// After the last fault healed everything must be at rest within this virtual time.
const PATIENCE: i64 = 3600 * SECOND;

impl World {
    /// Waits for rest, checks, replays everything, and checks again.
    pub(crate) fn judge(&self, options: &Options, healed: i64) -> Vec<Broken> {
        let heals = healed.max(self.sim.now_us());
        self.sim.run(heals + 20 * SECOND, || false);
        blows::heal(self);
        if let Some(broken) = self.rest() {
            return vec![broken];
        }
        self.sweep();
        let mut broken = self.brokers.broken();
        broken.extend(self.proved());
        if !broken.is_empty() || !options.replay {
            return broken;
        }
        let before = (self.tenants(), self.outside.effects().len());
        self.replay_everything();
        if let Some(broken) = self.rest() {
            return vec![broken];
        }
        broken.extend(self.brokers.broken());
        broken.extend(self.proved());
        broken.extend(self.unchanged(before));
        broken
    }

    /// What the checker finds, and whether the journal tells anew what was said.
    fn proved(&self) -> Vec<Broken> {
        let evidence = self.evidence();
        let mut broken = check(&evidence);
        broken.extend(history::check(&evidence, &fleet()));
        broken
    }

    /// Runs until nothing moves any more, with a person who looks after what is parked.
    fn rest(&self) -> Option<Broken> {
        let until = self.sim.now_us() + PATIENCE;
        let mut cared = 0;
        loop {
            let (mut next, mut quiet) = (0, 0);
            let rests = self.sim.run(until, || {
                let now = self.sim.now_us();
                if now < next {
                    return false;
                }
                next = now + SECOND;
                quiet = if self.at_rest() { quiet + 1 } else { 0 };
                quiet > 15
            });
            if !rests {
                let how =
                    format!("not at rest {} s after the last fault: {}", PATIENCE / SECOND, self.moving());
                return Some(Broken { promise: "terminates", how });
            }
            cared += 1;
            if cared > 4 || !self.care() {
                return None;
            }
        }
    }

    fn at_rest(&self) -> bool {
        self.server.look(|tables| {
            tables.lanes.len() == usize::from(self.lanes)
                && tables.tenants.values().all(|tenant| tenant.at_rest)
                && tables.lanes.values().all(|lane| {
                    tables.spoken(lane)
                        && lane.requests.next == self.brokers.high(&Topic::Requests, lane.lane.0)
                        && lane.results.next == self.brokers.high(&Topic::Results, lane.lane.0)
                        && lane.operations.next == self.brokers.high(&Topic::Operations, lane.lane.0)
                })
        }) && self.brokers.lag(WORKERS) == 0
            && self.outside.under_way() == 0
    }

    /// What still moves, for the report.
    fn moving(&self) -> String {
        let tenants: Vec<String> = self.server.look(|tables| {
            let open = tables.tenants.values().filter(|tenant| !tenant.at_rest);
            open.map(|tenant| format!("{} {}", tenant.slug, tenant.state)).collect()
        });
        let lanes: Vec<String> = self.server.look(|tables| {
            let lanes = tables.lanes.values();
            lanes
                .map(|lane| {
                    let of = |topic| self.brokers.high(&topic, lane.lane.0);
                    format!(
                        "lane {} e{} spoken {}/{} heard {}/{} {}/{} {}/{}",
                        lane.lane,
                        lane.epoch,
                        lane.spoken,
                        lane.n,
                        lane.requests.next,
                        of(Topic::Requests),
                        lane.results.next,
                        of(Topic::Results),
                        lane.operations.next,
                        of(Topic::Operations)
                    )
                })
                .collect()
        });
        format!("{tenants:?} {lanes:?}, workers lag {}", self.brokers.lag(WORKERS))
    }

    /// A person retries what is held or stuck. `false` where nothing is.
    fn care(&self) -> bool {
        let parked: Vec<(String, State)> = self.server.look(|tables| {
            let parked = tables.tenants.values().filter(|tenant| tenant.state.is_parked());
            parked.map(|tenant| (tenant.slug.to_string(), tenant.state)).collect()
        });
        for (slug, state) in &parked {
            let id = {
                let mut verbs = lock(&self.verbs);
                *verbs += 1;
                format!("care-{verbs}")
            };
            let wanted = match state {
                State::Awaiting => OperationVerb::Approve(RowName::new("consent")),
                _ => OperationVerb::Retry,
            };
            self.sim.count("cared for");
            self.brokers.publish(verb(slug, &id, wanted, self.lanes, self.sim.now()));
        }
        !parked.is_empty()
    }

    /// The reconciler of the provider that checks nothing: what is tagged for a tenant that ended is removed, and of
    /// an ACTIVE one everything but the thing that its journal knows.
    fn sweep(&self) {
        let tenants = self.tenants();
        let known = self.known_labels();
        let swept = self.outside.sweep("label/", |thing| {
            let state = tenants.get(&thing.tenant).map(|row| row.state);
            match state {
                Some(state) if state.is_final() => false,
                Some(State::Active) => known.get(&thing.tenant).is_none_or(|id| *id == thing.id),
                _ => true,
            }
        });
        for _ in 0..swept {
            self.sim.count("swept");
        }
    }

    /// The label that each tenant's first accepted answer named.
    fn known_labels(&self) -> BTreeMap<TenantId, u64> {
        let mut known = BTreeMap::new();
        for record in self.brokers.records().into_values().flatten() {
            let Some(event) = record.value.as_ref().filter(|_| record.topic == Topic::Events) else {
                continue;
            };
            let Ok(event) = serde_json::from_slice::<tenantry_contracts::event::Event>(event) else {
                continue;
            };
            let (Some(tenant), Some(outputs)) = (event.tenant, event.outputs) else { continue };
            // A gate's output stands among those of steps, and is of another shape.
            let Ok(outputs) = outputs.read::<BTreeMap<String, Json>>() else { continue };
            let label = outputs.get("label").and_then(|label| label.read::<crate::steps::Made>().ok());
            if let Some(label) = label {
                known.insert(tenant.id, label.id);
            }
        }
        known
    }

    fn tenants(&self) -> BTreeMap<TenantId, TenantRow> {
        self.server.look(|tables| tables.tenants.clone())
    }

    /// Writes every record of every topic that anybody listens to once more, in an order of the seed's.
    fn replay_everything(&self) {
        let heard = |topic: &Topic| {
            matches!(topic, Topic::Requests | Topic::Operations | Topic::Results | Topic::Commands(_))
        };
        let mut again: Vec<Outgoing> = Vec::new();
        for ((topic, partition), records) in self.brokers.records() {
            if !heard(&topic) {
                continue;
            }
            again.extend(records.into_iter().map(|record| Outgoing {
                place: Place { topic: topic.clone(), partition },
                key: record.key,
                headers: record.headers,
                value: record.value,
                tag: 0,
            }));
        }
        self.sim.trace(|| format!("replay of {} records", again.len()));
        while !again.is_empty() {
            let at = self.sim.between(0, again.len() as i64 - 1) as usize;
            self.brokers.publish(again.swap_remove(at));
        }
    }

    fn unchanged(&self, (tenants, effects): (BTreeMap<TenantId, TenantRow>, usize)) -> Vec<Broken> {
        let promise = "replay is harmless";
        let now = self.tenants();
        let mut broken = Vec::new();
        for (id, row) in &now {
            let same =
                tenants.get(id).is_some_and(|was| (was.state, was.head_seq) == (row.state, row.head_seq));
            if !same {
                broken.push(Broken { promise, how: format!("{id} ({}) changed to {}", row.slug, row.state) });
            }
        }
        for effect in &self.outside.effects()[effects..] {
            if matches!(effect.what, What::Made | What::Removed | What::Sent) {
                broken.push(Broken { promise, how: format!("{} was {:?}", effect.resource, effect.what) });
            }
        }
        broken
    }
}
