//! What a measurement gives: figures that can be kept as JSON, put in the middle of several, and held against earlier ones.

use serde::{Deserialize, Serialize};

use super::fill::Filled;

/// One case, measured once or put together from several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Figures {
    /// `tput`, `lat` or `rate`.
    pub(super) case: String,
    pub(super) sagas: u64,
    /// Of the closed loop; none for a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) in_flight: Option<u64>,
    pub(super) active: u64,
    pub(super) rolled_back: u64,
    pub(super) sagas_per_s: f64,
    /// From when each was due.
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Of everything but the generator.
    pub(super) cpu_s_per_1000: f64,
    /// Of coordinator and workers.
    pub(super) rss_mib: f64,
    pub(super) wal_kib_per_saga: f64,
    /// Records on all topics.
    pub(super) messages_per_saga: f64,
    /// Rows of the journal.
    pub(super) rows_per_saga: f64,
    pub(super) processes: Vec<Process>,
}

/// What a process used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) cpu_s_per_1000: f64,
    pub(super) rss_mib: f64,
}

/// What the machine gives at best, taken right there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Commits of one row a second, by one client and by 64.
    pub(super) commits_per_s_1: f64,
    pub(super) commits_per_s_64: f64,
    /// `fdatasync` of 8 KiB.
    pub(super) fdatasync_p50_ms: f64,
    pub(super) fdatasync_p99_ms: f64,
    /// A byte there and back over loopback.
    pub(super) loopback_us: f64,
    /// Records of 1 KiB a second that the broker takes in batches, on one partition.
    pub(super) produced_per_s: f64,
    /// From the producer to a consumer, one record every 5 ms.
    pub(super) hop_p50_ms: f64,
    pub(super) hop_p99_ms: f64,
}

/// A run of the benchmark, as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Report {
    /// Of this program.
    pub(super) version: String,
    /// `embedded`, or `given`.
    pub(super) broker: String,
    pub(super) lanes: u16,
    #[serde(default = "one")]
    pub(super) coordinators: u16,
    pub(super) linger_ms: u32,
    #[serde(default)]
    pub(super) producer: String,
    pub(super) repeats: usize,
    pub(super) limits: Limits,
    /// The finished tenants that were in the store before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) finished: Option<Filled>,
    /// Each case with the medians of its repeats.
    pub(super) cases: Vec<Figures>,
    /// The audit was verified over so many records and chains.
    pub(super) audit_records: u64,
    pub(super) audit_chains: u64,
}

/// Reports of before had one coordinator, and did not say so.
fn one() -> u16 {
    1
}

impl Figures {
    /// The figures that are compared, by name; `true` where more is better.
    pub(super) fn compared(&self) -> [(&'static str, f64, bool); 8] {
        [
            ("sagas/s", self.sagas_per_s, true),
            ("p50 ms", self.p50_ms, false),
            ("p99 ms", self.p99_ms, false),
            ("CPU s per 1,000", self.cpu_s_per_1000, false),
            ("MiB of coordinator and workers", self.rss_mib, false),
            ("WAL KiB per saga", self.wal_kib_per_saga, false),
            ("messages per saga", self.messages_per_saga, false),
            ("rows per saga", self.rows_per_saga, false),
        ]
    }

    /// The medians of several runs of one case, figure by figure.
    pub(super) fn medians(runs: &[Self]) -> Option<Self> {
        let first = runs.first()?;
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure).collect());
        let processes = first.processes.iter().enumerate().map(|(at, process)| {
            let each = |figure: fn(&Process) -> f64| {
                median(runs.iter().filter_map(|run| run.processes.get(at)).map(figure).collect())
            };
            Process {
                name: process.name.clone(),
                cpu_s_per_1000: each(|process| process.cpu_s_per_1000),
                rss_mib: each(|process| process.rss_mib),
            }
        });
        Some(Self {
            sagas_per_s: of(|run| run.sagas_per_s),
            p50_ms: of(|run| run.p50_ms),
            p99_ms: of(|run| run.p99_ms),
            cpu_s_per_1000: of(|run| run.cpu_s_per_1000),
            rss_mib: of(|run| run.rss_mib),
            wal_kib_per_saga: of(|run| run.wal_kib_per_saga),
            messages_per_saga: of(|run| run.messages_per_saga),
            rows_per_saga: of(|run| run.rows_per_saga),
            processes: processes.collect(),
            ..first.clone()
        })
    }
}

/// The one in the middle, or what lies between the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// A percentile of sorted values.
pub(super) fn percentile(sorted: &[f64], of_hundred: f64) -> f64 {
    let at = (sorted.len() as f64 * of_hundred / 100.0) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let run = |speed: f64, p50: f64| Figures { sagas_per_s: speed, p50_ms: p50, ..Figures::default() };
        let middle = Figures::medians(&[run(10.0, 1.0), run(30.0, 2.0), run(20.0, 9.0)]).unwrap();
        assert_eq!((middle.sagas_per_s, middle.p50_ms), (20.0, 2.0));
        let middle = Figures::medians(&[run(10.0, 1.0), run(30.0, 2.0)]).unwrap();
        assert_eq!((middle.sagas_per_s, middle.p50_ms), (20.0, 1.5));
        assert_eq!(Figures::medians(&[]), None);
    }

    #[test]
    fn a_percentile_of_nothing_is_zero() {
        assert_eq!(percentile(&[], 99.0), 0.0);
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50.0), 3.0);
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 100.0), 4.0);
    }

    #[test]
    fn a_report_that_was_kept_reads_back() {
        let report = Report {
            cases: vec![Figures { case: "tput".into(), ..Figures::default() }],
            ..Report::default()
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
