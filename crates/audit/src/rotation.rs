//! Another key takes over: a note in which the old key names the new one and the new one agrees. Whoever knows any key
//! of the row can check what all of them signed.

use tenantry_contracts::Time;

use crate::checkpoint::number;
use crate::key::{PublicKey, Signer, is_name};
use crate::note::{self, Note, NoteError};

/// The first line, which no checkpoint has.
const TITLE: &str = "tenantry.dev/key-rotation/v1";

/// A key took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The log.
    pub origin: String,
    /// The key that signed until then.
    pub old: PublicKey,
    /// The key that signs from then on.
    pub new: PublicKey,
    /// The size of the log: checkpoints below it are the old key's, those above it the new one's.
    pub size: u64,
    /// When.
    pub time: Time,
}

impl Rotation {
    /// The statement, signed by both keys.
    ///
    /// # Errors
    /// `Malformed` where a key has another name than the log.
    pub fn sign(
        origin: &str,
        old: &Signer,
        new: &Signer,
        size: u64,
        time: Time,
    ) -> Result<String, NoteError> {
        let named = |key: &PublicKey| key.name() == Some(origin);
        if !is_name(origin) || !named(old.public()) || !named(new.public()) {
            return Err(NoteError::Malformed);
        }
        let (from, to) = (old.public().to_line(), new.public().to_line());
        let text = format!("{TITLE}\norigin {origin}\nold {from}\nnew {to}\nsize {size}\ntime {time}\n");
        note::sign(&text, &[old, new])
    }

    /// Whether a note is such a statement, by its first line. Nothing of it is checked.
    pub fn is(note: &[u8]) -> bool {
        note.strip_prefix(TITLE.as_bytes()).is_some_and(|rest| rest.starts_with(b"\n"))
    }

    /// Reads a statement that both of its keys signed. Whether one of them is to be trusted is not said by that.
    ///
    /// # Errors
    /// What is wrong with the note, its signatures or its text.
    pub fn open(note: &[u8]) -> Result<Self, NoteError> {
        let note = Note::read(note)?;
        let lines: Vec<&str> = note.text.lines().collect();
        let [title, origin, old, new, size, time] = lines.as_slice() else {
            return Err(NoteError::Malformed);
        };
        let key = |line: &str, word| line.strip_prefix(word).and_then(|line| PublicKey::read(line).ok());
        let (old, new) = key(old, "old ").zip(key(new, "new ")).ok_or(NoteError::Malformed)?;
        for key in [&old, &new] {
            note.signed_by(std::slice::from_ref(key)).map_err(|_| NoteError::Invalid)?;
        }
        let read = || {
            let origin = origin.strip_prefix("origin ")?;
            let named = [&old, &new].iter().all(|key| key.name() == Some(origin));
            let size = number(size.strip_prefix("size ")?)?;
            let time = Time::parse(time.strip_prefix("time ")?)?;
            (*title == TITLE && named).then(|| (origin.to_owned(), size, time))
        };
        let (origin, size, time) = read().ok_or(NoteError::Malformed)?;
        Ok(Self { origin, old, new, size, time })
    }
}

/// The keys of a log, in the order in which they took over, each with the sizes of the log at which it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<PublicKey>,
    /// The sizes at which the next key took over; one fewer than keys. Empty where the keys stand side by side.
    taken_over: Vec<u64>,
}

/// Why statements and trusted keys give no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// The statement at this place, counted from zero, is not sound, or does not go on where the one before ended.
    Rotation(usize, NoteError),
    /// No trusted key is one of those that took over from each other.
    Unknown,
}

impl KeyRing {
    /// The trusted keys and those that they are linked with. Without statements the trusted keys stand side by side.
    ///
    /// # Errors
    /// A statement that is not sound, or a row of keys of which none is trusted.
    pub fn new(trusted: &[PublicKey], rotations: &[Vec<u8>]) -> Result<Self, RingError> {
        let (mut keys, mut taken_over) = (Vec::new(), Vec::new());
        for (at, note) in rotations.iter().enumerate() {
            let rotation = Rotation::open(note).map_err(|error| RingError::Rotation(at, error))?;
            if keys.is_empty() {
                keys.push(rotation.old.clone());
            }
            let goes_on = keys.last() == Some(&rotation.old)
                && taken_over.last().is_none_or(|last| *last <= rotation.size);
            if !goes_on || keys.contains(&rotation.new) {
                return Err(RingError::Rotation(at, NoteError::Invalid));
            }
            keys.push(rotation.new);
            taken_over.push(rotation.size);
        }
        if keys.is_empty() {
            return Ok(Self { keys: trusted.to_vec(), taken_over });
        }
        let known = keys.iter().any(|key| trusted.iter().any(|mine| mine.is(key)));
        if known { Ok(Self { keys, taken_over }) } else { Err(RingError::Unknown) }
    }

    /// The keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }

    /// Whether a key signs for the log at this size. At the size of a take-over both do.
    pub fn in_turn(&self, key: usize, size: u64) -> bool {
        if self.taken_over.is_empty() {
            return key < self.keys.len();
        }
        let after = key == 0 || self.taken_over.get(key - 1).is_some_and(|from| *from <= size);
        let before = self.taken_over.get(key).is_none_or(|to| size <= *to);
        after && before
    }
}
