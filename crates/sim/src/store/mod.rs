//! The store in memory: the batch statement, the ledger and the keys, with answers that get lost.

mod tables;

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tenantry_contracts::{DataKey, Fleet, Lane, MasterKey, TenantId};
use tenantry_ports::{
    Batch, CommitOutcome, Fence, Found, Keys, LaneRow, Ledger, Loaded, Mark, Marked, Need, Remembered, Store,
    StoreError,
};

pub use tables::Tables;

use crate::exec::{MS, Me, Sim, lock};
use crate::zoo::Bug;

/// How unkind the store is.
#[derive(Clone, Debug)]
pub struct StoreMood {
    /// The longest way there and back, in milliseconds each.
    pub delay_ms: i64,
    /// The chance that a commit fails, certainly.
    pub failed: f64,
    /// The chance that nobody learns what became of a commit.
    pub unknown: f64,
    /// The chance that a call other than a commit fails; a write may have happened nevertheless.
    pub errors: f64,
    /// The longest time for which a batch stays in doubt, in milliseconds.
    pub doubt_ms: i64,
    /// The chance that a raise meets a new timeline.
    pub timeline: f64,
}

impl Default for StoreMood {
    fn default() -> Self {
        Self { delay_ms: 2, failed: 0.0, unknown: 0.0, errors: 0.0, doubt_ms: 1500, timeline: 0.0 }
    }
}

/// A batch that holds its lanes' rows and whose end nobody knows yet.
struct Doubt {
    id: u64,
    batch: Batch,
    commits: bool,
}

struct State {
    tables: Tables,
    doubts: Vec<Doubt>,
    ids: u64,
    mood: StoreMood,
    down_until: i64,
    bug: Option<Bug>,
}

/// The server.
#[derive(Clone)]
pub struct Server {
    sim: Sim,
    state: Arc<Mutex<State>>,
    keyring: Arc<(Fleet, MasterKey)>,
}

