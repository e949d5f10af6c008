//! How a group comes to a new generation: who is expelled, when a join ends, who leads, what is spoken.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;

use super::member::answer;
use super::{Group, Joined, Member, State};

impl Group {
    /// Does what is due: expels the silent, ends joins that took too long. Says when to call again.
    pub(crate) fn tick(&mut self, now: Instant) -> Option<Instant> {
        let waiting = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        let silent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, member)| member.is_silent(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &silent {
            tracing::info!(member = id, "a member was silent for longer than its session and is expelled");
            self.remove(id);
        }
        if !silent.is_empty() {
            self.after_loss(now);
        } else if self.pending.len() < waiting {
            self.finish_join(now, false);
        }
        match self.state {
            State::Joining { until } if until <= now => self.finish_join(now, true),
            State::Syncing { until } if until <= now => {
                let late: Vec<String> = self
                    .members
                    .iter()
                    .filter(|(_, member)| member.syncing.is_none())
                    .map(|(id, _)| id.clone())
                    .collect();
                for id in &late {
                    self.remove(id);
                }
                self.after_loss(now);
            }
            _ => {}
        }
        self.next_due()
    }

    fn next_due(&self) -> Option<Instant> {
        let state = match self.state {
            State::Joining { until } | State::Syncing { until } => Some(until),
            State::Empty | State::Stable => None,
        };
        let sessions = self.members.values().filter_map(Member::session_end);
        sessions.chain(self.pending.values().copied()).chain(state).min()
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(mut member) = self.members.remove(id) else { return false };
        member.fence(ResponseError::UnknownMemberId);
        if self.leader == id {
            self.leader.clear();
        }
        true
    }

    pub(super) fn after_loss(&mut self, now: Instant) {
        match self.state {
            State::Stable | State::Syncing { .. } => self.rebalance(now),
            State::Empty | State::Joining { .. } => {}
        }
        self.finish_join(now, false);
    }

    /// Calls everybody to join anew.
    pub(super) fn rebalance(&mut self, now: Instant) {
        if matches!(self.state, State::Joining { .. }) {
            return;
        }
        for member in self.members.values_mut() {
            if let Some(reply) = member.syncing.take() {
                member.seen = now;
                answer(reply, Err(ResponseError::RebalanceInProgress));
            }
        }
        self.state = State::Joining { until: now + self.rebalance_timeout() };
    }

    /// Ends the join if everybody has joined, or if the time is up: then those who have not are left behind.
    pub(super) fn finish_join(&mut self, now: Instant, time_is_up: bool) {
        if !matches!(self.state, State::Joining { .. }) {
            return;
        }
        let all = self.pending.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if !all && !time_is_up {
            return;
        }
        // A static member that is late keeps its place until its session ends.
        self.members.retain(|_, member| member.joining.is_some() || member.join.instance.is_some());
        self.generation = self.generation.wrapping_add(1).max(1);
        if self.members.is_empty() {
            self.state = State::Empty;
            self.protocol.clear();
            self.leader.clear();
            return;
        }
        if self.members.get(&self.leader).is_none_or(|leader| leader.joining.is_none()) {
            let joined = self.members.iter().filter(|(_, member)| member.joining.is_some()).map(|(id, _)| id);
            self.leader = joined.min().cloned().unwrap_or_default();
        }
        self.protocol = self.vote();
        self.state = State::Syncing { until: now + self.rebalance_timeout() };
        let replies: Vec<_> =
            self.members.iter_mut().filter_map(|(id, m)| Some((id.clone(), m.joining.take()?))).collect();
        for (id, reply) in replies {
            self.touch(&id, now);
            answer(reply, Ok(self.joined(&id)));
        }
    }

    /// The protocol that all speak and most prefer.
    fn vote(&self) -> String {
        let mut votes: HashMap<&str, usize> = HashMap::new();
        for member in self.members.values() {
            let all_speak = |name: &str| self.members.values().all(|other| other.speaks(name));
            let choice =
                member.join.protocols.iter().map(|(name, _)| name.as_str()).find(|name| all_speak(name));
            *votes.entry(choice.unwrap_or_default()).or_default() += 1;
        }
        votes
            .into_iter()
            .max_by_key(|(name, votes)| (*votes, std::cmp::Reverse(*name)))
            .map_or("", |(name, _)| name)
            .to_owned()
    }

    pub(super) fn joined(&self, id: &str) -> Joined {
        let about = |(id, member): (&String, &Member)| {
            (id.clone(), member.join.instance.clone(), member.metadata(&self.protocol))
        };
        Joined {
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            members: if id == self.leader { self.members.iter().map(about).collect() } else { Vec::new() },
        }
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.join.rebalance_timeout).max().unwrap_or_default()
    }
}
