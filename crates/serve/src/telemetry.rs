//! What the server measures and logs: all names of metrics, and the one log line of a command.
//!
//! No label ever holds a tenant; steps, workers and codes are few.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use tenantry_contracts::{Code, StepName, Topic, Verb};

use crate::breaker::Gate;

/// Counter: final failures of steps, by `step` and `code`.
pub const STEP_FAILURES: &str = "provision_step_failures_total";
/// Histogram, seconds: from the start of a command to its answer, by `step`, `verb` and `outcome`.
pub const STEP_DURATION: &str = "tenantry_step_duration_seconds";
/// Counter: tries of a step beyond the first one of a question, by `step`.
pub const STEP_RETRIES: &str = "tenantry_step_retries_total";
/// Counter: steps that worked on beyond their deadline, by `step`. They are never cut off.
pub const STEP_OVERRUNS: &str = "tenantry_step_overruns_total";
/// Counter: commands that a later question had overtaken, by `step`; nothing was done or said.
pub const SUPERSEDED: &str = "tenantry_worker_superseded_total";
/// Counter: dead letters, by `topic` and `code`.
pub const DEAD_LETTERS: &str = "tenantry_worker_dead_letters_total";
/// Gauge, by `topic`: 0 closed, 1 probing with one command, 2 open (the worker's dependency is down).
pub const BREAKER: &str = "tenantry_worker_breaker_state";
/// Gauge: commands that run now.
pub const RUNNING: &str = "tenantry_worker_commands_running";
/// Gauge: commands that wait for their turn.
pub const WAITING: &str = "tenantry_worker_commands_waiting";
/// Gauge: 1 while the ledger or the keys cannot be reached and nothing new is taken.
pub const STORE_DOWN: &str = "tenantry_worker_store_down";
/// Counter: answers or letters that Kafka refused for good and that are kept and said again, by `topic`. An alarm.
pub const UNSAID: &str = "tenantry_worker_unsaid_total";
/// Counter: consumers and producers that were opened anew, by `what`.
pub const REOPENED: &str = "tenantry_worker_reopened_total";

/// Describes the metrics to the recorder that is installed.
pub fn describe() {
    describe_counter!(STEP_FAILURES, "Final failures of steps");
    describe_histogram!(STEP_DURATION, metrics::Unit::Seconds, "From the start of a command to its answer");
    describe_counter!(STEP_RETRIES, "Tries of a step beyond the first one of a question");
    describe_counter!(STEP_OVERRUNS, "Steps that worked on beyond their deadline");
    describe_counter!(SUPERSEDED, "Commands that a later question had overtaken");
    describe_counter!(DEAD_LETTERS, "Commands that went to the dead letters");
    describe_gauge!(BREAKER, "Breaker of a worker: 0 closed, 1 probing, 2 open");
    describe_gauge!(RUNNING, "Commands that run now");
    describe_gauge!(WAITING, "Commands that wait for their turn");
    describe_gauge!(STORE_DOWN, "1 while the ledger or the keys cannot be reached");
    describe_counter!(UNSAID, "Records that Kafka refused for good and that are kept and said again");
    describe_counter!(REOPENED, "Consumers and producers that were opened anew");
}

/// How a command ended, for metrics and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed(Code),
    NotYet,
    Expired,
    Superseded,
    Abandoned,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::NotYet => "not-yet",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Counts a finished command, and writes its one log line into its span.
pub(crate) fn finished(step: &StepName, verb: Verb, outcome: Outcome, duration_ms: i64, tries: u32) {
    let step = step.as_str().to_owned();
    let seconds = std::time::Duration::from_millis(u64::try_from(duration_ms).unwrap_or(0)).as_secs_f64();
    histogram!(STEP_DURATION, "step" => step.clone(), "verb" => verb.as_str(), "outcome" => outcome.as_str())
        .record(seconds);
    match outcome {
        Outcome::Failed(code) => {
            counter!(STEP_FAILURES, "step" => step, "code" => code.as_str()).increment(1);
            tracing::warn!(duration_ms, tries, outcome = outcome.as_str(), %code, "the step failed");
        }
        Outcome::Superseded => {
            counter!(SUPERSEDED, "step" => step).increment(1);
            tracing::info!(duration_ms, tries, outcome = outcome.as_str(), "a later question stands; silent");
        }
        Outcome::Succeeded | Outcome::NotYet | Outcome::Expired | Outcome::Abandoned => {
            tracing::info!(duration_ms, tries, outcome = outcome.as_str(), "the step ended");
        }
    }
}

/// Counts a try beyond the first.
pub(crate) fn retried(step: &StepName) {
    counter!(STEP_RETRIES, "step" => step.as_str().to_owned()).increment(1);
}

/// Counts a step that is past its deadline.
pub(crate) fn overran(step: &StepName) {
    counter!(STEP_OVERRUNS, "step" => step.as_str().to_owned()).increment(1);
    tracing::warn!("the step works on beyond its deadline; it is not cut off, its tenant waits");
}

/// Counts a dead letter.
pub(crate) fn lettered(topic: &Topic, code: Code, letter: &str, summary: &str) {
    counter!(DEAD_LETTERS, "topic" => topic.name(), "code" => code.as_str()).increment(1);
    tracing::warn!(letter, %code, summary, "a command went to the dead letters");
}

/// Shows a breaker that moved.
pub(crate) fn breaker(topic: &Topic, gate: Gate) {
    let state = match gate {
        Gate::Closed => 0.0,
        Gate::Probing { .. } => 1.0,
        Gate::Open { .. } => 2.0,
    };
    gauge!(BREAKER, "topic" => topic.name()).set(state);
    match gate {
        Gate::Closed => tracing::info!(%topic, "the worker's dependency answers again; commands go on"),
        Gate::Open { until } => {
            tracing::error!(%topic, %until, "the worker's dependency is down; commands wait until it answers a probe");
        }
        Gate::Probing { .. } => {}
    }
}

/// Shows what runs and what waits.
pub(crate) fn load((running, waiting): (usize, usize)) {
    gauge!(RUNNING).set(running as f64);
    gauge!(WAITING).set(waiting as f64);
}

/// Shows whether a store is down.
pub(crate) fn store_down(down: bool) {
    gauge!(STORE_DOWN).set(if down { 1.0 } else { 0.0 });
}

/// Counts a record that Kafka refused for good.
pub(crate) fn unsaid(topic: &Topic, reason: &str) {
    counter!(UNSAID, "topic" => topic.name()).increment(1);
    tracing::error!(%topic, reason, "Kafka refuses a record for good; it is kept and said again: look at rights, topic and sizes");
}

/// Counts a consumer or producer that is opened anew.
pub(crate) fn reopened(what: &'static str, reason: &str) {
    counter!(REOPENED, "what" => what).increment(1);
    tracing::warn!(what, reason, "the bus lost it; opening a new one");
}
