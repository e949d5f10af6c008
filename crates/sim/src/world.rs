//! The world: real coordinators and real servers over seeded ports, the faults, and the judge at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tenantry_contracts::{Fleet, MasterKey, State, Topic};
use tenantry_coordinator::Coordinator;
use tenantry_serve::Server as Steps;

use crate::blows;
use crate::bus::Brokers;
use crate::checks::{deeds, outcomes};
use crate::clock::{SimClock, SimEntropy, Sleepers};
use crate::evidence::{Broken, Evidence};
use crate::exec::{BEGIN, MS, Me, Process, SPINS, Sim};
use crate::faults::Faults;
use crate::outside::Outside;
use crate::plan;
use crate::script::{CANARY, script};
use crate::steps::{CLERKS, Check, Crate, Hands, Label, Mail, Name, PORTERS, POSTMEN};
use crate::store::Server;
use crate::zoo::Bug;

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many requests upstream makes, without repeats.
    pub tenants: usize,
    /// How many lanes there are.
    pub lanes: u16,
    /// How many coordinators share them.
    pub coordinators: usize,
    /// How many worker processes there are.
    pub workers: usize,
    /// How many lines of the trace are kept for a report.
    pub keep_lines: usize,
    /// The faults; drawn from the seed where absent.
    pub faults: Option<Faults>,
    /// A bug that is planted.
    pub bug: Option<Bug>,
    /// Whether everything is replayed at the end.
    pub replay: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tenants: 8,
            lanes: 2,
            coordinators: 2,
            workers: 2,
            keep_lines: 200,
            faults: None,
            bug: None,
            replay: true,
        }
    }
}

impl Options {
    /// A fleet of the seed's own size.
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x0071_7e5e);
        Self {
            tenants: rng.random_range(3..12),
            lanes: rng.random_range(1..4),
            coordinators: rng.random_range(1..4),
            workers: rng.random_range(1..4),
            ..Self::default()
        }
    }
}

/// What a run showed.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash over the whole trace: the same each time the seed is run.
    pub hash: u64,
    /// Lines of the trace.
    pub lines: u64,
    /// Port calls at which a process could have died.
    pub points: u64,
    /// Virtual milliseconds.
    pub virtual_ms: i64,
    /// What was done to the fleet, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many tenants rest in each state.
    pub outcomes: BTreeMap<State, u64>,
    /// The promises that were broken; none where all is well.
    pub broken: Vec<Broken>,
    /// The end of the trace.
    pub trace: Vec<String>,
}

/// Everything that a run is made of.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) brokers: Brokers,
    pub(crate) server: Server,
    pub(crate) outside: Outside,
    pub(crate) sleepers: Sleepers,
    pub(crate) lanes: u16,
    pub(crate) coordinators: Vec<usize>,
    pub(crate) workers: Vec<usize>,
    pub(crate) verbs: Arc<Mutex<u64>>,
}

/// The installation.
pub(crate) fn fleet() -> Fleet {
    Fleet::new("world")
}

fn master() -> MasterKey {
    MasterKey::new([7; 32])
}

/// The groups that coordinators and workers are in.
pub(crate) const COORDINATORS: &str = "world.coordinator";
pub(crate) const WORKERS: &str = "world.workers";

/// Runs one seed. The same seed and options always give the same report.
pub fn run(seed: u64, options: &Options) -> Report {
    let faults = options.faults.clone().unwrap_or_else(|| Faults::draw(seed));
    let world = World::new(seed, options, &faults);
    world.begin(seed, options, &faults);
    let mut broken = world.judge(options, faults.for_ms * MS);
    if world.sim.counts().contains_key(SPINS) {
        let how = "a process ran on and on in one instant instead of waiting".to_owned();
        broken.push(Broken { promise: "nobody spins", how });
    }
    world.sim.end();
    let (hash, lines, trace) = world.sim.traced();
    let evidence = world.evidence();
    for deed in deeds(&evidence) {
        world.sim.count(deed);
    }
    Report {
        seed,
        hash,
        lines,
        points: world.sim.points(),
        virtual_ms: world.sim.now_us() / MS,
        faults: world.sim.counts(),
        outcomes: outcomes(&evidence),
        trace,
        broken,
    }
}

