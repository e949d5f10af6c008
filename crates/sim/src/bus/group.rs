//! Groups: who is in, who holds which partitions, and what happens when that changes.

use std::collections::BTreeMap;

use tenantry_contracts::Topic;
use tenantry_ports::{Group, News, Place};

use super::watch;
use super::{Brokers, BusState, Life, Member, Reading, SESSION};
use crate::exec::{MS, Me};

impl Brokers {
    /// A member comes in. One with a static id that is known takes over what its former self held.
    pub(crate) fn join(&self, me: Me, group: Group) -> u64 {
        let mut state = self.lock();
        let id = state.next_id();
        let heir_of = group.member.as_ref().and_then(|name| {
            let members = state.groups.get(&group.id)?.members.clone();
            members.into_iter().find(|other| {
                state.members.get(other).is_some_and(|other| other.group.member.as_ref() == Some(name))
            })
        });
        let name = group.id.clone();
        let same_topics = heir_of
            .and_then(|old| state.members.get(&old))
            .is_some_and(|old| old.group.topics == group.topics);
        state.members.insert(
            id,
            Member {
                group,
                me,
                life: Life::Alive,
                notices: Default::default(),
                reading: BTreeMap::new(),
                waker: None,
                lost: false,
                committing: false,
            },
        );
        let found = state.groups.entry(name.clone()).or_default();
        let mut inherits = false;
        match heir_of.and_then(|old| found.members.iter().position(|member| *member == old)) {
            Some(at) => {
                let old = std::mem::replace(&mut found.members[at], id);
                inherits = !found.rebalancing && same_topics;
                let places = state.members.get_mut(&old).map(|old| {
                    old.life = Life::Gone;
                    old.lost = true;
                    old.notices.push_back(News::Lost("fenced by a member of the same static id".into()));
                    let places: Vec<Place> = old.reading.keys().cloned().collect();
                    old.wake();
                    places
                });
                let places = places.unwrap_or_default();
                self.sim.trace(|| format!("group {name}: {id} inherits from {old}: {places:?}"));
                if inherits {
                    self.assign(&mut state, id, places);
                }
            }
            None => found.members.push(id),
        }
        drop(state);
        if !inherits {
            self.rebalance(&name);
        }
        id
    }

    /// Everybody is told to let go, and a little later what they get.
    pub fn rebalance(&self, group: &str) {
        let mut state = self.lock();
        let Some(found) = state.groups.get_mut(group) else { return };
        found.rebalances += 1;
        found.rebalancing = true;
        let (number, members) = (found.rebalances, found.members.clone());
        for id in members {
            if state.members.get(&id).is_some_and(|member| member.life == Life::Alive) {
                self.revoke(&mut state, id, true);
            }
        }
        drop(state);
        self.sim.trace(|| format!("group {group}: rebalance {number}"));
        let (brokers, name) = (self.clone(), group.to_owned());
        self.sim.after(self.sim.between(5 * MS, 300 * MS), move || brokers.complete(&name, number));
    }

    fn complete(&self, group: &str, number: u64) {
        let mut state = self.lock();
        let Some(found) = state.groups.get_mut(group) else { return };
        if found.rebalances != number {
            return;
        }
        let members = found.members.clone();
        let silent = members
            .iter()
            .any(|id| state.members.get(id).is_some_and(|member| matches!(member.life, Life::Silent(_))));
        if silent {
            // The broker waits for it until its session ends.
            drop(state);
            let (brokers, name) = (self.clone(), group.to_owned());
            self.sim.after(250 * MS, move || brokers.complete(&name, number));
            return;
        }
        for (id, places) in range(&state, &members) {
            self.assign(&mut state, id, places);
        }
        if let Some(found) = state.groups.get_mut(group) {
            found.rebalancing = false;
        }
    }

    fn assign(&self, state: &mut BusState, id: u64, places: Vec<Place>) {
        if places.is_empty() {
            return;
        }
        let (forgets, back) = (state.mood.forgets_commit, 5);
        for place in &places {
            let generation = state.next_generation();
            let low = state.log(place).map_or(0, |log| log.low);
            let Some(member) = state.members.get(&id) else { return };
            let (resumes, group) = (member.group.resumes, member.group.id.clone());
            let committed = state.groups.get_mut(&group).map(|group| {
                let committed = group.committed.entry(place.clone()).or_insert(low);
                if self.sim.fault(forgets) {
                    *committed = low.max(*committed - self.sim.between(0, back));
                    self.sim.count("commit forgotten");
                }
                *committed
            });
            let position = if resumes { committed.or(Some(low)) } else { None };
            let reading = Reading { position, generation, paused: false, stored: None };
            if let Some(member) = state.members.get_mut(&id) {
                member.reading.insert(place.clone(), reading);
            }
        }
        if let Some(member) = state.members.get_mut(&id) {
            self.sim.trace(|| format!("member {id} gets {}", names(&places)));
            member.notices.push_back(News::Assigned(places));
            member.wake();
        }
    }

