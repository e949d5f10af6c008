//! `tenantry journal archive`: ranges into files, then what nothing needs any more out of the store.
//!
//! Each step is whole by itself, and the next run goes on after the last one that was done: a file without its record is
//! read back and recorded, a record whose rows were not deleted is found when rows are looked for.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::{Lane, Time};
use tenantry_ports::Clock;
use tenantry_postgres::{Archive, Archived, Queries, Range};

use super::file;
use super::read::recorded;
use super::write::Hand;
use crate::clock::SystemClock;
use crate::dlq::filter::since;
use crate::out::{self, usage};
use crate::settings::Find;
use crate::show::style::count;
use crate::tenant::find;

/// The most rows of one file.
const FILE: u32 = 200_000;
/// How many rows are looked at in one transaction that deletes.
const SLICE: u32 = 5_000;

/// Archive old rows into files, then delete those that nothing needs any more
///
/// Each lane's next rows that are old enough, spoken, and shown by every tenant's own row go into files in --to, are read back
/// from there and compared with the store, and recorded. Then rows of recorded ranges are deleted: those of the lane's own
/// chain, and those of tenants that are REJECTED, ROLLED_BACK or PURGED. Rows of every other tenant stay, however old; once it
/// is over, a later run deletes them too, where the folder has the file that they are in. Tenants stay listed.
///
/// Without --yes it only says what it would do. It may be killed and run again at any time. Keep the files: with them
/// `tenantry audit verify --with-history --archive DIR` proves what it proved before.
///
/// Needs a member of tenantry_archivist (with --yes), or the store's owner.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The folder that the files are written to; it must be there
    #[arg(long, env = "TENANTRY_ARCHIVE_TO", value_name = "FOLDER")]
    to: PathBuf,
    /// Rows that are older than this (90s, 30m, 2h, 90d)
    #[arg(long, env = "TENANTRY_OLDER_THAN", value_name = "AGE", value_parser = age, default_value = "90d")]
    older_than: i64,
    /// Only this lane; may be repeated [default: all]
    #[arg(long = "lane", env = "TENANTRY_LANE", value_name = "LANE", value_delimiter = ',')]
    lanes: Vec<u16>,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    /// The most rows of one file
    #[arg(long, hide = true, default_value_t = FILE, value_parser = clap::value_parser!(u32).range(1..=i64::from(FILE)))]
    rows_per_file: u32,
    #[command(flatten)]
    find: Find,
}

/// An age in milliseconds.
fn age(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?}: write 90s, 30m, 2h or 90d");
    since(text, Time(0)).map(|at| -at.0).ok().filter(|ms| *ms >= 0).ok_or_else(wrong)
}

/// What becomes, or became, of one lane.
#[derive(Debug, Serialize)]
struct Done {
    lane: Lane,
    /// The ranges that went into files, in order.
    files: Vec<Filed>,
    /// How many rows went from the store.
    deleted: i64,
    /// Files of recorded ranges that the folder does not have: rows of tenants that are over stay for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lacking: Vec<String>,
}

/// One file.
#[derive(Debug, Serialize)]
struct Filed {
    file: String,
    from: i64,
    to: i64,
    rows: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if !args.to.is_dir() {
        let text = format!("{} is no folder; make it, or name another with --to", args.to.display());
        return Err(usage("archive_folder", text).into());
    }
    let store = find::store(&args.find).await?;
    let lanes = args.chosen(&store).await?;
    let now = SystemClock::from_env()?.now();
    let fleet = args.find.fleet()?;
    let mut work = Work {
        hand: Hand { store: &store, folder: &args.to, fleet: fleet.as_str(), now },
        before: now.plus(-args.older_than),
        rows_per_file: args.rows_per_file,
        silent: args.json,
        archive: match args.yes {
            true => Some(Archive::open(args.find.store()?.expose()).await?),
            false => None,
        },
    };
    let mut all = Vec::new();
    for lane in lanes {
        let done = work.lane(lane).await?;
        work.tell(done.lines(args.yes));
        all.push(done);
    }
    if args.json {
        out::json(&all)?;
    } else if !args.yes {
        out::line("Nothing was written or deleted. To do it: the same command with --yes");
    }
    if let Some(archive) = work.archive {
        archive.close().await?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    async fn chosen(&self, store: &Queries) -> anyhow::Result<Vec<Lane>> {
        let known: Vec<Lane> = store.lanes().await?.into_iter().map(|lane| lane.lane).collect();
        if let Some(other) = self.lanes.iter().find(|lane| !known.contains(&Lane(**lane))) {
            return Err(usage(
                "lane_unknown",
                format!("there is no lane {other}; there are {}", known.len()),
            )
            .into());
        }
        Ok(known.into_iter().filter(|lane| self.lanes.is_empty() || self.lanes.contains(&lane.0)).collect())
    }
}

struct Work<'a> {
    hand: Hand<'a>,
    /// Rows that were written later are too young.
    before: Time,
    rows_per_file: u32,
    /// What is done is told at the end, as one document.
    silent: bool,
    /// None where nothing is to be done.
    archive: Option<Archive>,
}

