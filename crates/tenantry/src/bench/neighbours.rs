//! `bench neighbours`: what tenants feel of each other. The same load is measured alone, beside others like it, beside as many
//! whose steps are slow in one worker, and beside one tenant that is asked for again and again.

use anyhow::Context;
use serde::Serialize;

use super::NeighboursArgs;
use super::figures::percentile;
use super::house::{COORDINATOR, House, run_name, work};
use super::load::{Load, Outcome};
use super::part::Part;
use super::steps::SLOW;
use super::work::{Again, Pace, Work};
use crate::out;
use crate::show::{Style, table};

/// What came of it.
#[derive(Debug, Serialize)]
struct Neighbours {
    rate: f64,
    sagas: u64,
    slow_rate: f64,
    hot_rate: f64,
    alone: Felt,
    /// So many others cost something by themselves; what slowness adds is held against this.
    beside_others: Felt,
    beside_slow: Felt,
    beside_hot: Felt,
    audit_records: u64,
    audit_chains: u64,
}

/// What the measured tenants felt.
#[derive(Clone, Copy, Debug, Serialize)]
struct Felt {
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
}

impl Felt {
    fn of(outcome: &Outcome) -> Self {
        let at = |of_hundred| percentile(&outcome.latencies_ms, of_hundred);
        Self { p50_ms: at(50.0), p99_ms: at(99.0), longest_ms: at(100.0) }
    }

    fn figures(&self) -> [f64; 3] {
        [self.p50_ms, self.p99_ms, self.longest_ms]
    }
}

pub(super) async fn run(args: NeighboursArgs) -> anyhow::Result<()> {
    let mut house = House::open(args.ground.clone()).await?;
    house.start(Part::Coordinator, COORDINATOR).await?;
    house.start_workers().await?;
    house.warm_up().await?;
    let sagas = (args.rate * args.for_s) as u64;

    let alone = Felt::of(&others(&house, &args).await?.finish().await.context("alone")?);

    let many = (args.slow_rate * args.for_s) as u64;
    let beside = async |name: &str| {
        let beside = work(&format!("{name}{}", run_name()), many, Pace::Rate(args.slow_rate));
        let (beside, measured) = (house.load(beside).await?, others(&house, &args).await?);
        let (outcome, _) = tokio::try_join!(measured.finish(), beside.finish())
            .with_context(|| format!("beside those that are called {name}"))?;
        anyhow::Ok(Felt::of(&outcome))
    };
    let beside_others = beside("other-").await?;
    let beside_slow = beside(SLOW).await?;

    let further = (args.hot_rate * args.for_s) as u64;
    let hot = Work {
        again: Again { every: 1, times: further },
        ..work(&format!("hot-{}", run_name()), 1, Pace::Rate(args.hot_rate))
    };
    let (hot, measured) = (house.load(hot).await?, others(&house, &args).await?);
    let (outcome, _) = tokio::try_join!(measured.finish(), hot.finish()).context("beside a hot one")?;
    let beside_hot = Felt::of(&outcome);

    house.still_run()?;
    let audit = house.verify().await?;
    let found = Neighbours {
        rate: args.rate,
        sagas,
        slow_rate: args.slow_rate,
        hot_rate: args.hot_rate,
        alone,
        beside_others,
        beside_slow,
        beside_hot,
        audit_records: audit.records,
        audit_chains: audit.chains,
    };
    house.end(&found, print).await
}

/// The tenants that are measured.
async fn others(house: &House, args: &NeighboursArgs) -> anyhow::Result<Load> {
    let sagas = (args.rate * args.for_s) as u64;
    house.load(work(&run_name(), sagas, Pace::Rate(args.rate))).await
}

fn print(found: &Neighbours) {
    out::line(format_args!("neighbours, {} sagas at {} a second are measured", found.sagas, found.rate));
    let (rate, hot) = (found.slow_rate, found.hot_rate);
    let heads = [
        "figure".to_owned(),
        "alone".to_owned(),
        format!("beside {rate}/s others"),
        format!("beside {rate}/s slow"),
        "to others".to_owned(),
        format!("beside {hot}/s for one"),
        "to alone".to_owned(),
    ];
    let mut rows = table::new(Style::detect(), &heads.each_ref().map(String::as_str));
    let all = [&found.alone, &found.beside_others, &found.beside_slow, &found.beside_hot].map(Felt::figures);
    for (at, name) in ["p50 ms", "p99 ms", "longest ms"].into_iter().enumerate() {
        let [alone, others, slow, hot] = all.map(|felt| felt[at]);
        rows.add_row([
            name.to_owned(),
            format!("{alone:.1}"),
            format!("{others:.1}"),
            format!("{slow:.1}"),
            format!("{:.2}", slow / others),
            format!("{hot:.1}"),
            format!("{:.2}", hot / alone),
        ]);
    }
    table::lines(&mut rows, 2).into_iter().for_each(out::line);
    out::line(format_args!(
        "every outcome was as it must be; the audit verified: {} records in {} chains",
        found.audit_records, found.audit_chains
    ));
}
