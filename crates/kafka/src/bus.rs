//! The bus itself: opens consumers and producers.

use std::sync::{Arc, Mutex, PoisonError};

use tenantry_ports::{Bus, BusError, Group};

use crate::client::beside;
use crate::consumer::KafkaConsumer;
use crate::options::Options;
use crate::probe::Probe;
use crate::producer::KafkaProducer;

/// Kafka, or anything that speaks its protocol.
pub struct Kafka {
    options: Options,
    probe: Mutex<Option<Arc<Probe>>>,
}

impl Kafka {
    /// Does not connect yet.
    pub fn new(options: Options) -> Self {
        Self { options, probe: Mutex::new(None) }
    }

    fn probe(&self) -> Result<Arc<Probe>, BusError> {
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(probe) = &*probe {
            return Ok(Arc::clone(probe));
        }
        let made = Arc::new(Probe::new(&self.options)?);
        *probe = Some(Arc::clone(&made));
        Ok(made)
    }
}

impl Bus for Kafka {
    type Consumer = KafkaConsumer;
    type Producer = KafkaProducer;

    async fn consumer(&self, group: Group) -> Result<KafkaConsumer, BusError> {
        let (options, probe) = (self.options.clone(), self.probe()?);
        beside(move || KafkaConsumer::join(&options, &group, probe)).await
    }

    async fn producer(&self) -> Result<KafkaProducer, BusError> {
        KafkaProducer::open(self.options.clone()).await
    }
}
