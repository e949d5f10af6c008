//! `tenantry journal ls`: which ranges are in files.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Lane, Time};
use tenantry_postgres::{Archived, Range};

use crate::out;
use crate::settings::Find;
use crate::show::{Style, table};
use crate::tenant::find;

/// List the archived ranges: lane, numbers, rows, times, file, and its SHA-256 with --json
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Count the rows of each range that are still in the store: reads the index of all that are
    #[arg(long, env = "TENANTRY_COUNT")]
    count: bool,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// A range, for programs.
#[derive(Debug, Serialize)]
struct Shown {
    lane: Lane,
    from: i64,
    to: i64,
    rows: i64,
    /// When its oldest row was written, and its newest.
    #[serde(with = "rfc3339")]
    oldest: Time,
    #[serde(with = "rfc3339")]
    newest: Time,
    file: String,
    sha256: String,
    #[serde(with = "rfc3339")]
    archived: Time,
    /// All its rows were put back into the store.
    restored: bool,
    /// How many are in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    in_store: Option<i64>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = find::store(&args.find).await?;
    let mut all = Vec::new();
    for archived in store.archived().await? {
        let in_store = match args.count {
            true => Some(store.remaining(&archived.range).await?),
            false => None,
        };
        all.push(shown(archived, in_store));
    }
    if args.json {
        out::json(&all)?;
    } else {
        for line in lines(&all, Style::detect()) {
            out::line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(archived: Archived, in_store: Option<i64>) -> Shown {
    let Archived { range: Range { lane, from, to, rows, oldest, newest }, .. } = archived;
    Shown {
        lane,
        from,
        to,
        rows,
        oldest,
        newest,
        file: archived.file,
        sha256: hex::encode(archived.sha256),
        archived: archived.at,
        restored: archived.restored.is_some(),
        in_store,
    }
}

fn lines(all: &[Shown], style: Style) -> Vec<String> {
    if all.is_empty() {
        return vec!["Nothing is archived: every row is in the store.".to_owned()];
    }
    let mut rows = table::new(style, &["LANE", "FROM", "TO", "ROWS", "IN STORE", "OLDEST", "NEWEST", "FILE"]);
    for one in all {
        let in_store = match (one.restored, one.in_store) {
            (true, _) => "all, put back".to_owned(),
            (false, Some(rows)) => rows.to_string(),
            (false, None) => "-".to_owned(),
        };
        rows.add_row([
            one.lane.to_string(),
            one.from.to_string(),
            one.to.to_string(),
            one.rows.to_string(),
            in_store,
            one.oldest.to_string(),
            one.newest.to_string(),
            out::plain(&one.file),
        ]);
    }
    table::lines(&mut rows, 0)
}
