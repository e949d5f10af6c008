//! The blows: what is done to the fleet from outside while the world is unkind, and how it ends.

use tenantry_ports::{Outgoing, Place};

use crate::bus::Brokers;
use crate::clock::Sleepers;
use crate::exec::{MS, Sim};
use crate::faults::{Blow, Faults};
use crate::store::Server;
use crate::world::{COORDINATORS, WORKERS, World};

const SECOND: i64 = 1000 * MS;

#[derive(Clone)]
struct Hand {
    sim: Sim,
    brokers: Brokers,
    server: Server,
    sleepers: Sleepers,
    slots: Vec<usize>,
    pauses: Vec<(Blow, i64)>,
    until: i64,
}

/// Plans the first blow of each kind; each one plans the next.
pub(crate) fn schedule(world: &World, faults: &Faults) {
    let hand = Hand {
        sim: world.sim.clone(),
        brokers: world.brokers.clone(),
        server: world.server.clone(),
        sleepers: world.sleepers.clone(),
        slots: world.coordinators.iter().chain(&world.workers).copied().collect(),
        pauses: faults.blows.clone(),
        until: faults.for_ms * MS,
    };
    for at in 0..hand.pauses.len() {
        hand.next(at);
    }
}

/// Everything that still hurts ends: who is frozen is thawed, what was doubled is shared out anew.
pub(crate) fn heal(world: &World) {
    for slot in world.coordinators.iter().chain(&world.workers) {
        if world.sim.frozen(world.sim.life(*slot)) {
            world.sim.thaw(*slot);
            world.brokers.thawed(*slot);
        }
    }
    world.sim.level_clocks();
    world.sleepers.wake();
    world.brokers.rebalance(COORDINATORS);
    world.brokers.rebalance(WORKERS);
}

impl Hand {
    fn next(&self, at: usize) {
        let (blow, pause) = self.pauses[at];
        let wait = self.sim.between(0, pause * 2 * MS);
        if self.sim.now_us() + wait >= self.until {
            return;
        }
        let hand = self.clone();
        self.sim.after(wait, move || {
            hand.strike(blow);
            hand.next(at);
        });
    }

    fn strike(&self, blow: Blow) {
        let sim = &self.sim;
        let slot = self.slots[sim.between(0, self.slots.len() as i64 - 1) as usize];
        sim.count(blow.name());
        sim.trace(|| format!("{} {}", blow.name(), sim.name(slot)));
        match blow {
            Blow::Kill => sim.kill(slot),
            Blow::Restart => sim.ask_to_stop(slot),
            Blow::Freeze => self.freeze(slot, sim.between(7 * SECOND, 20 * SECOND)),
            Blow::Blink => self.freeze(slot, sim.between(10 * MS, 5 * SECOND)),
            Blow::Jump => {
                sim.jump(slot, sim.between(1, 3_000));
                self.sleepers.wake();
            }
            Blow::StoreDown => self.server.outage(sim.between(100 * MS, 8 * SECOND)),
            Blow::BusDown => self.brokers.outage(sim.between(100 * MS, 8 * SECOND)),
            Blow::Rebalance => self.brokers.rebalance(self.group()),
            Blow::Double => self.double(),
            Blow::Replay => self.replay(),
        }
    }

    fn group(&self) -> &'static str {
        if self.sim.chance(0.5) { COORDINATORS } else { WORKERS }
    }

    fn freeze(&self, slot: usize, for_us: i64) {
        let me = self.sim.life(slot);
        if self.sim.frozen(me) || self.sim.dead(me) {
            return;
        }
        self.sim.freeze(slot);
        self.brokers.froze(slot);
        let hand = self.clone();
        self.sim.after(for_us, move || {
            if hand.sim.frozen(me) {
                hand.sim.trace(|| format!("thaw {}", hand.sim.name(slot)));
                hand.sim.thaw(slot);
                hand.brokers.thawed(slot);
            }
        });
    }

    /// A second owner, until the group notices.
    fn double(&self) {
        let group = self.group();
        if self.brokers.double(group) {
            let brokers = self.brokers.clone();
            self.sim.after(self.sim.between(200 * MS, 8 * SECOND), move || brokers.rebalance(group));
        }
    }

    /// Some old records of one partition are written once more.
    fn replay(&self) {
        let logs: Vec<_> =
            self.brokers.records().into_iter().filter(|(_, records)| !records.is_empty()).collect();
        if logs.is_empty() {
            return;
        }
        let ((topic, partition), records) = &logs[self.sim.between(0, logs.len() as i64 - 1) as usize];
        let first = self.sim.between(0, records.len() as i64 - 1) as usize;
        let many = self.sim.between(1, 5) as usize;
        for record in records.iter().skip(first).take(many) {
            self.brokers.publish(Outgoing {
                place: Place { topic: topic.clone(), partition: *partition },
                key: record.key.clone(),
                headers: record.headers.clone(),
                value: record.value.clone(),
                tag: 0,
            });
        }
    }
}
