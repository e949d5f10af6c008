//! The world outside: providers that keep what was made and a list of every call that they carried out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tenantry_contracts::{TenantId, Time, Token};

use crate::evidence::{Effect, Living, What};
use crate::exec::{MS, Me, Sim, lock};
use crate::zoo::Bug;

/// How unkind the providers are.
#[derive(Clone, Debug)]
pub struct OutsideMood {
    /// The longest way there and back, in milliseconds each.
    pub delay_ms: i64,
    /// The chance that a call never arrives.
    pub lost: f64,
    /// The chance that the answer to a call is lost.
    pub unanswered: f64,
    /// The chance that a call arrives long after its caller stopped waiting.
    pub late: f64,
}

impl Default for OutsideMood {
    fn default() -> Self {
        Self { delay_ms: 20, lost: 0.0, unanswered: 0.0, late: 0.0 }
    }
}

#[derive(Default)]
struct State {
    things: BTreeMap<String, Vec<Living>>,
    fences: BTreeMap<String, Token>,
    effects: Vec<Effect>,
    tries: BTreeMap<String, u32>,
    made: u64,
    under_way: u64,
}

/// Everything outside of the fleet.
#[derive(Clone)]
pub struct Outside {
    sim: Sim,
    state: Arc<Mutex<State>>,
    mood: Arc<Mutex<OutsideMood>>,
    bug: Arc<Mutex<Option<Bug>>>,
}

/// Who calls, about what.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The resource.
    pub resource: String,
    /// For whom.
    pub tenant: TenantId,
    /// Under which fencing number.
    pub token: Token,
}

/// What a provider answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is there, under this id.
    There(u64),
    /// It is not there.
    Absent,
    /// It is somebody else's.
    Foreign,
    /// A later question was here.
    Superseded,
}

/// No answer in time; nobody knows whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence;

impl Outside {
    /// Nothing is there yet.
    pub fn new(sim: &Sim) -> Self {
        Self { sim: sim.clone(), state: Arc::default(), mood: Arc::default(), bug: Arc::default() }
    }

    /// Sets how unkind the providers are.
    pub fn set_mood(&self, mood: OutsideMood) {
        *lock(&self.mood) = mood;
    }

