//! What a client needs to know, and the librdkafka settings that come of it.
//!
//! Three layers: defaults, then the operator's own properties (TLS, SASL, buffers, anything), then those settings on
//! which correctness rests; the last ones cannot be changed from outside.

use std::time::Duration;

use rdkafka::ClientConfig;
use tenantry_contracts::topic::LETTER_BYTES;
use tenantry_ports::Group;

/// Which producer there shall be. Both promise the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProducerKind {
    /// Our own: one request for each broker carries all partitions that wait. It does not linger, and it refuses
    /// properties of librdkafka that it does not know.
    #[default]
    Direct,
    /// The one of librdkafka: one request for each partition.
    Librdkafka,
}

/// How to reach Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to begin: `host:port`, several with commas.
    pub brokers: String,
    /// The name of the fleet; part of the client id that brokers log and quotas count by.
    pub fleet: String,
    /// The first part of the client id.
    pub client: String,
    /// librdkafka properties as they are, for TLS, SASL and anything else.
    pub properties: Vec<(String, String)>,
    /// Which producer there shall be.
    pub producer: ProducerKind,
    /// How long a producer gathers, in milliseconds. Zero sends at once; one is better only under saturation.
    pub linger_ms: u32,
    /// `none`, `lz4`, `zstd` ...
    pub compression: String,
    /// When a silent member is expelled, in milliseconds.
    pub session_timeout_ms: u32,
    /// How often a member says that it lives, in milliseconds.
    pub heartbeat_interval_ms: u32,
    /// How long one call may wait for an answer.
    pub timeout: Duration,
    /// After how long with records to be had and none delivered a consumer counts as lost.
    pub stalled: Duration,
}

impl Options {
    /// The usual settings.
    pub fn new(brokers: impl Into<String>, fleet: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            fleet: fleet.into(),
            client: "tenantry".into(),
            properties: Vec::new(),
            producer: ProducerKind::default(),
            linger_ms: 0,
            compression: "none".into(),
            session_timeout_ms: 6_000,
            heartbeat_interval_ms: 1_000,
            timeout: Duration::from_secs(10),
            stalled: Duration::from_secs(30),
        }
    }

    /// What every client has in common, under what the operator gave.
    fn layered(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", format!("{}-{}", self.client, self.fleet));
        config.set("broker.address.family", "v4");
        config.set("reconnect.backoff.ms", "50");
        config.set("reconnect.backoff.max.ms", "500");
        config.set("retry.backoff.ms", "50");
        config.set("socket.timeout.ms", "10000");
        config.set("socket.nagle.disable", "true");
        config.set("socket.keepalive.enable", "true");
        config.set("log.connection.close", "false");
        let given = self.properties.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in defaults.iter().copied().chain(given).chain(fixed.iter().copied()) {
            config.set(name, value);
        }
        config
    }

    /// A client that only asks: metadata, watermarks, topics.
    pub(crate) fn asking(&self) -> ClientConfig {
        self.layered(&[], &[])
    }

    /// A consumer without a subscription, for reading at a place.
    pub(crate) fn reading(&self, wait_ms: u32) -> ClientConfig {
        // librdkafka assigns only where there is a group's name; nothing joins it and nothing is committed to it.
        let group = format!("{}-{}.reader", self.client, self.fleet);
        let wait = wait_ms.to_string();
        let mut fixed = vec![
            ("group.id", group.as_str()),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("fetch.wait.max.ms", wait.as_str()),
        ];
        fixed.extend(HEARING);
        self.layered(SIZES, &fixed)
    }

    /// A member of a group.
    pub(crate) fn hearing(&self, group: &Group) -> ClientConfig {
        let session = self.session_timeout_ms.to_string();
        let heartbeat = self.heartbeat_interval_ms.to_string();
        let mut fixed = vec![
            ("group.id", group.id.as_str()),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "range"),
            ("session.timeout.ms", session.as_str()),
            ("heartbeat.interval.ms", heartbeat.as_str()),
            // A coordinator that would start anywhere but where its journal says must be told, not guess.
            ("auto.offset.reset", if group.resumes { "earliest" } else { "error" }),
            ("enable.partition.eof", "false"),
        ];
        if let Some(member) = &group.member {
            fixed.push(("group.instance.id", member));
        }
        fixed.extend(HEARING);
        self.layered(SIZES, &fixed)
    }

    /// A producer.
    pub(crate) fn saying(&self) -> ClientConfig {
        let linger = self.linger_ms.to_string();
        let largest = MESSAGE_BYTES.to_string();
        let defaults = [
            ("linger.ms", linger.as_str()),
            ("compression.type", self.compression.as_str()),
            ("queue.buffering.max.messages", "100000"),
            ("queue.buffering.max.kbytes", "65536"),
        ];
        let fixed = [
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("enable.gapless.guarantee", "true"),
            // It never gives up by itself.
            ("message.timeout.ms", "0"),
            ("message.max.bytes", largest.as_str()),
        ];
        self.layered(&defaults, &fixed)
    }
}

/// The largest message a client sends or takes: a dead letter, and its frame.
const MESSAGE_BYTES: i32 = LETTER_BYTES + (64 << 10);

const HEARING: [(&str, &str); 5] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("check.crcs", "true"),
    ("allow.auto.create.topics", "false"),
];

const SIZES: &[(&str, &str)] = &[
    ("fetch.min.bytes", "1"),
    // One dead letter of the largest size fits into what is fetched of a partition at once.
    ("fetch.message.max.bytes", "6291456"),
    ("fetch.max.bytes", "25165824"),
    ("queued.max.messages.kbytes", "32768"),
    // A full queue is looked at again soon; the default of a second shows as a hiccup when catching up.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.error.backoff.ms", "100"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_correctness_rests_on_cannot_be_changed_from_outside() {
        let mut options = Options::new("127.0.0.1:1", "f");
        options.properties = [
            ("enable.idempotence", "false"),
            ("acks", "0"),
            ("enable.auto.commit", "true"),
            ("linger.ms", "1"),
            ("isolation.level", "read_uncommitted"),
        ]
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .to_vec();
        let saying = options.saying();
        assert_eq!(saying.get("enable.idempotence"), Some("true"));
        assert_eq!(saying.get("acks"), Some("all"));
        assert_eq!(saying.get("linger.ms"), Some("1"));
        let group = Group { id: "g".into(), member: Some("m".into()), topics: vec![], resumes: false };
        let hearing = options.hearing(&group);
        assert_eq!(hearing.get("enable.auto.commit"), Some("false"));
        assert_eq!(hearing.get("isolation.level"), Some("read_committed"));
        assert_eq!(hearing.get("auto.offset.reset"), Some("error"));
        assert_eq!(hearing.get("group.instance.id"), Some("m"));
    }
}
