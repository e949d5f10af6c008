//! `tenantry bench`: how fast the whole path is, honestly: real processes, real broker, PostgreSQL with fsync, every
//! outcome checked and the audit verified.

mod burst;
mod cpu;
mod figures;
mod fill;
mod gaps;
mod ground;
mod house;
mod limits;
mod load;
mod neighbours;
mod part;
mod plan;
mod print;
mod provision;
mod recover;
mod saga;
mod scale;
mod steps;
mod store;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use crate::out::failed;
use crate::settings::Producer;
use crate::signals::Signals;

/// Measure the fleet.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sagas of twelve steps that do nothing: how many the fleet can take, and how long one takes.
    Saga(Box<SagaArgs>),
    /// The product's own plan on real steps: how many tenants a second are really made.
    Provision(ProvisionArgs),
    /// A coordinator is killed while all tenants are on their way: how long until its successor has them all
    Recover(RecoverArgs),
    /// More coordinators, and what it costs the tenants when one is added or killed under load
    Scale(ScaleArgs),
    /// Far more requests at once than the fleet can take: its memory, their order, every outcome
    Burst(BurstArgs),
    /// What tenants feel of others that are slow, or asked for again and again
    Neighbours(NeighboursArgs),
    /// A process of the benchmark's own.
    #[command(hide = true)]
    Part(part::PartArgs),
}

impl Args {
    /// The process is one loop: see the same of `serve`.
    pub(crate) fn is_one_loop(&self) -> bool {
        matches!(&self.what, What::Part(part) if part.is_one_loop())
    }
}

/// What `bench saga` is told.
#[derive(Clone, Debug, ClapArgs)]
pub struct SagaArgs {
    /// What is measured
    #[arg(long = "case", value_enum, value_delimiter = ',', default_values_t = [Case::Tput, Case::Lat, Case::Rate])]
    cases: Vec<Case>,
    /// How often each case is measured; the figures are medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=20))]
    repeat: u16,
    /// How many sagas of `tput` to run.
    #[arg(long, default_value_t = 10_000)]
    sagas: u64,
    /// How many of them are in flight at a time.
    #[arg(long, default_value_t = 1024)]
    in_flight: u64,
    /// How many sagas of `lat` to run, one at a time.
    #[arg(long, default_value_t = 200)]
    one_by_one: u64,
    /// How many sagas a second come in `rate`, for twenty seconds.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// Keep the results in this file, as JSON.
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// Hold the results against those that were kept in this file.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How many coordinators share the lanes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    coordinators: u16,
    /// Leave the limit line out.
    #[arg(long)]
    no_limits: bool,
    #[command(flatten)]
    ground: Ground,
}

/// What `bench recover` is told.
#[derive(Clone, Debug, ClapArgs)]
struct RecoverArgs {
    /// How many tenants are on their way.
    #[arg(long, default_value_t = 10_000)]
    tenants: u64,
    #[command(flatten)]
    ground: Ground,
}

/// What `bench scale` is told.
#[derive(Clone, Debug, ClapArgs)]
struct ScaleArgs {
    /// How many coordinators run, one after the other, growing; at the end one of them is killed for good.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4], value_parser = clap::value_parser!(u16).range(1..=64))]
    coordinators: Vec<u16>,
    /// How many sagas of a closed loop to run with each number of them.
    #[arg(long, default_value_t = 5_000)]
    sagas: u64,
    /// How many of them are in flight at a time.
    #[arg(long, default_value_t = 1024)]
    in_flight: u64,
    /// How many sagas a second come while one is added or killed.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// For so many seconds each.
    #[arg(long, default_value_t = 30.0)]
    for_s: f64,
    #[command(flatten)]
    ground: Ground,
}

/// What `bench burst` is told.
#[derive(Clone, Debug, ClapArgs)]
struct BurstArgs {
    /// How many tenants are asked for at once.
    #[arg(long, default_value_t = 50_000)]
    requests: u64,
    /// One of so many is asked for twice; the second request must be refused, after the first was accepted.
    #[arg(long, default_value_t = 50)]
    twice_every: u64,
    #[command(flatten)]
    ground: Ground,
}

