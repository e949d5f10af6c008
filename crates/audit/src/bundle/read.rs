//! Verifies a bundle in one pass, and names the first thing that is wrong.
//!
//! The order of the questions: is the file in its one form; is the manifest signed by a trusted key; is every member the
//! one that was signed over (if not, what in it shows that); are the checkpoints signed and in order; do they go on from
//! the one that is known; are the records linked, whole and in the log.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::finding::{Finding, Kind, Proved, Verdict};
use super::manifest::{self, Distrust, Statement};
use super::records::{Line, Records};
use super::tar::{Member, Stop, TarReader};
use super::{
    ATTACHMENTS, CONSISTENCY, EVENTS, FIRST, HEADS, HEADS_PROOF, HeadLine, INCLUSION, KEYS, LAST, LEAVES,
    MANIFEST, SELECTION, Selection, lines, read_proof,
};
use crate::heads::head_leaf;
use crate::log::{self, Hash};
use crate::note::NoteError;
use crate::rotation::{KeyRing, RingError};
use crate::{Checkpoint, Head, PublicKey, checkpoint, digest};

/// The most bytes of a member that is read as a whole.
const MOST: u64 = 1 << 28;

/// What the reader knows without the bundle.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Public keys that came from their owner by another way. Any one of a row that took over from each other is enough.
    pub keys: Vec<PublicKey>,
    /// A checkpoint that was kept from before, or read from the witness: the bundle's log must go on from it.
    pub known: Option<Checkpoint>,
}

/// Verifies a bundle. Reads it once, and keeps 40 bytes for each record.
///
/// # Errors
/// Only where `input` cannot be read. What is wrong with the bundle stands in the verdict.
pub fn verify_bundle(input: impl Read, trust: &Trust) -> io::Result<Verdict> {
    let verdict = |result: Result<Proved, Finding>| match result {
        Ok(proved) => Verdict { exit: 0, finding: None, proved: Some(proved) },
        Err(finding) => Verdict { exit: finding.kind.exit(), finding: Some(finding), proved: None },
    };
    let mut tar = TarReader::new(input);
    // What comes before the records; then the records, which are checked against it; then the rest.
    let mut bundle = Bundle::default();
    let next = match bundle.up_to_records(&mut tar) {
        Ok(next) => next,
        Err(stop) => return stopped(stop).map(|finding| verdict(Err(finding))),
    };
    let selection = bundle.parts.get(SELECTION).and_then(|bytes| Selection::read(bytes));
    let mut records = selection.as_ref().map(Records::new);
    if let Err(stop) = bundle.the_rest(&mut tar, next, &mut records) {
        return stopped(stop).map(|finding| verdict(Err(finding)));
    }
    Ok(verdict(bundle.judge(trust, selection.as_ref(), records)))
}

fn stopped(stop: Stop) -> io::Result<Finding> {
    match stop {
        Stop::Truncated(at) => Ok(Finding::new(Kind::BundleTruncated).offset(at)),
        Stop::Malformed(at) => Ok(Finding::new(Kind::BundleMalformed).offset(at)),
        Stop::Io(error) => Err(error),
    }
}

/// What was read of a bundle.
#[derive(Default)]
struct Bundle {
    /// The members in their order, but for the manifest.
    members: Vec<(String, Hash)>,
    /// What the members say that are read as a whole.
    parts: HashMap<String, Vec<u8>>,
    manifest: Option<Vec<u8>>,
    leaves: Vec<(u64, Hash)>,
    /// The first chunk of records that does not fit its places.
    chunk: Option<Finding>,
}

impl Bundle {
    /// Reads members up to the first chunk of records, which it gives, or to the end.
    fn up_to_records<R: Read>(&mut self, tar: &mut TarReader<R>) -> Result<Option<Member>, Stop> {
        while let Some(member) = tar.next()? {
            if member.name.starts_with(EVENTS) {
                return Ok(Some(member));
            }
            self.one(tar, member, None)?;
        }
        Ok(None)
    }

