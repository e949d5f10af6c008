//! How fast: `5/s`, `30/m`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    count: u32,
    per: char,
}

impl Rate {
    /// The time between two.
    pub(super) fn gap(self) -> Duration {
        let whole = if self.per == 'm' { Duration::from_secs(60) } else { Duration::from_secs(1) };
        whole / self.count
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HOW: &str = "write so many a second or a minute, as in 5/s or 30/m, at most 1000";
        let (count, per) = text.split_once('/').ok_or(HOW)?;
        let count = count.trim().parse().ok().filter(|count| (1..=1000).contains(count)).ok_or(HOW)?;
        match per.trim() {
            "s" => Ok(Self { count, per: 's' }),
            "m" => Ok(Self { count, per: 'm' }),
            _ => Err(HOW),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_reads_prints_and_says_how_long_to_wait() {
        for (text, gap_ms) in [("5/s", 200), ("30/m", 2_000), ("1000/s", 1)] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.to_string().as_str(), rate.gap()), (text, Duration::from_millis(gap_ms)));
        }
        for wrong in ["5", "0/s", "-1/s", "5/h", "2000/s", "/s"] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
    }
}
