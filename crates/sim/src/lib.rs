//! The seeded world: real coordinators and real servers over a bus, a store, a clock and providers in memory, through
//! loss, repeats, delays, crashes at every port call, unknown commits, take-overs and zombies.
//!
//! A run is a pure function of its seed: [`run`] gives the same trace, byte for byte, each time. At the end the checker
//! ([`checks`]) looks at the raw logs, the rows and the providers, everything is replayed, and it looks again.
//! `exec` is the executor, `bus`, `store`, `clock` and `outside` are the ports and providers, `steps` and `plan` what the
//! fleet does here, `script` what upstream and people do, `faults` and `blows` what goes wrong, `zoo` the planted bugs.

mod blows;
pub mod bus;
pub mod checks;
pub mod clock;
pub mod evidence;
pub mod exec;
pub mod faults;
mod history;
mod judge;
pub mod outside;
pub mod plan;
pub mod script;
pub mod steps;
pub mod store;
pub mod trace;
mod world;
pub mod zoo;

use std::collections::BTreeMap;

use tenantry_contracts::State;

pub use world::{Options, Report, run};

/// What many runs showed together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// Virtual milliseconds in all.
    pub virtual_ms: i64,
    /// Port calls in all, at each of which a process could have died.
    pub points: u64,
    /// What was done to the fleets, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// How many tenants came to rest in each state.
    pub outcomes: BTreeMap<State, u64>,
    /// The runs that broke a promise. Each is run anew by its seed alone.
    pub failures: Vec<Report>,
}

impl Summary {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.virtual_ms += report.virtual_ms;
        self.points += report.points;
        for (kind, count) in &report.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (state, count) in &report.outcomes {
            *self.outcomes.entry(*state).or_default() += count;
        }
        if !report.broken.is_empty() {
            self.failures.push(report);
        }
    }
}

/// Runs many seeds, each in a fleet of its own size ([`Options::draw`]), and tells `progress` of each.
pub fn run_many(seeds: impl IntoIterator<Item = u64>, mut progress: impl FnMut(&Report)) -> Summary {
    let mut summary = Summary::default();
    for seed in seeds {
        let report = run(seed, &Options::draw(seed));
        progress(&report);
        summary.add(report);
    }
    summary
}
