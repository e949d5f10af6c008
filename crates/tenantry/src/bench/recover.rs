//! `bench recover`: a coordinator is killed while all tenants are on their way, and starts again. How long until it has
//! all of them in memory, and does each still come to its end?

use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use tenantry_coordinator::BUSY_MOST;

use super::RecoverArgs;
use super::fill::Filled;
use super::house::{COORDINATOR, House, run_name, work};
use super::part::Part;
use super::work::Pace;
use crate::out;

/// What came of it.
#[derive(Debug, Serialize)]
struct Recovered {
    tenants: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished: Option<Filled>,
    /// From the first request until every tenant was accepted.
    accepted_s: f64,
    /// From the start of the new process until it served all lanes.
    lanes_s: f64,
    /// From the same moment until it had all tenants in memory, and its first batch was committed.
    recovered_s: f64,
    /// From the start of the workers until the last outcome.
    drained_s: f64,
    /// Of the coordinator: when it was killed, when its successor had recovered, and at the end.
    rss_before_mib: f64,
    rss_after_mib: f64,
    rss_end_mib: f64,
    active: u64,
    rolled_back: u64,
    audit_records: u64,
    audit_chains: u64,
}

pub(super) async fn run(args: RecoverArgs) -> anyhow::Result<()> {
    let mut ground = args.ground;
    // A lane takes up so many and no more, and slugs do not fall evenly: with a fifth of room all of them are accepted.
    let lanes = args.tenants.div_ceil(BUSY_MOST as u64 * 4 / 5);
    ground.lanes = ground.lanes.max(u16::try_from(lanes).unwrap_or(u16::MAX));
    let mut house = House::open(ground).await?;
    house.watched = true;
    house.start(Part::Coordinator, COORDINATOR).await?;
    house.until_shared().await?;
    // Nobody answers the first question: everything that is accepted stays on its way.
    let began = Instant::now();
    let mut load = house.load(work(&run_name(), args.tenants, Pace::Closed(args.tenants))).await?;
    load.until_accepted().await?;
    let accepted_s = began.elapsed().as_secs_f64();
    let rss_before_mib = house.rss_of(COORDINATOR);
    house.kill(COORDINATOR).await?;

    let began = Instant::now();
    house.start(Part::Coordinator, COORDINATOR).await?;
    house.until_shared().await?;
    let lanes_s = began.elapsed().as_secs_f64();
    house.until_held(args.tenants).await?;
    let recovered_s = began.elapsed().as_secs_f64();
    let rss_after_mib = house.rss_of(COORDINATOR);

    let began = Instant::now();
    house.start_workers().await?;
    let outcome = load.finish().await.context("after the coordinator was killed")?;
    let drained_s = began.elapsed().as_secs_f64();
    house.still_run()?;
    let audit = house.verify().await?;
    let found = Recovered {
        tenants: args.tenants,
        finished: house.filled.clone(),
        accepted_s,
        lanes_s,
        recovered_s,
        drained_s,
        rss_before_mib,
        rss_after_mib,
        rss_end_mib: house.rss_of(COORDINATOR),
        active: outcome.active,
        rolled_back: outcome.rolled_back,
        audit_records: audit.records,
        audit_chains: audit.chains,
    };
    house.end(&found, print).await
}

fn print(found: &Recovered) {
    out::line(format_args!("recover, {} tenants on their way, one coordinator killed", found.tenants));
    if let Some(filled) = &found.finished {
        out::line(filled);
    }
    out::line(format_args!("  {:8.2} s until all were accepted", found.accepted_s));
    out::line(format_args!("  {:8.2} s from the new process to all lanes", found.lanes_s));
    out::line(format_args!(
        "  {:8.2} s from there on to all tenants in memory",
        found.recovered_s - found.lanes_s
    ));
    out::line(format_args!("  {:8.2} s from the start of the workers to the last outcome", found.drained_s));
    out::line(format_args!(
        "  {:8.0} MiB of the coordinator when it was killed, {:.0} when recovered, {:.0} at the end",
        found.rss_before_mib, found.rss_after_mib, found.rss_end_mib
    ));
    out::line(format_args!(
        "  every outcome was as it must be: {} active, {} rolled back; the audit verified: {} records in {} chains",
        found.active, found.rolled_back, found.audit_records, found.audit_chains
    ));
}
