//! What was sent: one small file for each tenant and template in the worker's own folder. A message is noted as
//! `sending` before it goes out and as `sent` after, so that a crash between two recipients sends nothing twice.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tenantry_step::Cx;
use tenantry_step::files::{remove, write_whole};

/// Larger than any book of ours.
const LARGEST: u64 = 1024 * 1024;
/// The folder of the books.
const FOLDER: &str = ".notify";

/// The notes about one tenant and template. Ids only: no address, no name.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Book {
    owner: String,
    pub(crate) notes: Vec<Note>,
}

/// One message.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Its place among the recipients.
    pub(crate) recipient: usize,
    /// Its id. A repeat has the same.
    pub(crate) id: String,
    pub(crate) state: State,
}

/// How far a message is.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It may have gone out.
    Sending,
    /// It has gone out.
    Sent,
}

/// What stands in a book's place.
pub(crate) enum Found {
    Nothing,
    Ours(Book),
    Foreign,
}

impl Book {
    pub(crate) fn new(cx: &Cx) -> Self {
        Self { owner: cx.owner_tag(), notes: Vec::new() }
    }

    pub(crate) fn note(&self, recipient: usize) -> Option<&Note> {
        self.notes.iter().find(|note| note.recipient == recipient)
    }

    /// Notes how far a message is.
    pub(crate) fn set(&mut self, recipient: usize, id: &str, state: State) {
        self.notes.retain(|note| note.recipient != recipient);
        self.notes.push(Note { recipient, id: id.to_owned(), state });
    }

    /// Writes the book, whole or not at all.
    pub(crate) fn write(&self, dir: &Path, cx: &Cx, template: &str) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir.join(FOLDER))?;
        write_whole(&place(dir, cx, template), &draft(dir, cx, template), &serde_json::to_vec(self)?)
    }
}

/// Looks for the book.
pub(crate) fn read(dir: &Path, cx: &Cx, template: &str) -> io::Result<Found> {
    let path = place(dir, cx, template);
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
        Ok(meta) if !meta.is_file() || meta.len() > LARGEST => return Ok(Found::Foreign),
        Ok(_) => {}
    }
    let book: Option<Book> = serde_json::from_slice(&std::fs::read(path)?).ok();
    Ok(book.filter(|book| cx.owns(&book.owner)).map_or(Found::Foreign, Found::Ours))
}

/// Removes the book, durably.
pub(crate) fn forget(dir: &Path, cx: &Cx, template: &str) -> io::Result<()> {
    remove(&draft(dir, cx, template))?;
    remove(&place(dir, cx, template))?;
    match File::open(dir.join(FOLDER)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        folder => folder?.sync_all(),
    }
}

fn place(dir: &Path, cx: &Cx, template: &str) -> PathBuf {
    dir.join(FOLDER).join(format!("{}.{template}.json", cx.tenant.simple()))
}

/// A book that is being written.
fn draft(dir: &Path, cx: &Cx, template: &str) -> PathBuf {
    dir.join(FOLDER).join(format!("{}.{template}.tmp", cx.tenant.simple()))
}