impl World {
    fn new(seed: u64, options: &Options, faults: &Faults) -> Self {
        let sim = Sim::new(seed, options.keep_lines);
        sim.set_mood(faults.processes.clone());
        let topics = Topic::all(&[CLERKS, PORTERS, POSTMEN]);
        let brokers = Brokers::new(&sim, &topics, options.lanes);
        brokers.set_mood(faults.bus.clone());
        let server = Server::new(&sim, fleet(), master());
        server.set_mood(faults.store.clone());
        let outside = Outside::new(&sim);
        outside.set_mood(faults.outside.clone());
        if let Some(bug) = options.bug {
            brokers.plant(bug);
            server.plant(bug);
            outside.plant(bug);
        }
        Self {
            sim,
            brokers,
            server,
            outside,
            sleepers: Sleepers::default(),
            lanes: options.lanes,
            coordinators: Vec::new(),
            workers: Vec::new(),
            verbs: Arc::default(),
        }
        .with_processes(options)
    }

    fn with_processes(mut self, options: &Options) -> Self {
        for number in 0..options.coordinators {
            let name = format!("coordinator-{number}");
            let make = self.coordinator(name.clone());
            self.coordinators.push(self.sim.spawn(&name, make));
        }
        for number in 0..options.workers {
            let name = format!("worker-{number}");
            // The last one serves only some steps, as deployments do.
            let some = number > 0 && number + 1 == options.workers;
            let make = self.worker(name.clone(), some, options.bug);
            self.workers.push(self.sim.spawn(&name, make));
        }
        self
    }

    fn coordinator(&self, name: String) -> impl Fn(Me) -> Process + Send + Sync + 'static {
        let (sim, brokers, server) = (self.sim.clone(), self.brokers.clone(), self.server.clone());
        let (sleepers, lanes) = (self.sleepers.clone(), self.lanes);
        move |me| {
            let mut options = tenantry_coordinator::Options::new(fleet(), lanes, plan::plans(), master());
            options.member = Some(name.clone());
            let clock = SimClock::new(&sim, me, &sleepers);
            let it =
                Coordinator::new(brokers.bus(me), server.store(me), clock, SimEntropy::new(&sim), options);
            let stop = sim.stop(me);
            Box::pin(async move { format!("{:?}", it.run(stop).await) })
        }
    }

    fn worker(
        &self,
        name: String,
        some: bool,
        bug: Option<Bug>,
    ) -> impl Fn(Me) -> Process + Send + Sync + 'static {
        let (sim, brokers, server) = (self.sim.clone(), self.brokers.clone(), self.server.clone());
        let (sleepers, outside) = (self.sleepers.clone(), self.outside.clone());
        move |me| {
            let mut options = tenantry_serve::Options::new(fleet());
            options.member = Some(name.clone());
            let clock = SimClock::new(&sim, me, &sleepers);
            let store = server.store(me);
            let hands = Hands { outside: outside.clone(), me, bug };
            let it = Steps::new(brokers.bus(me), store.clone(), store, clock, SimEntropy::new(&sim), options);
            let mut it = it.with(Check(hands.clone())).with(Name(hands.clone()));
            if !some {
                it = it.with(Crate(hands.clone())).with(Label(hands.clone())).with(Mail(hands));
            }
            let stop = sim.stop(me);
            Box::pin(async move { format!("{:?}", it.run(stop).await) })
        }
    }

    /// Writes down everything that will happen from outside.
    fn begin(&self, seed: u64, options: &Options, faults: &Faults) {
        let within = faults.for_ms.max(5_000);
        for act in script(seed, options.tenants, self.lanes, within, BEGIN) {
            let brokers = self.brokers.clone();
            self.sim.after(act.at_ms * MS, move || brokers.publish(act.record));
        }
        blows::schedule(self, faults);
    }

    pub(crate) fn evidence(&self) -> Evidence {
        let tables = self.server.tables();
        Evidence {
            logs: self.brokers.records(),
            lanes: tables.lanes.into_values().collect(),
            journal: tables.journal.into_values().collect(),
            tenants: tables.tenants.into_values().collect(),
            requests: tables.requests.into_values().collect(),
            effects: self.outside.effects(),
            living: self.outside.living(),
            expected: plan::EXPECTED.map(str::to_owned).to_vec(),
            fenced: plan::FENCED.map(str::to_owned).to_vec(),
            once: plan::ONCE.map(str::to_owned).to_vec(),
            canaries: vec![CANARY.to_owned(), CANARY.to_lowercase()],
        }
    }
}
