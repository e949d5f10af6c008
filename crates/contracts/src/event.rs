//! What the fleet says to upstream systems on `tenant.events`: the answer to each request, and public facts.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::read_body;
use crate::envelope::Outgoing;
use crate::steps::Notice;
use crate::{
    Environment, Headers, Json, Origin, Record, Refusal, RequestId, RowName, SagaId, Slug, State, TenantId,
    Time, time::rfc3339,
};

/// What happened; the CloudEvents type is `tenant.<kind>.v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The request became a saga.
    RequestAccepted,
    /// The request was heard before; the tenant is the one it made.
    RequestDuplicate,
    /// The request was refused; `refusal` says why and where.
    RequestRejected,
    /// The record could not be read; it lies in `tenant.quarantine`.
    RequestQuarantined,
    /// The tenant is ACTIVE.
    Provisioned,
    /// A final *no* before anything was made.
    Rejected,
    /// Everything was undone.
    RolledBack,
    /// A person must act: held, stuck, blocked or awaiting a decision.
    AttentionNeeded,
    /// Something that somebody should know, although nothing failed.
    Notice,
    /// An operation of a person was taken up.
    OperationAccepted,
    /// An operation of a person was refused.
    OperationRefused,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::RequestAccepted,
        Self::RequestDuplicate,
        Self::RequestRejected,
        Self::RequestQuarantined,
        Self::Provisioned,
        Self::Rejected,
        Self::RolledBack,
        Self::AttentionNeeded,
        Self::Notice,
        Self::OperationAccepted,
        Self::OperationRefused,
    ];

    /// The CloudEvents type.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::RequestAccepted => "tenant.request.accepted.v1",
            Self::RequestDuplicate => "tenant.request.duplicate.v1",
            Self::RequestRejected => "tenant.request.rejected.v1",
            Self::RequestQuarantined => "tenant.request.quarantined.v1",
            Self::Provisioned => "tenant.provisioned.v1",
            Self::Rejected => "tenant.rejected.v1",
            Self::RolledBack => "tenant.rolled-back.v1",
            Self::AttentionNeeded => "tenant.attention-needed.v1",
            Self::Notice => "tenant.notice.v1",
            Self::OperationAccepted => "tenant.operation.accepted.v1",
            Self::OperationRefused => "tenant.operation.refused.v1",
        }
    }
}

/// The value of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// What happened.
    pub event: EventKind,
    /// When, by the fleet's clock.
    #[serde(with = "rfc3339")]
    #[schemars(with = "String")]
    pub at: Time,
    /// The request or operation that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The tenant, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantRef>,
    /// Its state now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaId>,
    /// What the fleet filled in because the request did not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<Assumed>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What somebody should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// The gate that waits for a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<OpenGate>,
    /// The record that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What was made: the typed outputs of the steps by row, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Json>,
}

impl Event {
    /// An event that so far only has a name and a time.
    pub fn new(event: EventKind, at: Time) -> Self {
        Self {
            event,
            at,
            request: None,
            tenant: None,
            state: None,
            saga: None,
            assumed: Vec::new(),
            refusal: None,
            notices: Vec::new(),
            gate: None,
            origin: None,
            outputs: None,
        }
    }

    /// The record's headers and value. `id` must be the same each time the event is said, `source` names who says it
    /// (the fleet), `key` is the record's key: the slug, or the key of the record that is answered.
    ///
    /// # Errors
    /// Where the event has no JSON form; it always has.
    pub fn encode(&self, id: &str, source: &str, key: &str) -> Result<(Headers, Bytes), serde_json::Error> {
        let subject = self.tenant.as_ref().map_or(key, |tenant| tenant.slug.as_str());
        let kind = self.event.event_type();
        let headers = Outgoing { kind, id, source, time: self.at, subject, key }.headers();
        Ok((headers, serde_json::to_vec(self)?.into()))
    }

    /// Reads a record on `tenant.events`. Members of later versions are ignored.
    ///
    /// # Errors
    /// `empty_value`, `not_json`, or a breach of the schema with its pointer.
    pub fn decode(record: &Record) -> Result<Self, Refusal> {
        read_body(record)
    }
}

/// A gate that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct OpenGate {
    /// The row of the plan.
    pub row: RowName,
    /// The role that decides.
    pub role: String,
    /// The digest of what is to be seen, hexadecimal: an approval carries it.
    pub seen: String,
    /// Until when.
    #[serde(with = "rfc3339")]
    #[schemars(with = "String")]
    pub until: Time,
}

/// A tenant by all its names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct TenantRef {
    /// For ever.
    pub id: TenantId,
    /// While it lives.
    pub slug: Slug,
    /// Where it lives.
    pub environment: Environment,
}

/// A value that the request did not bring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Assumed {
    /// JSON pointer into the normalised request.
    pub field: String,
    /// The value, as text.
    pub value: String,
    /// Why this one.
    pub why: String,
}
