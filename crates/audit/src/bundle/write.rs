//! Writes a bundle as it goes, to anything that takes bytes; nothing is kept but the chunk under way. It checks what it is
//! given as a verifier would, so that a bundle that cannot be verified is not written to its end.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};
use tenantry_contracts::Time;

use super::manifest::{Predicate, Statement};
use super::records::{Line, Records};
use super::tar::TarWriter;
use super::{
    ATTACHMENTS, CONSISTENCY, EVENTS, FIRST, HEADS, HEADS_PROOF, HeadLine, INCLUSION, KEYS, LAST, LEAVES,
    MANIFEST, README, Refused, SELECTION, Selection, proof_text, refused,
};
use crate::heads::head_leaf;
use crate::log::{self, Hash};
use crate::{Head, Heads, Signer};

/// From how many bytes on a chunk of records is written.
const CHUNK: usize = 1 << 20;
/// The instructions that lie in every bundle.
const INSTRUCTIONS: &str = include_str!("instructions.txt");

/// The proofs of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proofs {
    consistency: Vec<Hash>,
    inclusion: Vec<Hash>,
}

impl Proofs {
    /// Made from the stored digests of the leaves: that the log at the last size begins with that at the first, and that
    /// the leaves with these indices, ascending, are in it. Asks twice for every leaf at most, in ascending order.
    ///
    /// # Errors
    /// What `leaf` says.
    pub fn make<E>(
        first_size: u64,
        last_size: u64,
        indices: &[u64],
        mut leaf: impl FnMut(u64) -> Result<Hash, E>,
    ) -> Result<Self, E> {
        let consistency = log::consistency(first_size.min(last_size), last_size, &mut leaf)?;
        Ok(Self { consistency, inclusion: log::cover(indices, last_size, leaf)? })
    }
}

/// What a bundle begins with.
#[derive(Clone, Copy, Debug)]
pub struct Contents<'a> {
    /// What was selected.
    pub selection: &'a Selection,
    /// The signed statements by which keys took over, the oldest first.
    pub rotations: &'a [Vec<u8>],
    /// The signed checkpoint from which on the log is proved to be the same: the one that the reader knows, or the one
    /// before the window.
    pub first: &'a [u8],
    /// The signed checkpoint against which everything is proved.
    pub last: &'a [u8],
    /// The ends of all chains at the last checkpoint.
    pub heads: &'a Heads,
    /// The proofs.
    pub proofs: &'a Proofs,
}

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file did not take it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was given cannot stand in a bundle.
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// Writes a bundle.
pub struct Writer<'a, W> {
    tar: TarWriter<W>,
    members: Vec<(String, Hash)>,
    records: Records<'a>,
    heads: HashMap<String, Head>,
    chunk: u64,
    line: Line,
    leaves: Vec<u8>,
    events: Vec<u8>,
    next: u64,
}

impl<'a, W: Write> Writer<'a, W> {
    /// Writes everything that comes before the records.
    ///
    /// # Errors
    /// `chain_unknown` where a selected chain has no end; the file does not take it.
    pub fn begin(out: W, contents: Contents<'a>) -> Result<Self, WriteError> {
        let Contents { selection, rotations, first, last, heads, proofs } = contents;
        let (lines, proof, ends) = heads_of(selection, heads)?;
        let mut writer = Self {
            tar: TarWriter(out),
            members: Vec::new(),
            records: Records::new(selection),
            heads: ends,
            chunk: 1,
            line: Line { member: chunk_name(EVENTS, 1).into(), line: 0 },
            leaves: Vec::new(),
            events: Vec::new(),
            next: 0,
        };
        writer.member(README, INSTRUCTIONS.as_bytes())?;
        writer.member(SELECTION, &json(selection)?)?;
        for (at, note) in (1..).zip(rotations) {
            writer.member(&format!("{KEYS}{at:06}.note"), note)?;
        }
        writer.member(FIRST, first)?;
        writer.member(LAST, last)?;
        writer.member(CONSISTENCY, proof_text(&proofs.consistency).as_bytes())?;
        writer.member(HEADS, &lines)?;
        writer.member(HEADS_PROOF, proof_text(&proof).as_bytes())?;
        writer.member(INCLUSION, proof_text(&proofs.inclusion).as_bytes())?;
        Ok(writer)
    }

