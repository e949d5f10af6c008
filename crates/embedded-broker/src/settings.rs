//! The settings of a topic: which names exist, what values they take, and the few that the broker acts on.

use std::collections::BTreeMap;

/// A topic's own settings, by name; what is not in it has its default.
pub(crate) type Configs = BTreeMap<String, String>;

/// What the broker acts on, read from [`Configs`] once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Largest batch, as sent.
    pub(crate) max_message_bytes: usize,
    /// `None` keeps for ever.
    pub(crate) retention_ms: Option<i64>,
    /// `None` keeps any amount.
    pub(crate) retention_bytes: Option<u64>,
    /// Size at which a new file begins.
    pub(crate) segment_bytes: u64,
}

/// What a value must be.
enum Kind {
    /// A whole number from this on.
    From(i64),
    /// A number, fractions allowed, between 0 and 1.
    Ratio,
    Bool,
    /// One or more of these, separated by commas.
    AnyOf(&'static [&'static str]),
    OneOf(&'static [&'static str]),
}

/// A setting that a topic may have.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) default: &'static str,
    kind: Kind,
}

const MAX: &str = "9223372036854775807";

/// Apache Kafka's topic settings with its defaults, except `segment.bytes`: small files keep a start short.
pub(crate) const KNOWN: &[Known] = &[
    known("cleanup.policy", "delete", Kind::AnyOf(&["delete", "compact"])),
    known("compression.type", "producer", Kind::OneOf(&["producer"])),
    known("delete.retention.ms", "86400000", Kind::From(0)),
    known("file.delete.delay.ms", "60000", Kind::From(0)),
    known("flush.messages", MAX, Kind::From(1)),
    known("flush.ms", MAX, Kind::From(0)),
    known("index.interval.bytes", "4096", Kind::From(0)),
    known("max.compaction.lag.ms", MAX, Kind::From(1)),
    known("max.message.bytes", "1048588", Kind::From(0)),
    known("message.timestamp.after.max.ms", "3600000", Kind::From(0)),
    known("message.timestamp.before.max.ms", MAX, Kind::From(0)),
    known("message.timestamp.type", "CreateTime", Kind::OneOf(&["CreateTime"])),
    known("min.cleanable.dirty.ratio", "0.5", Kind::Ratio),
    known("min.compaction.lag.ms", "0", Kind::From(0)),
    known("min.insync.replicas", "1", Kind::From(1)),
    known("preallocate", "false", Kind::Bool),
    known("retention.bytes", "-1", Kind::From(-1)),
    known("retention.ms", "604800000", Kind::From(-1)),
    known("segment.bytes", "67108864", Kind::From(1 << 20)),
    known("segment.index.bytes", "10485760", Kind::From(4)),
    known("segment.jitter.ms", "0", Kind::From(0)),
    known("segment.ms", "604800000", Kind::From(1)),
    known("unclean.leader.election.enable", "false", Kind::Bool),
];

const fn known(name: &'static str, default: &'static str, kind: Kind) -> Known {
    Known { name, default, kind }
}

/// Says what is wrong with a setting, if anything is.
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let known = find(name).ok_or_else(|| format!("topics have no setting {name:?}"))?;
    let wanted = match &known.kind {
        Kind::From(least) => match value.parse::<i64>() {
            Ok(number) if number >= *least => return Ok(()),
            _ => format!("a whole number of at least {least}"),
        },
        Kind::Ratio => match value.parse::<f64>() {
            Ok(number) if (0.0..=1.0).contains(&number) => return Ok(()),
            _ => "a number between 0 and 1".to_owned(),
        },
        Kind::Bool if matches!(value, "true" | "false") => return Ok(()),
        Kind::Bool => "true or false".to_owned(),
        Kind::AnyOf(words) if value.split(',').all(|word| words.contains(&word.trim())) => return Ok(()),
        Kind::OneOf(words) if words.contains(&value) => return Ok(()),
        Kind::AnyOf(words) | Kind::OneOf(words) => format!("one of {}", words.join(", ")),
    };
    Err(format!("{name} is {value:?}, but must be {wanted}"))
}

/// Whether a setting is a list, to which words can be appended.
pub(crate) fn is_list(name: &str) -> bool {
    find(name).is_some_and(|known| matches!(known.kind, Kind::AnyOf(_)))
}

/// Apache Kafka's number for the type of a setting.
pub(crate) fn type_of(known: &Known) -> i8 {
    match known.kind {
        Kind::Bool => 1,
        Kind::OneOf(_) => 2,
        Kind::From(_) => 5,
        Kind::Ratio => 6,
        Kind::AnyOf(_) => 7,
    }
}

impl Settings {
    /// Reads what was checked before; a value that cannot be read counts as its default.
    pub(crate) fn of(configs: &Configs) -> Settings {
        let number = |name: &str| {
            let own = configs.get(name).and_then(|value| value.parse::<i64>().ok());
            own.or_else(|| find(name)?.default.parse().ok()).unwrap_or(-1)
        };
        let compacted_only = configs.get("cleanup.policy").is_some_and(|policy| !policy.contains("delete"));
        Settings {
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(usize::MAX),
            retention_ms: Some(number("retention.ms")).filter(|keep| *keep >= 0 && !compacted_only),
            retention_bytes: u64::try_from(number("retention.bytes")).ok().filter(|_| !compacted_only),
            segment_bytes: u64::try_from(number("segment.bytes")).unwrap_or(u64::MAX),
        }
    }
}

fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_legal_value() {
        for known in KNOWN {
            assert_eq!(check(known.name, known.default), Ok(()));
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_what_would_be_right() {
        assert_eq!(
            check("retention.ms", "soon"),
            Err("retention.ms is \"soon\", but must be a whole number of at least -1".to_owned())
        );
        assert!(check("retention.msec", "1").is_err());
        assert!(check("cleanup.policy", "compact,delete").is_ok());
    }

    #[test]
    fn minus_one_keeps_for_ever() {
        let configs = Configs::from([("retention.ms".to_owned(), "-1".to_owned())]);
        assert_eq!(Settings::of(&configs).retention_ms, None);
        assert_eq!(Settings::of(&Configs::new()).retention_ms, Some(604_800_000));
    }
}
