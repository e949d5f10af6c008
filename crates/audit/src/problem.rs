//! What a verifier can find, with the place and what to do about it.

use std::fmt;

use serde::Serialize;
use tenantry_contracts::Origin;

/// The kinds of breach. Their names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "&'static str")]
pub enum Breach {
    /// A record of a chain is not there.
    Missing,
    /// The bytes of a record are not those that the next record, the chain's beginning or the store speaks of.
    Altered,
    /// The same place in a chain is taken by two records with different bytes.
    Doubled,
    /// The first occurrence of a record comes after that of a later one.
    OutOfOrder,
    /// A record that is no audit event.
    Unreadable,
    /// A record under the key of another chain, or in a chain that it does not belong to.
    WrongChain,
    /// A record of a format that this version does not know.
    FormatUnknown,
    /// A record or a chain that the store does not have.
    Unknown,
}

impl Breach {
    /// Every breach.
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Altered,
        Self::Doubled,
        Self::OutOfOrder,
        Self::Unreadable,
        Self::WrongChain,
        Self::FormatUnknown,
        Self::Unknown,
    ];

    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "audit_missing",
            Self::Altered => "audit_altered",
            Self::Doubled => "audit_doubled",
            Self::OutOfOrder => "audit_out_of_order",
            Self::Unreadable => "audit_unreadable",
            Self::WrongChain => "audit_wrong_chain",
            Self::FormatUnknown => "audit_format_unknown",
            Self::Unknown => "audit_unknown",
        }
    }

    /// What the reader can do about it, in one sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Missing => {
                "compare with the journal, and look whether retention or a person deleted records"
            }
            Self::Altered => {
                "compare both records with the journal; whoever can write to the topic or the store can have done it"
            }
            Self::Doubled => "compare both records with the journal; a second writer used this chain",
            Self::OutOfOrder => "look for a second writer, or for a copy of the topic that kept no order",
            Self::Unreadable => "look at the record's bytes; only the coordinator writes to this topic",
            Self::WrongChain => "look who wrote the record; it was moved from another chain",
            Self::FormatUnknown => "verify with the version of the fleet that wrote it, or a newer one",
            Self::Unknown => "look who wrote it; the store never did",
        }
    }
}

impl From<Breach> for &'static str {
    fn from(breach: Breach) -> Self {
        breach.as_str()
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first problem of an audit trail, and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "{breach}: {} record {}{}: {message}; {}",
    .chain.as_deref().map_or("no chain,".to_owned(), |chain| format!("chain {chain},")),
    .seq.map_or("?".to_owned(), |seq| seq.to_string()),
    .at.as_ref().map(|at| format!(" at {at}")).unwrap_or_default(),
    .breach.advice()
)]
pub struct Problem {
    /// What is wrong.
    #[serde(rename = "code")]
    pub breach: Breach,
    /// The chain; of a record that cannot be read, its key.
    pub chain: Option<String>,
    /// The place in the chain.
    pub seq: Option<i64>,
    /// Where the record was heard that showed it.
    pub at: Option<Origin>,
    /// In words.
    pub message: String,
}