    /// Reads this member and everything after it.
    fn the_rest<R: Read>(
        &mut self,
        tar: &mut TarReader<R>,
        mut next: Option<Member>,
        records: &mut Option<Records<'_>>,
    ) -> Result<(), Stop> {
        while let Some(member) = next {
            self.one(tar, member, records.as_mut())?;
            next = tar.next()?;
        }
        Ok(())
    }

    fn one<R: Read>(
        &mut self,
        tar: &mut TarReader<R>,
        member: Member,
        records: Option<&mut Records<'_>>,
    ) -> Result<(), Stop> {
        let Member { name, size } = member;
        if name.starts_with(ATTACHMENTS) {
            let hash = pass(tar, size)?;
            self.members.push((name, hash));
            return Ok(());
        }
        let content = whole(tar, size)?;
        if name == MANIFEST && self.manifest.is_none() {
            self.manifest = Some(content);
            return Ok(());
        }
        self.members.push((name.clone(), digest(&content)));
        if name.starts_with(EVENTS) {
            self.records(&name, &content, records);
        } else {
            // A second member of the same name stands against the manifest.
            self.parts.insert(name, content);
        }
        Ok(())
    }

    /// A chunk of records, with the chunk of their places before it.
    fn records(&mut self, name: &str, content: &[u8], mut records: Option<&mut Records<'_>>) {
        let number = name.trim_start_matches(EVENTS).trim_end_matches(".ndjson");
        let places = format!("{LEAVES}{number}.txt");
        let leaves = self.parts.remove(&places).unwrap_or_default();
        let mut leaves = lines(&leaves);
        let mut line = Line { member: name.into(), line: 0 };
        for value in lines(content) {
            line.line += 1;
            if let Some(records) = records.as_deref_mut() {
                records.hear(value, &line);
            }
            let index = leaves.next().and_then(|text| std::str::from_utf8(text).ok());
            match index.and_then(checkpoint::number) {
                Some(index) => self.leaves.push((index, log::leaf_hash(value))),
                None => {
                    let at = || Finding::at(Kind::MemberMalformed, &places).line(line.line);
                    self.chunk.get_or_insert_with(at);
                }
            }
        }
        if leaves.next().is_some() {
            let at = || Finding::at(Kind::MemberMalformed, &places).line(line.line + 1);
            self.chunk.get_or_insert_with(at);
        }
    }

    fn judge(
        &self,
        trust: &Trust,
        selection: Option<&Selection>,
        records: Option<Records<'_>>,
    ) -> Result<Proved, Finding> {
        let ring = self.ring(trust)?;
        let manifest = self.manifest.as_ref().ok_or_else(|| Finding::at(Kind::MemberMissing, MANIFEST))?;
        let statement = manifest::open(manifest, ring.keys()).map_err(|distrust| match distrust {
            Distrust::Altered => Finding::at(Kind::ManifestAltered, MANIFEST),
            Distrust::UnknownKey => Finding::at(Kind::KeyUnknown, MANIFEST),
        })?;
        let heads = self.heads();
        let known_heads = heads.as_ref().map(|(heads, _)| heads.clone()).unwrap_or_default();
        let records = records.and_then(|records| records.finish(&known_heads)).or_else(|| self.chunk.clone());
        self.members_are_signed(&statement, records.as_ref())?;
        let (first, last) = self.checkpoints(&ring, trust.known.as_ref())?;
        let selection = selection.ok_or_else(|| self.unread(SELECTION))?;
        let (known_heads, leaves) = heads?;
        self.chains(selection, &last, &known_heads, &leaves)?;
        records.map_or(Ok(()), Err)?;
        let inclusion = self.proof(INCLUSION)?;
        if log::covered(&self.leaves, last.size, &inclusion) != Some(last.root) {
            return Err(Finding::at(Kind::RecordsNotInLog, INCLUSION));
        }
        let attachments = self.members.iter().filter(|(name, _)| name.starts_with(ATTACHMENTS)).count();
        Ok(Proved {
            origin: last.origin,
            first_size: first.size,
            size: last.size,
            time: last.time,
            made: statement.predicate.made,
            generator: statement.predicate.generator,
            records: self.leaves.len() as u64,
            chains: selection.chains.len() as u64,
            all: selection.all,
            attachments: attachments as u64,
        })
    }

