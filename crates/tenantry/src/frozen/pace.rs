//! How a run goes: so fast (`5/s`, `30/m`), and no further than so many failures.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::Args as ClapArgs;

/// How a run goes, as a person says it.
#[derive(Debug, ClapArgs)]
pub(crate) struct Pacing {
    /// How many are begun in a time, as in 5/s or 30/m
    #[arg(long, env = "TENANTRY_RATE", default_value = "5/s")]
    pub(crate) rate: Rate,
    /// Begin nothing new after so many failures in this run
    #[arg(long, env = "TENANTRY_MAX_FAILURES", value_name = "N", default_value_t = 3, value_parser = positive)]
    max_failures: usize,
    /// Begin nothing new once such a part of those that ended in this run has failed, as in 0.2
    #[arg(long, env = "TENANTRY_MAX_FAILURE_RATIO", value_name = "PART")]
    max_failure_ratio: Option<Ratio>,
    /// How long each outcome is waited for, in seconds; what has none by then is left, and seen by the next run
    #[arg(long, env = "TENANTRY_TIMEOUT_S", value_name = "SECONDS", default_value_t = 300)]
    timeout_s: u64,
}

impl Pacing {
    pub(crate) fn pace(&self) -> Pace {
        Pace {
            gap: self.rate.gap(),
            most_failures: self.max_failures,
            most_ratio: self.max_failure_ratio,
            patience: Duration::from_secs(self.timeout_s),
        }
    }
}

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    count: u32,
    per: char,
}

impl Rate {
    /// The time between two.
    pub(crate) fn gap(self) -> Duration {
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

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The time between two.
    pub(crate) gap: Duration,
    /// Nothing new is begun after so many failures.
    pub(crate) most_failures: usize,
    /// Nothing new is begun once such a part of those that ended has failed.
    pub(crate) most_ratio: Option<Ratio>,
    /// How long an outcome is waited for.
    pub(crate) patience: Duration,
}

impl Pace {
    /// Why nothing new is begun any more, after so many of `ended` failed in this run.
    pub(crate) fn enough(&self, failed: usize, ended: usize) -> Option<String> {
        if failed >= self.most_failures {
            return Some(format!("{failed} failed"));
        }
        let Ratio(most) = self.most_ratio?;
        let many = ended >= RATIO_FROM && failed as f64 > most * ended as f64;
        many.then(|| format!("{failed} of {ended} failed"))
    }
}

/// From so many outcomes on a ratio says something.
const RATIO_FROM: usize = 5;

/// A part of a whole: 0.2.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Ratio(f64);

impl FromStr for Ratio {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
        part.map(Self).ok_or("write a part of one, as in 0.2")
    }
}

/// Reads a whole number from 1.
fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a whole number from 1".to_owned())
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

    #[test]
    fn a_run_stops_at_so_many_failures_or_at_such_a_part() {
        let pace = |most_failures, ratio: Option<&str>| Pace {
            gap: Duration::ZERO,
            most_failures,
            most_ratio: ratio.map(|text| text.parse().unwrap()),
            patience: Duration::ZERO,
        };
        assert_eq!(pace(3, None).enough(2, 2), None);
        assert_eq!(pace(3, None).enough(3, 90).as_deref(), Some("3 failed"));
        assert_eq!(pace(99, Some("0.2")).enough(1, 1), None, "one says nothing yet");
        assert_eq!(pace(99, Some("0.2")).enough(2, 10), None);
        assert_eq!(pace(99, Some("0.2")).enough(3, 10).as_deref(), Some("3 of 10 failed"));
        for wrong in ["2", "-0.1", "20%", "NaN"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }
}
