//! Looking at partitions from beside: what exists, where it begins and ends, and what stands at an offset.
//!
//! One quiet client for all of a process, so that looking does not disturb what is heard. All calls block.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset};
use tenantry_contracts::{Record, Topic};
use tenantry_ports::{BusError, Place};

use crate::client::{Quiet, list, put_away, refused, settle, unreachable};
use crate::options::Options;
use crate::record;

/// How long a look may wait at the broker where there is nothing; short, since looks queue behind each other.
const WAIT_MS: u32 = 10;

/// How long to wait before a broker is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// The client.
pub(crate) struct Probe {
    client: Option<Arc<BaseConsumer<Quiet>>>,
    /// Held while the client is assigned to a place.
    reading: Mutex<()>,
    timeout: Duration,
    brokers: String,
}

impl Probe {
    pub(crate) fn new(options: &Options) -> Result<Self, BusError> {
        let client: BaseConsumer<Quiet> = options
            .reading(WAIT_MS)
            .create_with_context(Quiet)
            .map_err(|error| refused("bus_settings", error, "correct the Kafka properties"))?;
        Ok(Self {
            client: Some(Arc::new(client)),
            reading: Mutex::new(()),
            timeout: options.timeout,
            brokers: options.brokers.clone(),
        })
    }

    fn client(&self) -> &BaseConsumer<Quiet> {
        let client = self.client.as_ref().expect("only taken when the probe is dropped");
        // Log lines and passing errors wait in the queue until somebody looks.
        while self.reading.try_lock().is_ok_and(|_quiet| client.poll(Duration::ZERO).is_some()) {}
        client
    }

    /// How many partitions a topic has.
    pub(crate) fn partitions(&self, topic: &Topic) -> Result<u16, BusError> {
        let name = topic.name();
        let metadata = self
            .client()
            .fetch_metadata(Some(&name), self.timeout)
            .map_err(|error| unreachable(&self.brokers, error))?;
        let found = metadata.topics().iter().find(|found| found.name() == name);
        let code = found.and_then(|found| found.error()).map(RDKafkaErrorCode::from);
        match (found, code) {
            (Some(found), None | Some(RDKafkaErrorCode::LeaderNotAvailable))
                if !found.partitions().is_empty() =>
            {
                Ok(u16::try_from(found.partitions().len()).unwrap_or(u16::MAX))
            }
            (_, Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                Err(refused("topic_forbidden", name, "allow this user to describe and use the topic"))
            }
            _ => Err(refused("topic_missing", name, "make the fleet's topics")),
        }
    }

    /// The first offset that is kept, and the next one to be written. Asks again for a while where a broker does not know
    /// yet that it leads: right after a topic was made, or after a leader died.
    pub(crate) fn watermarks(&self, place: &Place) -> Result<(i64, i64), BusError> {
        use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition, UnknownTopicOrPartition};
        let (name, partition) = (place.topic.name(), i32::from(place.partition));
        let until = Instant::now() + self.timeout;
        loop {
            let error = match self.client().fetch_watermarks(&name, partition, self.timeout) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let passing = matches!(
                error.rdkafka_error_code(),
                Some(LeaderNotAvailable | NotLeaderForPartition | UnknownTopicOrPartition)
            );
            if !passing || Instant::now() >= until {
                return Err(unreachable(&self.brokers, error));
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// The next offset to be written of each of these, with one request to each broker. Those that no broker can tell of now
    /// are left out.
    pub(crate) fn ends<'a>(
        &self,
        places: impl Iterator<Item = &'a Place> + Clone,
    ) -> Result<HashMap<Place, i64>, BusError> {
        // A time of -1 is the end, in the protocol as in librdkafka.
        let asked = list(places.clone().map(|place| (place, Offset::End)));
        if asked.count() == 0 {
            return Ok(HashMap::new());
        }
        let found = self
            .client()
            .offsets_for_times(asked, self.timeout)
            .map_err(|error| unreachable(&self.brokers, error))?;
        let ends = places.filter_map(|place| {
            let found = found.find_partition(&place.topic.name(), i32::from(place.partition))?;
            found.error().ok()?;
            Some((place.clone(), found.offset().to_raw().filter(|offset| *offset >= 0)?))
        });
        Ok(ends.collect())
    }

    /// The first record at or after `from`; `None` where there is none, or where `from` is not kept.
    pub(crate) fn first(&self, place: &Place, from: i64) -> Result<Option<Record>, BusError> {
        let client = self.client();
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        settle(client);
        client
            .assign(&list([(place, Offset::Offset(from))]))
            .map_err(|error| refused("bus_internal", error, "report this"))?;
        let until = Instant::now() + self.timeout;
        let found = loop {
            match client.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.offset() >= from => {
                    break Ok(Some(record::heard(place.topic.clone(), &message)));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break Ok(None),
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
                ))) => break Ok(None),
                Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::TopicAuthorizationFailed))) => {
                    let what = format_args!("{}/{}", place.topic, place.partition);
                    break Err(refused("topic_forbidden", what, "allow this user to read the topic"));
                }
                _ if Instant::now() > until => {
                    let what = format_args!("{}/{} at {from} was not answered", place.topic, place.partition);
                    break Err(unreachable(&self.brokers, what));
                }
                _ => {}
            }
        };
        settle(client);
        if let Err(error) = client.unassign() {
            tracing::warn!(target: "tenantry_kafka", %error, "a looked-at partition stays assigned");
        }
        found
    }

    /// The record at `offset`, if it is kept.
    pub(crate) fn record_at(&self, place: &Place, offset: i64) -> Result<Option<Record>, BusError> {
        let (low, high) = self.watermarks(place)?;
        if offset < low || offset >= high {
            return Ok(None);
        }
        Ok(self.first(place, offset)?.filter(|record| record.offset == offset))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        put_away(self.client.take());
    }
}
