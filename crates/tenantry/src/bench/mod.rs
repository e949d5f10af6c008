//! `tenantry bench`: how fast the whole path is, honestly: real processes, real broker, PostgreSQL with fsync, every
//! outcome checked and the audit verified.

mod cpu;
mod load;
mod part;
mod plan;
mod saga;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};

/// Measure the fleet.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Sagas of twelve steps that do nothing, as many as the fleet can take.
    Saga(SagaArgs),
    /// A process of the benchmark's own.
    #[command(hide = true)]
    Part(part::PartArgs),
}

/// What `bench saga` is told.
#[derive(Clone, Debug, ClapArgs)]
pub struct SagaArgs {
    /// How many sagas to run.
    #[arg(long, default_value_t = 10_000)]
    sagas: u64,
    /// How many are in flight at a time.
    #[arg(long, default_value_t = 1024)]
    in_flight: u64,
    /// Lanes (partitions) to make.
    #[arg(long, default_value_t = 4)]
    lanes: u16,
    /// How long producers gather, in milliseconds.
    #[arg(long, default_value_t = 0)]
    linger_ms: u32,
    /// Apache Kafka to use; without it an embedded broker is started as a process of its own.
    #[arg(long, env = "TENANTRY_BROKERS")]
    brokers: Option<String>,
    /// The process id of that broker, to count its CPU time.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// An empty database to use; without it a private PostgreSQL is started (fsync on).
    #[arg(long, env = "TENANTRY_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// The process id of that server's postmaster, to count its CPU time.
    #[arg(long)]
    postgres_pid: Option<u32>,
    /// Where to keep data for the run; a folder of its own in the temporary folder by default, removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 600)]
    timeout_s: u64,
    /// Print one JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the benchmark, or one of its parts.
///
/// # Errors
/// Where something could not be started, an outcome was wrong, or the audit does not verify.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Saga(args) => saga::run(args).await?,
        What::Part(args) => part::run(args).await?,
    }
    Ok(ExitCode::SUCCESS)
}
