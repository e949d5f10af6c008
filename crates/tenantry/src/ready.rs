//! Whether this process is ready, and why not: seen from the bus that its parts hold, and from a look at the store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tenantry_contracts::topic::Name;
use tenantry_contracts::{Code, Lane};
use tenantry_coordinator::Standing;
use tenantry_ports::{Bus, BusError, Consumer, Group, News, Place};
use tokio_util::sync::CancellationToken;

use crate::settings::Secret;

/// How often the store is looked at while all is well, and while it is not.
const LOOKS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(500));

/// One thing that must be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is looked at.
    pub name: &'static str,
    /// Whether it is right.
    pub ok: bool,
    /// What is there, or what is wrong.
    pub why: String,
}

/// What is known of all that must be right. Clones share it.
#[derive(Clone, Debug)]
pub struct Ready(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    stopping: bool,
    /// Whether a part needs the store.
    stored: bool,
    /// `None`: not looked at yet.
    store: Option<Result<(), String>>,
    coordinator: Option<Member>,
    workers: Option<Member>,
    /// The lanes that the coordinator refuses to serve, and why.
    standing: Standing,
    signer: Option<Signs>,
}

/// What the signer says of itself.
#[derive(Clone, Debug)]
enum Signs {
    /// Not yet, or not now: why.
    Not(String),
    /// How far it is.
    Well(String),
    /// It will not go on, whatever is started again: why.
    Refuses(String),
}

/// A member of a consumer group.
#[derive(Clone, Debug, Default)]
struct Member {
    joined: bool,
    held: BTreeSet<Place>,
    sought: BTreeSet<Place>,
}

/// The parts of a process; the first two have a consumer each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The coordinator's.
    Coordinator,
    /// The workers'.
    Workers,
    /// The signer.
    Signer,
}

/// The check that the signer makes for itself.
const SIGNER: &str = "signer";

