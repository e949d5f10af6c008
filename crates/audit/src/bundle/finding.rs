//! What a verifier of bundles can find, each with its place, its exit code and what to do about it.

use std::fmt;

use serde::Serialize;
use tenantry_contracts::Time;
use tenantry_contracts::time::rfc3339;

/// Declares [`Kind`] with its code, exit code, meaning and advice.
macro_rules! kinds {
    ($($name:ident = $code:literal, $exit:literal, $meaning:literal, $advice:literal;)*) => {
        /// The kinds of finding. Their names are stable, and the second verifier uses the same.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(into = "&'static str")]
        pub enum Kind {
            $(#[doc = concat!("`", $code, "`: ", $meaning, ".")] $name,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// 1 tampered, 2 incomplete, 3 unknown key.
            pub const fn exit(self) -> u8 {
                match self { $(Self::$name => $exit,)* }
            }

            /// What is wrong, in words.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// What the reader can do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

kinds! {
    BundleTruncated = "bundle_truncated", 2, "the file ends too early", "get the file again, whole";
    BundleMalformed = "bundle_malformed", 1, "the file is not in the form of a bundle from here on", "get the file again from who made it";
    ManifestAltered = "manifest_altered", 1, "the manifest is not what its key signed", "get the file again from who made it";
    MemberAltered = "member_altered", 1, "the member is not the one that the manifest was signed over", "get the file again from who made it";
    MemberMissing = "member_missing", 2, "the member is not there", "get the file again, whole";
    MemberUnknown = "member_unknown", 1, "the member is not the one that stands here in the manifest", "get the file again from who made it";
    MemberMalformed = "member_malformed", 1, "the member cannot be read", "ask who made the bundle to export it again";
    KeyUnknown = "key_unknown", 3, "no key that you trust signed this, nor one that took over from it", "get the right public key from its owner by another way";
    KeyOutOfTurn = "key_out_of_turn", 1, "the key signed a checkpoint before it took over or after another did", "treat the key as stolen until its owner can explain it";
    SignatureInvalid = "signature_invalid", 1, "the text is not what its key signed", "compare it with the checkpoint topic or the witness file";
    CheckpointOld = "checkpoint_old", 1, "the checkpoint is older than one that is known", "ask for an export against the newest checkpoint; if there is none, the log was cut or put back";
    CheckpointUnlinked = "checkpoint_unlinked", 2, "the bundle does not prove that its log goes on from the checkpoint you know", "export again from that checkpoint on";
    LogForked = "log_forked", 1, "the log is not a continuation of the one that is known", "keep both: two logs under one key prove that its owner changed history";
    HeadsAltered = "heads_altered", 1, "the ends of the chains are not those that the checkpoint was signed over", "ask who made the bundle to export it again";
    ChainMissing = "chain_missing", 2, "a chain that the selection speaks of, or that the log has, is left out", "ask for what is missing";
    ChainForked = "chain_forked", 1, "the chain does not end as the log says it does", "compare it with the topic: it was rewritten up to its end";
    SelectionIncomplete = "selection_incomplete", 2, "the slice does not reach the end of what was selected", "ask for what is missing";
    RecordUnreadable = "record_unreadable", 1, "the record is no audit event", "look at its bytes in the topic";
    RecordFormatUnknown = "record_format_unknown", 1, "the record has a format that this version does not know", "verify with a newer version";
    RecordUnselected = "record_unselected", 1, "the record is not one of those that were selected", "look who put it there";
    RecordDoubled = "record_doubled", 1, "the place in the chain is taken twice", "compare both records with the topic";
    RecordOutOfOrder = "record_out_of_order", 1, "the record comes after a later one", "compare with the topic: records were swapped";
    RecordMissing = "record_missing", 2, "the record is not there", "ask for what is missing";
    RecordAltered = "record_altered", 1, "the record's bytes are not those that the next record, or the beginning of the slice, speaks of", "compare the record with the topic";
    RecordsNotInLog = "records_not_in_log", 1, "the records are not those that the log has at these places", "compare the records and their places with the topic";
}

impl From<Kind> for &'static str {
    fn from(kind: Kind) -> Self {
        kind.as_str()
    }
}

/// Where something was found; each as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The member of the bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The line in it, counted from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// The record in the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    /// The byte of the file, counted from zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is.
    #[serde(rename = "code")]
    pub kind: Kind,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
}

impl Finding {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, place: Place::default() }
    }

    pub(super) fn at(kind: Kind, member: &str) -> Self {
        let mut finding = Self::new(kind);
        finding.place.member = Some(member.to_owned());
        finding
    }

    pub(super) fn line(mut self, line: u64) -> Self {
        self.place.line = Some(line);
        self
    }

    pub(super) fn chain(mut self, chain: &str, seq: Option<i64>) -> Self {
        (self.place.chain, self.place.seq) = (Some(chain.to_owned()), seq);
        self
    }

    pub(super) fn offset(mut self, offset: u64) -> Self {
        self.place.offset = Some(offset);
        self
    }
}

/// The code and the place, as the second verifier prints them too.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { member, line, chain, seq, offset } = &self.place;
        write!(f, "{}:", self.kind.as_str())?;
        let fields = [
            ("member", member.clone()),
            ("line", line.map(|line| line.to_string())),
            // Chains of a forged bundle can have any name.
            ("chain", chain.as_deref().map(|chain| chain.escape_debug().to_string())),
            ("seq", seq.map(|seq| seq.to_string())),
            ("offset", offset.map(|offset| offset.to_string())),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// What a bundle is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// 0 ok, 1 tampered, 2 incomplete, 3 unknown key.
    pub exit: u8,
    /// What is wrong; `None` where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Finding>,
    /// What is proved, where nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proved: Option<Proved>,
}

/// What a sound bundle proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// The log.
    pub origin: String,
    /// How many leaves the log had at the first checkpoint.
    pub first_size: u64,
    /// How many it had at the last one.
    pub size: u64,
    /// When the last checkpoint was made: nothing is said about what happened after it.
    #[serde(with = "rfc3339")]
    pub time: Time,
    /// When the bundle was made.
    #[serde(with = "rfc3339")]
    pub made: Time,
    /// The program that made it.
    pub generator: String,
    /// Records in the bundle.
    pub records: u64,
    /// Chains in the bundle.
    pub chains: u64,
    /// These are all chains that the log has.
    pub all: bool,
    /// Further documents, each as it was when the bundle was made.
    pub attachments: u64,
}
