//! `tenantry sim`: runs the seeded world, any number of seeds. A seed repeats exactly.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use clap::Args as ClapArgs;
use serde_json::json;
use tenantry_sim::{Options, Report};

use crate::out;

/// Arguments of `tenantry sim`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// How many seeds to run
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed; with one seed, what it does is printed in any case
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many tenants upstream asks for in each world
    #[arg(long, default_value_t = Options::default().tenants)]
    tenants: usize,
    /// How many worlds run at a time [default: one for each processor]
    #[arg(long)]
    threads: Option<usize>,
    /// How many lines of the trace of a broken seed to print
    #[arg(long, default_value_t = Options::default().keep_lines)]
    lines: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command: exit 1 where a promise was broken.
///
/// # Errors
/// None but defects.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    tokio::task::spawn_blocking(move || worlds(&args)).await?
}

fn worlds(args: &Args) -> anyhow::Result<ExitCode> {
    let options = Options { tenants: args.tenants, keep_lines: args.lines, ..Options::default() };
    let usual = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = args.threads.unwrap_or(usual).max(1);
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let (send, reports) = mpsc::channel();
    let mut sums = Sums::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, options) = (send.clone(), &next, &options);
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= args.seeds
                        || send.send(tenantry_sim::run(args.seed.wrapping_add(at), options)).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(send);
        for report in reports {
            if !args.json && (!report.broken.is_empty() || args.seeds == 1) {
                show(&report);
            }
            sums.add(report);
        }
    });
    let broken = sums.broken.len();
    if args.json {
        out::json(&json!({
            "seeds": sums.seeds, "first": args.seed, "broken": sums.broken, "points": sums.points,
            "virtual_ms": sums.virtual_ms, "outcomes": sums.outcomes, "faults": sums.faults,
            "seconds": began.elapsed().as_secs_f64(),
        }))?;
    } else {
        let words = |of: &BTreeMap<String, u64>| {
            of.iter().map(|(name, n)| format!("{n} {name}")).collect::<Vec<_>>().join(", ")
        };
        let hours = sums.virtual_ms / 3_600_000;
        out::line(format_args!(
            "{} seeds from {}: {broken} broken, {hours} hours of their time, {} port calls",
            sums.seeds, args.seed, sums.points
        ));
        out::line(format_args!("tenants ended {}", words(&sums.outcomes)));
        out::line(format_args!("faults: {}", words(&sums.faults)));
        for seed in sums.broken.keys() {
            out::line(format_args!(
                "run it again: tenantry sim --seeds 1 --seed {seed} --tenants {}",
                args.tenants
            ));
        }
    }
    Ok(if broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(out::FAILED) })
}

fn show(report: &Report) {
    let hash = report.hash;
    out::line(format_args!(
        "seed {}: trace {hash:016x}, {} lines, {} virtual ms",
        report.seed, report.lines, report.virtual_ms
    ));
    for line in &report.trace {
        out::line(format_args!("  {line}"));
    }
    for broken in &report.broken {
        out::line(format_args!("  BROKEN {broken}"));
    }
}

/// What all seeds came to.
#[derive(Default)]
struct Sums {
    seeds: u64,
    points: u64,
    virtual_ms: i64,
    outcomes: BTreeMap<String, u64>,
    faults: BTreeMap<String, u64>,
    broken: BTreeMap<u64, Vec<String>>,
}

impl Sums {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.points += report.points;
        self.virtual_ms += report.virtual_ms;
        for (state, count) in report.outcomes {
            *self.outcomes.entry(state.to_string()).or_default() += count;
        }
        for (fault, count) in report.faults {
            *self.faults.entry(fault.to_owned()).or_default() += count;
        }
        if !report.broken.is_empty() {
            self.broken.insert(report.seed, report.broken.iter().map(ToString::to_string).collect());
        }
    }
}
