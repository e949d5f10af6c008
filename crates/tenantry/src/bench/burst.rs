//! `bench burst`: far more requests at once than the fleet can take. It must hold them off, not hold them: memory stays
//! bounded, each tenant's requests are decided in order, everything comes to its end.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use super::BurstArgs;
use super::cpu::{Memory, sampled};
use super::figures::percentile;
use super::house::{COORDINATOR, House, run_name, work};
use super::part::Part;
use super::work::{Again, Pace, Work};
use crate::out;
use crate::show::{Style, table};

/// How long a process may take to give back what it does not need any more.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Serialize)]
struct Burst {
    requests: u64,
    /// Requests for a slug that another one had just asked for: each was refused after that was accepted.
    further: u64,
    active: u64,
    rolled_back: u64,
    /// From the first request until all were decided, and until the last outcome.
    accepted_s: f64,
    drained_s: f64,
    sagas_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    memory: Vec<Memory>,
    audit_records: u64,
    audit_chains: u64,
}

pub(super) async fn run(args: BurstArgs) -> anyhow::Result<()> {
    let mut house = House::open(args.ground.clone()).await?;
    house.start(Part::Coordinator, COORDINATOR).await?;
    house.start_workers().await?;
    house.warm_up().await?;
    let again = Again { every: args.twice_every, times: 1 };
    let work = Work { again, ..work(&run_name(), args.requests, Pace::Closed(args.requests)) };
    let mut load = house.load(work).await?;
    let drained = async {
        let began = Instant::now();
        load.until_accepted().await?;
        let accepted_s = began.elapsed().as_secs_f64();
        let outcome = load.finish().await?;
        tokio::time::sleep(AFTERWARDS).await;
        anyhow::Ok((accepted_s, outcome))
    };
    let (drained, memory) = sampled(&house.fleet(), drained).await;
    let (accepted_s, outcome) = drained.context("in the burst")?;
    house.still_run()?;
    let audit = house.verify().await?;
    let drained_s = outcome.took.as_secs_f64();
    let found = Burst {
        requests: args.requests,
        further: outcome.refused,
        active: outcome.active,
        rolled_back: outcome.rolled_back,
        accepted_s,
        drained_s,
        sagas_per_s: args.requests as f64 / drained_s,
        p50_ms: percentile(&outcome.latencies_ms, 50.0),
        p99_ms: percentile(&outcome.latencies_ms, 99.0),
        memory,
        audit_records: audit.records,
        audit_chains: audit.chains,
    };
    house.end(&found, print).await
}

fn print(found: &Burst) {
    out::line(format_args!("burst, {} requests at once, {} further ones", found.requests, found.further));
    out::line(format_args!("  {:8.2} s until all were accepted", found.accepted_s));
    out::line(format_args!(
        "  {:8.2} s until the last outcome, {:.1} sagas/s",
        found.drained_s, found.sagas_per_s
    ));
    out::line(format_args!("  {:8.0} ms p50, {:.0} ms p99", found.p50_ms, found.p99_ms));
    let mut rows = table::new(Style::detect(), &["process", "MiB before", "at most", "at the end"]);
    for one in &found.memory {
        let mib = |mib: f64| format!("{mib:.0}");
        rows.add_row([one.name.clone(), mib(one.before_mib), mib(one.peak_mib), mib(one.end_mib)]);
    }
    table::lines(&mut rows, 2).into_iter().for_each(out::line);
    out::line(format_args!(
        "  every outcome was as it must be: {} active, {} rolled back, {} refused in their order; the audit verified: \
         {} records in {} chains",
        found.active, found.rolled_back, found.further, found.audit_records, found.audit_chains
    ));
}
