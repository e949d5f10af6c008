//! Small things that all clients share: their log lines, errors, lists of places, and how they are put away.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tenantry_ports::{BusError, Place};

/// The context of clients that need no callbacks. Passing troubles with a connection are warnings: librdkafka tries
/// again by itself, and what matters reaches the caller as an error of its own.
pub(crate) struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, error: KafkaError, reason: &str) {
        warn(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

pub(crate) fn warn(error: &KafkaError, reason: &str) {
    tracing::warn!(target: "tenantry_kafka", %error, reason, "kafka client");
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

/// Drops what blocks (librdkafka waits for brokers when it is put away) on a thread of its own.
pub(crate) fn put_away<T: Send + 'static>(thing: T) {
    let thread = std::thread::Builder::new().name("kafka-put-away".into());
    // Where no thread can be had the closure is dropped right here, which is slower and as good.
    let _ = thread.spawn(move || drop(thing));
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
