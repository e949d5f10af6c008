//! `tenantry topics`: makes or verifies the topics of the one table.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use tenantry_contracts::Topic;
use tenantry_contracts::topic::Name;
use tenantry_kafka::topics::{self, Difference};

use crate::fleet::Worker;
use crate::out;
use crate::settings::{Find, Kafka, Where};

/// Arguments of `tenantry topics`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Makes the topics that are missing; those that exist are left as they are, and differences are told
    Apply {
        /// How many lanes: partitions of every keyed topic. Chosen once, fixed for life
        #[arg(long, env = "TENANTRY_LANES", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
        lanes: u16,
        /// How many replicas each partition has
        #[arg(long, env = "TENANTRY_REPLICATION", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=15))]
        replication: u16,
        #[command(flatten)]
        shared: Shared,
    },
    /// Says how the topics differ from what they should be; changes nothing
    Check {
        #[command(flatten)]
        shared: Shared,
    },
}

#[derive(Clone, Debug, ClapArgs)]
struct Shared {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    kafka: Kafka,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command: exit 1 where the topics are not as they should be.
///
/// # Errors
/// Where the brokers cannot be reached, or refuse.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (shared, report) = match args.what {
        What::Apply { lanes, replication, shared } => {
            let options = shared.find().bus()?;
            let report =
                topics::apply(&options, &Worker::names(), lanes, replication).await.map_err(out::bus)?;
            (shared, report)
        }
        What::Check { shared } => {
            let options = shared.find().bus()?;
            let differences = topics::check(&options, &Worker::names()).await.map_err(out::bus)?;
            (shared, topics::Report { made: Vec::new(), differences })
        }
    };
    show(&report, shared.json)?;
    Ok(if report.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(out::FAILED) })
}

impl Shared {
    fn find(&self) -> Find {
        Find { at: self.at.clone(), kafka: self.kafka.clone(), ..Find::default() }
    }
}

fn show(report: &topics::Report, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let made: Vec<Name> = report.made.iter().map(Topic::name).collect();
        let differs = |it: &Difference| json!({"code": it.code, "topic": it.topic, "text": it.text});
        let differences: Vec<_> = report.differences.iter().map(differs).collect();
        return out::json(&json!({"ok": differences.is_empty(), "made": made, "differences": differences}));
    }
    for topic in &report.made {
        out::line(format_args!("made  {topic}"));
    }
    for difference in &report.differences {
        out::line(format_args!("differs  {difference}"));
    }
    if report.differences.is_empty() {
        out::line("all topics are as they should be");
    }
    Ok(())
}
