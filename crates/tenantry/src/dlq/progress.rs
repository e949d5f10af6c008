//! How far a replay is: a file beside the manifest, one line for each letter that was begun or ended, each durable
//! before the next thing happens. It is locked while a replay runs, so that there is one at a time on this machine.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tenantry_contracts::Origin;
use tenantry_contracts::operation::Actor;

use super::manifest::Manifest;
use crate::out::{Refused, failed};

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ended {
    /// This manifest's replay answered it, and what it asked for was done.
    Done,
    /// It had been answered before.
    Already,
    /// Nothing waits for it any more.
    MovedOn,
    /// It was answered, and the answer was a *no*.
    Failed,
}

/// Whose replay it is. The first run decides, so that a repeat says the same words byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    /// The manifest's digest.
    pub(super) manifest: String,
    pub(super) actor: Actor,
    pub(super) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) approved_by: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Replay(Head),
    /// It is about to be said.
    Begun(Origin),
    Ended {
        letter: Origin,
        how: Ended,
        why: String,
    },
}

/// The file of one manifest.
pub(super) struct Progress {
    file: File,
    path: PathBuf,
    /// Whose replay it is.
    pub(super) head: Head,
    begun: BTreeMap<Origin, Option<(Ended, String)>>,
}

/// Where the progress of this manifest is kept.
fn beside(manifest: &Path) -> PathBuf {
    let mut name = manifest.as_os_str().to_owned();
    name.push(".progress");
    name.into()
}

impl Progress {
    /// The progress so far; `None` where no replay began.
    pub(super) fn look(manifest: &Manifest, path: &Path) -> Result<Option<BTreeMap<Origin, Ended>>, Refused> {
        let path = beside(path);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let (head, begun, _) = parse(&path, manifest, &text)?;
        let ended = begun.into_iter().filter_map(|(letter, how)| Some((letter, how?.0)));
        Ok(head.map(|_| ended.collect()))
    }

    /// Opens the progress of this manifest, and keeps others out. `head`: whose replay it is, if it is the first.
    pub(super) fn open(manifest: &Manifest, path: &Path, head: Head) -> Result<Self, Refused> {
        let path = beside(path);
        let wrong = |error: std::io::Error| unusable(&path, &error);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("{}: a replay of this manifest runs already; wait for it", path.display());
                return Err(failed("replay_running", text));
            }
            Err(TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(wrong)?;
        let (found, begun, whole) = parse(&path, manifest, &text)?;
        // A line that was cut off by a kill was not promised to anybody.
        file.set_len(whole as u64).map_err(wrong)?;
        file.seek(SeekFrom::Start(whole as u64)).map_err(wrong)?;
        let first = found.is_none();
        let mut progress = Self { file, path, head: found.unwrap_or(head), begun };
        if first {
            let head = progress.head.clone();
            progress.write(&Line::Replay(head))?;
            // The file's name must survive too.
            let folder = progress.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
            synced.map_err(|error| unusable(&progress.path, &error))?;
        }
        Ok(progress)
    }

    /// What became of a letter; `None` where it has not ended.
    pub(super) fn ended(&self, letter: &Origin) -> Option<Ended> {
        self.begun.get(letter)?.as_ref().map(|(how, _)| *how)
    }

    /// Whether this manifest's replay said something for it, as far as is known: it meant to.
    pub(super) fn begun(&self, letter: &Origin) -> bool {
        self.begun.contains_key(letter)
    }

    /// Every letter that ended, how, and why.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Origin, Ended, &str)> {
        self.begun
            .iter()
            .filter_map(|(letter, how)| how.as_ref().map(|(how, why)| (letter, *how, why.as_str())))
    }

    /// Remembers that a letter is about to be answered. Durable when it returns.
    pub(super) fn begin(&mut self, letter: &Origin) -> Result<(), Refused> {
        self.begun.entry(letter.clone()).or_default();
        self.write(&Line::Begun(letter.clone()))
    }

    /// Remembers how a letter ended. Durable when it returns.
    pub(super) fn end(&mut self, letter: &Origin, how: Ended, why: &str) -> Result<(), Refused> {
        self.begun.insert(letter.clone(), Some((how, why.to_owned())));
        self.write(&Line::Ended { letter: letter.clone(), how, why: why.to_owned() })
    }

    fn write(&mut self, line: &Line) -> Result<(), Refused> {
        let wrong = |error: std::io::Error| unusable(&self.path, &error);
        let mut bytes = serde_json::to_vec(line).map_err(|error| wrong(error.into()))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(wrong)
    }
}

