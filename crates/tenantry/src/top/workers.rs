//! What the fleet's processes tell about their workers on `/metrics`: how fast, how long, how often not.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use tenantry_contracts::Topic;
use tenantry_serve::telemetry;

use super::prometheus::samples;

/// Rates and percentiles are those of the last minute.
const WINDOW: Duration = Duration::from_secs(60);
/// How long a process may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all processes told about one worker until now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sums {
    /// Commands that ended.
    pub(super) ended: f64,
    /// The same by duration: how many took at most so many seconds, by the bound's bits (bounds are not negative, so
    /// their bits are in their order).
    pub(super) within: BTreeMap<u64, f64>,
    /// Final failures.
    pub(super) failed: f64,
    /// Dead letters.
    pub(super) letters: f64,
    /// 0 closed, 1 probing, 2 open; the worst of all processes.
    pub(super) breaker: f64,
}

/// One look at all processes.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    pub(super) workers: BTreeMap<String, Sums>,
    /// Commands that run, and that wait for their turn.
    pub(super) load: (f64, f64),
    /// How many processes answered.
    pub(super) answered: usize,
    /// What was wrong with the others.
    pub(super) wrong: Vec<String>,
}

/// What a board shows of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pace {
    /// Commands that ended in a second; none before the second look.
    pub(super) rate: Option<f64>,
    /// 99 of 100 took at most so many milliseconds.
    pub(super) p99_ms: Option<i64>,
}

/// Where the pages are, and the looks of the last minute.
pub(super) struct Pages {
    urls: Vec<String>,
    client: reqwest::Client,
    looks: VecDeque<(Instant, Look)>,
}

impl Pages {
    pub(super) fn new(urls: &[String]) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        Ok(Self { urls: urls.iter().map(|url| whole(url)).collect(), client, looks: VecDeque::new() })
    }

    /// Looks at all of them.
    pub(super) async fn look(&mut self) -> &Look {
        let mut look = Look::default();
        for url in &self.urls {
            match self.page(url).await {
                Ok(page) => {
                    look.answered += 1;
                    add(&mut look, &page);
                }
                // Without the address: it may hold a password.
                Err(error) => {
                    let why = error.without_url();
                    let at = reqwest::Url::parse(url).ok();
                    let host = at.as_ref().and_then(|url| url.host_str()).unwrap_or("a process");
                    look.wrong.push(format!("{host} does not tell its metrics: {why}"));
                }
            }
        }
        let now = Instant::now();
        while self.looks.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.looks.pop_front();
        }
        self.looks.push_back((now, look));
        // One was pushed just now.
        &self.looks[self.looks.len() - 1].1
    }

    async fn page(&self, url: &str) -> reqwest::Result<String> {
        self.client.get(url).send().await?.error_for_status()?.text().await
    }

    /// How a worker did in the last minute; where it did nothing, its percentile is that of all the time.
    pub(super) fn pace(&self, worker: &str) -> Pace {
        let (Some((then, first)), Some((now, last))) = (self.looks.front(), self.looks.back()) else {
            return Pace::default();
        };
        let Some(sums) = last.workers.get(worker) else { return Pace::default() };
        let none = Sums::default();
        let before = first.workers.get(worker).unwrap_or(&none);
        let seconds = now.duration_since(*then).as_secs_f64();
        // A process that began anew counts from zero again.
        let ended = (sums.ended - before.ended).max(0.0);
        let rate = (seconds > 0.1).then_some(ended / seconds);
        let p99_ms = if ended > 0.0 && seconds > 0.1 { p99(sums, before) } else { p99(sums, &none) };
        Pace { rate, p99_ms }
    }
}

/// `host:port` and `http://host:port` are enough.
fn whole(url: &str) -> String {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let bare = url.split_once("://").is_some_and(|(_, rest)| !rest.trim_end_matches('/').contains('/'));
    if bare { format!("{}/metrics", url.trim_end_matches('/')) } else { url }
}

