//! How far the work is: a file beside the selection, one line for each entry that was begun or ended and for each run, each
//! durable before the next thing happens. It is locked while a run works, so that there is one at a time on this machine.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tenantry_contracts::operation::Actor;

use super::sums::Sums;
use crate::out::{self, Refused, failed};
use crate::show::Style;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Ended {
    /// These runs said it, and what was asked for was done.
    Done,
    /// It had been done before.
    Already,
    /// Nothing waits for it any more: what was selected is not what is there now.
    MovedOn,
    /// It was said, and the answer was a *no*.
    Failed,
}

impl Ended {
    /// In words.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Already => "already",
            Self::MovedOn => "moved on",
            Self::Failed => "failed",
        }
    }

    /// A line about an entry for which it ended so.
    pub(crate) fn line(self, style: Style, entry: &impl Display, why: &str) -> String {
        let word = format!("{:<8}", self.as_str());
        let word = if self == Self::Failed { style.red(&word) } else { word };
        format!("{word}  {entry}  {}", style.dim(&out::plain(why)))
    }
}

/// Whose work it is. The first run decides, so that a repeat says the same words byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// The selection's digest.
    pub(crate) selection: String,
    pub(crate) actor: Actor,
    pub(crate) reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) second: Option<Actor>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Work(Head),
    /// A run begins: its id, and whose it is.
    Run {
        id: String,
        by: String,
    },
    /// It is about to be said.
    Begun(String),
    /// It was refused for a reason that passes; it is said again under another id.
    Back(String),
    Ended {
        entry: String,
        how: Ended,
        why: String,
    },
    /// The last run is over: what its entry in the audit says.
    Closed(String),
    /// The entry of this run is in the audit.
    Written(String),
}

/// A run, as the file tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Logged {
    /// Its id.
    pub(crate) id: String,
    /// Whose it was.
    pub(crate) by: String,
    /// What ended in it.
    pub(crate) sums: Sums,
    /// What its entry in the audit says; `None` where it had no end of its own.
    pub(crate) closed: Option<String>,
    /// Whether its entry is in the audit.
    pub(crate) written: bool,
}

/// One entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Begun {
    /// How often it was refused for a reason that passes.
    back: u32,
    /// Whether something may have been said that was not refused so.
    said: bool,
    ended: Option<(Ended, String)>,
}

/// What the lines tell.
#[derive(Debug, Default)]
struct Told {
    head: Option<Head>,
    entries: BTreeMap<String, Begun>,
    runs: Vec<Logged>,
    /// How many bytes of the file are whole lines.
    whole: usize,
}

/// The file of one selection.
pub(crate) struct Progress {
    file: File,
    path: PathBuf,
    /// Whose work it is.
    pub(crate) head: Head,
    entries: BTreeMap<String, Begun>,
    runs: Vec<Logged>,
}

/// Where the progress of this selection is kept.
fn beside(selection: &Path) -> PathBuf {
    let mut name = selection.as_os_str().to_owned();
    name.push(".progress");
    name.into()
}

/// What became of the entries of this selection so far.
pub(crate) fn look(digest: &str, path: &Path) -> Result<BTreeMap<String, Ended>, Refused> {
    let path = beside(path);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(unusable(&path, &error)),
    };
    let told = Told::read(&path, digest, &text)?;
    Ok(told.entries.into_iter().filter_map(|(id, entry)| Some((id, entry.ended?.0))).collect())
}

impl Progress {
    /// Opens the progress of this selection, and keeps others out. `head`: whose work it is, if this is the first run.
    pub(crate) fn open(path: &Path, head: Head) -> Result<Self, Refused> {
        let path = beside(path);
        let wrong = |error: std::io::Error| unusable(&path, &error);
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("{}: a run of this selection works already; wait for it", path.display());
                return Err(failed("run_under_way", text));
            }
            Err(TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(wrong)?;
        let told = Told::read(&path, &head.selection, &text)?;
        // A line that was cut off by a kill was not promised to anybody.
        file.set_len(told.whole as u64).map_err(wrong)?;
        file.seek(SeekFrom::Start(told.whole as u64)).map_err(wrong)?;
        let first = told.head.is_none();
        let head = told.head.unwrap_or(head);
        let mut progress = Self { file, path, head, entries: told.entries, runs: told.runs };
        if first {
            let head = progress.head.clone();
            progress.write(&Line::Work(head))?;
            // The file's name must survive too.
            let folder = progress.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
            synced.map_err(|error| unusable(&progress.path, &error))?;
        }
        Ok(progress)
    }