impl Server {
    /// An empty store; keys are unwrapped by this master key.
    pub fn new(sim: &Sim, fleet: Fleet, master: MasterKey) -> Self {
        let state = State {
            tables: Tables::default(),
            doubts: Vec::new(),
            ids: 0,
            mood: StoreMood::default(),
            down_until: 0,
            bug: None,
        };
        Self { sim: sim.clone(), state: Arc::new(Mutex::new(state)), keyring: Arc::new((fleet, master)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Plants a bug.
    pub fn plant(&self, bug: Bug) {
        let mut state = self.lock();
        state.bug = Some(bug);
        state.tables.bug = Some(bug);
    }

    fn has(&self, bug: Bug) -> bool {
        self.lock().bug == Some(bug)
    }

    /// Sets how unkind it is.
    pub fn set_mood(&self, mood: StoreMood) {
        self.lock().mood = mood;
    }

    /// Nobody is served for so long.
    pub fn outage(&self, us: i64) {
        let until = self.sim.now_us() + us;
        let mut state = self.lock();
        state.down_until = state.down_until.max(until);
    }

    /// A copy of everything that is durable.
    pub fn tables(&self) -> Tables {
        self.lock().tables.clone()
    }

    /// Looks at what is durable, without a copy.
    pub fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.lock().tables)
    }

    /// The store as one life of a process sees it.
    pub fn store(&self, me: Me) -> SimStore {
        SimStore { server: self.clone(), me }
    }

    fn down(&self) -> bool {
        self.sim.now_us() < self.lock().down_until
    }

    fn ways(&self) -> (i64, i64) {
        let longest = self.lock().mood.delay_ms * MS;
        (self.sim.between(50, longest), self.sim.between(50, longest))
    }

    /// Ends the doubts that hold one of these lanes: their backend is waited for.
    fn settle(&self, state: &mut State, lanes: &[Lane]) {
        let held = |doubt: &Doubt| doubt.batch.lanes.iter().any(|write| lanes.contains(&write.lane.lane));
        let (ended, open): (Vec<_>, Vec<_>) = std::mem::take(&mut state.doubts).into_iter().partition(held);
        state.doubts = open;
        for doubt in ended {
            self.finish(state, doubt);
        }
    }

    fn finish(&self, state: &mut State, doubt: Doubt) {
        let applied = doubt.commits && state.tables.commit(&doubt.batch).is_ok_and(|lanes| !lanes.is_empty());
        let what = if applied { "committed" } else { "rolled back" };
        self.sim.trace(|| format!("batch in doubt {} {what}", doubt.id));
    }

    /// A commit arrives at the server.
    fn arrive(&self, me: Me, batch: Batch) -> CommitOutcome {
        let mood = self.lock().mood.clone();
        if self.sim.dead(me) && self.sim.chance(0.5) {
            // The last words of a process that is gone: they may count, now or later, or never have been sent.
            self.doubt(batch, mood.doubt_ms);
            return CommitOutcome::Unknown("nobody hears this".into());
        }
        if self.down() || self.sim.fault(mood.failed) {
            self.sim.count("commit failed");
            return CommitOutcome::Failed("the store refused the connection".into());
        }
        if self.sim.fault(mood.unknown) {
            self.sim.count("commit unknown");
            let lanes = batch.lanes.iter().map(|write| write.lane.lane).collect();
            self.doubt(batch, mood.doubt_ms);
            if self.has(Bug::UnknownTakenForDone) {
                return CommitOutcome::Done(lanes);
            }
            return CommitOutcome::Unknown("the connection broke at the commit".into());
        }
        let lanes: Vec<Lane> = batch.lanes.iter().map(|write| write.lane.lane).collect();
        let mut state = self.lock();
        self.settle(&mut state, &lanes);
        match state.tables.commit(&batch) {
            Ok(done) => {
                self.sim.trace(|| format!("commit {}", summary(&batch, &done)));
                let all = state.bug == Some(Bug::LossNotNoticed);
                CommitOutcome::Done(if all { lanes } else { done })
            }
            Err(conflict) => {
                self.sim.count("commit conflict");
                self.sim.trace(|| format!("commit conflict {conflict:?}"));
                CommitOutcome::Conflict(conflict)
            }
        }
    }

    /// Three ways to be in doubt: it ended already; it holds its rows and ends later; it has not even arrived.
    fn doubt(&self, batch: Batch, longest_ms: i64) {
        let lanes: Vec<Lane> = batch.lanes.iter().map(|write| write.lane.lane).collect();
        let commits = self.sim.chance(0.5);
        match self.sim.between(0, 2) {
            0 => {
                let mut state = self.lock();
                self.settle(&mut state, &lanes);
                self.finish(&mut state, Doubt { id: 0, batch, commits });
            }
            1 => {
                let id = {
                    let mut state = self.lock();
                    self.settle(&mut state, &lanes);
                    state.ids += 1;
                    let id = state.ids;
                    state.doubts.push(Doubt { id, batch, commits });
                    id
                };
                let server = self.clone();
                self.sim.after(self.sim.between(0, longest_ms * MS), move || {
                    let mut state = server.lock();
                    if let Some(at) = state.doubts.iter().position(|doubt| doubt.id == id) {
                        let doubt = state.doubts.remove(at);
                        server.finish(&mut state, doubt);
                    }
                });
            }
            _ => {
                let server = self.clone();
                self.sim.after(self.sim.between(0, longest_ms * MS), move || {
                    let mut state = server.lock();
                    server.settle(&mut state, &lanes);
                    server.finish(&mut state, Doubt { id: 0, batch, commits });
                });
            }
        }
    }
}

fn summary(batch: &Batch, done: &[Lane]) -> String {
    let lanes = batch.lanes.iter().map(|write| {
        let won = if done.contains(&write.lane.lane) { "" } else { " LOST" };
        format!(
            "lane {} e{} n{}+{} spoken {} heard {}/{}/{}{won}",
            write.lane.lane,
            write.lane.epoch,
            write.n_before,
            write.rows.len(),
            write.lane.spoken,
            write.lane.requests.next,
            write.lane.results.next,
            write.lane.operations.next
        )
    });
    lanes.collect::<Vec<_>>().join(", ")
}

/// The store of one life of a process.
#[derive(Clone)]
pub struct SimStore {
    server: Server,
    me: Me,
}

impl SimStore {
    /// One call that reads, or that writes what may be written twice.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Server) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sim, server) = (self.server.sim.clone(), self.server.clone());
        sim.pass(self.me, what).await;
        let (there, back) = self.server.ways();
        let reply = sim.call(there, back, move || {
            let errors = server.lock().mood.errors;
            if server.down() {
                return Err(StoreError(format!("{what}: connection refused")));
            }
            if server.sim.fault(errors) {
                server.sim.count("store error");
                // Half of the calls that fail were carried out all the same.
                if server.sim.chance(0.5) {
                    work(&server);
                }
                return Err(StoreError(format!("{what}: the connection broke")));
            }
            Ok(work(&server))
        });
        let answer = reply.await;
        sim.pass(self.me, what).await;
        answer
    }
}