    /// Takes everything from a member; what it stored is committed where it is still a member.
    fn revoke(&self, state: &mut BusState, id: u64, commits: bool) {
        if commits {
            commit(state, id);
        }
        let Some(member) = state.members.get_mut(&id) else { return };
        if member.reading.is_empty() {
            return;
        }
        let places: Vec<Place> = std::mem::take(&mut member.reading).into_keys().collect();
        // What was on the way and was not told yet is not told any more.
        member.notices.retain(|news| !matches!(news, News::Heard(_)));
        self.sim.trace(|| format!("member {id} loses {}", names(&places)));
        member.notices.push_back(News::Revoked(places));
        member.wake();
    }

    /// Commits in the background a little later, as clients do.
    pub(crate) fn commit_soon(&self, state: &mut BusState, id: u64) {
        let Some(member) = state.members.get_mut(&id) else { return };
        if std::mem::replace(&mut member.committing, true) {
            return;
        }
        let brokers = self.clone();
        self.sim.after(self.sim.between(100 * MS, 1000 * MS), move || {
            let mut state = brokers.lock();
            if let Some(member) = state.members.get_mut(&id) {
                member.committing = false;
                if member.life == Life::Alive {
                    commit(&mut state, id);
                }
            }
        });
    }

    /// A member is gone: at once where it leaves, else when its session ends.
    pub(crate) fn depart(&self, id: u64, leaves: bool) {
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(&id) else { return };
        if member.life == Life::Gone {
            return;
        }
        let group = member.group.id.clone();
        if leaves || member.life == Life::Expelled {
            member.life = Life::Gone;
            if let Some(found) = state.groups.get_mut(&group) {
                found.members.retain(|other| *other != id);
            }
            drop(state);
            self.rebalance(&group);
            return;
        }
        let since = self.sim.now_us();
        member.life = Life::Silent(since);
        drop(state);
        let brokers = self.clone();
        self.sim.after(SESSION, move || brokers.expire(id, since, Life::Gone));
    }

    fn expire(&self, id: u64, since: i64, becomes: Life) {
        let mut state = self.lock();
        let Some(member) = state.members.get_mut(&id) else { return };
        if member.life != Life::Silent(since) {
            return;
        }
        member.life = becomes;
        let group = member.group.id.clone();
        if let Some(found) = state.groups.get_mut(&group) {
            found.members.retain(|other| *other != id);
        }
        drop(state);
        self.sim.count("session ended");
        self.sim.trace(|| format!("member {id}: session ended"));
        self.rebalance(&group);
    }

    /// The consumers of a process that is frozen say nothing any more.
    pub fn froze(&self, slot: usize) {
        let since = self.sim.now_us();
        let mut state = self.lock();
        let mut silent = Vec::new();
        for (id, member) in &mut state.members {
            if member.me.slot == slot && member.life == Life::Alive {
                member.life = Life::Silent(since);
                silent.push(*id);
            }
        }
        drop(state);
        for id in silent {
            let brokers = self.clone();
            self.sim.after(SESSION, move || brokers.expire(id, since, Life::Expelled));
        }
    }

    /// They speak again: those whose session ended learn it a little later.
    pub fn thawed(&self, slot: usize) {
        let mut state = self.lock();
        let mut late = Vec::new();
        let mut back = Vec::new();
        for (id, member) in &mut state.members {
            if member.me.slot != slot {
                continue;
            }
            match member.life {
                Life::Silent(_) => {
                    member.life = Life::Alive;
                    back.push(*id);
                }
                Life::Expelled => late.push(*id),
                Life::Alive | Life::Gone => {}
            }
        }
        for id in back {
            // A rebalance that went on meanwhile waited for it: it lets go and gets its share with the others.
            let group = state.members.get(&id).map(|member| member.group.id.clone()).unwrap_or_default();
            if state.groups.get(&group).is_some_and(|group| group.rebalancing) {
                self.revoke(&mut state, id, true);
            }
        }
        drop(state);
        for id in late {
            let brokers = self.clone();
            self.sim.after(self.sim.between(0, 1000 * MS), move || brokers.notice(id));
        }
    }

