//! A range of the journal into a file, and the file against the store.

use std::fs::File;
use std::path::Path;

use tenantry_contracts::Time;
use tenantry_postgres::{Archived, MOST, Queries, Range};

use super::file::{self, Header, Reader, Writer};
use super::links::Links;
use crate::out::{Refused, failed};

/// Who writes, and when.
pub(super) struct Hand<'a> {
    pub(super) store: &'a Queries,
    pub(super) folder: &'a Path,
    pub(super) fleet: &'a str,
    pub(super) now: Time,
}

impl Hand<'_> {
    /// Makes sure that the file of a range is in the folder, and is what the store has. One that a run before this one
    /// wrote, and did not record, is taken as it is; another one of this name is left alone.
    ///
    /// # Errors
    /// `archive_unwritable`, `archive_taken`, `archive_unsound`; where the store cannot be asked.
    pub(super) async fn file(&self, range: &Range) -> anyhow::Result<(Archived, u64)> {
        let name = file::name(range);
        let path = self.folder.join(&name);
        let there = path.try_exists().map_err(|error| unwritable(&path, &error))?;
        if !there {
            self.write(range, &path).await?;
        }
        if let Err(error) = self.read_back(range, &path).await {
            let Some(refused) = error.downcast_ref::<Refused>().filter(|_| there) else { return Err(error) };
            if refused.code == "archive_unsound" {
                return Err(error);
            }
            let text = format!(
                "{} is there, and is not what the store has ({refused}); move it away, or archive into another folder",
                path.display()
            );
            return Err(failed("archive_taken", text).into());
        }
        let (sha256, length) = file::digest(&path)?;
        Ok((Archived { range: *range, sha256, file: name, at: self.now, restored: None }, length))
    }

    /// Under another name first, so that what has the name is whole.
    async fn write(&self, range: &Range, path: &Path) -> anyhow::Result<()> {
        let part = path.with_added_extension("part");
        let wrong = |error: std::io::Error| unwritable(&part, &error);
        let mut writer = Writer::create(&part, &Header::of(range, self.fleet, self.now)).map_err(wrong)?;
        let mut next = range.from;
        while next <= range.to {
            let mut rows = self.store.journal_scan(range.lane, next, MOST).await?;
            rows.retain(|row| row.n <= range.to);
            let Some(last) = rows.last() else { break };
            next = last.n + 1;
            for row in &rows {
                writer.row(row).map_err(wrong)?;
            }
        }
        writer.finish().map_err(wrong)?;
        let named = std::fs::rename(&part, path).and_then(|()| File::open(self.folder)?.sync_all());
        Ok(named.map_err(wrong)?)
    }

    /// Reads a file as a stranger would: its rows are those of the store, byte for byte and all of them, and each audit
    /// record in it follows on the one before it in its chain.
    async fn read_back(&self, range: &Range, path: &Path) -> anyhow::Result<()> {
        let other = |what: &str| failed("archive_differs", format!("{}: {what}", path.display()));
        let mut reader = Reader::open(path)?;
        let header = reader.header();
        if (header.fleet.as_str(), header.lane, header.from, header.to, header.rows)
            != (self.fleet, range.lane, range.from, range.to, range.rows)
        {
            return Err(other("it is of another fleet or range").into());
        }
        let (mut links, mut next) = (Links::default(), range.from);
        while let Some(frame) = reader.frame()? {
            // A frame has no more rows than a page.
            let most = u16::try_from(frame.rows.len()).unwrap_or(MOST);
            if self.store.journal_scan(range.lane, next, most).await? != frame.rows {
                return Err(other("its rows are not those of the store").into());
            }
            for row in &frame.rows {
                links.take(row).map_err(|why| {
                    let text = format!(
                        "row {} of lane {}: {why}; nothing is archived before `tenantry audit verify --from journal` is OK",
                        row.n, row.lane
                    );
                    failed("archive_unsound", text)
                })?;
                next = row.n + 1;
            }
        }
        Ok(())
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Refused {
    let text =
        format!("{}: {error}; nothing was taken from the store: name a folder with --to", path.display());
    failed("archive_unwritable", text)
}
