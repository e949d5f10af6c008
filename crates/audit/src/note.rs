//! Signed notes as C2SP has them: text, an empty line, and a line for each signature. People can read them, and any tool
//! that knows the format can check them.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::key::{PublicKey, Signer, is_name};

/// What a line with a signature begins with.
const DASH: &str = "\u{2014} ";
/// The most bytes of a note that is read.
const MOST_BYTES: usize = 1 << 20;
/// The most signatures of a note that is read.
const MOST_SIGNATURES: usize = 100;

/// Why a note is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note.
    #[error("note_malformed: this is no signed note; get the file anew from where it was published")]
    Malformed,
    /// A known key's signature is not one of this text.
    #[error("signature_invalid: the text is not what the key signed; compare it with another copy")]
    Invalid,
    /// None of the known keys signed it.
    #[error("key_unknown: no known key signed this; name the key, and ask its owner whether it is theirs")]
    Unknown,
}

/// A note as it lies there. Nothing of it is checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// The text with its last line feed.
    pub text: &'a str,
    signatures: Vec<(&'a str, Vec<u8>)>,
}

/// A note with this text, signed by these.
///
/// # Errors
/// `Malformed` where the text cannot stand in a note: it is empty, does not end with a line feed, or has control
/// characters.
pub fn sign(text: &str, signers: &[&Signer]) -> Result<String, NoteError> {
    if !is_text(text) || signers.is_empty() {
        return Err(NoteError::Malformed);
    }
    let mut note = format!("{text}\n");
    for signer in signers {
        let key = signer.public();
        let signature = [key.hash().as_slice(), &signer.sign(text.as_bytes())].concat();
        let name = key.name().unwrap_or_default();
        note.push_str(&format!("{DASH}{name} {}\n", STANDARD.encode(signature)));
    }
    Ok(note)
}

impl<'a> Note<'a> {
    /// Reads a note.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn read(note: &'a [u8]) -> Result<Self, NoteError> {
        let whole = std::str::from_utf8(note).ok().filter(|note| note.len() <= MOST_BYTES);
        let whole = whole.ok_or(NoteError::Malformed)?;
        let end = whole.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = (&whole[..=end], &whole[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures: Option<Vec<_>> = lines.split('\n').map(signature).collect();
        let signatures = signatures.filter(|all| all.len() <= MOST_SIGNATURES && is_text(text));
        Ok(Self { text, signatures: signatures.ok_or(NoteError::Malformed)? })
    }

    /// Which of these keys signed it, in their order. Signatures of other keys say nothing and are passed over; of a
    /// key that signed twice the first one counts. A key without a name goes by the first line of the text, which in a
    /// checkpoint is the name of the log.
    ///
    /// # Errors
    /// `Invalid` where the signature of one of these keys is wrong, `Unknown` where none of them signed.
    pub fn signed_by(&self, keys: &[PublicKey]) -> Result<Vec<usize>, NoteError> {
        let mut found = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let name = key.name().or(self.text.lines().next()).unwrap_or_default();
            let hash = key.hash_as(name);
            let mine = |(signer, bytes): &&(&str, Vec<u8>)| *signer == name && bytes[..4] == hash;
            let Some((_, bytes)) = self.signatures.iter().find(mine) else { continue };
            if !key.signed(self.text.as_bytes(), &bytes[4..]) {
                return Err(NoteError::Invalid);
            }
            found.push(at);
        }
        if found.is_empty() { Err(NoteError::Unknown) } else { Ok(found) }
    }
}

/// A name, and the key's hash with the signature.
fn signature(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, encoded) = line.strip_prefix(DASH)?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() > 4)?;
    is_name(name).then_some((name, bytes))
}

fn is_text(text: &str) -> bool {
    text.len() > 1 && text.ends_with('\n') && !text.contains(|c: char| c.is_control() && c != '\n')
}
