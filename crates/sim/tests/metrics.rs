//! What the coordinator's metrics say of sagas: outcomes and durations by plan, failures by row and code, never a tenant.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tenantry_contracts::State;
use tenantry_sim::faults::Faults;
use tenantry_sim::{Options, run};

/// How often each metric was used, with its labels.
#[derive(Clone, Default)]
struct Book(Arc<Mutex<BTreeMap<String, u64>>>);

/// One metric of the book.
struct Line(Book, String);

impl CounterFn for Line {
    fn increment(&self, value: u64) {
        *self.0.0.lock().expect("no holder panics").entry(self.1.clone()).or_default() += value;
    }

    fn absolute(&self, value: u64) {
        self.0.0.lock().expect("no holder panics").insert(self.1.clone(), value);
    }
}

impl Book {
    fn line(&self, key: &Key) -> Line {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.0.lock().expect("no holder panics").entry(name.clone()).or_default();
        Line(self.clone(), name)
    }

    fn under(&self, stem: &str) -> Vec<(String, u64)> {
        let book = self.0.lock().expect("no holder panics");
        let under = book.iter().filter(|(name, _)| name.starts_with(stem));
        under.map(|(name, count)| (name.clone(), *count)).collect()
    }
}

impl Recorder for Book {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(self.line(key)))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.line(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.line(key);
        Histogram::noop()
    }
}

#[test]
fn outcomes_durations_and_failures_are_counted_by_plan_row_and_code() {
    let book = Book::default();
    let options = Options { tenants: 40, replay: false, faults: Some(Faults::none()), ..Options::default() };
    let mut outcomes: BTreeMap<State, u64> = BTreeMap::new();
    for seed in 0..4 {
        let report = metrics::with_local_recorder(&book, || run(seed, &options));
        assert!(report.broken.is_empty(), "seed {seed}: {:?}", report.broken);
        for (state, count) in report.outcomes {
            *outcomes.entry(state).or_default() += count;
        }
    }

    let sagas = |outcome: &str| {
        let found = book.under(&format!("tenantry_sagas_total{{outcome={outcome}}}"));
        found.iter().map(|(_, count)| count).sum::<u64>()
    };
    for (state, outcome) in [
        (State::Active, "tenant.saga.completed"),
        (State::RolledBack, "tenant.rolled-back"),
        (State::Rejected, "tenant.rejected"),
    ] {
        let count = outcomes.get(&state).copied().unwrap_or(0);
        assert!(count > 0, "no tenant became {state}");
        assert_eq!(sagas(outcome), count, "{:?}", book.under("tenantry_sagas_total"));
    }
    let durations = book.under("provision_duration_seconds");
    let of_a_plan = |name: &str| name.contains("{plan=") && name.contains(",outcome=");
    assert!(!durations.is_empty() && durations.iter().all(|(name, _)| of_a_plan(name)), "{durations:?}");
    let failures = book.under("tenantry_row_failures_total{row=");
    assert!(!failures.is_empty() && failures.iter().all(|(name, _)| name.contains(",code=")), "{failures:?}");
    assert!(failures.iter().all(|(_, count)| *count > 0), "{failures:?}");
    assert!(!book.under("active_tenants").is_empty());
    assert!(book.under("").iter().all(|(name, _)| !name.contains("tenant=") && !name.contains("slug=")));
}