    /// What became of an entry; `None` where it has not ended.
    pub(crate) fn ended(&self, entry: &str) -> Option<Ended> {
        self.entries.get(entry)?.ended.as_ref().map(|(how, _)| *how)
    }

    /// Whether these runs said something for it, as far as is known: they meant to.
    pub(crate) fn begun(&self, entry: &str) -> bool {
        self.entries.get(entry).is_some_and(|entry| entry.said)
    }

    /// How often it was refused for a reason that passes.
    pub(crate) fn back(&self, entry: &str) -> u32 {
        self.entries.get(entry).map_or(0, |entry| entry.back)
    }

    /// Every entry that ended, how, and why.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Ended, &str)> {
        self.entries.iter().filter_map(|(id, entry)| {
            entry.ended.as_ref().map(|(how, why)| (id.as_str(), *how, why.as_str()))
        })
    }

    /// The runs so far, in order.
    pub(crate) fn runs(&self) -> &[Logged] {
        &self.runs
    }

    /// A run begins. Durable when it returns.
    pub(crate) fn run(&mut self, id: String, by: String) -> Result<(), Refused> {
        self.put(Line::Run { id, by })
    }

    /// Remembers that an entry is about to be said. Durable when it returns.
    pub(crate) fn begin(&mut self, entry: &str) -> Result<(), Refused> {
        self.put(Line::Begun(entry.to_owned()))
    }

    /// Remembers that it was refused for a reason that passes.
    pub(crate) fn put_back(&mut self, entry: &str) -> Result<(), Refused> {
        self.put(Line::Back(entry.to_owned()))
    }

    /// Remembers how an entry ended. Durable when it returns.
    pub(crate) fn end(&mut self, entry: &str, how: Ended, why: &str) -> Result<(), Refused> {
        self.put(Line::Ended { entry: entry.to_owned(), how, why: why.to_owned() })
    }

    /// The last run is over, and this is what the audit is to say of it.
    pub(crate) fn close(&mut self, words: String) -> Result<(), Refused> {
        self.put(Line::Closed(words))
    }

    /// The entry of this run is in the audit.
    pub(crate) fn written(&mut self, run: String) -> Result<(), Refused> {
        self.put(Line::Written(run))
    }

    fn put(&mut self, line: Line) -> Result<(), Refused> {
        self.write(&line)?;
        take(&mut self.entries, &mut self.runs, line);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), Refused> {
        let wrong = |error: std::io::Error| unusable(&self.path, &error);
        let mut bytes = serde_json::to_vec(line).map_err(|error| wrong(error.into()))?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).and_then(|()| self.file.sync_data()).map_err(wrong)
    }
}

/// What a line says of entries and runs.
fn take(entries: &mut BTreeMap<String, Begun>, runs: &mut Vec<Logged>, line: Line) {
    match line {
        Line::Work(_) => {}
        Line::Run { id, by } => runs.push(Logged { id, by, ..Logged::default() }),
        Line::Begun(id) => entries.entry(id).or_default().said = true,
        Line::Back(id) => {
            let entry = entries.entry(id).or_default();
            (entry.back, entry.said) = (entry.back + 1, false);
        }
        Line::Ended { entry, how, why } => {
            if let Some(run) = runs.last_mut() {
                run.sums.count(how);
            }
            entries.entry(entry).or_default().ended = Some((how, why));
        }
        Line::Closed(words) => {
            if let Some(run) = runs.iter_mut().rfind(|run| run.closed.is_none()) {
                run.closed = Some(words);
            }
        }
        Line::Written(id) => {
            for run in runs.iter_mut().filter(|run| run.id == id) {
                run.written = true;
            }
        }
    }
}

