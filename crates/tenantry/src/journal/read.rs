//! The rows of a lane from its first on, from the archive and from the store: what verifies reads the journal through this,
//! so that it sees after an archiving what it saw before.
//!
//! Rows of an archived range come from its file, which must have the digest that was recorded; those of them that are in
//! the store as well must be equal there. All others come from the store. Memory: two pages of rows, for each frame that was
//! read where it stands, and a few frames for histories.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use tenantry_contracts::Lane;
use tenantry_ports::Row;
use tenantry_postgres::{Archived, MOST, Queries};

use super::file::{self, Reader};
use crate::out::{Refused, failed};

/// How many frames are remembered with their rows: those of one tenant stand close together.
const FRAMES: usize = 8;

/// The archive of a fleet, as far as somebody named its folders.
pub(crate) struct Shelf {
    folders: Vec<PathBuf>,
    ranges: Vec<Archived>,
}

impl Shelf {
    /// What the store says is archived, to be looked for in these folders.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub(crate) async fn of(store: &Queries, folders: &[PathBuf]) -> anyhow::Result<Self> {
        Ok(Self { folders: folders.to_vec(), ranges: store.archived().await? })
    }

    /// Whether nothing was archived or put back since. What is missing without that is missing.
    ///
    /// # Errors
    /// `journal_moved` where something was; where the store cannot be asked.
    pub(crate) async fn stands(&self, store: &Queries) -> anyhow::Result<()> {
        if store.archived().await? == self.ranges {
            return Ok(());
        }
        let text = "rows were archived or put back while the journal was read; verify again";
        Err(failed("journal_moved", text).into())
    }

    /// The ranges of a lane of which rows may be gone from the store.
    fn gone(&self, lane: Lane) -> VecDeque<Archived> {
        let gone = |archived: &&Archived| archived.range.lane == lane && archived.restored.is_none();
        self.ranges.iter().filter(gone).cloned().collect()
    }

    /// The file of a range, as it was recorded.
    fn path(&self, archived: &Archived) -> Result<PathBuf, Refused> {
        let Archived { range, file, sha256, .. } = archived;
        let what =
            format!("rows {} to {} of lane {} are archived in {file}", range.from, range.to, range.lane);
        if self.folders.is_empty() {
            let text = format!("{what}; name its folder with --archive DIR");
            return Err(failed("journal_archived", text));
        }
        let found = self.folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file());
        let path = found.ok_or_else(|| {
            let text = format!("{what}, which is in no folder that --archive names; bring it back");
            failed("archive_missing", text)
        })?;
        recorded(&path, sha256)?;
        Ok(path)
    }
}

/// Whether a file is the one that was recorded; returns its length.
///
/// # Errors
/// `archive_altered` where it is not; `archive_missing` where it cannot be read.
pub(super) fn recorded(path: &Path, sha256: &[u8; 32]) -> Result<u64, Refused> {
    let (have, length) = file::digest(path)?;
    if have == *sha256 {
        return Ok(length);
    }
    let text = format!(
        "{}: its SHA-256 is {}, and {} was recorded; take another copy of the file",
        path.display(),
        hex::encode(have),
        hex::encode(sha256)
    );
    Err(failed("archive_altered", text))
}

/// The rows of one lane, page by page.
pub(crate) struct Rows<'a> {
    store: &'a Queries,
    shelf: &'a Shelf,
    lane: Lane,
    next: i64,
    /// Ranges whose files come next.
    waiting: VecDeque<Archived>,
    reading: Option<(usize, Reader, i64)>,
    /// The files so far, with the numbers that they cover.
    files: Vec<(PathBuf, i64)>,
    /// The frames so far, by their first number: file and place.
    frames: BTreeMap<i64, (usize, u64)>,
    remembered: VecDeque<(i64, Vec<Row>)>,
    /// Rows of the store that a file must have too, and the number from which more are asked for; none where no more are.
    standing: VecDeque<Row>,
    more: Option<i64>,
}

impl<'a> Rows<'a> {
    /// From the lane's first row on.
    pub(crate) fn of(store: &'a Queries, shelf: &'a Shelf, lane: Lane) -> Self {
        Self {
            store,
            shelf,
            lane,
            next: 0,
            waiting: shelf.gone(lane),
            reading: None,
            files: Vec::new(),
            frames: BTreeMap::new(),
            remembered: VecDeque::new(),
            standing: VecDeque::new(),
            more: None,
        }
    }

