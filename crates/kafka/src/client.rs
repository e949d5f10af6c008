//! Small things that all clients share: their log lines, errors, lists of places, and how they are put away.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tenantry_ports::{BusError, Place};

/// The context of clients that need no callbacks. Passing troubles with a connection are warnings: librdkafka tries
/// again by itself, and what matters reaches the caller as an error of its own.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        warn(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }
}

impl ConsumerContext for Quiet {}

pub(crate) fn warn(error: &KafkaError, reason: &str) {
    // The end of a partition is news for whoever reads it, and reaches them as such.
    if matches!(error, KafkaError::Global(RDKafkaErrorCode::PartitionEOF)) {
        return;
    }
    tracing::warn!(target: "tenantry_kafka", %error, reason, "kafka client");
}

/// librdkafka's own lines, under its own target. That the gapless guarantee is called experimental is known and wanted.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
    match level {
        Warning if line.contains("enable.gapless.guarantee") => {}
        Emerg | Alert | Critical | Error => tracing::error!(target: "librdkafka", facility, "{line}"),
        Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{line}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// An error with its stable code, what was wrong, and what to do next.
pub(crate) fn refused(code: &str, what: impl std::fmt::Display, next: &str) -> BusError {
    BusError(format!("{code}: {what}; {next}"))
}

/// The brokers did not answer in time.
pub(crate) fn unreachable(brokers: &str, what: impl std::fmt::Display) -> BusError {
    refused(
        "bus_unreachable",
        format_args!("{brokers}: {what}"),
        "see that the brokers run and can be reached",
    )
}

/// Builds librdkafka's list of places.
pub(crate) fn list<'a>(places: impl IntoIterator<Item = (&'a Place, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in places {
        let mut element = list.add_partition(&place.topic.name(), i32::from(place.partition));
        // Fails only for negative offsets, which callers never pass; the element then starts at the group's offset.
        let _ = element.set_offset(offset);
    }
    list
}

/// Waits until partitions that were taken away have really stopped.
///
/// librdkafka 2.12.1 aborts the whole process when a partition is taken away a second time while it is still being
/// stopped (its assertion `rktp_started`). Stopping takes two turns of its main thread, and each of these calls waits
/// for one; so this stands before every change of an assignment, and before a client is put away.
pub(crate) fn settle<C: ConsumerContext>(client: &BaseConsumer<C>) {
    for _ in 0..4 {
        // What it answers is of no interest, and an error only means that there is no main thread any more.
        let _ = client.assignment();
    }
}

/// Drops what blocks (librdkafka waits for brokers when it is put away) on a thread of its own.
pub(crate) fn put_away<T: Send + 'static>(thing: T) {
    aside(move || drop(thing));
}

/// Does what blocks on a thread of its own.
pub(crate) fn aside(work: impl FnOnce() + Send + 'static) {
    // Where no thread can be had the closure is dropped right here: what it holds goes, which is slower and as good.
    let _ = std::thread::Builder::new().name("kafka-put-away".into()).spawn(work);
}

/// Runs blocking calls beside the runtime.
pub(crate) async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BusError> + Send + 'static,
) -> Result<T, BusError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => {
            Err(BusError(format!("bus_internal: a blocking call ended early: {error}; report this")))
        }
    }
}

/// Calls into librdkafka's wrapper where it is known to panic on bytes from outside.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
