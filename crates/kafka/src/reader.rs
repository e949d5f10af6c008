//! Reads partitions without a group: for people at the command line, and for the verifier of the audit.
//!
//! First everything that is there at the beginning, one partition after the other, each to its end; then what is written
//! from then on, from all of them together.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message, Offset};
use tenantry_contracts::{Record, Topic};
use tenantry_ports::{BusError, Place};
use tokio::sync::mpsc;

use crate::client::{Quiet, beside, list, refused, settle};
use crate::options::Options;
use crate::probe::Probe;
use crate::record;

/// How many records come at once, at most.
const BATCH: usize = 512;
/// How long a fetch waits at the broker where there is nothing, and a dropped reader for its end. What is written
/// meanwhile comes at once.
const WAIT_MS: u32 = 500;
/// How many batches wait for whoever reads.
const WAITING: usize = 8;

/// Where reading begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first record that is kept.
    Earliest,
    /// With what is written from now on.
    End,
    /// At these offsets; with the first that is kept where a place is not named or its offset is gone.
    At(BTreeMap<Place, i64>),
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Records, in order for each partition.
    Records(Vec<Record>),
    /// Everything that was there when the reader was opened has been given. Said once; then it waits for more.
    CaughtUp,
}

/// Reads partitions without a group.
pub struct Reader {
    batches: mpsc::Receiver<Result<Read, BusError>>,
    ends: BTreeMap<Place, i64>,
    stop: Arc<AtomicBool>,
}

impl Reader {
    /// Looks where the places begin and end, and begins to read.
    ///
    /// # Errors
    /// Where a topic is missing or the brokers cannot be reached.
    pub async fn open(options: &Options, places: Vec<Place>, start: Start) -> Result<Self, BusError> {
        let options = options.clone();
        beside(move || {
            let probe = Probe::new(&options)?;
            let mut spans = VecDeque::new();
            let mut ends = BTreeMap::new();
            for place in places {
                if place.partition >= probe.partitions(&place.topic)? {
                    let what = format_args!("{}/{}", place.topic, place.partition);
                    return Err(refused("partition_missing", what, "read a partition that exists"));
                }
                let (low, high) = probe.watermarks(&place)?;
                let from = match &start {
                    Start::Earliest => low,
                    Start::End => high,
                    Start::At(offsets) => offsets.get(&place).map_or(low, |offset| (*offset).max(low)),
                };
                ends.insert(place.clone(), high);
                spans.push_back(Span { place, next: from, end: high });
            }
            let client: BaseConsumer<Quiet> = options
                .reading(WAIT_MS)
                .create_with_context(Quiet)
                .map_err(|error| refused("bus_settings", error, "correct the Kafka properties"))?;
            let (out, batches) = mpsc::channel(WAITING);
            let stop = Arc::new(AtomicBool::new(false));
            let work = Work { client, out, stop: Arc::clone(&stop) };
            thread::Builder::new()
                .name("kafka-reader".into())
                .spawn(move || {
                    if let Err(Some(error)) = work.run(spans) {
                        let _ = work.out.blocking_send(Err(error));
                    }
                })
                .map_err(|error| refused("bus_thread", error, "allow this process more threads"))?;
            Ok(Self { batches, ends, stop })
        })
        .await
    }

    /// All partitions of these topics.
    ///
    /// # Errors
    /// Where a topic is missing or the brokers cannot be reached.
    pub async fn places(options: &Options, topics: Vec<Topic>) -> Result<Vec<Place>, BusError> {
        let options = options.clone();
        beside(move || {
            let probe = Probe::new(&options)?;
            let mut places = Vec::new();
            for topic in topics {
                let all = 0..probe.partitions(&topic)?;
                places.extend(all.map(|partition| Place { topic: topic.clone(), partition }));
            }
            Ok(places)
        })
        .await
    }

    /// The end of each place when the reader was opened: the next offset to be written then.
    pub fn ends(&self) -> &BTreeMap<Place, i64> {
        &self.ends
    }

    /// Reads on; waits where there is nothing. May be dropped and called again without loss.
    ///
    /// # Errors
    /// Where reading does not go on: open a new one.
    pub async fn read(&mut self) -> Result<Read, BusError> {
        let ended = || Err(refused("bus_ended", "the reader has ended", "open a new one"));
        self.batches.recv().await.unwrap_or_else(ended)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Span {
    place: Place,
    next: i64,
    end: i64,
}

struct Work {
    client: BaseConsumer<Quiet>,
    out: mpsc::Sender<Result<Read, BusError>>,
    stop: Arc<AtomicBool>,
}

impl Drop for Work {
    fn drop(&mut self) {
        settle(&self.client);
    }
}

/// `None`: whoever read has gone.
type Ended = Option<BusError>;

impl Work {
    fn run(&self, mut spans: VecDeque<Span>) -> Result<(), Ended> {
        for span in &mut spans {
            // One at a time, since librdkafka tells the end of a partition without saying of which topic.
            let mut ended = span.next >= span.end;
            if !ended {
                self.assign(std::slice::from_ref(span))?;
            }
            while !ended {
                let (records, eof) = self.batch()?;
                if let Some(last) = records.last() {
                    span.next = last.offset + 1;
                }
                self.give(Read::Records(records.into_iter().filter(|r| r.offset < span.end).collect()))?;
                ended = eof || span.next >= span.end;
            }
            // What was written meanwhile is left for later.
            span.next = span.next.min(span.end);
        }
        self.give(Read::CaughtUp)?;
        self.assign(spans.make_contiguous())?;
        loop {
            let (records, _) = self.batch()?;
            self.give(Read::Records(records))?;
        }
    }

    fn assign(&self, spans: &[Span]) -> Result<(), Ended> {
        let list = list(spans.iter().map(|span| (&span.place, Offset::Offset(span.next))));
        settle(&self.client);
        self.client.assign(&list).map_err(|error| Some(refused("bus_assign", error, "open a new reader")))
    }

    fn give(&self, read: Read) -> Result<(), Ended> {
        if read == Read::Records(Vec::new()) {
            return Ok(());
        }
        self.out.blocking_send(Ok(read)).map_err(|_| None)
    }

    /// What is there, and whether the end of a partition was met.
    fn batch(&self) -> Result<(Vec<Record>, bool), Ended> {
        use RDKafkaErrorCode as Code;
        let mut records = Vec::new();
        let mut wait = Duration::from_millis(WAIT_MS.into());
        while records.len() < BATCH {
            if self.stop.load(Ordering::Relaxed) {
                return Err(None);
            }
            match self.client.poll(wait) {
                None => break,
                Some(Ok(message)) => {
                    if let Some(topic) = Topic::parse(message.topic()) {
                        records.push(record::heard(topic, &message));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok((records, true)),
                Some(Err(
                    error @ (KafkaError::MessageConsumptionFatal(_)
                    | KafkaError::MessageConsumption(
                        Code::AutoOffsetReset
                        | Code::OffsetOutOfRange
                        | Code::BadMessage
                        | Code::TopicAuthorizationFailed,
                    )),
                )) => return Err(Some(refused("bus_read", error, "open a new reader"))),
                Some(Err(error)) => tracing::debug!(target: "tenantry_kafka", %error, "kafka reader"),
            }
            wait = Duration::ZERO;
        }
        Ok((records, false))
    }
}