    /// The trusted keys and those that took over from them.
    fn ring(&self, trust: &Trust) -> Result<KeyRing, Finding> {
        let mut names: Vec<&String> = self.parts.keys().filter(|name| name.starts_with(KEYS)).collect();
        names.sort();
        let rotations: Vec<Vec<u8>> =
            names.iter().filter_map(|name| self.parts.get(*name)).cloned().collect();
        KeyRing::new(&trust.keys, &rotations).map_err(|error| match error {
            RingError::Rotation(at, error) => {
                Finding::at(of_note(error), names.get(at).map_or(KEYS, |name| name.as_str()))
            }
            RingError::Unknown => {
                Finding::at(Kind::KeyUnknown, names.first().map_or(KEYS, |name| name.as_str()))
            }
        })
    }

    /// The members are those that the manifest names. Where one is not, what is wrong in it tells the place.
    fn members_are_signed(&self, statement: &Statement, records: Option<&Finding>) -> Result<(), Finding> {
        let mut members = self.members.iter();
        for subject in &statement.subject {
            let next = members.next();
            let (name, digest) = match next {
                Some(member) if member.0 == subject.name => member,
                Some((name, _)) if self.members.iter().any(|(name, _)| *name == subject.name) => {
                    return Err(Finding::at(Kind::MemberUnknown, name));
                }
                _ => return Err(Finding::at(Kind::MemberMissing, &subject.name)),
            };
            if hex::encode(digest) != subject.digest.sha256 {
                let mut finding = Finding::at(Kind::MemberAltered, name);
                if let Some(found) = records.filter(|found| found.place.member.as_deref() == Some(name)) {
                    finding.place = found.place.clone();
                }
                return Err(finding);
            }
        }
        match members.next() {
            Some((name, _)) => Err(Finding::at(Kind::MemberUnknown, name)),
            None => Ok(()),
        }
    }

    /// The two checkpoints: signed in turn, the second goes on from the first, and both from the one that is known.
    fn checkpoints(
        &self,
        ring: &KeyRing,
        known: Option<&Checkpoint>,
    ) -> Result<(Checkpoint, Checkpoint), Finding> {
        let first = self.checkpoint(FIRST, ring)?;
        let last = self.checkpoint(LAST, ring)?;
        let proof = self.proof(CONSISTENCY)?;
        if first.origin != last.origin {
            return Err(Finding::at(Kind::LogForked, FIRST));
        }
        if first.size > last.size || first.time > last.time {
            return Err(Finding::at(Kind::CheckpointOld, LAST));
        }
        if !log::extends((first.size, &first.root), (last.size, &last.root), &proof) {
            return Err(Finding::at(Kind::LogForked, CONSISTENCY));
        }
        let Some(known) = known else { return Ok((first, last)) };
        for (name, checkpoint) in [(FIRST, &first), (LAST, &last)] {
            let same = known.origin == checkpoint.origin
                && (known.size != checkpoint.size || known.root == checkpoint.root);
            if !same {
                return Err(Finding::at(Kind::LogForked, name));
            }
        }
        if last.size < known.size || last.time < known.time {
            return Err(Finding::at(Kind::CheckpointOld, LAST));
        }
        let linked = known.size == 0 || known.size == first.size || known.size == last.size;
        if linked { Ok((first, last)) } else { Err(Finding::at(Kind::CheckpointUnlinked, FIRST)) }
    }

    fn checkpoint(&self, name: &str, ring: &KeyRing) -> Result<Checkpoint, Finding> {
        let opened = Checkpoint::open_with(self.part(name)?, ring.keys());
        let (checkpoint, signers) = opened.map_err(|error| Finding::at(of_note(error), name))?;
        let in_turn = signers.iter().any(|key| ring.in_turn(*key, checkpoint.size));
        if in_turn { Ok(checkpoint) } else { Err(Finding::at(Kind::KeyOutOfTurn, name)) }
    }

