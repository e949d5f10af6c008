//! The file of a frozen selection: written once, durably, and read back only as it was written.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::out::{Refused, failed, usage};

/// The largest file that is read.
const MOST: u64 = 256 << 20;

/// A selection that carries the digest of all the rest of it.
pub(crate) trait Frozen: Serialize + DeserializeOwned + Clone {
    /// What people call it.
    const NAME: &'static str;
    /// The command that makes one.
    const MADE_BY: &'static str;
    /// The codes: it cannot be read; it cannot be written; somebody changed it.
    const CODES: [&'static str; 3];
    /// The format of this version.
    const FORMAT: u16;

    /// Its format.
    fn format(&self) -> u16;
    /// Where its digest stands.
    fn digest(&mut self) -> &mut String;
}

/// The digest over everything but itself.
fn computed(frozen: &impl Frozen) -> String {
    let mut bare = frozen.clone();
    bare.digest().clear();
    // It always has a JSON form; if it had none, no digest would fit.
    let bytes = serde_json::to_vec(&bare).unwrap_or_default();
    hex::encode(Sha256::digest(bytes))
}

/// The selection with its digest.
pub(crate) fn sealed<F: Frozen>(mut frozen: F) -> F {
    *frozen.digest() = computed(&frozen);
    frozen
}

/// The first digits of a digest, for people.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Writes it to a new file, durably; never over another one.
pub(crate) fn write<F: Frozen>(frozen: &F, path: &Path) -> anyhow::Result<()> {
    let refused = |error: std::io::Error| {
        usage(F::CODES[1], format!("{}: {error}; name a new file with -o", path.display()))
    };
    let mut file = std::fs::File::create_new(path).map_err(refused)?;
    file.write_all(&serde_json::to_vec_pretty(frozen)?).map_err(refused)?;
    file.write_all(b"\n").map_err(refused)?;
    file.sync_all().map_err(refused)?;
    Ok(())
}

/// Reads one, and sees that nobody changed it.
pub(crate) fn read<F: Frozen>(path: &Path) -> Result<F, Refused> {
    let (shown, name, made_by) = (path.display(), F::NAME, F::MADE_BY);
    let unreadable = |what: String| usage(F::CODES[0], format!("{what}; make one with `{made_by} -o`"));
    let file = std::fs::metadata(path).and_then(|found| match found.len() {
        0..=MOST => std::fs::read(path),
        _ => Err(std::io::Error::other("it is too large")),
    });
    let bytes = file.map_err(|error| unreadable(format!("{shown}: {error}")))?;
    let mut frozen: F = serde_json::from_slice(&bytes)
        .map_err(|error| unreadable(format!("{shown} is no {name}: {error}")))?;
    if frozen.format() != F::FORMAT {
        let text = format!("{shown} has format {}, not {}; plan it again", frozen.format(), F::FORMAT);
        return Err(usage(F::CODES[0], text));
    }
    if computed(&frozen) != *frozen.digest() {
        let text = format!("{shown} is not what was planned: its digest does not fit; plan it again");
        return Err(failed(F::CODES[2], text));
    }
    Ok(frozen)
}
