//! What was published about a log, note after note: its checkpoints, each linked to the one before, and the statements by
//! which keys took over. Whoever signs goes on from its end; whoever exports takes the order of the leaves from it.

use std::collections::VecDeque;

use crate::bundle::{Refused, refused};
use crate::log::Hash;
use crate::order::spans;
use crate::rotation::RingError;
use crate::{Checkpoint, KeyRing, NoteError, PublicKey, Rotation, digest};

/// How many notes are remembered, so that a repeat is known to be one.
const REMEMBERED: usize = 256;

/// What a note said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The next checkpoint.
    Checkpoint(Checkpoint),
    /// Another key takes over.
    Rotation,
    /// The same bytes as before: a publication that was repeated since nobody knew whether it had arrived.
    Again,
}

/// The row of notes so far.
#[derive(Debug)]
pub struct Published {
    origin: String,
    trusted: Vec<PublicKey>,
    rotations: Vec<Vec<u8>>,
    /// How many of the rotations stood in the row so far.
    turned: usize,
    ring: KeyRing,
    last: Option<Last>,
    remembered: VecDeque<Hash>,
}

/// The last checkpoint.
#[derive(Clone, Debug)]
struct Last {
    checkpoint: Checkpoint,
    note: Vec<u8>,
    signed_by: PublicKey,
}

impl Published {
    /// Of the log with this name, for somebody who trusts these keys and knows all statements by which keys took over:
    /// a key that took over later is trusted for what those before it signed.
    ///
    /// # Errors
    /// `rotation_refused`, `key_unknown`.
    pub fn new(origin: &str, trusted: &[PublicKey], rotations: Vec<Vec<u8>>) -> Result<Self, Refused> {
        let ring = ring(trusted, &rotations)?;
        let (origin, trusted) = (origin.to_owned(), trusted.to_vec());
        Ok(Self { origin, trusted, rotations, turned: 0, ring, last: None, remembered: VecDeque::new() })
    }

    /// The next note.
    ///
    /// # Errors
    /// `checkpoint_refused`, `rotation_refused`, `key_unknown`, `key_out_of_turn`, `checkpoint_unlinked`, `origin_differs`.
    pub fn hear(&mut self, note: &[u8]) -> Result<Said, Refused> {
        let print = digest(note);
        if self.remembered.contains(&print) {
            return Ok(Said::Again);
        }
        let said =
            if Rotation::is(note) { self.rotation(note)? } else { Said::Checkpoint(self.checkpoint(note)?) };
        self.remembered.push_back(print);
        if self.remembered.len() > REMEMBERED {
            self.remembered.pop_front();
        }
        Ok(said)
    }

    /// The last checkpoint, and its note.
    pub fn last(&self) -> Option<(&Checkpoint, &[u8])> {
        self.last.as_ref().map(|last| (&last.checkpoint, last.note.as_slice()))
    }

    /// The statements by which keys took over, the oldest first.
    pub fn rotations(&self) -> &[Vec<u8>] {
        &self.rotations
    }

    /// Whose turn it is to sign; `None` before anything was signed.
    pub fn turn(&self) -> Option<&PublicKey> {
        if self.rotations.is_empty() {
            return self.last.as_ref().map(|last| &last.signed_by);
        }
        self.ring.keys().last()
    }

    fn rotation(&mut self, note: &[u8]) -> Result<Said, Refused> {
        if self.rotations.get(self.turned).is_none_or(|known| known != note) {
            let mut rotations = self.rotations.clone();
            rotations.push(note.to_vec());
            self.ring = ring(&self.trusted, &rotations)?;
            self.rotations = rotations;
        }
        self.turned += 1;
        Ok(Said::Rotation)
    }

    fn checkpoint(&mut self, note: &[u8]) -> Result<Checkpoint, Refused> {
        let (checkpoint, signers) =
            Checkpoint::open_with(note, self.ring.keys()).map_err(|error| match error {
                NoteError::Unknown => refused(
                    "key_unknown",
                    "a checkpoint is signed by no key that is known; name the right key (where another is to take over, the \
                     one before too), and look who wrote it",
                ),
                error => refused("checkpoint_refused", format!("a checkpoint cannot be believed: {error}")),
            })?;
        let size = checkpoint.size;
        if checkpoint.origin != self.origin {
            let text = format!("the checkpoints are of {}, not of {}", checkpoint.origin, self.origin);
            return Err(refused("origin_differs", format!("{text}; name the log with --origin")));
        }
        let in_turn = signers.into_iter().find(|key| self.ring.in_turn(*key, size));
        let Some(signer) = in_turn.and_then(|key| self.ring.keys().get(key)) else {
            let text = format!("the checkpoint of {size} records is signed by a key whose turn it was not");
            return Err(refused("key_out_of_turn", format!("{text}; treat that key as stolen")));
        };
        let before = self.last.as_ref().map(|last| &last.checkpoint);
        if checkpoint.previous != before.map(Checkpoint::digest) {
            let text = format!("the checkpoint of {size} records does not follow on the one before it");
            let advice = "two signers wrote, or checkpoints were removed: compare with the witness file";
            return Err(refused("checkpoint_unlinked", format!("{text}; {advice}")));
        }
        let read = before.map_or(&[][..], |before| &before.read);
        let shorter = before.is_some_and(|before| before.size > size || before.chains > checkpoint.chains);
        if shorter || spans(read, &checkpoint.read).is_none() {
            let text = format!("the checkpoint of {size} records goes back behind the one before it");
            return Err(refused("checkpoint_refused", text));
        }
        let last = Last { checkpoint: checkpoint.clone(), note: note.to_vec(), signed_by: signer.clone() };
        self.last = Some(last);
        Ok(checkpoint)
    }
}

fn ring(trusted: &[PublicKey], rotations: &[Vec<u8>]) -> Result<KeyRing, Refused> {
    KeyRing::new(trusted, rotations).map_err(|error| match error {
        RingError::Rotation(at, error) => refused(
            "rotation_refused",
            format!("the {}. take-over of a key cannot be believed: {error}", at + 1),
        ),
        RingError::Unknown => refused(
            "key_unknown",
            "the keys that took over from each other are none that is known; name the right key",
        ),
    })
}
