//! `tenantry journal restore`: rows of archived files back into the store.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::Lane;
use tenantry_ports::Clock;
use tenantry_postgres::{Archive, Archived};

use super::file::Reader;
use super::read::recorded;
use crate::clock::SystemClock;
use crate::out::{self, failed};
use crate::settings::Find;
use crate::show::style::count;
use crate::tenant::find;

/// Put the rows of archived files back into the store, byte for byte
///
/// Each file must be the one that was recorded. Rows that are there already stay as they are. The range stays recorded, and is
/// marked: a later `tenantry journal archive` takes its rows away again once they were back for --older-than. It may be killed
/// and run again.
///
/// Needs the URL of the store's owner: whoever archives may delete rows, and nobody who may delete rows may write them.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// What became of a file.
#[derive(Debug, Serialize)]
struct Done {
    file: PathBuf,
    lane: Lane,
    from: i64,
    to: i64,
    /// How many rows it has, and how many of them were not in the store.
    rows: i64,
    put_back: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = find::store(&args.find).await?;
    let known = store.archived().await?;
    let clock = SystemClock::from_env()?;
    let mut archive = Archive::open(args.find.store()?.expose()).await?;
    let mut all = Vec::new();
    for path in &args.files {
        let (archived, reader) = found(path, &known)?;
        let done = back(&mut archive, path, archived, reader).await?;
        archive.restored(&archived.range, clock.now()).await?;
        if !args.json {
            let rows = |n: u64| count(usize::try_from(n).unwrap_or_default(), "row");
            out::line(format_args!(
                "lane {}: {} to {} is in the store again ({} put back of {})",
                done.lane,
                done.from,
                done.to,
                rows(done.put_back),
                done.rows
            ));
        }
        all.push(done);
    }
    archive.close().await?;
    if args.json {
        out::json(&all)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The recorded range of a file, which must be that file.
fn found<'a>(path: &Path, known: &'a [Archived]) -> anyhow::Result<(&'a Archived, Reader)> {
    let reader = Reader::open(path)?;
    let (lane, from, to) = (reader.header().lane, reader.header().from, reader.header().to);
    let same = |archived: &&Archived| {
        (archived.range.lane, archived.range.from, archived.range.to) == (lane, from, to)
    };
    let archived = known.iter().find(same).ok_or_else(|| {
        let text = format!(
            "{}: the store knows no archived range {from} to {to} of lane {lane}; look at `tenantry journal ls`, and whether \
             it is the store of this file's fleet",
            path.display()
        );
        failed("archive_unknown", text)
    })?;
    recorded(path, &archived.sha256)?;
    Ok((archived, reader))
}

async fn back(
    archive: &mut Archive,
    path: &Path,
    archived: &Archived,
    mut reader: Reader,
) -> anyhow::Result<Done> {
    let mut put_back = 0;
    // Read to its end first would be once more; a damaged file has another digest.
    while let Some(frame) = reader.frame()? {
        put_back += archive.put_back(&frame.rows).await?;
    }
    let range = archived.range;
    Ok(Done {
        file: path.to_owned(),
        lane: range.lane,
        from: range.from,
        to: range.to,
        rows: range.rows,
        put_back,
    })
}
