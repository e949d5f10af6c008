//! Signed documents as DSSE has them (secure-systems-lab/dsse, v1): the exact bytes, their media type, and signatures over
//! both. Keys and their arithmetic are elsewhere; this is only the form.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// An envelope with a document and its signatures. Nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Envelope {
    /// The media type of the document.
    pub payload_type: String,
    /// The document in base64.
    pub payload: String,
    /// Who signed it.
    pub signatures: Vec<Signed>,
}

/// A signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Which key.
    pub keyid: String,
    /// The signature in base64.
    pub sig: String,
}

impl Envelope {
    /// A document signed by one key. `sign` gets the bytes that DSSE signs.
    pub fn seal(kind: &str, payload: &[u8], keyid: &str, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Self {
        let sig = STANDARD.encode(sign(&signed_bytes(kind, payload)));
        Self {
            payload_type: kind.to_owned(),
            payload: STANDARD.encode(payload),
            signatures: vec![Signed { keyid: keyid.to_owned(), sig }],
        }
    }

    /// The document. `None` where it is no base64.
    pub fn payload(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.payload).ok()
    }
}

impl Signed {
    /// The signature's bytes. `None` where they are no base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.sig).ok()
    }
}

/// What is signed: media type and document, each with its length, so that no other pair has the same bytes.
pub fn signed_bytes(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}
