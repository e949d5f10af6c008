//! Time and chance for the processes of the seeded world.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tenantry_contracts::Time;
use tenantry_ports::{Clock, Entropy};

use crate::exec::{MS, Me, Sim, lock};

/// The sleepers of all processes, so that a clock that jumps can wake them.
#[derive(Clone, Default)]
pub struct Sleepers(Arc<Mutex<(u64, BTreeMap<u64, Waker>)>>);

impl Sleepers {
    /// Everybody looks at the clock again.
    pub fn wake(&self) {
        let wakers: Vec<_> = lock(&self.0).1.values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The clock of one process.
#[derive(Clone)]
pub struct SimClock {
    sim: Sim,
    me: Me,
    sleepers: Sleepers,
}

impl SimClock {
    /// The clock as `me` sees it.
    pub fn new(sim: &Sim, me: Me, sleepers: &Sleepers) -> Self {
        Self { sim: sim.clone(), me, sleepers: sleepers.clone() }
    }
}

impl Clock for SimClock {
    fn now(&self) -> Time {
        self.sim.now_of(self.me)
    }

    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send {
        let id = {
            let mut sleepers = lock(&self.sleepers.0);
            sleepers.0 += 1;
            sleepers.0
        };
        Sleep { clock: self.clone(), at, id, timer: None }
    }
}

struct Sleep {
    clock: SimClock,
    at: Time,
    id: u64,
    timer: Option<crate::exec::Reply<()>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let left = self.at.since(self.clock.now());
            if self.clock.sim.dead(self.clock.me) {
                return Poll::Pending;
            }
            if left <= 0 {
                return Poll::Ready(());
            }
            lock(&self.clock.sleepers.0).1.insert(self.id, cx.waker().clone());
            let sim = self.clock.sim.clone();
            let timer = self.timer.get_or_insert_with(|| sim.sleep(left.saturating_mul(MS)));
            match Pin::new(timer).poll(cx) {
                Poll::Pending => return Poll::Pending,
                // It rang by a time that a jump has overtaken, or just now: look again.
                Poll::Ready(()) => self.timer = None,
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        lock(&self.clock.sleepers.0).1.remove(&self.id);
    }
}

/// Entropy from the seed.
#[derive(Clone)]
pub struct SimEntropy(Sim);

impl SimEntropy {
    /// What the world's seed yields.
    pub fn new(sim: &Sim) -> Self {
        Self(sim.clone())
    }
}

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}
