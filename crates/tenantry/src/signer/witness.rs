//! The witness: a second copy of everything that was signed, in a file of its own, which only grows. Kept on another disk
//! or machine it shows that the topic was rewritten, whoever did it.
//!
//! The first line tells what the file is; each further one is `{"note": ...}` with a checkpoint or the take-over of a key,
//! exactly as it was published. A note stands here before it is published.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lock::closed;
use crate::out::plain;
use crate::trail::Trouble;

/// What the first line says.
const TITLE: &str = "tenantry-witness/1: every signed checkpoint of the audit log as it was published, one a line; this \
                     file only grows, keep copies of it";

/// The file.
#[derive(Debug)]
pub(super) struct Witness {
    path: PathBuf,
    file: File,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Title {
    what: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    note: String,
}

/// Compares the topic with the file, note after note from the first.
pub(super) struct Compare {
    path: PathBuf,
    lines: BufReader<File>,
    /// How many lines were read.
    read: u64,
    /// The note that comes next in the file.
    next: Option<Vec<u8>>,
    /// Whether the topic and the file have met.
    met: bool,
    heard: bool,
}

impl Witness {
    /// Opens the file, and makes it where it is missing.
    pub(super) fn open(dir: &Path) -> Result<(Self, Compare), Trouble> {
        closed(dir)?;
        let path = dir.join("checkpoints.ndjson");
        let trouble = |error| Trouble::file(&path)(error);
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file = file.map_err(trouble)?;
        whole_lines(&mut file).map_err(trouble)?;
        let mut witness = Self { path: path.clone(), file };
        if witness.file.metadata().map_err(trouble)?.len() == 0 {
            witness.write(&Title { what: TITLE.to_owned() })?;
            File::open(dir).and_then(|dir| dir.sync_all()).map_err(trouble)?;
        }
        let lines = BufReader::new(File::open(&path).map_err(trouble)?);
        let mut compare = Compare { path, lines, read: 0, next: None, met: false, heard: false };
        compare.title()?;
        compare.next = compare.note()?;
        Ok((witness, compare))
    }

    /// Writes a note down; it is on the disk when this returns.
    pub(super) fn add(&mut self, note: &[u8]) -> Result<(), Trouble> {
        self.append(note)?;
        self.sync()
    }

    fn append(&mut self, note: &[u8]) -> Result<(), Trouble> {
        self.write(&Line { note: String::from_utf8_lossy(note).into_owned() })
    }

    fn sync(&self) -> Result<(), Trouble> {
        self.file.sync_all().map_err(Trouble::file(&self.path))
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), Trouble> {
        let bytes = serde_json::to_vec(line).map_err(std::io::Error::from);
        let written = bytes.and_then(|mut bytes| {
            bytes.push(b'\n');
            self.file.write_all(&bytes)
        });
        written.map_err(Trouble::file(&self.path))
    }
}

impl Compare {
    /// The next note of the topic. What the file lacks at its end is written into it.
    pub(super) fn hear(&mut self, witness: &mut Witness, note: &[u8]) -> Result<(), Trouble> {
        self.heard = true;
        match &self.next {
            None => witness.append(note),
            Some(next) if next == note => {
                self.met = true;
                self.next = self.note()?;
                Ok(())
            }
            // The file was begun later.
            Some(_) if !self.met => Ok(()),
            Some(_) => Err(self.contradicts("which is not what the topic has in its place")),
        }
    }

    /// After the last note of the topic: the one note that was written down and is not known to have been published.
    pub(super) fn finish(mut self, witness: &Witness) -> Result<Option<Vec<u8>>, Trouble> {
        witness.sync()?;
        let Some(last) = self.next.take() else { return Ok(None) };
        let line = self.read;
        let more = self.note()?.is_some();
        self.read = line;
        if more || (self.heard && !self.met) {
            return Err(self.contradicts("and the topic has neither it nor what comes after it"));
        }
        Ok(Some(last))
    }

    fn contradicts(&self, what: &str) -> Trouble {
        let text = format!(
            "{} line {}: here stands a note that was signed, {what}; checkpoints were removed or written anew, or this \
             is the file of another log: keep both, and find out who did it",
            self.path.display(),
            self.read
        );
        Trouble::breach("witness_contradicts", text)
    }

    fn damaged(&self, why: &str) -> Trouble {
        let (path, line) = (self.path.display(), self.read);
        let text =
            format!("{path} line {line}: {why}; put the file back from a copy, or name another folder");
        Trouble::breach("witness_damaged", text)
    }

