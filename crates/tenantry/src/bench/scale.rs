//! `bench scale`: what more coordinators give, and what it costs the tenants when one is added or dies under load.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::ScaleArgs;
use super::figures::percentile;
use super::house::{House, coordinator, run_name, work};
use super::work::{Pace, Work};
use crate::out;
use crate::show::{Style, table};

/// What came of it.
#[derive(Debug, Serialize)]
struct Scaled {
    lanes: u16,
    rate: f64,
    /// After how long a silent coordinator's lanes are given to others.
    session_timeout_ms: u32,
    throughput: Vec<Throughput>,
    changes: Vec<Change>,
    audit_records: u64,
    audit_chains: u64,
}

/// A closed loop with so many coordinators.
#[derive(Debug, Serialize)]
struct Throughput {
    coordinators: u16,
    sagas: u64,
    sagas_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// Sagas at a rate, while something happened to the coordinators.
#[derive(Debug, Serialize)]
struct Change {
    what: String,
    sagas: u64,
    /// The longest time without an audit record of a lane that had tenants on their way.
    longest_pause_ms: f64,
    /// The same for each lane.
    pauses_ms: Vec<f64>,
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
}

pub(super) async fn run(args: ScaleArgs) -> anyhow::Result<()> {
    let mut house = House::open(args.ground.clone()).await?;
    house.watched = true;
    house.start_workers().await?;
    let (mut throughput, mut changes) = (Vec::new(), Vec::new());
    let mut running = 0;
    for wanted in args.coordinators.iter().copied() {
        if running == 0 {
            house.start_coordinators(0, wanted).await?;
            house.until_shared().await?;
            house.warm_up().await?;
            changes.push(
                change(&mut house, &args, format!("{wanted}, nothing happens"), async |_| Ok(())).await?,
            );
        } else {
            let added = async |house: &mut House| house.start_coordinators(running, wanted).await;
            changes.push(change(&mut house, &args, format!("{running} become {wanted}"), added).await?);
            house.until_shared().await?;
        }
        running = running.max(wanted);
        throughput.push(closed(&mut house, &args, running).await?);
    }
    if running > 1 {
        let killed = async |house: &mut House| house.kill(&coordinator(running)).await;
        changes.push(change(&mut house, &args, format!("one of {running} is killed"), killed).await?);
    }
    let audit = house.verify().await?;
    let found = Scaled {
        lanes: args.ground.lanes,
        rate: args.rate,
        session_timeout_ms: house.options.session_timeout_ms,
        throughput,
        changes,
        audit_records: audit.records,
        audit_chains: audit.chains,
    };
    house.end(&found, print).await
}

async fn closed(house: &mut House, args: &ScaleArgs, coordinators: u16) -> anyhow::Result<Throughput> {
    let sagas = args.sagas;
    let outcome = house.load(work(&run_name(), sagas, Pace::Closed(args.in_flight))).await?.finish().await?;
    house.still_run()?;
    Ok(Throughput {
        coordinators,
        sagas,
        sagas_per_s: sagas as f64 / outcome.took.as_secs_f64(),
        p50_ms: percentile(&outcome.latencies_ms, 50.0),
        p99_ms: percentile(&outcome.latencies_ms, 99.0),
    })
}

/// Sagas at a rate; after a quarter of them something happens.
async fn change(
    house: &mut House,
    args: &ScaleArgs,
    what: String,
    happens: impl AsyncFnOnce(&mut House) -> anyhow::Result<()>,
) -> anyhow::Result<Change> {
    let sagas = (args.rate * args.for_s) as u64;
    let load = house.load(Work { audit: true, ..work(&run_name(), sagas, Pace::Rate(args.rate)) }).await?;
    let happens = async {
        tokio::time::sleep(Duration::from_secs_f64(args.for_s / 4.0)).await;
        happens(house).await
    };
    let (outcome, ()) = tokio::try_join!(load.finish(), happens).with_context(|| what.clone())?;
    house.still_run()?;
    let pauses_ms: Vec<f64> = outcome.gaps.longest_ms().into_values().collect();
    Ok(Change {
        what,
        sagas,
        longest_pause_ms: pauses_ms.iter().copied().fold(0.0, f64::max),
        pauses_ms,
        p50_ms: percentile(&outcome.latencies_ms, 50.0),
        p99_ms: percentile(&outcome.latencies_ms, 99.0),
        longest_ms: percentile(&outcome.latencies_ms, 100.0),
    })
}

fn print(found: &Scaled) {
    let style = Style::detect();
    out::line(format_args!("scale, {} lanes, session timeout {} ms", found.lanes, found.session_timeout_ms));
    let mut rows = table::new(style, &["coordinators", "sagas", "sagas/s", "p50 ms", "p99 ms"]);
    for one in &found.throughput {
        rows.add_row([
            one.coordinators.to_string(),
            one.sagas.to_string(),
            format!("{:.1}", one.sagas_per_s),
            format!("{:.0}", one.p50_ms),
            format!("{:.0}", one.p99_ms),
        ]);
    }
    table::lines(&mut rows, 2).into_iter().for_each(out::line);
    out::line(format_args!("{} sagas a second, while", found.rate));
    let mut rows = table::new(
        style,
        &["what happens", "sagas", "longest pause of a lane ms", "p50 ms", "p99 ms", "longest saga ms"],
    );
    for one in &found.changes {
        rows.add_row([
            one.what.clone(),
            one.sagas.to_string(),
            format!("{:.0}", one.longest_pause_ms),
            format!("{:.0}", one.p50_ms),
            format!("{:.0}", one.p99_ms),
            format!("{:.0}", one.longest_ms),
        ]);
    }
    table::lines(&mut rows, 2).into_iter().for_each(out::line);
    out::line(format_args!(
        "every outcome was as it must be; the audit verified: {} records in {} chains",
        found.audit_records, found.audit_chains
    ));
}
