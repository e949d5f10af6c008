//! The one table of topics: name, key, partitions, retention, size.

use std::borrow::Cow;
use std::fmt;

use crate::WorkerName;

/// A topic's name in Kafka; borrowed, but for the topics of workers.
pub type Name = Cow<'static, str>;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// The name of [`Topic::Requests`].
pub const REQUESTS: &str = "tenant.requests";

/// A topic of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// `tenant.requests`: what upstream asks for.
    Requests,
    /// `tenant.operations`: verbs and decisions of people.
    Operations,
    /// `tenant.results`: answers of workers.
    Results,
    /// `tenant.commands.<worker>`: questions to one worker.
    Commands(WorkerName),
    /// `tenant.events`: answers to upstream and public facts.
    Events,
    /// `tenant.audit.events`: every transition, never compacted.
    Audit,
    /// `tenant.audit.checkpoints`: signed tree heads.
    Checkpoints,
    /// `<topic>.dlq`: records that could be read but not handled.
    DeadLetters(Box<Topic>),
    /// `tenant.quarantine`: records that could not even be read.
    Quarantine,
}

/// How a topic is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Keyed topics have one partition a lane, the others one.
    pub keyed: bool,
    /// How long records are kept, in milliseconds.
    pub retention_ms: i64,
    /// The largest record batch in bytes.
    pub max_message_bytes: i32,
}

/// The most bytes of a request that Kafka takes, so that a too large one can still be heard and refused.
pub const REQUEST_BYTES: i32 = 4 << 20;
/// Dead letters and the quarantine hold a request and its origin headers.
pub const LETTER_BYTES: i32 = 5 << 20;

impl Topic {
    /// The name in Kafka.
    pub fn name(&self) -> Name {
        let fixed = match self {
            Self::Requests => REQUESTS,
            Self::Operations => "tenant.operations",
            Self::Results => "tenant.results",
            Self::Commands(worker) => return format!("tenant.commands.{worker}").into(),
            Self::Events => "tenant.events",
            Self::Audit => "tenant.audit.events",
            Self::Checkpoints => "tenant.audit.checkpoints",
            Self::DeadLetters(of) => return format!("{}.dlq", of.name()).into(),
            Self::Quarantine => "tenant.quarantine",
        };
        Cow::Borrowed(fixed)
    }

    /// Reads a name in Kafka; `None` for topics that are not the fleet's.
    pub fn parse(name: &str) -> Option<Self> {
        if let Some(of) = name.strip_suffix(".dlq") {
            return Self::parse(of).map(|of| Self::DeadLetters(Box::new(of)));
        }
        if let Some(worker) = name.strip_prefix("tenant.commands.") {
            return (!worker.is_empty()).then(|| Self::Commands(WorkerName::read(worker)));
        }
        [
            Self::Requests,
            Self::Operations,
            Self::Results,
            Self::Events,
            Self::Audit,
            Self::Checkpoints,
            Self::Quarantine,
        ]
        .into_iter()
        .find(|topic| topic.name() == name)
    }

    /// How the topic is made.
    pub fn settings(&self) -> Settings {
        let (keyed, days, max_message_bytes) = match self {
            Self::Requests => (true, 14, REQUEST_BYTES),
            Self::Operations | Self::Results | Self::Commands(_) => (true, 14, 1 << 20),
            Self::Events => (true, 90, 1 << 20),
            Self::Audit => (true, 7 * 366, 1 << 20),
            Self::Checkpoints => (false, 7 * 366, 1 << 20),
            Self::DeadLetters(_) | Self::Quarantine => (false, 90, LETTER_BYTES),
        };
        Settings { keyed, retention_ms: days * DAY, max_message_bytes }
    }

    /// All topics of a fleet with these workers, in the order in which they are made.
    pub fn all(workers: &[WorkerName]) -> Vec<Self> {
        let mut heard = vec![Self::Requests, Self::Operations, Self::Results];
        heard.extend(workers.iter().cloned().map(Self::Commands));
        let letters: Vec<_> = heard.iter().cloned().map(|topic| Self::DeadLetters(Box::new(topic))).collect();
        heard.extend([Self::Events, Self::Audit, Self::Checkpoints, Self::Quarantine]);
        heard.extend(letters);
        heard
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        let topics = Topic::all(&[WorkerName::new("database"), WorkerName::new("dns")]);
        for topic in &topics {
            assert_eq!(Topic::parse(&topic.name()).as_ref(), Some(topic));
        }
        assert_eq!(Topic::parse("orders"), None);
        assert_eq!(topics.len(), 14);
    }

    #[test]
    fn the_audit_is_kept_for_seven_years_with_its_checkpoints() {
        let seven_years = 7 * 365 * DAY + 2 * DAY;
        for topic in [Topic::Audit, Topic::Checkpoints] {
            assert!(topic.settings().retention_ms >= seven_years, "{topic}");
        }
        assert_eq!(Topic::Events.settings().retention_ms, 90 * DAY);
    }
}
