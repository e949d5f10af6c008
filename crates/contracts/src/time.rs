//! Points in time, as milliseconds since the Unix epoch. Handed in everywhere, never read here.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A point in time in milliseconds since 1970-01-01T00:00:00Z. Printed as RFC 3339 with milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// This point, moved on by `ms` milliseconds; stays at the end of time where that would overflow.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this point; negative where `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads RFC 3339. `None` for anything else, and for years that a millisecond count cannot hold.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_millis()))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            None => write!(f, "{}ms", self.0),
        }
    }
}

/// Serde for a [`Time`] as RFC 3339 text, for what people and other systems read.
pub mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Time;

    /// Writes the time as text.
    pub fn serialize<S: Serializer>(at: &Time, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(at)
    }

    /// Reads the time from text.
    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Time, D::Error> {
        let text = String::deserialize(input)?;
        Time::parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn a_time_prints_and_reads_back() {
        let at = Time(1_700_000_000_123);
        assert_eq!(at.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Time::parse(&at.to_string()), Some(at));
        assert_eq!(Time::parse("yesterday"), None);
    }
}