    /// The next rows, in order; none after the last one.
    ///
    /// # Errors
    /// `journal_archived` where a file is needed and no folder was named; `archive_*` where a file is not what was
    /// recorded; `journal_differs` where the store has another row than the file; where the store cannot be asked.
    pub(crate) async fn page(&mut self) -> anyhow::Result<Vec<Row>> {
        loop {
            if let Some((file, mut reader, to)) = self.reading.take() {
                let Some(frame) = reader.frame()? else {
                    self.same(&[], to).await?;
                    self.next = to + 1;
                    continue;
                };
                let (first, last) = (frame.rows[0].n, frame.rows[frame.rows.len() - 1].n);
                self.same(&frame.rows, last).await?;
                self.frames.insert(first, (file, frame.offset));
                self.next = last + 1;
                self.reading = Some((file, reader, to));
                return Ok(frame.rows);
            }
            match self.waiting.front() {
                Some(archived) if archived.range.from <= self.next.max(1) => {
                    let (path, to) = (self.shelf.path(archived)?, archived.range.to);
                    let reader = Reader::open(&path)?;
                    self.files.push((path, to));
                    self.reading = Some((self.files.len() - 1, reader, to));
                    self.waiting.pop_front();
                    self.standing.clear();
                    self.more = Some(self.next);
                }
                before => {
                    let end = before.map_or(i64::MAX, |archived| archived.range.from);
                    let mut rows = self.store.journal_scan(self.lane, self.next, MOST).await?;
                    rows.retain(|row| row.n < end);
                    match rows.last() {
                        Some(last) => self.next = last.n + 1,
                        None if end < i64::MAX => {
                            self.next = end;
                            continue;
                        }
                        None => {}
                    }
                    return Ok(rows);
                }
            }
        }
    }

    /// The rows of a tenant before this one, which was read, in order.
    ///
    /// # Errors
    /// As [`Rows::page`].
    pub(crate) async fn before(&mut self, row: &Row) -> anyhow::Result<Vec<Row>> {
        if let Some(tenant) = row.tenant {
            let mut history = self.store.history(tenant).await?;
            history.retain(|earlier| earlier.n < row.n);
            if whole(&history) {
                return Ok(history);
            }
        }
        let (mut history, mut n) = (Vec::new(), row.prev_n);
        while n > 0 {
            let Some(earlier) = self.row(n).await?.filter(|earlier| earlier.prev_n < n) else { break };
            n = earlier.prev_n;
            history.push(earlier);
        }
        history.reverse();
        Ok(history)
    }

    /// One row that was read before, from the file that has it or from the store.
    async fn row(&mut self, n: i64) -> anyhow::Result<Option<Row>> {
        let frame = self.frames.range(..=n).next_back().map(|(first, place)| (*first, *place));
        if let Some((first, (file, offset))) = frame
            && n <= self.files[file].1
        {
            if self.remembered.iter().all(|(have, _)| *have != first) {
                self.remembered.truncate(FRAMES - 1);
                self.remembered.push_front((first, file::frame_at(&self.files[file].0, offset)?));
            }
            let rows = self.remembered.iter().find(|(have, _)| *have == first).map(|(_, rows)| rows);
            return Ok(rows.and_then(|rows| rows.iter().find(|row| row.n == n)).cloned());
        }
        let found = self.store.journal_scan(self.lane, n, 1).await?;
        Ok(found.into_iter().find(|row| row.n == n))
    }

    /// Rows up to number `to` that are in the store must be those of the file.
    async fn same(&mut self, rows: &[Row], to: i64) -> anyhow::Result<()> {
        let mut file = rows.iter();
        loop {
            if let (true, Some(from)) = (self.standing.is_empty(), self.more) {
                self.standing = self.store.journal_scan(self.lane, from, MOST).await?.into();
                self.more = self.standing.back().map(|last| last.n + 1);
            }
            let Some(row) = self.standing.pop_front_if(|row| row.n <= to) else { return Ok(()) };
            if file.by_ref().find(|have| have.n >= row.n) != Some(&row) {
                let text = format!(
                    "row {} of lane {} in the store is not the one that was archived; whoever can write to the store can have done it",
                    row.n, row.lane
                );
                return Err(failed("journal_differs", text).into());
            }
        }
    }
}

/// Whether rows of a tenant begin with its first one.
pub(crate) fn whole(rows: &[Row]) -> bool {
    rows.first().is_some_and(|first| first.prev_n == 0)
}
