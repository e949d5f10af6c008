//! What people decide, as records on `tenant.operations`.

mod stopped;
mod verb;

pub use stopped::Stopped;
pub use verb::{Deed, DeedKind, OperationVerb, Scope};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::{self, Outgoing};
use crate::{
    Code, Environment, Headers, Record, Refusal, RequestId, Slug, TenantId, Time, dsse, limits, strict,
};

/// The CloudEvents type of an operation.
pub const TYPE: &str = "tenant.operation.v1";

/// The key of operations that are about the lane that hears them.
pub const PLATFORM: &str = "platform";
/// The media type of what people sign.
pub const MEDIA_TYPE: &str = "application/vnd.tenantry.operation+json";

/// A verb of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Source and id: the same pair is the same operation, and is done once.
    #[serde(deserialize_with = "strict::object")]
    pub id: RequestId,
    /// What to do.
    pub verb: OperationVerb,
    /// About which tenant. Absent: about the lane that hears it, on whatever partition of the topic it comes.
    #[serde(default, deserialize_with = "strict::maybe_object", skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
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
    /// A second person who answers for it, where the verb needs one; never the first.
    #[serde(default, deserialize_with = "strict::maybe_object", skip_serializing_if = "Option::is_none")]
    pub second: Option<Actor>,
    /// What these people signed: see [`Operation::signed_bytes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

impl Operation {
    /// An operation of one person, about whatever version stands, not signed.
    pub fn new(
        id: RequestId,
        verb: OperationVerb,
        target: Option<Target>,
        actor: &str,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            id,
            verb,
            target,
            expected_version: None,
            seen: None,
            actor: Actor::unverified(actor),
            reason: reason.into(),
            second: None,
            signatures: Vec::new(),
        }
    }

    /// The record's headers and value. Its key is the target's slug.
    ///
    /// # Errors
    /// Where the operation has no JSON form; it always has.
    pub fn encode(&self, at: Time) -> Result<(Headers, Bytes), serde_json::Error> {
        let key = self.key();
        let RequestId { source, id } = &self.id;
        let headers = Outgoing { kind: TYPE, id, source, time: at, subject: key, key }.headers();
        Ok((headers, serde_json::to_vec(self)?.into()))
    }

    /// The record's key.
    pub fn key(&self) -> &str {
        self.target.as_ref().map_or(PLATFORM, |target| target.slug.as_str())
    }

    /// What its people sign: the DSSE bytes over the operation's compact JSON with the members in the order of this type,
    /// without its signatures, and with nobody verified.
    ///
    /// # Errors
    /// Where the operation has no JSON form; it always has.
    pub fn signed_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bare = Self { signatures: Vec::new(), ..self.clone() };
        bare.actor.verified = false;
        if let Some(second) = &mut bare.second {
            second.verified = false;
        }
        Ok(dsse::signed_bytes(MEDIA_TYPE, &serde_json::to_vec(&bare)?))
    }

    /// A second person who is another one than the first.
    ///
    /// # Errors
    /// `second_missing`, `second_is_actor`.
    pub fn needs_second(&self) -> Result<&Actor, Refusal> {
        let second = self.second.as_ref().ok_or_else(|| {
            let message = format!("{} needs a second person", self.verb.as_str());
            Refusal::new(Code::SecondMissing, message).at("/second")
        })?;
        if same_account(&second.name, &self.actor.name) {
            let message = format!("{} is the first person already", second.name);
            return Err(Refusal::new(Code::SecondIsActor, message).at("/second/name"));
        }
        Ok(second)
    }
}

/// Whether two names are one account: case and outer white space do not tell people apart.
pub fn same_account(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
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
    if let Some(second) = &operation.second {
        attribute("/second/name", &second.name)?;
    }
    match (operation.verb.about_tenant(), &operation.target) {
        (Some(true), None) => {
            let message = format!("{} is about a tenant; name it", operation.verb.as_str());
            return Err(Refusal::new(Code::FieldMissing, message).at("/target"));
        }
        (Some(false), Some(_)) => {
            let message = format!("{} is not about one tenant", operation.verb.as_str());
            return Err(Refusal::new(Code::FieldInvalid, message).at("/target"));
        }
        _ => {}
    }
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

/// When a person said it (`ce_time`), else when the record was written.
pub fn said_at(record: &Record) -> Time {
    envelope::read(record).ok().and_then(|envelope| envelope.attributes.time).unwrap_or(record.at)
}

/// A person's signature over an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// The account whose key it is.
    pub account: String,
    /// Ed25519, in base64.
    pub sig: String,
}

impl Signature {
    /// A signature of this account's key.
    pub fn new(account: &str, sig: &[u8; 64]) -> Self {
        Self { account: account.to_owned(), sig: STANDARD.encode(sig) }
    }

    /// The signature's bytes. `None` where they are no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.sig).ok()
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// An account name; never an e-mail address or another personal datum of a tenant's people.
    pub name: String,
    /// Whether the fleet verified it, by a signature with the account's key. What a record says of this itself counts
    /// nothing: whoever hears it decides.
    #[serde(default)]
    pub verified: bool,
}

impl Actor {
    /// An account that nobody verified (yet).
    pub fn unverified(name: &str) -> Self {
        Self { name: name.to_owned(), verified: false }
    }
}
