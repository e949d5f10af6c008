//! The seeded bus and store pass the suites that the real ones pass, in a calm world and for many seeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use tenantry_contracts::{Fleet, Lane, MasterKey, Topic, WorkerName};
use tenantry_ports::conformance::bus::{self, BusWorld};
use tenantry_ports::conformance::store::{self, StoreWorld};
use tenantry_sim::bus::{Brokers, BusMood, SimBus};
use tenantry_sim::clock::{SimClock, Sleepers};
use tenantry_sim::exec::{Me, Mood, Process, Sim};
use tenantry_sim::store::{Server, SimStore};

const MINUTES: i64 = 60_000_000;

struct Bus {
    brokers: Brokers,
    bus: SimBus,
    clock: SimClock,
    names: AtomicU16,
}

impl Bus {
    fn name(&self) -> u16 {
        self.names.fetch_add(1, Ordering::Relaxed)
    }
}

impl BusWorld for Bus {
    type Bus = SimBus;
    type Clock = SimClock;

    fn bus(&self) -> &SimBus {
        &self.bus
    }

    fn clock(&self) -> SimClock {
        self.clock.clone()
    }

    async fn topic(&self, partitions: u16) -> Topic {
        let topic = Topic::Commands(WorkerName::read(format!("suite-{}", self.name())));
        self.brokers.make(topic.clone(), partitions);
        topic
    }

    fn missing(&self) -> Topic {
        Topic::Commands(WorkerName::new("nobody"))
    }

    fn group(&self) -> String {
        format!("suite-{}", self.name())
    }
}

struct Rows {
    server: Server,
    me: Me,
    lanes: AtomicU16,
}

impl StoreWorld for Rows {
    type Store = SimStore;
    type Ledger = SimStore;

    async fn store(&self) -> SimStore {
        self.server.store(self.me)
    }

    async fn ledger(&self) -> SimStore {
        self.server.store(self.me)
    }

    fn lane(&self) -> Lane {
        Lane(self.lanes.fetch_add(1, Ordering::Relaxed))
    }
}

/// Runs a suite as a process of a world, and waits until it is through.
fn through(sim: &Sim, suite: impl Fn(Me) -> Process + Send + Sync + 'static) {
    let done = Arc::new(AtomicBool::new(false));
    let told = done.clone();
    sim.spawn("suite", move |me| {
        let (run, told) = (suite(me), told.clone());
        Box::pin(async move {
            run.await;
            told.store(true, Ordering::Relaxed);
            std::future::pending().await
        })
    });
    assert!(sim.run(120 * MINUTES, || done.load(Ordering::Relaxed)), "the suite did not come to its end");
    sim.end();
}

#[test]
fn the_seeded_bus_does_what_every_bus_must_do() {
    for seed in 0..4 {
        println!("seed {seed}");
        let sim = Sim::new(seed, 0);
        sim.set_mood(Mood { heals_at: i64::MAX, stall: 0.05, stall_ms: 30, ..Mood::default() });
        let brokers = Brokers::new(&sim, &[], 4);
        brokers.set_mood(BusMood { delay_ms: 40, batch: 7, ..BusMood::default() });
        let world = sim.clone();
        through(&sim, move |me| {
            let (brokers, sim) = (brokers.clone(), world.clone());
            Box::pin(async move {
                let clock = SimClock::new(&sim, me, &Sleepers::default());
                let bus = brokers.bus(me);
                bus::all(&Bus { brokers, bus, clock, names: AtomicU16::new(0) }).await;
                String::new()
            })
        });
    }
}

#[test]
fn the_seeded_store_does_what_every_store_must_do() {
    for seed in 0..20 {
        println!("seed {seed}");
        let sim = Sim::new(seed, 0);
        let server = Server::new(&sim, Fleet::new("suite"), MasterKey::new([1; 32]));
        through(&sim, move |me| {
            let server = server.clone();
            Box::pin(async move {
                store::all(&Rows { server, me, lanes: AtomicU16::new(0) }).await;
                String::new()
            })
        });
    }
}
