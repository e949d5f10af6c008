//! What people decide, as records on `tenant.operations`.

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::{self, Outgoing};
use crate::{Code, Environment, Record, Refusal, RequestId, RowName, Slug, TenantId, Time, limits, strict};

/// The CloudEvents type of an operation.
pub const TYPE: &str = "tenant.operation.v1";

/// A verb of a person about one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Source and id: the same pair is the same operation, and is done once.
    #[serde(deserialize_with = "strict::object")]
    pub id: RequestId,
    /// What to do.
    pub verb: OperationVerb,
    /// About whom.
    #[serde(deserialize_with = "strict::object")]
    pub target: Target,
    /// The tenant's version that the person saw; the operation is refused where it moved on. Absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<i64>,
    /// The digest of what the person saw, hexadecimal, as the gate showed it: the decision is about that and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// Who decided.
    #[serde(deserialize_with = "strict::object")]
    pub actor: Actor,
    /// Why. Part of the audit; must not be empty.
    pub reason: String,
}

impl Operation {
    /// The record's headers and value. Its key is the target's slug.
    ///
    /// # Errors
    /// Where the operation has no JSON form; it always has.
    pub fn encode(&self, at: Time) -> Result<(Vec<(String, Bytes)>, Bytes), serde_json::Error> {
        let slug = self.target.slug.as_str();
        let RequestId { source, id } = &self.id;
        let headers = Outgoing { kind: TYPE, id, source, time: at, subject: slug, key: slug }.headers();
        Ok((headers, serde_json::to_vec(self)?.into()))
    }
}

/// Reads a record on `tenant.operations`, in any mode of CloudEvents.
///
/// # Errors
/// As for requests: the limits of documents, `envelope_invalid` (also where envelope and body disagree about the id),
/// `type_unknown`, `version_unknown`, breaches of the schema with their pointer, `reason_missing`.
pub fn decode_operation(record: &Record) -> Result<Operation, Refusal> {
    let envelope = envelope::read(record)?;
    let text = limits::check(envelope.data)?.text;
    if let Some(kind) = envelope.attributes.kind.as_deref().filter(|kind| *kind != TYPE) {
        let code =
            if kind.starts_with("tenant.operation.v") { Code::VersionUnknown } else { Code::TypeUnknown };
        return Err(Refusal::new(code, format!("this topic carries {TYPE}")));
    }
    let operation: Operation = strict::read(text)?;
    let attribute = |name: &str, text: &str| {
        let sound =
            (1..=envelope::ATTRIBUTE_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        let message = "expected 1 to 256 bytes without control characters";
        if sound { Ok(()) } else { Err(Refusal::new(Code::FieldInvalid, message).at(name)) }
    };
    attribute("/id/source", &operation.id.source)?;
    attribute("/id/id", &operation.id.id)?;
    attribute("/actor/name", &operation.actor.name)?;
    if operation.reason.trim().is_empty() {
        return Err(Refusal::new(Code::ReasonMissing, "an operation needs a reason").at("/reason"));
    }
    let said = &envelope.attributes;
    let differs = |said: &Option<String>, have: &str| said.as_deref().is_some_and(|said| said != have);
    if differs(&said.id, &operation.id.id) || differs(&said.source, &operation.id.source) {
        return Err(Refusal::new(Code::EnvelopeInvalid, "envelope and body name different ids or sources"));
    }
    Ok(operation)
}

/// What a person can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OperationVerb {
    /// Go on from what failed: HELD and STUCK.
    Retry,
    /// Undo everything: until the pivot.
    Cancel,
    /// Say yes at a gate.
    Approve(RowName),
    /// Say no at a gate.
    Reject(RowName),
}

impl OperationVerb {
    /// The verb's word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Approve(_) => "approve",
            Self::Reject(_) => "reject",
        }
    }
}

/// The tenant an operation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its slug: also the record's key, so that the operation finds the tenant's lane.
    pub slug: Slug,
    /// Its environment.
    #[serde(default)]
    pub environment: Environment,
    /// Its id, where the person names one tenant among those that had the slug. Absent: the one that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// An account name; never an e-mail address or another personal datum of a tenant's people.
    pub name: String,
    /// Whether the fleet could verify it. The operating system's user alone is not verified.
    #[serde(default)]
    pub verified: bool,
}
