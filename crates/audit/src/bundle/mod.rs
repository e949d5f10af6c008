//! Evidence: one file that an auditor can check with a public key, a year later, with no network.
//!
//! A bundle is a tar ([`tar`] says in which one form). Its members, in this order:
//!
//! | member | what |
//! |---|---|
//! | `README.txt` | how to verify it |
//! | `selection.json` | which chains, from where to where ([`Selection`]) |
//! | `keys/000001.note` ... | each time another key took over ([`crate::Rotation`]), the oldest first |
//! | `checkpoints/first.note`, `checkpoints/last.note` | two signed checkpoints of the log |
//! | `proofs/consistency.txt` | that the log of the last begins with that of the first: digests in base64, one a line |
//! | `heads.ndjson` | where each selected chain ends in the log |
//! | `proofs/heads.txt` | that the last checkpoint says the same ([`crate::log::cover`]) |
//! | `proofs/inclusion.txt` | that all records are in the log, at their places ([`crate::log::cover`]) |
//! | `leaves/000001.txt`, `events/000001.ndjson` ... | the places of records in the log, and each record's exact bytes, one a line |
//! | `attachments/...` | further documents: receipts, decisions, approvals, history, provenance |
//! | `manifest.dsse.json` | the SHA-256 of all of these, signed |
//!
//! The values of audit events have no line feed in them, because they are compact JSON; one that had would be refused.
//! An exporter makes two passes over the leaves: [`Selector`] finds which are needed, [`Writer`] writes them.

mod finding;
mod manifest;
mod read;
mod records;
mod selection;
mod tar;
mod write;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

pub use finding::{Finding, Kind, Place, Proved, Verdict};
pub use read::{Trust, verify_bundle};
pub use selection::{Bound, Selection, Selector, Slice};
pub use write::{Contents, Proofs, WriteError, Writer};

use crate::log::Hash;

/// The type of the statement in the manifest.
pub const PREDICATE: &str = "https://tenantry.dev/evidence/v1";

const README: &str = "README.txt";
const SELECTION: &str = "selection.json";
const KEYS: &str = "keys/";
const FIRST: &str = "checkpoints/first.note";
const LAST: &str = "checkpoints/last.note";
const CONSISTENCY: &str = "proofs/consistency.txt";
const HEADS: &str = "heads.ndjson";
const HEADS_PROOF: &str = "proofs/heads.txt";
const INCLUSION: &str = "proofs/inclusion.txt";
const LEAVES: &str = "leaves/";
const EVENTS: &str = "events/";
const ATTACHMENTS: &str = "attachments/";
const MANIFEST: &str = "manifest.dsse.json";

/// Where a chain ends: a line of `heads.ndjson`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadLine {
    chain: String,
    /// Its place among all chains of the log.
    index: u64,
    seq: i64,
    /// Hexadecimal.
    digest: String,
}

/// Something that cannot be made, with its code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// The stable code.
    pub code: &'static str,
    /// What is wrong, where, and what to do.
    pub message: String,
}

pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Refused {
    Refused { code, message: message.into() }
}

fn proof_text(proof: &[Hash]) -> String {
    proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect()
}

/// The digests of a proof, or the number of the first line that is none.
fn read_proof(text: &[u8]) -> Result<Vec<Hash>, u64> {
    let hash = |(at, line)| std::str::from_utf8(line).ok().and_then(crate::checkpoint::hash).ok_or(at);
    (1..).zip(lines(text)).map(hash).collect()
}

/// The lines of a text; the last one ends with a line feed like the others.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let most = if text.is_empty() { 0 } else { usize::MAX };
    text.split(|byte| *byte == b'\n').take(most)
}