    /// The next record, in the order of the log: its index, and its value's exact bytes.
    ///
    /// # Errors
    /// `record_not_one_line`; `record_refused` for a record that is not the next one of its slice; the file does not
    /// take it.
    pub fn record(&mut self, index: u64, value: &[u8]) -> Result<(), WriteError> {
        if value.contains(&b'\n') {
            let message =
                format!("leaf {index}: the value has a line feed in it; only compact JSON can be bundled");
            return Err(refused("record_not_one_line", message).into());
        }
        if index < self.next {
            let message =
                format!("leaf {index} comes after leaf {}; give them in ascending order", self.next - 1);
            return Err(refused("record_refused", message).into());
        }
        self.next = index + 1;
        self.line.line += 1;
        self.records.hear(value, &self.line);
        if let Some(finding) = self.records.finding() {
            let message = format!("leaf {index}: {finding}; verify the topic before exporting from it");
            return Err(refused("record_refused", message).into());
        }
        self.leaves.extend_from_slice(format!("{index}\n").as_bytes());
        self.events.extend_from_slice(value);
        self.events.push(b'\n');
        if self.events.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    /// A further document, after the records: `path` is relative, of letters, digits, `.`, `_`, `-` and `/`.
    ///
    /// # Errors
    /// The path cannot stand in a bundle, the content has not `size` bytes, or the file does not take it.
    pub fn attach(&mut self, path: &str, size: u64, content: impl Read) -> Result<(), WriteError> {
        self.flush()?;
        self.copy(&format!("{ATTACHMENTS}{path}"), size, content)
    }

    /// Writes the manifest, and gives back what was written to.
    ///
    /// # Errors
    /// `selection_refused`: the records are not all that was selected; the file does not take it.
    pub fn finish(mut self, signer: &Signer, made: Time, generator: &str) -> Result<W, WriteError> {
        self.flush()?;
        if let Some(finding) = self.records.finish(&self.heads) {
            let message = format!("{finding}; give every record of the selection");
            return Err(refused("selection_refused", message).into());
        }
        let predicate = Predicate { made, generator: generator.to_owned() };
        let statement = Statement::new(self.members, predicate);
        let envelope = statement.seal(signer).map_err(io::Error::from)?;
        self.tar.member(MANIFEST, envelope.len() as u64, envelope.as_slice())?;
        Ok(self.tar.finish()?)
    }

    /// Writes the chunk under way.
    fn flush(&mut self) -> Result<(), WriteError> {
        if self.events.is_empty() {
            return Ok(());
        }
        let (leaves, events) = (std::mem::take(&mut self.leaves), std::mem::take(&mut self.events));
        self.member(&chunk_name(LEAVES, self.chunk), &leaves)?;
        self.member(&chunk_name(EVENTS, self.chunk), &events)?;
        self.chunk += 1;
        self.line = Line { member: chunk_name(EVENTS, self.chunk).into(), line: 0 };
        Ok(())
    }

    fn member(&mut self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        self.copy(name, content.len() as u64, content)
    }

    fn copy(&mut self, name: &str, size: u64, content: impl Read) -> Result<(), WriteError> {
        let mut hashing = Hashing { content, digest: Sha256::new() };
        self.tar.member(name, size, &mut hashing)?;
        self.members.push((name.to_owned(), hashing.digest.finalize().into()));
        Ok(())
    }
}

/// The lines of `heads.ndjson` and the proof for them.
#[allow(clippy::type_complexity, reason = "three views of the same ends, used once")]
fn heads_of(
    selection: &Selection,
    heads: &Heads,
) -> Result<(Vec<u8>, Vec<Hash>, HashMap<String, Head>), WriteError> {
    let missing = selection.chains.iter().find(|slice| heads.get(&slice.chain).is_none());
    if let Some(slice) = missing {
        let message = format!("the last checkpoint knows no chain {}", slice.chain);
        return Err(refused("chain_unknown", message).into());
    }
    let wanted: BTreeSet<&str> = selection.chains.iter().map(|slice| slice.chain.as_str()).collect();
    let mut ends = HashMap::new();
    let (mut lines, mut indices, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (chain, head)) in (0..).zip(heads.iter()) {
        leaves.push(head_leaf(chain, head));
        if wanted.contains(chain) {
            let line = HeadLine { chain: chain.to_owned(), index, seq: head.seq, digest: head.prev() };
            lines.extend(json(&line)?);
            lines.push(b'\n');
            indices.push(index);
            ends.insert(chain.to_owned(), head);
        }
    }
    let leaf = |index: u64| {
        let leaf = usize::try_from(index).ok().and_then(|index| leaves.get(index)).copied();
        leaf.ok_or_else(|| refused("internal", "a chain has no place among the chains; report this"))
    };
    let proof = log::cover(&indices, leaves.len() as u64, leaf)?;
    Ok((lines, proof, ends))
}

fn chunk_name(folder: &str, number: u64) -> String {
    let ending = if folder == LEAVES { "txt" } else { "ndjson" };
    format!("{folder}{number:06}.{ending}")
}

fn json(value: &impl Serialize) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}

/// Takes the digest of what passes.
struct Hashing<R> {
    content: R,
    digest: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.digest.update(&buffer[..read]);
        Ok(read)
    }
}
