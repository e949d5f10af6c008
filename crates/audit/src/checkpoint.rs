//! Checkpoints: how far the log was, what its root was, and where each chain ended. Signed, they are what everything
//! else is proved against.
//!
//! The text is C2SP's `tlog-checkpoint`: the log's origin, the number of leaves, the root in base64. The lines after
//! these are ours:
//!
//! ```text
//! time 2026-11-21T22:38:48.000Z        when it was made; also when nothing had happened, so that silence is provable
//! heads 7 <base64>                     how many chains there are, and the root over their ends
//! previous <base64>                    SHA-256 of the text of the checkpoint before; the first one has none
//! read 0 1234                          of partition 0, everything below offset 1234 is in the log
//! ```

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use tenantry_contracts::Time;

use crate::key::{PublicKey, Signer, is_name};
use crate::log::Hash;
use crate::note::{self, Note, NoteError};

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log, and of the keys that sign for it, as in `tenantry.example.com/audit/prod`.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// When it was made.
    pub time: Time,
    /// How many chains there are.
    pub chains: u64,
    /// The root over their ends ([`crate::Heads`]).
    pub heads: Hash,
    /// SHA-256 of the text of the checkpoint before.
    pub previous: Option<Hash>,
    /// Of each partition the offset that is read next.
    pub read: Vec<(i32, i64)>,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root);
        let mut text = format!("{}\n{}\n{root}\ntime {}\n", self.origin, self.size, self.time);
        text.push_str(&format!("heads {} {}\n", self.chains, STANDARD.encode(self.heads)));
        if let Some(previous) = &self.previous {
            text.push_str(&format!("previous {}\n", STANDARD.encode(previous)));
        }
        for (partition, offset) in &self.read {
            text.push_str(&format!("read {partition} {offset}\n"));
        }
        text
    }

    /// What the next checkpoint says of this one.
    pub fn digest(&self) -> Hash {
        Sha256::digest(self.text()).into()
    }

    /// Signed.
    ///
    /// # Errors
    /// `Malformed` where the origin is no name.
    pub fn sign(&self, signers: &[&Signer]) -> Result<String, NoteError> {
        if !is_name(&self.origin) {
            return Err(NoteError::Malformed);
        }
        note::sign(&self.text(), signers)
    }

    /// Reads the text of a checkpoint. Lines of later versions are passed over.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        parse(text).ok_or(NoteError::Malformed)
    }

    /// Reads a signed checkpoint that at least one of these keys signed.
    ///
    /// # Errors
    /// What is wrong with the note, its signatures or its text.
    pub fn open(note: &[u8], keys: &[PublicKey]) -> Result<Self, NoteError> {
        Self::open_with(note, keys).map(|(checkpoint, _)| checkpoint)
    }

    /// The same, and which of the keys signed it. A key of another name than the log's does not count.
    pub(crate) fn open_with(note: &[u8], keys: &[PublicKey]) -> Result<(Self, Vec<usize>), NoteError> {
        let note = Note::read(note)?;
        let checkpoint = Self::parse(note.text)?;
        let mut signers = note.signed_by(keys)?;
        signers.retain(|at| keys[*at].name().is_none_or(|name| name == checkpoint.origin));
        if signers.is_empty() { Err(NoteError::Unknown) } else { Ok((checkpoint, signers)) }
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let origin = lines.next().filter(|origin| is_name(origin))?.to_owned();
    let size = number(lines.next()?)?;
    let root = hash(lines.next()?)?;
    let (mut time, mut heads, mut previous, mut read) = (None, None, None, Vec::new());
    for line in lines {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("", _) => return None,
            ("time", at) => time = Some(Time::parse(at).filter(|time| time.to_string() == at)?),
            ("heads", both) => {
                let (count, root) = both.split_once(' ')?;
                heads = Some((number(count)?, hash(root)?));
            }
            ("previous", digest) => previous = Some(hash(digest)?),
            ("read", both) => {
                let (partition, offset) = both.split_once(' ')?;
                read.push((partition.parse().ok()?, offset.parse().ok()?));
            }
            _ => {}
        }
    }
    let (chains, heads) = heads?;
    Some(Checkpoint { origin, size, root, time: time?, chains, heads, previous, read })
}

/// Decimal, without a sign and without leading zeroes.
pub(crate) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// 32 bytes in base64.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}