    /// Plants a bug.
    pub fn plant(&self, bug: Bug) {
        *lock(&self.bug) = Some(bug);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Calls a provider and waits for the answer, at most until `until`.
    pub async fn call(
        &self,
        me: Me,
        until: Time,
        work: impl FnOnce(&Self) -> Reply + Send + 'static,
    ) -> Result<Reply, Silence> {
        let sim = self.sim.clone();
        sim.pass(me, "outside.call").await;
        let mood = lock(&self.mood).clone();
        let left = until.since(sim.now_of(me)).max(1) * MS;
        let (mut there, back) = (sim.between(10, mood.delay_ms * MS), sim.between(10, mood.delay_ms * MS));
        let (mut arrives, mut answered) = (true, true);
        if sim.fault(mood.lost) {
            sim.count("call lost");
            arrives = false;
        } else if sim.fault(mood.unanswered) {
            sim.count("answer lost");
            answered = false;
        } else if sim.fault(mood.late) {
            sim.count("call late");
            there = left + sim.between(0, 20_000 * MS);
        }
        let outside = self.clone();
        self.lock().under_way += 1;
        let reply = sim.call(there, back, move || {
            outside.lock().under_way -= 1;
            arrives.then(|| work(&outside))
        });
        let patience = sim.sleep(left.min(5_000 * MS));
        let answer = match futures::future::select(reply, patience).await {
            futures::future::Either::Left((Some(reply), _)) if answered => Ok(reply),
            futures::future::Either::Left((_, patience)) => {
                patience.await;
                Err(Silence)
            }
            futures::future::Either::Right(_) => Err(Silence),
        };
        sim.pass(me, "outside.call").await;
        answer
    }

    fn applied(&self, state: &mut State, caller: &Caller, what: What, id: u64) {
        self.sim.trace(|| {
            format!("outside {} {what:?} for {} under {}", caller.resource, caller.tenant, caller.token)
        });
        state.effects.push(Effect {
            at: self.sim.now(),
            resource: caller.resource.clone(),
            tenant: caller.tenant,
            token: caller.token,
            what,
            id,
        });
    }

    fn make(&self, state: &mut State, caller: &Caller) -> Reply {
        state.made += 1;
        let id = state.made;
        let thing =
            Living { resource: caller.resource.clone(), tenant: caller.tenant, token: caller.token, id };
        state.things.entry(caller.resource.clone()).or_default().push(thing);
        self.applied(state, caller, What::Made, id);
        Reply::There(id)
    }

    /// The highest token that was seen, raised in the effect's own transaction. `false` where a higher one stands.
    fn admits(&self, state: &mut State, caller: &Caller) -> bool {
        let fence = state.fences.entry(caller.resource.clone()).or_default();
        if *lock(&self.bug) == Some(Bug::ResourceDoesNotCheck) {
            return true;
        }
        if *fence > caller.token {
            self.sim.count("refused by the resource");
            return false;
        }
        *fence = caller.token;
        true
    }

    /// Makes one thing under a name; the provider checks the token.
    pub fn ensure_fenced(&self, caller: &Caller) -> Reply {
        let state = &mut *self.lock();
        if !self.admits(state, caller) {
            return Reply::Superseded;
        }
        match state.things.get_mut(&caller.resource).and_then(|things| things.first_mut()) {
            Some(thing) if thing.tenant == caller.tenant => {
                thing.token = caller.token;
                let id = thing.id;
                self.applied(state, caller, What::Found, id);
                Reply::There(id)
            }
            Some(_) => Reply::Foreign,
            None => self.make(state, caller),
        }
    }

    /// Removes it; the provider checks the token and keeps it.
    pub fn remove_fenced(&self, caller: &Caller) -> Reply {
        let state = &mut *self.lock();
        if !self.admits(state, caller) {
            return Reply::Superseded;
        }
        self.remove(state, caller)
    }

    /// Looks for what carries our tag.
    pub fn find(&self, caller: &Caller) -> Reply {
        let state = self.lock();
        let things = state.things.get(&caller.resource).into_iter().flatten();
        let ours = things.filter(|thing| thing.tenant == caller.tenant).map(|thing| thing.id).next();
        ours.map_or(Reply::Absent, Reply::There)
    }

    /// Makes another one, whatever is there: this provider cannot check anything.
    pub fn create(&self, caller: &Caller) -> Reply {
        self.make(&mut self.lock(), caller)
    }

    /// Removes everything that carries our tag; this provider cannot check anything.
    pub fn remove_tagged(&self, caller: &Caller) -> Reply {
        self.remove(&mut self.lock(), caller)
    }

    fn remove(&self, state: &mut State, caller: &Caller) -> Reply {
        let things = state.things.entry(caller.resource.clone()).or_default();
        let before = things.len();
        things.retain(|thing| thing.tenant != caller.tenant);
        let what = if things.len() < before { What::Removed } else { What::Absent };
        self.applied(state, caller, what, 0);
        Reply::Absent
    }

    /// Sends a letter that nobody can find again.
    pub fn send(&self, caller: &Caller) -> Reply {
        let state = &mut *self.lock();
        state.made += 1;
        let id = state.made;
        self.applied(state, caller, What::Sent, id);
        Reply::There(id)
    }

    /// How often this was tried before.
    pub fn tried(&self, what: String) -> u32 {
        let mut state = self.lock();
        let tries = state.tries.entry(what).or_default();
        *tries += 1;
        *tries - 1
    }

    /// How many calls have not arrived yet.
    pub fn under_way(&self) -> u64 {
        self.lock().under_way
    }

    /// Everything that was carried out, in order.
    pub fn effects(&self) -> Vec<Effect> {
        self.lock().effects.clone()
    }

    /// Everything that is there.
    pub fn living(&self) -> Vec<Living> {
        self.lock().things.values().flatten().cloned().collect()
    }

    /// The reconciler of providers that cannot check tokens: removes what carries our tag and is nobody's any more.
    /// Returns how many it removed.
    pub fn sweep(&self, kind: &str, keep: impl Fn(&Living) -> bool) -> usize {
        let mut state = self.lock();
        let mut swept = 0;
        for (_, things) in state.things.iter_mut().filter(|(name, _)| name.starts_with(kind)) {
            let before = things.len();
            things.retain(&keep);
            swept += before - things.len();
        }
        swept
    }
}
