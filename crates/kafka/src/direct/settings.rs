//! What the options say to this producer. It reads librdkafka's names for what it has in common with it, and refuses what
//! it does not know, so that nothing is left out in silence.

use std::net::SocketAddr;
use std::time::Duration;

use tenantry_ports::BusError;

use super::batch::Compression;
use crate::client::refused;
use crate::options::Options;

/// What correctness rests on, which cannot be changed from outside, and what has no meaning here: this producer does not
/// linger, batches by itself, and hears nothing. Where a name ends in a dot, all that begin with it.
const NO_MATTER: &[&str] = &[
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "enable.gapless.guarantee",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "message.max.bytes",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "linger.ms",
    "queue.buffering.max.ms",
    "batch.size",
    "batch.num.messages",
    "socket.nagle.disable",
    "log.connection.close",
    "statistics.interval.ms",
    "group.",
    "fetch.",
    "queued.",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "partition.assignment.strategy",
    "isolation.level",
    "check.crcs",
];

/// Which addresses of a name are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    pub(crate) fn takes(self, address: &SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// What this producer goes by.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Where to begin.
    pub(crate) brokers: Vec<String>,
    /// What brokers log, and count quotas by.
    pub(crate) client: String,
    pub(crate) family: Family,
    /// How long connecting may take.
    pub(crate) timeout: Duration,
    pub(crate) compression: Compression,
    /// What may wait.
    pub(crate) most_records: usize,
    pub(crate) most_bytes: usize,
}

impl Settings {
    /// Reads the options.
    ///
    /// # Errors
    /// `bus_settings`, with the property that is not understood.
    pub(crate) fn read(options: &Options) -> Result<Self, BusError> {
        let mut settings = Self {
            brokers: list(&options.brokers),
            client: format!("{}-{}", options.client, options.fleet),
            family: Family::V4,
            timeout: options.timeout,
            compression: compression(&options.compression)?,
            most_records: 100_000,
            most_bytes: 64 << 20,
        };
        for (name, value) in &options.properties {
            match name.as_str() {
                "bootstrap.servers" | "metadata.broker.list" => settings.brokers = list(value),
                "client.id" => settings.client.clone_from(value),
                "broker.address.family" => {
                    settings.family = match value.as_str() {
                        "any" => Family::Any,
                        "v4" => Family::V4,
                        "v6" => Family::V6,
                        _ => return Err(unknown(name, value)),
                    }
                }
                "compression.type" | "compression.codec" => settings.compression = compression(value)?,
                "queue.buffering.max.messages" => settings.most_records = number(name, value)?,
                "queue.buffering.max.kbytes" => {
                    settings.most_bytes = number(name, value)?.saturating_mul(1 << 10);
                }
                _ if NO_MATTER
                    .iter()
                    .any(|known| known == name || known.ends_with('.') && name.starts_with(known)) => {}
                _ => return Err(unknown(name, value)),
            }
        }
        if settings.brokers.is_empty() {
            return Err(refused("bus_settings", "there is no broker to begin with", "name one as host:port"));
        }
        Ok(settings)
    }
}

fn list(brokers: &str) -> Vec<String> {
    brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty()).map(with_port).collect()
}

/// As librdkafka takes them: `host`, `host:port`, or with the protocol before it.
fn with_port(broker: &str) -> String {
    let broker = broker.split_once("://").map_or(broker, |(_, broker)| broker);
    let port = broker.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if port { broker.to_owned() } else { format!("{broker}:9092") }
}

fn compression(value: &str) -> Result<Compression, BusError> {
    match value {
        "none" => Ok(Compression::None),
        "lz4" => Ok(Compression::Lz4),
        "zstd" => Ok(Compression::Zstd),
        _ => Err(unknown("compression.type", value)),
    }
}

fn number(name: &str, value: &str) -> Result<usize, BusError> {
    value.parse().map_err(|_| unknown(name, value))
}

/// The value is not shown where it may be a secret.
fn unknown(name: &str, value: &str) -> BusError {
    let secret = name.contains("password") || name.contains("pem") || name.contains("sasl");
    let value = if secret { "..." } else { value };
    refused(
        "bus_settings",
        format_args!("the direct producer does not know {name}={value}"),
        "leave it out, or use the producer of librdkafka",
    )
}