    /// Where the chains end, by name and as leaves.
    #[allow(clippy::type_complexity, reason = "two views of the same lines, used once")]
    fn heads(&self) -> Result<(HashMap<String, Head>, Vec<(u64, Hash)>), Finding> {
        let (mut heads, mut leaves) = (HashMap::new(), Vec::new());
        for (at, line) in (1..).zip(lines(self.part(HEADS)?)) {
            let bad = || Finding::at(Kind::MemberMalformed, HEADS).line(at);
            let line: HeadLine = serde_json::from_slice(line).map_err(|_| bad())?;
            let mut digest = Hash::default();
            hex::decode_to_slice(&line.digest, &mut digest).map_err(|_| bad())?;
            let head = Head { seq: line.seq, digest };
            leaves.push((line.index, head_leaf(&line.chain, head)));
            if heads.insert(line.chain, head).is_some() {
                return Err(bad());
            }
        }
        Ok((heads, leaves))
    }

    /// The ends of the chains are the log's, and no chain of the selection is left out.
    fn chains(
        &self,
        selection: &Selection,
        last: &Checkpoint,
        heads: &HashMap<String, Head>,
        leaves: &[(u64, Hash)],
    ) -> Result<(), Finding> {
        let proof = self.proof(HEADS_PROOF)?;
        if log::covered(leaves, last.chains, &proof) != Some(last.heads) {
            return Err(Finding::at(Kind::HeadsAltered, HEADS));
        }
        let missing = |chain: &str| Finding::at(Kind::ChainMissing, SELECTION).chain(chain, None);
        if let Some(slice) = selection.chains.iter().find(|slice| !heads.contains_key(&slice.chain)) {
            return Err(missing(&slice.chain));
        }
        if !selection.all {
            return Ok(());
        }
        let selected: HashSet<&str> = selection.chains.iter().map(|slice| slice.chain.as_str()).collect();
        let unselected = heads.keys().filter(|chain| !selected.contains(chain.as_str())).min();
        if let Some(chain) = unselected {
            return Err(missing(chain));
        }
        if leaves.len() as u64 != last.chains {
            let at = (0..).zip(leaves).find(|(at, (index, _))| at != index);
            let line = at.map_or(leaves.len() as u64, |(at, _)| at) + 1;
            return Err(Finding::at(Kind::ChainMissing, HEADS).line(line));
        }
        Ok(())
    }

    fn proof(&self, name: &str) -> Result<Vec<Hash>, Finding> {
        read_proof(self.part(name)?).map_err(|line| Finding::at(Kind::MemberMalformed, name).line(line))
    }

    fn part(&self, name: &str) -> Result<&[u8], Finding> {
        self.parts.get(name).map(Vec::as_slice).ok_or_else(|| Finding::at(Kind::MemberMissing, name))
    }

    fn unread(&self, name: &str) -> Finding {
        self.part(name).map_or_else(|finding| finding, |_| Finding::at(Kind::MemberMalformed, name))
    }
}

fn of_note(error: NoteError) -> Kind {
    match error {
        NoteError::Malformed => Kind::MemberMalformed,
        NoteError::Invalid => Kind::SignatureInvalid,
        NoteError::Unknown => Kind::KeyUnknown,
    }
}

fn whole<R: Read>(tar: &mut TarReader<R>, size: u64) -> Result<Vec<u8>, Stop> {
    if size > MOST {
        return Err(tar.malformed());
    }
    let mut content = Vec::new();
    let mut rest = size;
    // A size that is not true costs no memory.
    while rest > 0 {
        let part = usize::try_from(rest.min(1 << 20)).unwrap_or(1 << 20);
        let done = content.len();
        content.resize(done + part, 0);
        tar.fill(&mut content[done..])?;
        rest -= part as u64;
    }
    Ok(content)
}

/// Takes the digest of a member that nobody here reads.
fn pass<R: Read>(tar: &mut TarReader<R>, size: u64) -> Result<Hash, Stop> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut rest = size;
    while rest > 0 {
        let part = usize::try_from(rest.min(1 << 16)).unwrap_or(1 << 16);
        tar.fill(&mut buffer[..part])?;
        hasher.update(&buffer[..part]);
        rest -= part as u64;
    }
    Ok(hasher.finalize().into())
}