    fn title(&mut self) -> Result<(), Trouble> {
        let line = self.line()?.unwrap_or_default();
        match serde_json::from_str::<Title>(&line) {
            Ok(title) if title.what == TITLE => Ok(()),
            _ => Err(self.damaged("this is no witness file")),
        }
    }

    fn note(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(line) = self.line()? else { return Ok(None) };
        let line: Line =
            serde_json::from_str(&line).map_err(|error| self.damaged(&plain(&error.to_string())))?;
        Ok(Some(line.note.into_bytes()))
    }

    fn line(&mut self) -> Result<Option<String>, Trouble> {
        let mut line = String::new();
        self.read += 1;
        let read = self.lines.read_line(&mut line).map_err(Trouble::file(&self.path))?;
        Ok((read > 0).then_some(line))
    }
}

/// Cuts off half a line at the end: it was never published.
fn whole_lines(file: &mut File) -> std::io::Result<()> {
    let mut end = file.metadata()?.len();
    let mut last = [0];
    while end > 0 {
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut last)?;
        if last == [b'\n'] {
            break;
        }
        end -= 1;
    }
    file.set_len(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a start finds: notes of the topic against the file as it lies there.
    fn start(dir: &Path, topic: &[&str]) -> Result<Option<Vec<u8>>, String> {
        let (mut witness, mut compare) = Witness::open(dir).map_err(|error| error.to_string())?;
        for note in topic {
            compare.hear(&mut witness, note.as_bytes()).map_err(|error| error.to_string())?;
        }
        compare.finish(&witness).map_err(|error| error.to_string())
    }

    fn add(dir: &Path, notes: &[&str]) {
        let (mut witness, _) = Witness::open(dir).unwrap();
        for note in notes {
            witness.add(note.as_bytes()).unwrap();
        }
    }

    #[test]
    fn what_the_witness_lacks_it_gets_and_agreement_is_silent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(start(dir.path(), &["a\n", "b\n"]), Ok(None));
        assert_eq!(start(dir.path(), &["a\n", "b\n", "c\n"]), Ok(None));
        assert_eq!(start(dir.path(), &["a\n", "b\n", "c\n"]), Ok(None));
        let text = std::fs::read_to_string(dir.path().join("checkpoints.ndjson")).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("tenantry-witness/1"), "{text}");
        assert_eq!(lines[1..], [r#"{"note":"a\n"}"#, r#"{"note":"b\n"}"#, r#"{"note":"c\n"}"#]);
    }

    #[test]
    fn one_note_that_was_about_to_be_published_is_said_again() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), &["a"]);
        assert_eq!(start(dir.path(), &[]), Ok(Some(b"a".to_vec())));
        add(dir.path(), &["b"]);
        assert_eq!(start(dir.path(), &["a"]), Ok(Some(b"b".to_vec())));
        assert_eq!(start(dir.path(), &["a", "b"]), Ok(None));
    }

    #[test]
    fn a_topic_that_was_cut_or_written_anew_contradicts() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), &["a", "b", "c"]);
        for topic in [&[][..], &["a"], &["a", "x"], &["a", "b", "x"], &["x", "y", "z", "u"], &["a", "c"]] {
            let refused = start(dir.path(), topic).unwrap_err();
            assert!(refused.starts_with("witness_contradicts: "), "{topic:?}: {refused}");
        }
    }

    #[test]
    fn a_witness_that_was_begun_later_knows_nothing_of_before() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), &["c", "d"]);
        assert_eq!(start(dir.path(), &["a", "b", "c", "d", "e"]), Ok(None));
        assert!(start(dir.path(), &["a", "b", "c", "x"]).is_err());
    }

    #[test]
    fn half_a_line_is_cut_off_and_another_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), &["a"]);
        let path = dir.path().join("checkpoints.ndjson");
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"note\":\"b")).unwrap();
        assert_eq!(start(dir.path(), &["a"]), Ok(None));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        std::fs::write(&path, format!("{whole}nonsense\n")).unwrap();
        assert!(start(dir.path(), &["a", "b"]).unwrap_err().starts_with("witness_damaged: "));
        std::fs::write(&path, "{}\n").unwrap();
        assert!(start(dir.path(), &[]).unwrap_err().starts_with("witness_damaged: "));
    }
}
