//! A file of checksummed JSON lines: one change per line, folded at start, rewritten when most of it is history.
//! JSON escapes control characters, so no name can break a line.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// Below this size a journal is never rewritten. Bytes.
const REWRITE_FROM: u64 = 1 << 20;

/// An open journal. A line is in the page cache before `append` returns.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    size: u64,
    /// Size after the last rewrite.
    base: u64,
}

impl Journal {
    /// Opens or makes the journal and hands every change in it to `each`, oldest first. A torn last line is cut off.
    ///
    /// # Errors
    /// `Io`, and `Corrupt` where a line before the last one does not match its checksum.
    pub(crate) fn open<T: DeserializeOwned>(
        path: PathBuf,
        mut each: impl FnMut(T),
    ) -> Result<Journal, Error> {
        let failed = |source| Error::io("open the journal", &path, source);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        let bytes = fs::read(&path).map_err(failed)?;
        let mut good = 0;
        for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match decode(line) {
                Some(change) => each(change),
                None if good + line.len() == bytes.len() => {
                    tracing::warn!(path = %path.display(), line = number + 1, "the journal's last line was torn and is cut off");
                    file.set_len(good as u64).map_err(failed)?;
                    break;
                }
                None => return Err(Error::Corrupt { path, line: number + 1 }),
            }
            good += line.len();
        }
        file.flush().map_err(failed)?;
        Ok(Journal { path, file, size: good as u64, base: 0 })
    }

    /// Writes one change. After an error nothing of it remains.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn append<T: Serialize>(&mut self, change: &T) -> Result<(), Error> {
        let line = encode(change).map_err(|source| Error::io("write the journal", &self.path, source))?;
        if let Err(source) = self.file.write_all(&line) {
            if let Err(also) = self.file.set_len(self.size) {
                tracing::error!(path = %self.path.display(), error = %also, "a torn line could not be cut off the journal");
            }
            return Err(Error::io("write the journal", &self.path, source));
        }
        self.size += line.len() as u64;
        Ok(())
    }

    /// Whether most of the file is history that a rewrite would drop.
    pub(crate) fn is_long(&self) -> bool {
        self.size > REWRITE_FROM && self.size > 4 * self.base
    }

    /// Replaces the journal by `changes`, atomically.
    ///
    /// # Errors
    /// `Io`; the old journal then stays as it was.
    pub(crate) fn rewrite<T: Serialize>(
        &mut self,
        changes: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let fresh = self.path.with_extension("new");
        let failed = |source| Error::io("rewrite the journal", &self.path, source);
        for change in changes {
            bytes.extend_from_slice(&encode(&change).map_err(failed)?);
        }
        // Opened before it takes its place, so that no failure can leave us writing to a file without a name.
        if fresh.exists() {
            fs::remove_file(&fresh).map_err(failed)?;
        }
        let mut file = OpenOptions::new().append(true).create_new(true).open(&fresh).map_err(failed)?;
        file.write_all(&bytes).and_then(|()| fs::rename(&fresh, &self.path)).map_err(failed)?;
        self.file = file;
        self.size = bytes.len() as u64;
        self.base = self.size;
        Ok(())
    }
}

/// Writes a file beside `path` and renames it into place, so that a reader sees the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, bytes)
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|source| Error::io("replace the file", path, source))
}

/// One checksummed line.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, std::io::Error> {
    let json = serde_json::to_string(value)?;
    Ok(format!("{:08x} {json}\n", crc32c::crc32c(json.as_bytes())).into_bytes())
}

/// Reads one line, `None` where it is torn or its checksum does not hold.
pub(crate) fn decode<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(8)?;
    let sum = u32::from_str_radix(str::from_utf8(sum).ok()?, 16).ok()?;
    let json = json.strip_prefix(b" ")?;
    (crc32c::crc32c(json) == sum).then(|| serde_json::from_slice(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Result<Vec<String>, Error> {
        let mut all = Vec::new();
        Journal::open(path.to_owned(), |line: String| all.push(line)).map(|_| all)
    }

    fn written(path: &Path, lines: &[&str]) {
        let mut journal = Journal::open(path.to_owned(), |_: String| ()).expect("opens");
        for line in lines {
            journal.append(line).expect("appends");
        }
    }

    #[test]
    fn names_with_tabs_and_newlines_come_back_as_they_were() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("j");
        written(&path, &["a\tb\nc\r\u{0}", "ü\"\\"]);
        assert_eq!(read(&path).expect("reads"), ["a\tb\nc\r\u{0}", "ü\"\\"]);
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_writing_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("j");
        written(&path, &["one", "two"]);
        let bytes = fs::read(&path).expect("reads");
        fs::write(&path, &bytes[..bytes.len() - 3]).expect("tears");
        written(&path, &["three"]);
        assert_eq!(read(&path).expect("reads"), ["one", "three"]);
    }

    #[test]
    fn a_flipped_byte_in_the_middle_stops_the_start_and_names_the_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("j");
        written(&path, &["one", "two"]);
        let mut bytes = fs::read(&path).expect("reads");
        bytes[11] ^= 1;
        fs::write(&path, &bytes).expect("flips");
        assert!(matches!(read(&path), Err(Error::Corrupt { line: 1, .. })));
    }

    #[test]
    fn a_rewrite_keeps_only_what_it_is_given() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("j");
        let mut journal = Journal::open(path.clone(), |_: String| ()).expect("opens");
        journal.append(&"history").expect("appends");
        journal.rewrite(["now"]).expect("rewrites");
        journal.append(&"later").expect("appends");
        assert_eq!(read(&path).expect("reads"), ["now", "later"]);
    }
}
