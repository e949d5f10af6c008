//! All chains as they grow: which records are leaves of the log, and where every chain ends after them. Whoever signs and
//! whoever exports feed it the topic, each partition in the order of its offsets; what breaks a chain is an error, so that
//! nothing is signed over it.
//!
//! Memory: the head of each chain, and 16 bytes for each of the last [`REMEMBERED`] records, by which a repeat is known
//! to be one.

use std::collections::{HashSet, VecDeque};

use tenantry_contracts::Origin;

use crate::log::{Hash, leaf_hash};
use crate::verify::{at_place, chained, half};
use crate::{Breach, Head, Heads, Heard, Problem, digest};

/// How many records are remembered. Repeats follow closely on what they repeat: a new owner of a lane says again what the
/// one before may not have said.
const REMEMBERED: usize = 1 << 16;

/// What a record was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Took {
    /// The next one of its chain, and a leaf of the log: its digest.
    Leaf(Hash),
    /// A repeat, byte for byte the same.
    Repeat,
    /// The place in the chain was taken longer ago than is remembered; whether by the same bytes, the topic must show.
    Older(Older),
}

/// A record that may be a repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// Its chain.
    pub chain: String,
    /// Its place in it.
    pub seq: i64,
    /// The digest of its bytes.
    pub digest: [u8; 32],
}

/// The chains so far.
#[derive(Debug, Default)]
pub struct Chains {
    heads: Heads,
    /// The root over the heads, while it is known.
    root: Option<Hash>,
    remembered: HashSet<[u8; 16]>,
    order: VecDeque<[u8; 16]>,
}

impl Chains {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chains that end here.
    pub fn stored(heads: Heads) -> Self {
        Self { heads, ..Self::default() }
    }

    /// The ends of the chains.
    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// The root over the ends of the chains; made anew only where one moved.
    pub fn root(&mut self) -> Hash {
        *self.root.get_or_insert_with(|| self.heads.root())
    }

    /// Remembers a record that is in the log already, so that a repeat of it is known to be one.
    pub fn remember(&mut self, value: &[u8]) {
        self.note(half(&digest(value)));
    }

    /// Goes on with a chain from here: what came before is elsewhere.
    pub fn resume(&mut self, chain: &str, head: Head) {
        self.heads.set(chain, head);
        self.root = None;
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// What it breaks; then nothing was taken.
    pub fn take(&mut self, heard: Heard<'_>) -> Result<Took, Problem> {
        let (value, event) = chained(heard).map_err(|problem| *problem)?;
        let place = |breach, message: String| at_place(&event, heard, breach, message);
        if event.lane.0 != heard.at.partition {
            let message = format!("it is of lane {}", event.lane);
            return Err(place(Breach::WrongChain, message));
        }
        let head = self.heads.get(&event.chain).unwrap_or_else(|| Head::start(&event.chain));
        let digest = digest(value);
        if event.seq <= head.seq {
            let head_again = event.seq == head.seq && digest == head.digest;
            if head_again || self.remembered.contains(&half(&digest)) {
                return Ok(Took::Repeat);
            }
            if event.seq == head.seq {
                return Err(place(Breach::Doubled, DIFFERS.to_owned()));
            }
            return Ok(Took::Older(Older { chain: event.chain, seq: event.seq, digest }));
        }
        if event.seq > head.seq + 1 {
            let message = format!("record {} comes after record {}", event.seq, head.seq);
            return Err(Problem { seq: Some(head.seq + 1), ..place(Breach::Missing, message) });
        }
        if event.prev != head.prev() {
            let message = match head.seq {
                0 => "it does not begin this chain".to_owned(),
                last => format!("what it says of record {last} is not what the log has"),
            };
            return Err(place(Breach::Altered, message));
        }
        self.heads.set(&event.chain, Head { seq: event.seq, digest });
        self.root = None;
        self.note(half(&digest));
        Ok(Took::Leaf(leaf_hash(value)))
    }

    fn note(&mut self, print: [u8; 16]) {
        if self.remembered.insert(print) {
            self.order.push_back(print);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.remembered.remove(&oldest);
        }
    }
}

const DIFFERS: &str = "its bytes differ from those of its first occurrence";

impl Older {
    /// What is said where the first occurrence had other bytes, or is not there.
    pub fn doubled(&self, at: &Origin) -> Problem {
        Problem {
            breach: Breach::Doubled,
            chain: Some(self.chain.clone()),
            seq: Some(self.seq),
            at: Some(at.clone()),
            message: DIFFERS.to_owned(),
        }
    }
}