impl Store for SimStore {
    async fn raise(&self, lane: Lane) -> Result<LaneRow, StoreError> {
        let raised = self.ask("store.raise", move |server| {
            let jumps = server.sim.fault(server.lock().mood.timeline);
            let waits = server.sim.fault(0.3);
            let mut state = server.lock();
            let held = state
                .doubts
                .iter()
                .any(|doubt| doubt.batch.lanes.iter().any(|write| write.lane.lane == lane));
            if held && waits {
                return Err(StoreError("a batch in doubt did not end in time".into()));
            }
            server.settle(&mut state, &[lane]);
            let jump = if jumps { 1 << 32 } else { 0 };
            let row = state.tables.raise(lane, server.sim.now(), jump);
            server.sim.trace(|| format!("lane {lane} raised to e{} n{}", row.epoch, row.n));
            Ok(row)
        });
        raised.await?
    }

    async fn load(&self, lane: &LaneRow) -> Result<Loaded, StoreError> {
        let lane = lane.clone();
        self.ask("store.load", move |server| server.lock().tables.load(&lane)).await
    }

    async fn read(&self, need: Need) -> Result<Found, StoreError> {
        self.ask("store.read", move |server| server.lock().tables.read(&need)).await
    }

    async fn commit(&self, batch: Batch) -> CommitOutcome {
        let (sim, server) = (self.server.sim.clone(), self.server.clone());
        sim.pass(self.me, "store.commit").await;
        let (there, back) = self.server.ways();
        let me = self.me;
        let outcome = sim.call(there, back, move || server.arrive(me, batch)).await;
        sim.pass(self.me, "store.commit").await;
        outcome
    }
}

impl Ledger for SimStore {
    async fn fences(&self, resources: Vec<String>) -> Result<Vec<Option<Fence>>, StoreError> {
        self.ask("ledger.fences", move |server| server.lock().tables.fences(&resources)).await
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<Marked>, StoreError> {
        self.ask("ledger.mark", move |server| server.lock().tables.mark(&marks)).await
    }

    async fn answers(&self, questions: Vec<String>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let find = move |server: &Server| {
            let state = server.lock();
            questions.iter().map(|id| state.tables.answers.get(id).cloned()).collect()
        };
        self.ask("ledger.answers", find).await
    }

    async fn remember(&self, answers: Vec<(String, Bytes)>) -> Result<Vec<Remembered>, StoreError> {
        self.ask("ledger.remember", move |server| server.lock().tables.remember(&answers)).await
    }
}

impl Keys for SimStore {
    async fn key(&self, tenant: TenantId) -> Result<Option<DataKey>, StoreError> {
        let unwrap = move |server: &Server| {
            let state = server.lock();
            let wrapped = state.tables.keys.get(&tenant)?;
            server.keyring.1.unwrap(&server.keyring.0, tenant, wrapped).ok()
        };
        self.ask("keys.key", unwrap).await
    }
}
