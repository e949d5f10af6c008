//! The executor: one thread, virtual time, and a seeded choice of who goes on next.
//!
//! A process is a future made by a factory. It can be killed (dropped) at any point, frozen (not polled, as after
//! SIGSTOP), thawed, and is restarted by its factory. Where nobody is woken, time jumps to the next event.

mod life;
mod reply;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tenantry_contracts::Time;

use crate::trace::Trace;

pub use reply::Reply;

/// The fleet's clock at virtual time zero: 2026-01-01T00:00:00Z.
pub const BEGIN: Time = Time(1_767_225_600_000);

/// A millisecond of virtual time, which is counted in microseconds.
pub const MS: i64 = 1000;

/// So often the clock may be looked at within one poll, and so often somebody be polled in one instant.
const MOST_LOOKS: u32 = 200_000;
const MOST_POLLS: u32 = 500_000;

/// What is counted where somebody spins: time would never move on.
pub const SPINS: &str = "spins";

/// What a process is.
pub type Process = Pin<Box<dyn Future<Output = String> + Send>>;
type Factory = Arc<dyn Fn(Me) -> Process + Send + Sync>;
type Work = Box<dyn FnOnce() + Send>;

/// One life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Me {
    /// The process.
    pub slot: usize,
    /// Which of its lives, counted over all processes.
    pub life: u64,
}

struct Slot {
    name: String,
    factory: Factory,
    life: u64,
    future: Option<Process>,
    frozen: bool,
    doomed: bool,
    stopping: bool,
    stop_waker: Option<Waker>,
    waker: Option<Waker>,
    offset_ms: i64,
    pending_start: bool,
}

/// When processes die by themselves, and how unevenly they run.
#[derive(Clone, Debug, Default)]
pub struct Mood {
    /// The chance that a process dies at a port call.
    pub crash: f64,
    /// The chance that a woken process is only polled some milliseconds later.
    pub stall: f64,
    /// The longest of those waits, in milliseconds.
    pub stall_ms: i64,
    /// The number of the port call at which the caller dies, where one is wanted.
    pub crash_at: Option<u64>,
    /// The chance that anything is unkind is zero from this virtual time on (microseconds).
    pub heals_at: i64,
}

struct Core {
    now: i64,
    seq: u64,
    events: BTreeMap<(i64, u64), Work>,
    rng: ChaCha8Rng,
    slots: Vec<Slot>,
    lives: u64,
    trace: Trace,
    mood: Mood,
    points: u64,
    counts: BTreeMap<&'static str, u64>,
    /// How often the clock was looked at within one poll: only who spins does it without end.
    looks: u32,
    /// How often somebody was polled since time moved on.
    polls: u32,
}

struct Shared {
    core: Mutex<Core>,
    ready: Mutex<BTreeSet<Me>>,
}

/// The executor. A clone is another handle to the same one.
#[derive(Clone)]
pub struct Sim(Arc<Shared>);

struct Flag {
    me: Me,
    shared: Weak<Shared>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.shared.upgrade() {
            lock(&shared.ready).insert(self.me);
        }
    }
}

