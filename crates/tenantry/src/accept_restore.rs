//! `tenantry fleet accept-restore`: a person decides to go on with a store that ends before what was published.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_contracts::Topic;
use tenantry_contracts::operation::OperationVerb;
use tenantry_coordinator::Missing;
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::{LaneRow, Place};
use tenantry_postgres::{MOST, Queries};

use crate::out::{self, usage};
use crate::platform::{To, every_lane};

/// How many records of each lane are looked at, from the end on.
const LOOK: i64 = 50_000;

/// Go on with a store that was restored from a backup and ends before what was published
///
/// Lists what was published and is not in the store, lane by lane, and asks the lanes to go on without it. It needs a second
/// person. Without --yes it only lists. Prefer a newer backup: then nothing is lost.
///
/// Exit codes: 0 every lane goes on (or nothing is missing, or it only listed), 2 nobody was named with --second, 3 a lane
/// refused it, 6 a lane did not answer in time.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    to: To,
}

/// Runs it.
///
/// # Errors
/// Where the fleet cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let to = args.to;
    let options = to.find.bus()?;
    let store = Queries::connect(to.find.store()?.expose()).await?;
    let mut whole = true;
    for lane in store.lanes().await? {
        let missing = missing(&options, &store, &lane).await?;
        if !missing.is_empty() {
            out::line(missing.words());
            whole = false;
        }
    }
    if whole {
        out::line("nothing is missing: the store has everything that was published");
        return Ok(ExitCode::SUCCESS);
    }
    if !to.yes && to.draft.is_none() {
        out::line(
            "nothing was sent; to go on without these records: the same command with --second and --yes",
        );
        return Ok(ExitCode::SUCCESS);
    }
    if to.person.second.is_none() {
        let text = "going on without what is missing needs a second person: name them with --second";
        return Err(usage("second_missing", text).into());
    }
    // A lane that misses nothing says so, and goes on as before.
    every_lane(to, OperationVerb::AcceptRestore).await
}

/// What was published of a lane and is not in its journal.
async fn missing(options: &Options, store: &Queries, lane: &LaneRow) -> anyhow::Result<Missing> {
    let mut end = lane.spoken;
    loop {
        let rows = store.journal_scan(lane.lane, end + 1, MOST).await?;
        let Some(last) = rows.last() else { break };
        end = last.n;
    }
    let place = Place { topic: Topic::Audit, partition: lane.lane.0 };
    let open = |start| Reader::open(options, vec![place.clone()], start);
    let high = open(Start::End).await.map_err(out::bus)?.ends().get(&place).copied().unwrap_or_default();
    let from = (high - LOOK).max(0);
    let start = Start::At([(place.clone(), from)].into());
    let mut reader = open(start).await.map_err(out::bus)?;
    let mut missing = Missing::of(lane.lane, end);
    let mut first = true;
    while let Read::Records(records) = reader.read().await.map_err(out::bus)? {
        for record in &records {
            if missing.look(record) && first && from > 0 {
                missing.cut();
            }
            first = false;
        }
    }
    Ok(missing)
}
