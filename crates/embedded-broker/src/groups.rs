//! Consumer groups (the classic protocol) as a state machine: every call is handed the time, and answers that must wait are
//! sent through the channels that the calls brought along. Nothing of this outlives the process: members join again.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;
use uuid::Uuid;

mod member;
mod rebalance;

use member::answer;
pub(crate) use member::{Caller, Join, JoinReply, Joined, Member, Refusal, SyncReply};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    /// Members join until all have, or until then.
    Joining {
        until: Instant,
    },
    /// The leader's assignment is awaited, until then.
    Syncing {
        until: Instant,
    },
    Stable,
}

/// One group.
pub(crate) struct Group {
    pub(crate) members: HashMap<String, Member>,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    state: State,
    generation: i32,
    leader: String,
    /// Ids that were given out and not yet come back with.
    pending: HashMap<String, Instant>,
}

impl Default for Group {
    fn default() -> Group {
        Group {
            members: HashMap::new(),
            protocol_type: String::new(),
            protocol: String::new(),
            state: State::Empty,
            generation: 0,
            leader: String::new(),
            pending: HashMap::new(),
        }
    }
}

impl Group {
    /// Nobody is in it, or about to be.
    pub(crate) fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Apache Kafka's name of the state.
    pub(crate) fn state(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::Joining { .. } => "PreparingRebalance",
            State::Syncing { .. } => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// A member comes or comes back. The answer goes to `reply`, at once or when all have joined.
    pub(crate) fn join(&mut self, mut join: Join, reply: oneshot::Sender<JoinReply>, now: Instant) {
        match self.admit(&join, now) {
            Err(error) => {
                let mut member_id = join.member_id;
                if error == ResponseError::MemberIdRequired {
                    member_id = format!("{}-{}", join.client_id, Uuid::new_v4());
                    self.pending.insert(member_id.clone(), now + join.session_timeout);
                }
                answer(reply, Err(Refusal { error, member_id }));
            }
            Ok(None) => {
                let stem = join.instance.as_ref().unwrap_or(&join.client_id);
                join.member_id = match join.member_id.as_str() {
                    "" => format!("{stem}-{}", Uuid::new_v4()),
                    given => given.to_owned(),
                };
                self.pending.remove(&join.member_id);
                let id = join.member_id.clone();
                self.protocol_type.clone_from(&join.protocol_type);
                let member =
                    Member { join, assignment: Bytes::new(), seen: now, joining: Some(reply), syncing: None };
                self.members.insert(id, member);
                self.rebalance(now);
            }
            Ok(Some(old)) => self.rejoin(&old, join, reply, now),
        }
        self.finish_join(now, false);
    }

    /// Whom a join is about: a member that is there, or a new one.
    fn admit(&self, join: &Join, now: Instant) -> Result<Option<String>, ResponseError> {
        let known = join.instance.as_ref().and_then(|instance| self.by_instance(instance));
        let old = match (join.member_id.as_str(), &join.instance, known) {
            ("", Some(_), known) => known.map(str::to_owned),
            ("", None, _) if join.knows_member_id_required => None,
            ("", None, _) => None,
            (id, Some(_), Some(known)) if id == known => Some(id.to_owned()),
            (_, Some(_), Some(_)) => return Err(ResponseError::FencedInstanceId),
            (id, None, _) if self.members.contains_key(id) => Some(id.to_owned()),
            (id, None, _) if self.pending.get(id).is_some_and(|until| *until >= now) => None,
            _ => return Err(ResponseError::UnknownMemberId),
        };
        let others =
            || self.members.iter().filter(|(id, _)| Some(*id) != old.as_ref()).map(|(_, member)| member);
        let common = join.protocols.iter().any(|(name, _)| others().all(|member| member.speaks(name)));
        let same_type = self.members.is_empty() || self.protocol_type == join.protocol_type;
        if join.protocol_type.is_empty() || !common || !same_type {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        if join.member_id.is_empty() && join.instance.is_none() && join.knows_member_id_required {
            return Err(ResponseError::MemberIdRequired);
        }
        Ok(old)
    }

    fn rejoin(&mut self, old: &str, mut join: Join, reply: oneshot::Sender<JoinReply>, now: Instant) {
        let Some(mut member) = self.members.remove(old) else { return };
        let replaced = join.member_id.is_empty();
        let old_leader = self.leader.clone();
        if replaced {
            // A static member that was restarted: its old self is shut out, its place stays.
            join.member_id = format!("{}-{}", join.instance.as_deref().unwrap_or_default(), Uuid::new_v4());
            member.fence(ResponseError::FencedInstanceId);
            if self.leader == old {
                self.leader.clone_from(&join.member_id);
            }
        }
        let same = member.join.protocols == join.protocols;
        let leads = self.leader == join.member_id;
        let id = join.member_id.clone();
        member.join = join;
        member.seen = now;
        self.members.insert(id.clone(), member);
        let as_it_was = match self.state {
            State::Stable => same && (replaced || !leads),
            State::Syncing { .. } => same && !replaced,
            State::Empty | State::Joining { .. } => false,
        };
        if as_it_was {
            let mut joined = self.joined(&id);
            if replaced && leads {
                // It must not assign again, so it is told that somebody else leads: its old self.
                joined.leader = old_leader;
                joined.members.clear();
            }
            answer(reply, Ok(joined));
            return;
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(reply);
        }
        self.rebalance(now);
    }

    /// A member asks for its part; the leader brings everybody's.
    pub(crate) fn sync(
        &mut self,
        caller: &Caller<'_>,
        assignments: Vec<(String, Bytes)>,
        reply: oneshot::Sender<SyncReply>,
        now: Instant,
    ) {
        if let Err(error) = self.check(caller) {
            return answer(reply, Err(error));
        }
        self.touch(caller.member_id, now);
        match self.state {
            State::Empty => answer(reply, Err(ResponseError::UnknownMemberId)),
            State::Joining { .. } => answer(reply, Err(ResponseError::RebalanceInProgress)),
            State::Stable => {
                let part = self.members.get(caller.member_id).map(|member| member.assignment.clone());
                answer(reply, part.ok_or(ResponseError::UnknownMemberId));
            }
            State::Syncing { .. } => {
                if let Some(member) = self.members.get_mut(caller.member_id) {
                    member.syncing = Some(reply);
                }
                if caller.member_id == self.leader {
                    self.assign(assignments, now);
                }
            }
        }
    }

    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        self.members.values_mut().for_each(|member| member.assignment = Bytes::new());
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        for member in self.members.values_mut() {
            if let Some(reply) = member.syncing.take() {
                member.seen = now;
                answer(reply, Ok(member.assignment.clone()));
            }
        }
        self.state = State::Stable;
    }

    /// A sign of life.
    ///
    /// # Errors
    /// What the member must react to.
    pub(crate) fn heartbeat(&mut self, caller: &Caller<'_>, now: Instant) -> Result<(), ResponseError> {
        self.check(caller)?;
        self.touch(caller.member_id, now);
        match self.state {
            State::Joining { .. } => Err(ResponseError::RebalanceInProgress),
            State::Empty | State::Syncing { .. } | State::Stable => Ok(()),
        }
    }

    /// Whether this caller may commit offsets.
    ///
    /// # Errors
    /// What the caller is told.
    pub(crate) fn may_commit(&mut self, caller: &Caller<'_>, now: Instant) -> Result<(), ResponseError> {
        if caller.generation < 0 && caller.member_id.is_empty() && self.members.is_empty() {
            return Ok(());
        }
        self.check(caller)?;
        self.touch(caller.member_id, now);
        match self.state {
            State::Syncing { .. } => Err(ResponseError::RebalanceInProgress),
            State::Empty | State::Joining { .. } | State::Stable => Ok(()),
        }
    }

    /// A member goes, by id or, if it is static, by instance.
    ///
    /// # Errors
    /// `UnknownMemberId`, `FencedInstanceId`.
    pub(crate) fn leave(
        &mut self,
        member_id: &str,
        instance: Option<&str>,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let id = match instance.map(|instance| self.by_instance(instance).map(str::to_owned)) {
            Some(None) => return Err(ResponseError::UnknownMemberId),
            Some(Some(id)) if member_id.is_empty() || id == member_id => id,
            Some(Some(_)) => return Err(ResponseError::FencedInstanceId),
            None if self.pending.remove(member_id).is_some() => {
                self.finish_join(now, false);
                return Ok(());
            }
            None => member_id.to_owned(),
        };
        if !self.remove(&id) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.after_loss(now);
        Ok(())
    }

    fn check(&self, caller: &Caller<'_>) -> Result<(), ResponseError> {
        if let Some(known) = caller.instance.map(|instance| self.by_instance(instance)) {
            match known {
                None => return Err(ResponseError::UnknownMemberId),
                Some(id) if id != caller.member_id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if !self.members.contains_key(caller.member_id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if caller.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    fn by_instance(&self, instance: &str) -> Option<&str> {
        let mut all = self.members.iter();
        all.find(|(_, member)| member.join.instance.as_deref() == Some(instance)).map(|(id, _)| id.as_str())
    }

    fn touch(&mut self, id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(id) {
            member.seen = now;
        }
    }
}

#[cfg(test)]
mod tests;
