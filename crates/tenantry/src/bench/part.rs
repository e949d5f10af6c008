//! The processes of the benchmark: a broker, a coordinator, workers. Each ends when its standard input does.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use tenantry_contracts::{Fleet, MasterKey};
use tenantry_coordinator::{Coordinator, Exit, telemetry};
use tenantry_kafka::Kafka;
use tenantry_postgres::{PgKeys, PgLedger, PgStore};
use tenantry_serve::Server;

use super::plan::registry;
use super::steps::Noop;
use crate::clock::{OsEntropy, SystemClock};
use crate::settings::Producer;

/// The fleet of the benchmark.
pub(super) const FLEET: Fleet = Fleet::new("bench");

/// Which part, and where the others are.
#[derive(Debug, ClapArgs)]
pub(super) struct PartArgs {
    #[arg(value_enum)]
    part: Part,
    #[arg(long, default_value = "")]
    brokers: String,
    #[arg(long, default_value = "")]
    database_url: String,
    #[arg(long, default_value_t = 4)]
    lanes: u16,
    #[arg(long, default_value_t = 0)]
    linger_ms: u32,
    #[arg(long, value_enum, default_value_t)]
    producer: Producer,
    /// The static member id of a coordinator.
    #[arg(long)]
    member: Option<String>,
    /// Whether a coordinator tells how it stands, a line for each change.
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    watched: bool,
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// How a coordinator stands, as its own metrics say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stands {
    /// The lanes that it serves.
    pub(super) lanes: u64,
    /// The tenants in memory, as of its last commit.
    pub(super) tenants: u64,
}

impl Stands {
    /// Reads the page of metrics.
    fn read(page: &str) -> Self {
        let gauge = |name: &str| {
            let mut lines =
                page.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
            lines.next().map_or(0, |value| value as u64)
        };
        Self { lanes: gauge(telemetry::LANES), tenants: gauge(telemetry::TENANTS_IN_MEMORY) }
    }
}

/// The parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// The embedded broker.
    Broker,
    /// The coordinator.
    Coordinator,
    /// Workers 1 to 3.
    WorkersA,
    /// Workers 4 to 6.
    WorkersB,
}

impl PartArgs {
    /// The process is one loop, as a coordinator's and a worker's are.
    pub(super) fn is_one_loop(&self) -> bool {
        self.part != Part::Broker
    }
}

impl Part {
    /// The word on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Coordinator => "coordinator",
            Self::WorkersA => "workers-a",
            Self::WorkersB => "workers-b",
        }
    }
}

/// A producer's word on the command line.
pub(super) fn word(producer: Producer) -> String {
    producer.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The client settings of a part.
pub(super) fn kafka(brokers: &str, linger_ms: u32, producer: Producer) -> tenantry_kafka::Options {
    let producer = producer.into();
    tenantry_kafka::Options { linger_ms, producer, ..tenantry_kafka::Options::new(brokers, FLEET.as_str()) }
}

/// Resolves when whoever started this process is gone.
async fn orphaned() {
    // An error means the same as an end.
    let _ = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await;
}

#[allow(clippy::print_stdout)] // The parent waits for this line.
fn ready(address: &str) {
    println!("{address}");
}

/// Tells each change of how the coordinator stands, for ever.
async fn tell_standing(metrics: PrometheusHandle) {
    let mut told = Stands::default();
    loop {
        let stands = Stands::read(&metrics.render());
        if stands != told {
            told = stands;
            ready(&serde_json::to_string(&told).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) async fn run(args: PartArgs) -> anyhow::Result<()> {
    let master = MasterKey::new([7; 32]);
    match args.part {
        Part::Broker => {
            let dir = args.dir.ok_or_else(|| anyhow::anyhow!("a broker needs --dir"))?;
            let broker =
                tenantry_embedded_broker::Broker::start(tenantry_embedded_broker::Options::new(dir)).await?;
            ready(&broker.address().to_string());
            orphaned().await;
            broker.stop().await;
        }
        Part::Coordinator => {
            let store = PgStore::connect(&args.database_url).await?;
            let options = tenantry_coordinator::Options {
                member: args.member,
                ..tenantry_coordinator::Options::new(FLEET, args.lanes, registry(), master)
            };
            let bus = Kafka::new(kafka(&args.brokers, args.linger_ms, args.producer));
            ready("coordinator");
            if args.watched {
                tokio::spawn(tell_standing(PrometheusBuilder::new().install_recorder()?));
            }
            match Coordinator::new(bus, store, SystemClock::default(), OsEntropy::open()?, options)
                .run(orphaned())
                .await
            {
                Exit::Stopped => {}
                Exit::Failed(why) => anyhow::bail!("the coordinator failed: {why}"),
            }
        }
        Part::WorkersA | Part::WorkersB => {
            let ledger = PgLedger::connect(&args.database_url).await?;
            let keys = PgKeys::connect(&args.database_url, FLEET, master).await?;
            let bus = Kafka::new(kafka(&args.brokers, args.linger_ms, args.producer));
            let options =
                tenantry_serve::Options { concurrency: 1024, ..tenantry_serve::Options::new(FLEET) };
            let server = Server::new(bus, ledger, keys, SystemClock::default(), OsEntropy::open()?, options);
            let server = match args.part {
                Part::WorkersA => server
                    .with(Noop::<0>)
                    .with(Noop::<1>)
                    .with(Noop::<2>)
                    .with(Noop::<3>)
                    .with(Noop::<4>)
                    .with(Noop::<5>),
                _ => server
                    .with(Noop::<6>)
                    .with(Noop::<7>)
                    .with(Noop::<8>)
                    .with(Noop::<9>)
                    .with(Noop::<10>)
                    .with(Noop::<11>),
            };
            ready(args.part.word());
            server.run(orphaned()).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_coordinator_stands_is_read_off_its_metrics() {
        let page = "# TYPE tenantry_lanes_served gauge\ntenantry_lanes_served 4\n\ntenantry_tenants_in_memory 10000\n";
        assert_eq!(Stands::read(page), Stands { lanes: 4, tenants: 10_000 });
        assert_eq!(Stands::read(""), Stands::default());
    }
}