impl Told {
    fn read(path: &Path, digest: &str, text: &[u8]) -> Result<Self, Refused> {
        let foreign = |what: &str| {
            failed("progress_foreign", format!("{}: {what}; move it away, or plan anew", path.display()))
        };
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let mut told = Self { whole, ..Self::default() };
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = serde_json::from_slice(line)
                .map_err(|error| foreign(&format!("no line of a run: {error}")))?;
            match line {
                Line::Work(found) if found.selection == digest => told.head = Some(found),
                Line::Work(_) => return Err(foreign("it belongs to another selection")),
                line => take(&mut told.entries, &mut told.runs, line),
            }
        }
        if told.head.is_none() && !(told.entries.is_empty() && told.runs.is_empty()) {
            return Err(foreign("its beginning is missing"));
        }
        Ok(told)
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Refused {
    let text = format!(
        "{}: {error}; a run writes there how far it is: put the selection where that can be",
        path.display()
    );
    failed("progress_unusable", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(selection: &str, reason: &str) -> Head {
        let actor = Actor { name: "ada".into(), verified: false };
        Head { selection: selection.into(), actor, reason: reason.into(), second: None }
    }

    #[test]
    fn work_that_was_killed_in_the_middle_of_a_line_goes_on_after_the_last_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        assert_eq!(look("d", &path).unwrap(), BTreeMap::new());
        let mut first = Progress::open(&path, head("d", "INC-1")).unwrap();
        first.run("r1".into(), "ada".into()).unwrap();
        first.begin("0").unwrap();
        first.end("0", Ended::Done, "accepted").unwrap();
        first.begin("1").unwrap();
        first.begin("2").unwrap();
        first.put_back("2").unwrap();
        let running = Progress::open(&path, head("d", "INC-1")).err().unwrap();
        assert_eq!(running.code, "run_under_way");
        drop(first);
        let file = beside(&path);
        let mut text = std::fs::read(&file).unwrap();
        text.extend_from_slice(br#"{"ended":{"entry":"1""#);
        std::fs::write(&file, &text).unwrap();

        let mut again = Progress::open(&path, head("d", "INC-2")).unwrap();
        assert_eq!(again.head.reason, "INC-1", "the first run decides the words");
        assert_eq!(again.ended("0"), Some(Ended::Done));
        assert_eq!((again.ended("1"), again.begun("1"), again.back("1")), (None, true, 0));
        assert_eq!((again.begun("2"), again.back("2")), (false, 1), "refused is not said");
        assert!(!again.begun("3"));
        again.run("r2".into(), "bob".into()).unwrap();
        again.end("1", Ended::Already, "duplicate").unwrap();
        let seen = look("d", &path).unwrap();
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [Ended::Done, Ended::Already]);
        assert_eq!(again.all().count(), 2);
    }

    #[test]
    fn each_run_has_its_own_sums_and_its_own_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        let mut progress = Progress::open(&path, head("d", "x")).unwrap();
        progress.run("r1".into(), "ada".into()).unwrap();
        progress.end("0", Ended::Done, "").unwrap();
        drop(progress);
        let mut progress = Progress::open(&path, head("d", "x")).unwrap();
        assert_eq!((progress.runs()[0].closed.clone(), progress.runs()[0].written), (None, false));
        progress.close("it was killed".into()).unwrap();
        progress.written("r1".into()).unwrap();
        progress.run("r2".into(), "ada".into()).unwrap();
        progress.end("1", Ended::Failed, "").unwrap();
        progress.close("finished".into()).unwrap();
        drop(progress);
        let progress = Progress::open(&path, head("d", "x")).unwrap();
        let told: Vec<_> = progress
            .runs()
            .iter()
            .map(|run| (run.sums.done, run.sums.failed, run.closed.as_deref(), run.written))
            .collect();
        assert_eq!(told, [(1, 0, Some("it was killed"), true), (0, 1, Some("finished"), false)]);
    }

    #[test]
    fn the_progress_of_another_selection_is_never_taken_for_this_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        drop(Progress::open(&path, head("one", "x")).unwrap());
        assert_eq!(Progress::open(&path, head("two", "x")).err().unwrap().code, "progress_foreign");
    }
}
