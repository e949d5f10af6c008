//! The bus on Kafka: the only crate that knows `rdkafka`.
//!
//! What the ports ask for is made from few parts. A consumer is one librdkafka consumer on a thread of its own
//! (`group`), which moves records into per-partition queues (`slots`); what may be delivered is decided there, in plain
//! data, so that a seek or a revocation takes effect at once, whatever librdkafka has under way. A producer counts
//! acknowledgements; there is librdkafka's, and one of our own (`direct`) that needs fewer requests. Topics are made and
//! checked by [`topics`]; [`Reader`] reads without a group.

mod bus;
mod client;
mod consumer;
mod delivery;
mod direct;
mod group;
mod options;
mod probe;
mod producer;
mod reader;
mod record;
mod slots;
pub mod topics;
mod watchdog;

pub use bus::Kafka;
pub use consumer::KafkaConsumer;
pub use options::{Options, ProducerKind};
pub use producer::KafkaProducer;
pub use reader::{Read, Reader, Start};
