//! The lives of processes: started, frozen, thawed, killed, asked to stop, and started anew.

use std::future::Future;
use std::sync::Arc;
use std::task::{Poll, Waker};

use super::{Flag, Me, Process, Sim, Slot, lock};

impl Sim {
    /// Adds a process and starts it.
    pub fn spawn(&self, name: &str, factory: impl Fn(Me) -> Process + Send + Sync + 'static) -> usize {
        let mut core = self.core();
        core.slots.push(Slot {
            name: name.to_owned(),
            factory: Arc::new(factory),
            life: 0,
            future: None,
            frozen: false,
            doomed: false,
            stopping: false,
            stop_waker: None,
            waker: None,
            offset_ms: 0,
            pending_start: false,
        });
        let slot = core.slots.len() - 1;
        drop(core);
        self.start(slot);
        slot
    }

    fn start(&self, slot: usize) {
        let (factory, me) = {
            let mut core = self.core();
            core.lives += 1;
            let life = core.lives;
            let it = &mut core.slots[slot];
            (it.life, it.frozen, it.doomed, it.stopping, it.pending_start) =
                (life, false, false, false, false);
            it.stop_waker = None;
            let me = Me { slot, life };
            it.waker = Some(Waker::from(Arc::new(Flag { me, shared: Arc::downgrade(&self.0) })));
            (it.factory.clone(), me)
        };
        let future = factory(me);
        self.core().slots[slot].future = Some(future);
        self.trace(|| format!("start {}", self.name(slot)));
        lock(&self.0.ready).insert(me);
    }

    /// Starts a process anew after a while.
    pub(super) fn start_after(&self, slot: usize, us: i64) {
        if std::mem::replace(&mut self.core().slots[slot].pending_start, true) {
            return;
        }
        let sim = self.clone();
        self.after(us, move || sim.start(slot));
    }

    /// A process's name.
    pub fn name(&self, slot: usize) -> String {
        self.core().slots[slot].name.clone()
    }

    /// The present life of a process.
    pub fn life(&self, slot: usize) -> Me {
        Me { slot, life: self.core().slots[slot].life }
    }

    /// Whether this life is over, or about to be.
    pub fn dead(&self, me: Me) -> bool {
        let core = self.core();
        let slot = &core.slots[me.slot];
        slot.life != me.life || slot.doomed
    }

    /// Whether the process is frozen.
    pub fn frozen(&self, me: Me) -> bool {
        let core = self.core();
        core.slots[me.slot].life == me.life && core.slots[me.slot].frozen
    }

    /// Kills a process; it starts anew a little later.
    pub fn kill(&self, slot: usize) {
        self.core().slots[slot].doomed = true;
        self.wake(slot);
    }

    /// Stops polling a process.
    pub fn freeze(&self, slot: usize) {
        self.core().slots[slot].frozen = true;
    }

    /// Polls it again.
    pub fn thaw(&self, slot: usize) {
        self.core().slots[slot].frozen = false;
        self.wake(slot);
    }

    fn wake(&self, slot: usize) {
        let me = self.life(slot);
        lock(&self.0.ready).insert(me);
    }

    /// Asks a process to stop by itself; it starts anew afterwards.
    pub fn ask_to_stop(&self, slot: usize) {
        let waker = {
            let mut core = self.core();
            core.slots[slot].stopping = true;
            core.slots[slot].stop_waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Resolves when this process is asked to stop. One for each life.
    pub fn stop(&self, me: Me) -> impl Future<Output = ()> + Send + Unpin + 'static + use<> {
        let sim = self.clone();
        std::future::poll_fn(move |cx| {
            let mut core = sim.core();
            let slot = &mut core.slots[me.slot];
            if slot.stopping {
                return Poll::Ready(());
            }
            slot.stop_waker = Some(cx.waker().clone());
            Poll::Pending
        })
    }
}
