//! What the options say to this producer. It reads librdkafka's names for what it has in common with it, and refuses what
//! it does not know, so that nothing is left out in silence.

use std::net::SocketAddr;
use std::time::Duration;

use tenantry_ports::BusError;

use tokio_rustls::TlsConnector;

use super::batch::Compression;
use super::sasl::{Credentials, MECHANISMS};
use super::tls;
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
pub(crate) struct Settings {
    /// Where to begin.
    pub(crate) brokers: Vec<String>,
    /// What brokers log, and count quotas by.
    pub(crate) client: String,
    pub(crate) family: Family,
    /// How long connecting may take.
    pub(crate) timeout: Duration,
    pub(crate) compression: Compression,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) sasl: Option<Credentials>,
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
            tls: None,
            sasl: None,
            most_records: 100_000,
            most_bytes: 64 << 20,
        };
        let (mut named, mut protocol) = (tls::Named::default(), "plaintext".to_owned());
        let mut who = Credentials { mechanism: String::new(), user: String::new(), password: String::new() };
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
                "security.protocol" => protocol = value.to_lowercase(),
                "sasl.mechanism" | "sasl.mechanisms" => who.mechanism = value.to_uppercase(),
                "sasl.username" => who.user.clone_from(value),
                "sasl.password" => who.password.clone_from(value),
                "ssl.ca.location" => named.roots = Some(value.clone()),
                "ssl.certificate.location" => named.certificate = Some(value.clone()),
                "ssl.key.location" => named.key = Some(value.clone()),
                "ssl.endpoint.identification.algorithm" => {
                    named.any_name = match value.as_str() {
                        "https" => false,
                        "none" => true,
                        _ => return Err(unknown(name, value)),
                    }
                }
                _ if NO_MATTER
                    .iter()
                    .any(|known| known == name || known.ends_with('.') && name.starts_with(known)) => {}
                _ => return Err(unknown(name, value)),
            }
        }
        let (tls, sasl) = match protocol.as_str() {
            "plaintext" => (false, false),
            "ssl" => (true, false),
            "sasl_plaintext" => (false, true),
            "sasl_ssl" => (true, true),
            _ => return Err(unknown("security.protocol", &protocol)),
        };
        if tls {
            settings.tls = Some(tls::connector(&named)?);
        }
        if sasl {
            if !MECHANISMS.contains(&who.mechanism.as_str()) {
                return Err(unknown("sasl.mechanism", &who.mechanism));
            }
            settings.sasl = Some(who);
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
    let secret = ["password", "secret", "pem"].iter().any(|word| name.contains(word));
    let value = if secret { "..." } else { value };
    refused(
        "bus_settings",
        format_args!("the direct producer does not know {name}={value}"),
        "leave it out, or use the producer of librdkafka",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &[(&str, &str)]) -> Result<Settings, String> {
        let mut options = Options::new("one, SSL://two:9093", "f");
        options.properties = properties.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Settings::read(&options).map_err(|BusError(why)| why)
    }

    #[test]
    fn what_is_known_is_taken() {
        let settings = read(&[
            ("compression.codec", "zstd"),
            ("queue.buffering.max.kbytes", "64"),
            ("acks", "0"),
            ("fetch.min.bytes", "1"),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanisms", "scram-sha-512"),
            ("sasl.username", "me"),
            ("sasl.password", "hidden"),
        ]);
        let settings = settings.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(settings.brokers, ["one:9092", "two:9093"]);
        assert_eq!((settings.compression, settings.most_bytes), (Compression::Zstd, 65_536));
        assert!(settings.tls.is_none());
        let who = settings.sasl.unwrap();
        assert_eq!((who.mechanism.as_str(), who.user.as_str()), ("SCRAM-SHA-512", "me"));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name_and_without_secrets() {
        for (name, value) in [
            ("compression.type", "gzip"),
            ("security.protocol", "tls"),
            ("security.protocol", "sasl_ssl"),
            ("ssl.key.password", "hidden"),
            ("transactional.id", "t"),
            ("sasl.oauthbearer.client.secret", "hidden"),
            ("debug", "all"),
        ] {
            let Err(why) = read(&[(name, value)]) else { panic!("{name} is taken") };
            assert!(why.starts_with("bus_settings: ") && !why.contains("hidden"), "{why}");
            assert!(why.contains(name) || why.contains("sasl.mechanism"), "{why}");
        }
        let Err(why) = read(&[("security.protocol", "ssl"), ("ssl.ca.location", "/nothing")]) else {
            panic!("a file that is not there is taken")
        };
        assert!(why.contains("ssl.ca.location") && why.contains("/nothing"), "{why}");
    }
}
