//! The producer of librdkafka, acknowledgements counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use tenantry_ports::{BusError, Delivered, Outgoing, Refused};

use crate::client::{aside, refused};
use crate::delivery::{Reports, Saying};
use crate::options::Options;
use crate::record;

/// How long one poll lasts. Reports are told at once all the same; but `rdkafka` waits in whole milliseconds and spins
/// through the last part of one, so that a producer with nothing to do costs less the longer this is. A producer that was
/// dropped is gone after at most this.
const POLL: Duration = Duration::from_secs(2);

/// A producer that librdkafka drives.
pub(crate) struct RdProducer {
    client: Arc<BaseProducer<Saying>>,
    dropped: Arc<AtomicBool>,
    reports: Arc<Reports>,
    /// Records that were queued, and whose reports were not taken yet.
    open: usize,
}

impl RdProducer {
    pub(crate) fn open(options: &Options) -> Result<Self, BusError> {
        let reports = Arc::new(Reports::default());
        let client: BaseProducer<Saying> = options
            .saying()
            .create_with_context(Saying(Arc::clone(&reports)))
            .map_err(|error: KafkaError| refused("bus_settings", error, "correct the Kafka properties"))?;
        let (client, dropped) = (Arc::new(client), Arc::new(AtomicBool::new(false)));
        let polled = (Arc::clone(&client), Arc::clone(&dropped));
        let thread = std::thread::Builder::new().name("kafka-producer".into()).spawn(move || {
            let (client, dropped) = polled;
            while !dropped.load(Ordering::Relaxed) {
                client.poll(POLL);
            }
        });
        thread.map_err(|error| refused("bus_thread", error, "allow this process more threads"))?;
        Ok(Self { client, dropped, reports, open: 0 })
    }

    fn queue(&self, record: &Outgoing, tag: usize) -> Result<(), KafkaError> {
        // librdkafka frees a record's room a moment after its report. Where all reports were taken, none would wake a
        // sender that was told to wait for one; so that moment is spent here.
        const MOMENT: Duration = Duration::from_secs(1);
        let topic = record.place.topic.name();
        let since = Instant::now();
        loop {
            let mut outgoing = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&topic, tag)
                .partition(i32::from(record.place.partition));
            outgoing.key = record.key.as_deref();
            outgoing.payload = record.value.as_deref();
            outgoing.headers = record::headers(record);
            let Err((error, _)) = self.client.send(outgoing) else { return Ok(()) };
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !full || self.open > 0 || since.elapsed() > MOMENT {
                return Err(error);
            }
            std::thread::yield_now();
        }
    }

    /// Queues a record that its topic takes.
    pub(crate) fn send(&mut self, record: Outgoing) -> Result<(), Refused> {
        let Ok(tag) = usize::try_from(record.tag) else {
            return Err(Refused::Never(
                Box::new(record),
                "bus_tag: the tag does not fit; use smaller tags".into(),
            ));
        };
        let error = match self.queue(&record, tag) {
            Ok(()) => {
                self.open += 1;
                return Ok(());
            }
            Err(error) => error,
        };
        // A queue that is full with nothing in it is smaller than the record.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) && self.open > 0 {
            return Err(Refused::Full(Box::new(record)));
        }
        let fatal = self.client.client().fatal_error().map(|(_, text)| text).unwrap_or_default();
        Err(Refused::Never(Box::new(record), format!("bus_refused: {error} {fatal}; open a new producer")))
    }

    pub(crate) async fn delivered(&mut self) -> Vec<Delivered> {
        let reports = self.reports.take().await;
        self.open = self.open.saturating_sub(reports.len());
        reports
    }
}

impl Drop for RdProducer {
    /// What waits is given up now; the client itself goes with its thread, which ends after the poll it is in.
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        let client = Arc::clone(&self.client);
        aside(move || client.purge(PurgeConfig::default().queue().inflight()));
    }
}
