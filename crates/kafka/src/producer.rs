//! The producer: idempotent, acknowledged by all replicas, never giving up by itself. There are two kinds of it.

mod librdkafka;

use tenantry_ports::{BusError, Delivered, Outgoing, Producer, Refused};

use self::librdkafka::RdProducer;
use crate::client::beside;
use crate::direct::DirectProducer;
use crate::options::{Options, ProducerKind};
use crate::record;

/// A producer on Kafka.
pub struct KafkaProducer(Kind);

enum Kind {
    Librdkafka(RdProducer),
    Direct(DirectProducer),
}

impl KafkaProducer {
    pub(crate) async fn open(options: Options) -> Result<Self, BusError> {
        let kind = match options.producer {
            ProducerKind::Librdkafka => Kind::Librdkafka(beside(move || RdProducer::open(&options)).await?),
            // Files are read here: the roots and keys of TLS.
            ProducerKind::Direct => Kind::Direct(beside(move || DirectProducer::open(&options)).await?),
        };
        Ok(Self(kind))
    }

    /// How many requests with records were made so far, where that is known.
    pub fn requests(&self) -> Option<u64> {
        match &self.0 {
            Kind::Librdkafka(_) => None,
            Kind::Direct(producer) => Some(producer.requests()),
        }
    }
}

impl Producer for KafkaProducer {
    fn send(&mut self, record: Outgoing) -> Result<(), Refused> {
        // A record that the broker refuses is fatal for an idempotent producer; so it is measured here.
        let (bytes, most) = (record::batch_bytes(&record), record.place.topic.settings().max_message_bytes);
        if bytes > usize::try_from(most).unwrap_or_default() {
            let why =
                format!("too_large: {bytes} bytes for {}, at most {most}; send less", record.place.topic);
            return Err(Refused::Never(Box::new(record), why));
        }
        match &mut self.0 {
            Kind::Librdkafka(producer) => producer.send(record),
            Kind::Direct(producer) => producer.send(record, bytes),
        }
    }

    async fn delivered(&mut self) -> Vec<Delivered> {
        match &mut self.0 {
            Kind::Librdkafka(producer) => producer.delivered().await,
            Kind::Direct(producer) => producer.delivered().await,
        }
    }
}