    /// A member learns that it was put out, and comes back.
    fn notice(&self, id: u64) {
        let mut state = self.lock();
        let lost = self.sim.fault(state.mood.lost);
        let Some(member) = state.members.get(&id) else { return };
        if member.life != Life::Expelled {
            return;
        }
        let group = member.group.id.clone();
        if lost {
            if let Some(member) = state.members.get_mut(&id) {
                member.life = Life::Gone;
                member.lost = true;
                member.reading.clear();
                member.notices.push_back(News::Lost("the session ended".into()));
                member.wake();
            }
            return;
        }
        self.revoke(&mut state, id, false);
        if let Some(member) = state.members.get_mut(&id) {
            member.life = Life::Alive;
        }
        state.groups.entry(group.clone()).or_default().members.push(id);
        drop(state);
        self.rebalance(&group);
    }

    /// Gives one member what another one holds, without a word to that one. `false` where there are not two.
    pub fn double(&self, group: &str) -> bool {
        let mut state = self.lock();
        let Some(found) = state.groups.get(group) else { return false };
        let alive: Vec<u64> = found
            .members
            .iter()
            .copied()
            .filter(|id| state.members.get(id).is_some_and(|member| member.life == Life::Alive))
            .collect();
        let Some(from) = alive
            .iter()
            .copied()
            .find(|id| state.members.get(id).is_some_and(|member| !member.reading.is_empty()))
        else {
            return false;
        };
        let Some(to) = alive.iter().copied().find(|id| *id != from) else { return false };
        let held = state.members.get(&to).map(|member| member.reading.clone()).unwrap_or_default();
        let places: Vec<Place> = state
            .members
            .get(&from)
            .map(|member| member.reading.keys().filter(|place| !held.contains_key(place)).cloned().collect())
            .unwrap_or_default();
        self.sim.trace(|| format!("group {group}: {to} doubles {from}"));
        self.assign(&mut state, to, places);
        true
    }
}

/// What a member stored becomes the group's.
pub(crate) fn commit(state: &mut BusState, id: u64) {
    let Some(member) = state.members.get_mut(&id) else { return };
    let stored: Vec<(Place, i64)> =
        member.reading.iter().filter_map(|(place, reading)| Some((place.clone(), reading.stored?))).collect();
    let group = member.group.id.clone();
    let Some(found) = state.groups.get_mut(&group) else { return };
    if !found.members.contains(&id) {
        return;
    }
    for (place, offset) in stored {
        let before = found.committed.insert(place.clone(), offset).unwrap_or(0);
        watch::commits(&state.topics, &mut state.watch, &place, before, offset);
    }
}

/// Kafka's range assignor: for each topic, neighbouring partitions to the members in the order of their names.
fn range(state: &BusState, members: &[u64]) -> BTreeMap<u64, Vec<Place>> {
    let mut named: Vec<(String, u64)> = members
        .iter()
        .filter_map(|id| {
            let member = state.members.get(id)?;
            // Members without a static id get a random one from the broker: here it is their number.
            Some((member.group.member.clone().unwrap_or_else(|| format!("~{id:08}")), *id))
        })
        .collect();
    named.sort();
    let mut shares: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
    for (topic, logs) in &state.topics {
        let hears = |id: &u64| state.members.get(id).is_some_and(|member| has(&member.group, topic));
        let wanting: Vec<u64> = named.iter().map(|(_, id)| *id).filter(|id| hears(id)).collect();
        if wanting.is_empty() {
            continue;
        }
        let (each, extra) = (logs.len() / wanting.len(), logs.len() % wanting.len());
        let mut next = 0;
        for (at, id) in wanting.iter().enumerate() {
            let share = each + usize::from(at < extra);
            for partition in next..next + share {
                let place = Place { topic: topic.clone(), partition: partition as u16 };
                shares.entry(*id).or_default().push(place);
            }
            next += share;
        }
    }
    shares
}

fn has(group: &Group, topic: &Topic) -> bool {
    group.topics.contains(topic)
}

fn names(places: &[Place]) -> String {
    let names: Vec<_> = places.iter().map(|place| format!("{}/{}", place.topic, place.partition)).collect();
    names.join(" ")
}