impl Ready {
    /// Of a process with these parts.
    pub fn new(roles: &[Role]) -> Self {
        let member = |role| roles.contains(&role).then(Member::default);
        Self(Arc::new(Mutex::new(State {
            stopping: false,
            stored: roles.iter().any(|role| *role != Role::Signer),
            store: None,
            coordinator: member(Role::Coordinator),
            workers: member(Role::Workers),
            standing: Standing::default(),
            signer: roles.contains(&Role::Signer).then(|| Signs::Not("not started yet".to_owned())),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on nothing is ready.
    pub fn stopping(&self) {
        self.state().stopping = true;
    }

    /// The store was found right a moment ago.
    pub fn store_found_right(&self) {
        self.state().store = Some(Ok(()));
    }

    /// The signer says how far it is, or why it does not sign now.
    pub fn signer(&self, said: Result<String, String>) {
        self.state().signer = Some(said.map_or_else(Signs::Not, Signs::Well));
    }

    /// The signer will not go on.
    pub fn signer_refuses(&self, why: String) {
        self.state().signer = Some(Signs::Refuses(why));
    }

    /// Everything that must be right.
    pub fn checks(&self) -> Vec<Check> {
        let state = self.state();
        let mut all = Vec::new();
        let check = |name, ok, why: String| Check { name, ok, why };
        if state.stopping {
            all.push(check("process", false, "it is stopping".to_owned()));
        }
        match &state.store {
            _ if !state.stored => {}
            Some(Ok(())) => {
                all.push(check("store", true, "reachable, and its schema is this program's".to_owned()));
            }
            Some(Err(why)) => all.push(check("store", false, why.clone())),
            None => all.push(check("store", false, "not looked at yet".to_owned())),
        }
        if let Some(member) = &state.coordinator {
            all.push(member.lanes(&state.standing));
        }
        if let Some(member) = &state.workers {
            all.push(member.commands());
        }
        if let Some(signs) = &state.signer {
            let (Signs::Not(why) | Signs::Well(why) | Signs::Refuses(why)) = signs;
            all.push(check(SIGNER, matches!(signs, Signs::Well(_)), why.clone()));
        }
        all
    }

    /// Everything is right, but that the signer may refuse to go on: that is no reason not to serve tenants.
    pub fn serves(&self) -> bool {
        let refuses = matches!(self.state().signer, Some(Signs::Refuses(_)));
        self.checks().iter().all(|check| check.ok || (refuses && check.name == SIGNER))
    }

    /// Everything is right.
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|check| check.ok)
    }

    /// Where the coordinator says which lanes stand still.
    pub fn standing(&self) -> Standing {
        self.state().standing.clone()
    }

    /// Why nothing more will become ready until a person decides: every lane that is not served has a restored store.
    pub fn restored(&self) -> Option<String> {
        let state = self.state();
        let mut standing = state.standing.lanes();
        standing.retain(|_, why| why.starts_with(Code::StoreRestored.as_str()));
        let rest = state.coordinator.as_ref()?.unserved();
        let all = !rest.is_empty() && rest.iter().all(|lane| standing.contains_key(&Lane(*lane)));
        all.then(|| standing.into_values().collect::<Vec<_>>().join("\n"))
    }

    /// Looks at the store until `stop`.
    pub async fn watch_store(self, url: Secret, stop: CancellationToken) {
        let looks = async {
            loop {
                let found =
                    tenantry_postgres::check_schema(url.expose()).await.map_err(|error| error.to_string());
                let pause = if found.is_ok() { LOOKS.0 } else { LOOKS.1 };
                if let Err(why) = &found
                    && self.state().store.as_ref().is_none_or(Result::is_ok)
                {
                    tracing::warn!(why, "the store is not as it should be");
                }
                self.state().store = Some(found);
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = looks => {}
            () = stop.cancelled() => {}
        }
    }

    fn with(&self, role: Role, change: impl FnOnce(&mut Member)) {
        let mut state = self.state();
        let member = match role {
            Role::Coordinator => state.coordinator.as_mut(),
            Role::Workers => state.workers.as_mut(),
            Role::Signer => None,
        };
        if let Some(member) = member {
            change(member);
        }
    }
}

impl Member {
    /// A lane is served once it was sought. A member without lanes stands by, which is ready too.
    fn lanes(&self, standing: &Standing) -> Check {
        let all = self.of_lanes().len();
        let served = all - self.unserved().len();
        let mut why = match (self.joined, all) {
            (false, _) => "not yet a member of the coordinators' group".to_owned(),
            (true, 0) => "a member of the coordinators' group that stands by, without a lane".to_owned(),
            _ => format!("{served} of {all} lanes served"),
        };
        for stands in standing.lanes().values() {
            why.push_str(&format!("; {stands}"));
        }
        Check { name: "lanes", ok: self.joined && served == all, why }
    }

    fn of_lanes(&self) -> BTreeSet<u16> {
        self.held.iter().map(|place| place.partition).collect()
    }

    /// The lanes that are held and not served yet.
    fn unserved(&self) -> BTreeSet<u16> {
        self.held.difference(&self.sought).map(|place| place.partition).collect()
    }

    fn commands(&self) -> Check {
        let topics: BTreeSet<Name> = self.held.iter().map(|place| place.topic.name()).collect();
        let why = match (self.joined, topics.len()) {
            (false, _) => "not yet a member of the workers' group".to_owned(),
            (true, 0) => "a member of the workers' group that stands by, without a partition".to_owned(),
            _ => format!(
                "hears {} partitions of {}",
                self.held.len(),
                topics.into_iter().collect::<Vec<_>>().join(", ")
            ),
        };
        Check { name: "workers", ok: self.joined, why }
    }
}

/// A bus that tells how far its consumer is.
pub struct Watched<B> {
    bus: B,
    role: Role,
    ready: Ready,
}

impl<B> Watched<B> {
    /// Watches a bus.
    pub fn new(bus: B, role: Role, ready: Ready) -> Self {
        Self { bus, role, ready }
    }
}

/// A consumer that tells how far it is.
pub struct WatchedConsumer<C> {
    consumer: C,
    role: Role,
    ready: Ready,
}

impl<B: Bus> Bus for Watched<B> {
    type Consumer = WatchedConsumer<B::Consumer>;
    type Producer = B::Producer;

    async fn consumer(&self, group: Group) -> Result<Self::Consumer, BusError> {
        let consumer = self.bus.consumer(group).await?;
        self.ready.with(self.role, |member| *member = Member::default());
        Ok(WatchedConsumer { consumer, role: self.role, ready: self.ready.clone() })
    }

    async fn producer(&self) -> Result<Self::Producer, BusError> {
        self.bus.producer().await
    }
}

impl<C: Consumer> Consumer for WatchedConsumer<C> {
    async fn news(&mut self) -> Vec<News> {
        let news = self.consumer.news().await;
        for news in &news {
            match news {
                News::Heard(_) => {}
                News::Assigned(places) => self.ready.with(self.role, |member| {
                    member.joined = true;
                    member.held.extend(places.iter().cloned());
                }),
                News::Revoked(places) => self.ready.with(self.role, |member| {
                    member.held.retain(|place| !places.contains(place));
                    member.sought.retain(|place| !places.contains(place));
                }),
                News::Lost(_) => self.ready.with(self.role, |member| *member = Member::default()),
            }
        }
        news
    }

    async fn seek(&mut self, place: &Place, offset: i64) -> Result<u64, BusError> {
        let generation = self.consumer.seek(place, offset).await?;
        self.ready.with(self.role, |member| {
            member.sought.insert(place.clone());
        });
        Ok(generation)
    }

    fn pause(&mut self, places: &[Place]) {
        self.consumer.pause(places);
    }

    fn resume(&mut self, places: &[Place]) {
        self.consumer.resume(places);
    }

    fn store(&mut self, place: &Place, offset: i64) {
        self.consumer.store(place, offset);
    }

    async fn watermarks(&mut self, place: &Place) -> Result<(i64, i64), BusError> {
        self.consumer.watermarks(place).await
    }

    async fn record_at(
        &mut self,
        place: &Place,
        offset: i64,
    ) -> Result<Option<tenantry_contracts::Record>, BusError> {
        self.consumer.record_at(place, offset).await
    }

    async fn close(self, leave: bool) {
        self.consumer.close(leave).await;
        self.ready.with(self.role, |member| *member = Member::default());
    }
}

#[cfg(test)]
mod tests;