impl Work<'_> {
    fn tell(&self, lines: Vec<String>) {
        if !self.silent {
            lines.iter().for_each(out::line);
        }
    }

    async fn lane(&mut self, lane: Lane) -> anyhow::Result<Done> {
        let mut done = Done { lane, files: Vec::new(), deleted: 0, lacking: Vec::new() };
        let store = self.hand.store;
        if let Some(archive) = &mut self.archive {
            archive.again(lane, self.before).await?;
        }
        let mut ranges = store.archived().await?;
        ranges.retain(|archived| archived.range.lane == lane);
        let old = ranges.len();
        let mut planned = Vec::new();
        let mut next = ranges.last().map_or(1, |archived| archived.range.to + 1);
        while let Some(range) = store.archivable(lane, next, self.before, self.rows_per_file).await? {
            // From where the last one ends, so that no number is between them.
            let range = Range { from: next, ..range };
            next = range.to + 1;
            let mut bytes = None;
            if let Some(archive) = &mut self.archive {
                let (archived, length) = self.hand.file(&range).await?;
                archive.record(&archived).await?;
                ranges.push(archived);
                bytes = Some(length);
            } else {
                planned.push(range);
            }
            let Range { from, to, rows, .. } = range;
            let filed = Filed { file: file::name(&range), from, to, rows, bytes };
            self.tell(vec![filed.words(lane)]);
            done.files.push(filed);
        }
        for (at, archived) in ranges.iter().enumerate() {
            self.delete(archived, at < old, next - 1, &mut done).await?;
        }
        for range in &planned {
            done.deleted += store.removable(range, next - 1).await?;
        }
        Ok(done)
    }

    /// Deletes what may go of a recorded range. Where an earlier run wrote its file, the file must still be there, as it was:
    /// what goes now may have been in the store only until now.
    async fn delete(
        &mut self,
        archived: &Archived,
        earlier: bool,
        upto: i64,
        done: &mut Done,
    ) -> anyhow::Result<()> {
        if archived.restored.is_some_and(|at| at > self.before) {
            return Ok(());
        }
        let removable = self.hand.store.removable(&archived.range, upto).await?;
        let path = self.hand.folder.join(&archived.file);
        if removable == 0 {
            return Ok(());
        }
        if earlier && !path.is_file() {
            done.lacking.push(archived.file.clone());
            return Ok(());
        }
        let Some(archive) = &mut self.archive else {
            done.deleted += removable;
            return Ok(());
        };
        if earlier {
            recorded(&path, &archived.sha256)?;
        }
        let mut after = archived.range.from - 1;
        while let Some(slice) = archive.delete(&archived.range, after, SLICE).await? {
            done.deleted += slice.gone;
            after = slice.to;
        }
        Ok(())
    }
}

impl Filed {
    fn words(&self, lane: Lane) -> String {
        let Self { file, from, to, rows, bytes } = self;
        let rows = shown(*rows);
        match bytes {
            Some(bytes) => format!("lane {lane}: {from} to {to} is in {file} ({rows}, {bytes} bytes)"),
            None => format!("lane {lane}: {from} to {to} would go into {file} ({rows})"),
        }
    }
}

impl Done {
    fn lines(&self, did: bool) -> Vec<String> {
        let lane = self.lane;
        let mut lines = Vec::new();
        if self.files.is_empty() {
            lines.push(format!("lane {lane}: no row is old enough that is not archived"));
        }
        let word = if did { "went" } else { "would go" };
        lines.push(format!("lane {lane}: {} {word} from the store", shown(self.deleted)));
        for file in &self.lacking {
            lines.push(format!(
                "lane {lane}: {file} is not in the folder; rows in it of tenants that are over stay until it is"
            ));
        }
        lines
    }
}

fn shown(rows: i64) -> String {
    count(usize::try_from(rows).unwrap_or_default(), "row")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_its_unit() {
        assert_eq!((age("0s"), age("90d")), (Ok(0), Ok(90 * 86_400_000)));
        for text in ["", "90", "-1d", "2026-01-31T12:00:00Z", "99999999999999999999d"] {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