fn add(look: &mut Look, page: &str) {
    let buckets = format!("{}_bucket", telemetry::STEP_DURATION);
    let count = format!("{}_count", telemetry::STEP_DURATION);
    for sample in samples(page).filter(|sample| sample.value.is_finite()) {
        match sample.name {
            telemetry::RUNNING => look.load.0 += sample.value,
            telemetry::WAITING => look.load.1 += sample.value,
            _ => {}
        }
        // Steps are named after their worker: database.provision.
        let of_step = sample.label("step").split('.').next().unwrap_or_default();
        let of_topic = match Topic::parse(sample.label("topic")) {
            Some(Topic::Commands(worker)) => worker.to_string(),
            _ => String::new(),
        };
        let name = if of_step.is_empty() { of_topic } else { of_step.to_owned() };
        if name.is_empty() {
            continue;
        }
        let sums = look.workers.entry(name).or_default();
        if sample.name == count {
            sums.ended += sample.value;
        } else if sample.name == buckets {
            if let Ok(bound) = sample.label("le").parse::<f64>() {
                *sums.within.entry(bound.to_bits()).or_default() += sample.value;
            }
        } else if sample.name == telemetry::STEP_FAILURES {
            sums.failed += sample.value;
        } else if sample.name == telemetry::DEAD_LETTERS {
            sums.letters += sample.value;
        } else if sample.name == telemetry::BREAKER {
            sums.breaker = sums.breaker.max(sample.value);
        }
    }
}

/// As Prometheus' own `histogram_quantile`: straight between the bounds of the bucket. In milliseconds.
fn p99(sums: &Sums, before: &Sums) -> Option<i64> {
    let within = sums.within.iter().map(|(bound, count)| {
        let then = before.within.get(bound).copied().unwrap_or_default();
        (f64::from_bits(*bound), (count - then).max(0.0))
    });
    let within: Vec<(f64, f64)> = within.collect();
    let all = within.last()?.1;
    let wanted = all * 0.99;
    let mut below = (0.0, 0.0);
    for (bound, count) in within {
        if count >= wanted && count > 0.0 {
            let share = (wanted - below.1) / (count - below.1).max(f64::MIN_POSITIVE);
            // Beyond the last bound nothing is known but that bound.
            let seconds = if bound.is_finite() { below.0 + (bound - below.0) * share } else { below.0 };
            return Some((seconds * 1000.0).ceil() as i64);
        }
        below = (bound, count);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"
tenantry_step_duration_seconds_bucket{step="database.provision",verb="execute",outcome="succeeded",le="0.1"} 90
tenantry_step_duration_seconds_bucket{step="database.provision",verb="execute",outcome="succeeded",le="1"} 100
tenantry_step_duration_seconds_bucket{step="database.provision",verb="execute",outcome="succeeded",le="+Inf"} 100
tenantry_step_duration_seconds_count{step="database.provision",verb="execute",outcome="succeeded"} 100
tenantry_step_duration_seconds_count{step="database.provision",verb="compensate",outcome="succeeded"} 2
provision_step_failures_total{step="database.provision",code="misconfigured"} 3
tenantry_worker_breaker_state{topic="tenant.commands.storage"} 2
tenantry_worker_dead_letters_total{topic="tenant.commands.quota",code="not_json"} 1
tenantry_worker_commands_running 5
tenantry_worker_commands_waiting 7
"#;

    #[test]
    fn two_processes_are_added_up_by_worker() {
        let mut look = Look::default();
        add(&mut look, PAGE);
        add(&mut look, PAGE);
        let database = &look.workers["database"];
        assert_eq!((database.ended, database.failed), (204.0, 6.0));
        assert_eq!((look.workers["storage"].breaker, look.workers["quota"].letters), (2.0, 2.0));
        assert_eq!(look.load, (10.0, 14.0));
        // 99 of 100: nine tenths of the way from 0.1 to 1 second.
        assert_eq!(p99(database, &Sums::default()), Some(910));
        assert_eq!(p99(database, database), None, "nothing ended since");
    }

    #[test]
    fn an_address_is_completed() {
        assert_eq!(whole("127.0.0.1:9464"), "http://127.0.0.1:9464/metrics");
        assert_eq!(whole("http://a:1/"), "http://a:1/metrics");
        assert_eq!(whole("http://a:1/x/metrics"), "http://a:1/x/metrics");
    }
}
