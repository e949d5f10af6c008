//! What became of records: told by librdkafka one by one, taken by the sender many at once.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tenantry_ports::{Delivered, Delivery, Tag};
use tokio::sync::Notify;

use crate::client::{log, warn};

/// Reports that nobody took yet.
#[derive(Default)]
pub(crate) struct Reports {
    waiting: Mutex<Vec<Delivered>>,
    wake: Notify,
}

impl Reports {
    /// Adds reports, at least one.
    pub(crate) fn extend(&self, reports: impl IntoIterator<Item = Delivered>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        waiting.extend(reports);
        drop(waiting);
        // One wake for many: whoever was woken takes all.
        if first {
            self.wake.notify_one();
        }
    }

    /// All reports since the last call; waits for the first.
    pub(crate) async fn take(&self) -> Vec<Delivered> {
        loop {
            let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            if !taken.is_empty() {
                return taken;
            }
            self.wake.notified().await;
        }
    }
}

/// The producer's callbacks.
pub(crate) struct Saying(pub(crate) Arc<Reports>);

impl ClientContext for Saying {
    fn error(&self, error: KafkaError, reason: &str) {
        warn(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }
}

impl ProducerContext for Saying {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let delivery = match result {
            // A repeat that the broker knew already has no offset; it is there all the same.
            Ok(message) => Delivery::Acked(message.offset().max(-1)),
            Err((error, _)) => failed(error),
        };
        self.0.extend([Delivered { tag: tag as Tag, delivery }]);
    }
}

fn failed(error: &KafkaError) -> Delivery {
    use RDKafkaErrorCode as Code;
    let text = error.to_string();
    match error {
        KafkaError::MessageProduction(
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTopic,
        ) => Delivery::NotPersisted(text),
        _ => Delivery::PossiblyPersisted(text),
    }
}