type Parsed = (Option<Head>, BTreeMap<Origin, Option<(Ended, String)>>, usize);

/// The lines, and how many bytes of them are whole.
fn parse(path: &Path, manifest: &Manifest, text: &[u8]) -> Result<Parsed, Refused> {
    let foreign = |what: &str| {
        failed("progress_foreign", format!("{}: {what}; move it away, or plan anew", path.display()))
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (mut head, mut begun) = (None, BTreeMap::new());
    for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let line = serde_json::from_slice(line)
            .map_err(|error| foreign(&format!("no line of a replay: {error}")))?;
        match line {
            Line::Replay(found) if found.manifest == manifest.digest => head = Some(found),
            Line::Replay(_) => return Err(foreign("it belongs to another manifest")),
            Line::Begun(letter) => {
                begun.entry(letter).or_default();
            }
            Line::Ended { letter, how, why } => {
                begun.insert(letter, Some((how, why)));
            }
        }
    }
    if head.is_none() && !begun.is_empty() {
        return Err(foreign("its beginning is missing"));
    }
    Ok((head, begun, whole))
}

fn unusable(path: &Path, error: &std::io::Error) -> Refused {
    let text = format!(
        "{}: {error}; a replay writes there how far it is: put the manifest where that can be",
        path.display()
    );
    failed("progress_unusable", text)
}

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::{entry, manifest};
    use super::super::verdict::Verdict;
    use super::*;

    fn head(manifest: &Manifest, reason: &str) -> Head {
        let actor = Actor { name: "ada".into(), verified: false };
        Head { manifest: manifest.digest.clone(), actor, reason: reason.into(), approved_by: None }
    }

    #[test]
    fn a_replay_that_was_killed_in_the_middle_of_a_line_goes_on_after_the_last_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        let plan = manifest((0..3).map(|n| entry("tenant.requests", n, Verdict::Replay)).collect());
        let letter = |n: usize| &plan.letters[n].letter;
        assert_eq!(Progress::look(&plan, &path).unwrap(), None);
        let mut first = Progress::open(&plan, &path, head(&plan, "INC-1")).unwrap();
        first.begin(letter(0)).unwrap();
        first.end(letter(0), Ended::Done, "accepted").unwrap();
        first.begin(letter(1)).unwrap();
        let running = Progress::open(&plan, &path, head(&plan, "INC-1")).err().unwrap();
        assert_eq!(running.code, "replay_running");
        drop(first);
        let file = beside(&path);
        let mut text = std::fs::read(&file).unwrap();
        text.extend_from_slice(br#"{"ended":{"letter":{"top"#);
        std::fs::write(&file, &text).unwrap();

        let mut again = Progress::open(&plan, &path, head(&plan, "INC-2")).unwrap();
        assert_eq!(again.head.reason, "INC-1", "the first run decides the words");
        assert_eq!(again.ended(letter(0)), Some(Ended::Done));
        assert_eq!((again.ended(letter(1)), again.begun(letter(1))), (None, true));
        assert!(!again.begun(letter(2)));
        again.end(letter(1), Ended::Already, "duplicate").unwrap();
        let seen = Progress::look(&plan, &path).unwrap().unwrap();
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [Ended::Done, Ended::Already]);
        assert_eq!(again.all().count(), 2);
    }

    #[test]
    fn the_progress_of_another_manifest_is_never_taken_for_this_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        let one = manifest(vec![entry("tenant.requests", 1, Verdict::Replay)]);
        let two = manifest(vec![entry("tenant.requests", 2, Verdict::Replay)]);
        drop(Progress::open(&one, &path, head(&one, "x")).unwrap());
        assert_eq!(Progress::open(&two, &path, head(&two, "x")).err().unwrap().code, "progress_foreign");
    }
}
