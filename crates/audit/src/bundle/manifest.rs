//! The manifest: the SHA-256 of every member in order, as an in-toto statement in a signed DSSE envelope.

use serde::{Deserialize, Serialize};
use tenantry_contracts::Time;
use tenantry_contracts::dsse::{Envelope, signed_bytes};
use tenantry_contracts::time::rfc3339;

use super::PREDICATE;
use crate::key::{PublicKey, Signer};

/// The media type of a statement.
const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// The type of a statement.
const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What the manifest says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    /// The members in the order in which they lie in the file, but for the manifest itself.
    pub(super) subject: Vec<Subject>,
    predicate_type: String,
    pub(super) predicate: Predicate,
}

/// A member.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) digest: Sha256Digest,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sha256Digest {
    /// Hexadecimal.
    pub(super) sha256: String,
}

/// How the bundle came to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Predicate {
    /// When it was made.
    #[serde(with = "rfc3339")]
    pub(super) made: Time,
    /// The program that made it.
    pub(super) generator: String,
}

impl Statement {
    pub(super) fn new(members: Vec<(String, [u8; 32])>, predicate: Predicate) -> Self {
        let subject = members
            .into_iter()
            .map(|(name, digest)| Subject { name, digest: Sha256Digest { sha256: hex::encode(digest) } });
        Self {
            kind: STATEMENT.to_owned(),
            subject: subject.collect(),
            predicate_type: PREDICATE.to_owned(),
            predicate,
        }
    }

    /// In its envelope.
    pub(super) fn seal(&self, signer: &Signer) -> Result<Vec<u8>, serde_json::Error> {
        let payload = serde_json::to_vec(self)?;
        let keyid = signer.public().id();
        serde_json::to_vec(&Envelope::seal(MEDIA_TYPE, &payload, &keyid, |message| signer.sign(message)))
    }
}

/// Why a manifest is not believed.
pub(super) enum Distrust {
    Altered,
    UnknownKey,
}

/// Opens the envelope with one of these keys. Of the envelope too every byte must be as it was written.
pub(super) fn open(envelope: &[u8], keys: &[PublicKey]) -> Result<Statement, Distrust> {
    let read: Envelope = serde_json::from_slice(envelope).map_err(|_| Distrust::Altered)?;
    let same = serde_json::to_vec(&read).is_ok_and(|again| again == envelope);
    let [signed] = read.signatures.as_slice() else { return Err(Distrust::Altered) };
    let (payload, signature) = (read.payload(), signed.bytes());
    let (Some(payload), Some(signature)) = (payload, signature) else { return Err(Distrust::Altered) };
    let message = signed_bytes(MEDIA_TYPE, &payload);
    let Some(key) = keys.iter().find(|key| key.signed(&message, &signature)) else {
        let known = keys.iter().any(|key| key.id() == signed.keyid);
        return Err(if known { Distrust::Altered } else { Distrust::UnknownKey });
    };
    if !same || read.payload_type != MEDIA_TYPE || key.id() != signed.keyid {
        return Err(Distrust::Altered);
    }
    let statement: Statement = serde_json::from_slice(&payload).map_err(|_| Distrust::Altered)?;
    let ours = statement.kind == STATEMENT && statement.predicate_type == PREDICATE;
    if ours { Ok(statement) } else { Err(Distrust::Altered) }
}
