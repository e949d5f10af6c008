//! `tenantry fleet accept-restore`: a person decides to go on with a store that ends before what was published.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Lane, RequestId, Topic};
use tenantry_coordinator::Missing;
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::{LaneRow, Place};
use tenantry_postgres::{MOST, Queries};
use tenantry_saga::{Rules, plans};
use tokio::time::Instant;

use crate::deed;
use crate::out::{self, failed, usage};
use crate::request::{fresh_id, source};
use crate::settings::{Find, Person};
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::story::Story;

/// How many records of each lane are looked at, from the end on.
const LOOK: i64 = 50_000;
/// How long a lane may take to answer.
const ANSWERED: Duration = Duration::from_secs(60);

/// Go on with a store that was restored from a backup and ends before what was published
///
/// Lists what was published and is not in the store, lane by lane, and asks each of these lanes to go on without it. It
/// needs a second person. Without --yes it only lists. Prefer a newer backup: then nothing is lost.
///
/// Exit codes: 0 the lanes go on (or nothing is missing, or it only listed), 1 a lane did not answer, 2 nobody was named with
/// --second, 3 refused.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    person: Person,
    /// The operation's id: the same id is done once in each lane [default: a fresh one]
    #[arg(long, env = "TENANTRY_OPERATION_ID")]
    id: Option<String>,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    #[command(flatten)]
    find: Find,
}

/// Runs it.
///
/// # Errors
/// Where the fleet cannot be found or reached, or a lane does not answer.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = args.find.bus()?;
    let store = Queries::connect(args.find.store()?.expose()).await?;
    let mut lanes = Vec::new();
    for lane in store.lanes().await? {
        let missing = missing(&options, &store, &lane).await?;
        if !missing.is_empty() {
            out::line(missing.words());
            lanes.push(lane.lane);
        }
    }
    if lanes.is_empty() {
        out::line("nothing is missing: the store has everything that was published");
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes {
        out::line(
            "nothing was sent; to go on without these records: the same command with --second and --yes",
        );
        return Ok(ExitCode::SUCCESS);
    }
    if args.person.second.is_none() {
        let text = "going on without what is missing needs a second person: name them with --second";
        return Err(usage("second_missing", text).into());
    }
    let id = args.id.clone().unwrap_or_else(fresh_id);
    for lane in lanes {
        if let Some(exit) = accept(&args, &options, &id, lane).await? {
            return Ok(ExitCode::from(exit));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks one lane, and waits until it goes on. The exit code where it does not.
async fn accept(args: &Args, options: &Options, id: &str, lane: Lane) -> anyhow::Result<Option<u8>> {
    let id = RequestId { source: source(), id: format!("{id}-{}", lane.chain()) };
    let operation = args.person.operation(id, OperationVerb::AcceptRestore, None, None, None)?;
    let plans = plans::all(Rules::default());
    let mut story = Story::new(Style::PLAIN, plans, operation.id.clone(), false);
    let (mut ear, origin) = deed::publish(options, lane.0, &operation).await?;
    story.at(origin.clone());
    match ear.follow(&mut story, None, Instant::now() + ANSWERED).await? {
        Outcome::Done | Outcome::RolledBack | Outcome::Parked => {
            out::line(format_args!("lane {lane} goes on"));
            Ok(None)
        }
        Outcome::Rejected => {
            let refusal = story.answer().and_then(|answer| answer.refusal.as_ref());
            out::complain(refusal.map_or_else(|| "refused".to_owned(), ToString::to_string));
            Ok(Some(Outcome::Rejected.exit()))
        }
        Outcome::Timeout => Err(failed(
            "restore_unanswered",
            format!(
                "lane {lane} has not answered {origin}; see that a coordinator runs, and its log: it takes up only what \
                 people may say, signed where the fleet demands that"
            ),
        )
        .into()),
    }
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