/// Locks; nobody else runs, so a poisoned lock means that a test failed while it held it.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sim {
    /// A world in which nothing has happened yet.
    pub fn new(seed: u64, keep_lines: usize) -> Self {
        let core = Core {
            now: 0,
            seq: 0,
            events: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            slots: Vec::new(),
            lives: 0,
            trace: Trace::new(keep_lines),
            mood: Mood::default(),
            points: 0,
            counts: BTreeMap::new(),
            looks: 0,
            polls: 0,
        };
        Self(Arc::new(Shared { core: Mutex::new(core), ready: Mutex::new(BTreeSet::new()) }))
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.0.core)
    }

    /// Sets how unkind the world is to processes.
    pub fn set_mood(&self, mood: Mood) {
        self.core().mood = mood;
    }

    /// Virtual time in microseconds.
    pub fn now_us(&self) -> i64 {
        self.core().now
    }

    /// The fleet's time without any process's offset.
    pub fn now(&self) -> Time {
        BEGIN.plus(self.now_us() / MS)
    }

    /// The time as this process sees it.
    pub fn now_of(&self, me: Me) -> Time {
        let mut core = self.core();
        core.looks += 1;
        if core.looks > MOST_LOOKS && core.slots[me.slot].life == me.life {
            core.slots[me.slot].doomed = true;
            *core.counts.entry(SPINS).or_default() += 1;
        }
        BEGIN.plus(core.now / MS + core.slots[me.slot].offset_ms)
    }

    /// Moves the clock of a process ahead; sleepers look again.
    pub fn jump(&self, slot: usize, ms: i64) {
        let mut core = self.core();
        core.slots[slot].offset_ms += ms;
        let me = Me { slot, life: core.slots[slot].life };
        drop(core);
        lock(&self.0.ready).insert(me);
    }

    /// All clocks that differ are set to the one that is furthest ahead.
    pub fn level_clocks(&self) {
        let mut core = self.core();
        let most = core.slots.iter().map(|slot| slot.offset_ms).max().unwrap_or(0);
        core.slots.iter_mut().for_each(|slot| slot.offset_ms = most);
    }

    /// Whether faults may still happen.
    pub fn unkind(&self) -> bool {
        let core = self.core();
        core.now < core.mood.heals_at
    }

    /// True with this chance, while the world is unkind.
    pub fn fault(&self, chance: f64) -> bool {
        let mut core = self.core();
        chance > 0.0 && core.now < core.mood.heals_at && core.rng.random_bool(chance.min(1.0))
    }

    /// True with this chance, always.
    pub fn chance(&self, chance: f64) -> bool {
        chance > 0.0 && self.core().rng.random_bool(chance.min(1.0))
    }

    /// A number in `low..=high`.
    pub fn between(&self, low: i64, high: i64) -> i64 {
        if high <= low { low } else { self.core().rng.random_range(low..=high) }
    }

    /// Fills bytes from the seed.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.core().rng.fill_bytes(bytes);
    }

    /// Adds a line to the trace.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        let line = line();
        let mut core = self.core();
        let line = format!("{:>10.3} {line}", core.now as f64 / 1000.0);
        core.trace.add(line);
    }

    /// Counts something that was done to the fleet.
    pub fn count(&self, what: &'static str) {
        *self.core().counts.entry(what).or_default() += 1;
    }

    /// What was counted so far.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.core().counts.clone()
    }

    /// Hash, number of lines and the last lines of the trace.
    pub fn traced(&self) -> (u64, u64, Vec<String>) {
        let core = self.core();
        (core.trace.hash(), core.trace.lines(), core.trace.last())
    }

    /// How many port calls there were.
    pub fn points(&self) -> u64 {
        self.core().points
    }

    /// Does something later.
    pub fn after(&self, us: i64, work: impl FnOnce() + Send + 'static) {
        let mut core = self.core();
        core.seq += 1;
        let at = (core.now + us.max(0), core.seq);
        core.events.insert(at, Box::new(work));
    }

    /// A port is called: the caller may die here. `true`: it is dead and nothing that it does counts any more.
    pub fn point(&self, me: Me, name: &'static str) -> bool {
        let mut core = self.core();
        core.points += 1;
        let slot = &core.slots[me.slot];
        if slot.life != me.life || slot.doomed {
            return true;
        }
        let mood = &core.mood;
        let (chance, at, kind) = (mood.crash, mood.crash_at, core.now < mood.heals_at);
        let dies = at == Some(core.points) || (kind && chance > 0.0 && core.rng.random_bool(chance));
        if !dies {
            return false;
        }
        core.slots[me.slot].doomed = true;
        *core.counts.entry("crash").or_default() += 1;
        let line = format!("{} dies at {name} (call {})", core.slots[me.slot].name, core.points);
        drop(core);
        self.trace(|| line);
        true
    }

    /// As [`Sim::point`], for callers that can wait: the dead never come back.
    pub async fn pass(&self, me: Me, name: &'static str) {
        if self.point(me, name) {
            std::future::pending::<()>().await;
        }
    }

    /// Runs until `done` says so (asked whenever time moved on), or until virtual time has reached `until_us`.
    /// `true` where `done` said so.
    pub fn run(&self, until_us: i64, mut done: impl FnMut() -> bool) -> bool {
        loop {
            if self.poll_one() {
                let mut core = self.core();
                core.polls += 1;
                if core.polls > MOST_POLLS {
                    *core.counts.entry(SPINS).or_default() += 1;
                    return false;
                }
                continue;
            }
            if done() {
                return true;
            }
            let next = {
                let mut core = self.core();
                match core.events.first_entry() {
                    Some(first) if first.key().0 <= until_us => {
                        let ((at, _), work) = first.remove_entry();
                        if at > core.now {
                            (core.now, core.polls) = (at, 0);
                        }
                        Some(work)
                    }
                    _ => None,
                }
            };
            let Some(work) = next else { return false };
            work();
        }
    }

    /// Polls one of those that are woken. `false` where there is none.
    fn poll_one(&self) -> bool {
        let Some(me) = self.pick() else { return false };
        let doomed = {
            let core = self.core();
            let slot = &core.slots[me.slot];
            if slot.life != me.life {
                return true;
            }
            slot.doomed
        };
        if !doomed && self.stalls(me) {
            return true;
        }
        // Out of the world while it is polled or dropped: it calls back into it.
        let (future, waker) = {
            let slot = &mut self.core().slots[me.slot];
            (slot.future.take(), slot.waker.clone())
        };
        self.core().looks = 0;
        let (Some(mut future), Some(waker)) = (future, waker) else { return true };
        let ended = if doomed { None } else { Some(future.as_mut().poll(&mut Context::from_waker(&waker))) };
        let mut core = self.core();
        let died = core.slots[me.slot].doomed;
        match ended {
            Some(Poll::Pending) if !died => {
                core.slots[me.slot].future = Some(future);
            }
            ended => {
                core.slots[me.slot].doomed = true;
                drop(core);
                drop(future);
                let how = match ended {
                    Some(Poll::Ready(how)) if !died => how,
                    _ => "killed".to_owned(),
                };
                self.trace(|| format!("end {}: {how}", self.name(me.slot)));
                let wait = self.between(MS, 3000 * MS);
                self.start_after(me.slot, wait);
            }
        }
        true
    }

    fn pick(&self) -> Option<Me> {
        let mut core = self.core();
        let mut ready = lock(&self.0.ready);
        let able: Vec<Me> = ready
            .iter()
            .copied()
            .filter(|me| !core.slots[me.slot].frozen || core.slots[me.slot].doomed)
            .collect();
        if able.is_empty() {
            return None;
        }
        let me = able[core.rng.random_range(0..able.len())];
        ready.remove(&me);
        Some(me)
    }

    /// The process is slow today: it is woken again a little later.
    fn stalls(&self, me: Me) -> bool {
        let mood = self.core().mood.clone();
        if !self.fault(mood.stall) {
            return false;
        }
        let (sim, wait) = (self.clone(), self.between(0, mood.stall_ms * MS));
        self.after(wait, move || {
            lock(&sim.0.ready).insert(me);
        });
        true
    }

    /// Drops every process, for good.
    pub fn end(&self) {
        let futures: Vec<_> = self.core().slots.iter_mut().map(|slot| slot.future.take()).collect();
        drop(futures);
        let events = std::mem::take(&mut self.core().events);
        drop(events);
    }
}
