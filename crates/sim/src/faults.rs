//! What goes wrong: each seed draws which faults there are, and how many.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bus::BusMood;
use crate::exec::{MS, Mood};
use crate::outside::OutsideMood;
use crate::store::StoreMood;

/// The faults of one run.
#[derive(Clone, Debug)]
pub struct Faults {
    /// For how long the world is unkind, in virtual milliseconds.
    pub for_ms: i64,
    /// Of processes.
    pub processes: Mood,
    /// Of the bus.
    pub bus: BusMood,
    /// Of the store.
    pub store: StoreMood,
    /// Of the providers.
    pub outside: OutsideMood,
    /// What is done to the fleet from outside: each kind with its mean pause in milliseconds.
    pub blows: Vec<(Blow, i64)>,
}

/// Something that is done to the fleet from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// A process dies between two of its calls.
    Kill,
    /// A process is asked to stop, and comes back.
    Restart,
    /// A process is frozen for longer than its session, and thawed.
    Freeze,
    /// A process is frozen for a moment.
    Blink,
    /// The clock of a process jumps ahead.
    Jump,
    /// The store serves nobody for a while.
    StoreDown,
    /// The bus serves nobody for a while.
    BusDown,
    /// The members of a group are shuffled.
    Rebalance,
    /// A second process is given what the first one holds.
    Double,
    /// Old records are written once more.
    Replay,
}

impl Blow {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Kill,
        Self::Restart,
        Self::Freeze,
        Self::Blink,
        Self::Jump,
        Self::StoreDown,
        Self::BusDown,
        Self::Rebalance,
        Self::Double,
        Self::Replay,
    ];

    /// Its name in counts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::Blink => "blink",
            Self::Jump => "clock jump",
            Self::StoreDown => "store down",
            Self::BusDown => "bus down",
            Self::Rebalance => "rebalance",
            Self::Double => "double run",
            Self::Replay => "replay",
        }
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self {
            for_ms: 0,
            processes: Mood::default(),
            bus: BusMood::default(),
            store: StoreMood::default(),
            outside: OutsideMood::default(),
            blows: Vec::new(),
        }
    }

    /// What this seed draws: a swarm of some of the faults, so that rare ones are not drowned by common ones.
    pub fn draw(seed: u64) -> Self {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed ^ 0x005e_ed0f_fa17);
        let for_ms = rng.random_range(10_000..60_000);
        let rate = |rng: &mut ChaCha8Rng, likely: f64, most: f64| {
            if rng.random_bool(likely) { rng.random_range(0.0..most) } else { 0.0 }
        };
        let processes = Mood {
            crash: rate(rng, 0.5, 0.004),
            stall: rate(rng, 0.4, 0.05),
            stall_ms: rng.random_range(5..400),
            crash_at: None,
            heals_at: for_ms * MS,
        };
        let bus = BusMood {
            delay_ms: rng.random_range(1..60),
            producer_fatal: rate(rng, 0.4, 0.03),
            errors: rate(rng, 0.4, 0.2),
            queue: if rng.random_bool(0.2) { rng.random_range(1..20) } else { 10_000 },
            batch: rng.random_range(1..60),
            forgets_commit: rate(rng, 0.5, 0.5),
            stale: rate(rng, 0.5, 0.5),
            lost: rate(rng, 0.5, 0.8),
        };
        let store = StoreMood {
            delay_ms: rng.random_range(1..40),
            failed: rate(rng, 0.4, 0.2),
            unknown: rate(rng, 0.6, 0.2),
            errors: rate(rng, 0.4, 0.2),
            doubt_ms: rng.random_range(10..4000),
            timeline: rate(rng, 0.2, 0.3),
        };
        let outside = OutsideMood {
            delay_ms: rng.random_range(1..300),
            lost: rate(rng, 0.4, 0.15),
            unanswered: rate(rng, 0.5, 0.15),
            late: rate(rng, 0.4, 0.1),
        };
        let mut blows = Vec::new();
        for blow in Blow::ALL {
            if rng.random_bool(0.35) {
                blows.push((blow, rng.random_range(2_000..20_000)));
            }
        }
        Self { for_ms, processes, bus, store, outside, blows }
    }
}
