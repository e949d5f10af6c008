//! `bench saga`: starts the parts, drives the load, prints what it took.

use std::path::Path;

use super::figures::{Figures, Limits, Process, Report, percentile};
use super::house::{Counted, GENERATOR, House, OUTSIDE, run_name, work};
use super::part::word;
use super::work::Pace;
use super::{Case, SagaArgs, limits, print};
use crate::out::usage;

/// How long requests come at a rate, in seconds.
const RATE_FOR_S: f64 = 20.0;

pub(super) async fn run(args: SagaArgs) -> anyhow::Result<()> {
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    let mut house = House::open(args.ground.clone()).await?;
    let limits = if args.no_limits {
        Limits::default()
    } else {
        limits::take(&house.url, &house.options, house.dir()).await?
    };
    // Several must have found their shares before anything is measured.
    house.watched = args.coordinators > 1;
    house.start_coordinators(0, args.coordinators).await?;
    if house.watched {
        house.until_shared().await?;
    }
    house.start_workers().await?;
    house.warm_up().await?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        broker: if args.ground.brokers.is_some() { "given" } else { "embedded" }.to_owned(),
        lanes: args.ground.lanes,
        coordinators: args.coordinators,
        linger_ms: args.ground.linger_ms,
        producer: word(args.ground.producer),
        repeats: usize::from(args.repeat),
        limits,
        finished: house.filled.clone(),
        ..Report::default()
    };
    for case in args.cases.clone() {
        let mut runs = Vec::new();
        for _ in 0..args.repeat {
            runs.push(measure(&mut house, &args, case).await?);
        }
        report.cases.extend(Figures::medians(&runs));
    }
    let audit = house.verify().await?;
    (report.audit_records, report.audit_chains) = (audit.records, audit.chains);
    house.still_run()?;
    if let Some(path) = &args.keep {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .map_err(|error| usage("file_unwritable", format!("{}: {error}", path.display())))?;
    }
    house.end(&report, |report| print::report(report, baseline.as_ref())).await
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let unreadable = |error: String| usage("baseline_unreadable", format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Ok(serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?)
}

/// One run of a case.
async fn measure(house: &mut House, args: &SagaArgs, case: Case) -> anyhow::Result<Figures> {
    let (pace, sagas) = match case {
        Case::Tput => (Pace::Closed(args.in_flight), args.sagas),
        Case::Lat => (Pace::Closed(1), args.one_by_one),
        Case::Rate => (Pace::Rate(args.rate), (args.rate * RATE_FOR_S) as u64),
    };
    let before = (house.used(), house.counted().await?);
    let outcome = house.load(work(&run_name(), sagas, pace)).await?.finish().await?;
    let after = (house.used(), house.counted().await?);
    house.still_run()?;
    let per_saga = |of: fn(&Counted) -> i64| (of(&after.1) - of(&before.1)) as f64 / sagas as f64;
    let processes: Vec<Process> = before
        .0
        .iter()
        .zip(&after.0)
        .map(|((name, before), (_, after))| Process {
            name: name.clone(),
            cpu_s_per_1000: (after.cpu_s - before.cpu_s) / sagas as f64 * 1000.0,
            rss_mib: after.rss_mib,
        })
        .collect();
    let fleet = |process: &&Process| !OUTSIDE.contains(&process.name.as_str());
    Ok(Figures {
        case: case.word().to_owned(),
        sagas,
        in_flight: if let Pace::Closed(in_flight) = pace { Some(in_flight) } else { None },
        active: outcome.active,
        rolled_back: outcome.rolled_back,
        sagas_per_s: sagas as f64 / outcome.took.as_secs_f64(),
        p50_ms: percentile(&outcome.latencies_ms, 50.0),
        p99_ms: percentile(&outcome.latencies_ms, 99.0),
        cpu_s_per_1000: processes
            .iter()
            .filter(|process| process.name != GENERATOR)
            .map(|process| process.cpu_s_per_1000)
            .sum(),
        rss_mib: processes.iter().filter(fleet).map(|process| process.rss_mib).sum(),
        wal_kib_per_saga: per_saga(|counted| counted.wal) / 1024.0,
        messages_per_saga: per_saga(|counted| counted.messages),
        rows_per_saga: per_saga(|counted| counted.rows),
        processes,
    })
}
