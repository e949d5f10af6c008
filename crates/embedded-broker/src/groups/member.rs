//! What members of a group say and are told.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use tokio::sync::oneshot;

/// The answer to a join.
pub(crate) type JoinReply = Result<Joined, Refusal>;
/// The answer to a sync: the member's part.
pub(crate) type SyncReply = Result<Bytes, ResponseError>;

/// A join that was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// Id, instance and metadata of all; empty for whoever does not lead.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// A join that was refused; the id is the one to come back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) error: ResponseError,
    pub(crate) member_id: String,
}

/// A request to join.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) protocol_type: String,
    /// Names in order of preference, with what the member says under each.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether the client comes back with the id that it is given first.
    pub(crate) knows_member_id_required: bool,
}

/// Who speaks, in every request after the join.
#[derive(Clone, Debug)]
pub(crate) struct Caller<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) generation: i32,
}

/// One member.
pub(crate) struct Member {
    pub(crate) join: Join,
    pub(crate) assignment: Bytes,
    pub(super) seen: Instant,
    pub(super) joining: Option<oneshot::Sender<JoinReply>>,
    pub(super) syncing: Option<oneshot::Sender<SyncReply>>,
}

impl Member {
    /// What the member says under `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let found = self.join.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    pub(super) fn speaks(&self, protocol: &str) -> bool {
        self.join.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// When the session ends, unless the member waits for us.
    pub(super) fn session_end(&self) -> Option<Instant> {
        (self.joining.is_none() && self.syncing.is_none()).then(|| self.seen + self.join.session_timeout)
    }

    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.session_end().is_some_and(|end| end <= now)
    }

    /// Answers whatever the member waits for with an error.
    pub(super) fn fence(&mut self, error: ResponseError) {
        if let Some(reply) = self.joining.take() {
            answer(reply, Err(Refusal { error, member_id: self.join.member_id.clone() }));
        }
        if let Some(reply) = self.syncing.take() {
            answer(reply, Err(error));
        }
    }
}

/// Whoever hung up does not get its answer; its session will end.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}