/// What `bench neighbours` is told.
#[derive(Clone, Debug, ClapArgs)]
struct NeighboursArgs {
    /// How many sagas a second are measured.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// For so many seconds each: alone, beside others like them, beside slow ones, beside a hot one.
    #[arg(long, default_value_t = 20.0)]
    for_s: f64,
    /// How many slow sagas a second come beside them: one worker takes two seconds for each of their steps.
    #[arg(long, default_value_t = 25.0)]
    slow_rate: f64,
    /// How many requests a second come for one and the same tenant.
    #[arg(long, default_value_t = 500.0)]
    hot_rate: f64,
    #[command(flatten)]
    ground: Ground,
}

/// What every measurement of twelve-step sagas stands on.
#[derive(Clone, Debug, ClapArgs)]
struct Ground {
    /// Lanes (partitions) to make.
    #[arg(long, default_value_t = 4)]
    lanes: u16,
    /// How long producers gather, in milliseconds.
    #[arg(long, default_value_t = 0)]
    linger_ms: u32,
    /// What sends records.
    #[arg(long, value_enum, default_value_t)]
    producer: Producer,
    /// Apache Kafka to use; without it an embedded broker is started as a process of its own.
    #[arg(long, env = "TENANTRY_BROKERS")]
    brokers: Option<String>,
    /// The process id of that broker, to count its CPU time.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// DESTROYS RECORDS: first delete the topics on that broker which an earlier run has used, that is those of the
    /// benchmark's own six workers and everything that a fleet shares: requests, operations, results, events and audit.
    #[arg(long)]
    delete_topics: bool,
    /// An empty database to use; without it a private PostgreSQL is started (fsync on).
    #[arg(long, env = "TENANTRY_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Fill the store with so many finished tenants first: the rows of a few real ones, as often. A million takes some
    /// minutes and 16 GB. The audit topic is not filled: the fleet reads no tenant's chain there.
    #[arg(long, default_value_t = 0, value_name = "TENANTS")]
    finished: u64,
    /// The process id of that server's postmaster, to count its CPU time.
    #[arg(long)]
    postgres_pid: Option<u32>,
    /// Where to keep data for the run; a folder of its own in the temporary folder by default, removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 600)]
    timeout_s: u64,
    /// Print one JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

/// What `bench provision` is told.
#[derive(Clone, Debug, ClapArgs)]
pub struct ProvisionArgs {
    /// How many tenants to make.
    #[arg(long, default_value_t = 200)]
    tenants: u64,
    /// How many at a time.
    #[arg(long, default_value_t = 16)]
    in_flight: u64,
    /// Apache Kafka to use, without topics of a fleet; without it the fleet has its embedded broker.
    #[arg(long, env = "TENANTRY_BROKERS")]
    brokers: Option<String>,
    /// Where to keep data for the run; a folder of its own in the temporary folder by default, removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 600)]
    timeout_s: u64,
    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// A closed loop: as many sagas a second as the fleet can take.
    Tput,
    /// One saga at a time.
    Lat,
    /// So many a second, with the latency from when each was due.
    Rate,
}

impl Case {
    fn word(self) -> &'static str {
        match self {
            Self::Tput => "tput",
            Self::Lat => "lat",
            Self::Rate => "rate",
        }
    }
}

/// Runs the benchmark, or one of its parts.
///
/// # Errors
/// Where something could not be started, an outcome was wrong, the audit does not verify, or a signal ended it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    // A part ends with whoever started it, or at once.
    if matches!(args.what, What::Part(_)) {
        begin(args.what).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::new()?;
    tokio::select! {
        done = begin(args.what) => done?,
        // What it started, and its folder, go with it.
        () = signals.first() => {
            return Err(failed("bench_interrupted", "a signal ended the run; nothing was measured").into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn begin(what: What) -> anyhow::Result<()> {
    match what {
        What::Saga(args) => saga::run(*args).await,
        What::Provision(args) => provision::run(args).await,
        What::Recover(args) => recover::run(args).await,
        What::Scale(args) => scale::run(args).await,
        What::Burst(args) => burst::run(args).await,
        What::Neighbours(args) => neighbours::run(args).await,
        What::Part(args) => part::run(args).await,
    }
}
