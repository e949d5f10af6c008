//! Sees a consumer that went silent: records are to be had, and none was delivered for a while.
//!
//! It does not trust counts (transactions leave offsets that are never delivered): it reads the record from beside, and
//! only a record that is really there counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tenantry_ports::{BusError, Place};

use crate::client::list;
use crate::group::Membership;
use crate::probe::Probe;

/// Looks until the other end of `stop` is dropped.
pub(crate) fn run(
    consumer: &BaseConsumer<Membership>,
    probe: &Arc<Probe>,
    stalled: Duration,
    stop: &Receiver<()>,
) {
    let shared = &consumer.context().shared;
    while stop.recv_timeout(stalled / 3) == Err(RecvTimeoutError::Timeout) {
        let Some(before) = Instant::now().checked_sub(stalled) else { continue };
        let is_still = |still: &Still| shared.slots().still(before).contains(still);
        let still = shared.slots().still(before);
        match behind(consumer, probe, still).and_then(|all| missed(probe, all, is_still)) {
            Ok(None) => {}
            Ok(Some((place, offset))) => {
                let seconds = stalled.as_secs();
                shared.lose(format!(
                    "bus_stalled: {}/{} has a record at {offset} that was not delivered for {seconds} s; \
                     open a new consumer",
                    place.topic, place.partition
                ));
                return;
            }
            Err(error) => {
                tracing::debug!(target: "tenantry_kafka", %error, "the watchdog could not look");
            }
        }
    }
}

/// A partition where nothing moves, and the offset that is wanted next, where it is known.
type Still = (Place, Option<i64>);

/// Those that do not stand at their end, with the offset where they stand. Two questions for all of them, since on a quiet
/// fleet every partition stands still.
fn behind(
    consumer: &BaseConsumer<Membership>,
    probe: &Probe,
    still: Vec<Still>,
) -> Result<Vec<(Still, i64)>, BusError> {
    let unknown: Vec<&Place> =
        still.iter().filter(|(_, next)| next.is_none()).map(|(place, _)| place).collect();
    let committed = committed(consumer, &unknown)?;
    let ends = probe.ends(still.iter().map(|(place, _)| place))?;
    let stands = |(place, next): &Still| next.or(committed.get(place).copied()).unwrap_or(0);
    let behind = still.into_iter().map(|still| (stands(&still), still));
    let behind = behind.filter(|(at, (place, _))| ends.get(place).is_none_or(|end| at < end));
    Ok(behind.map(|(at, still)| (still, at)).collect())
}

/// The first of these that still stands, with a record that should have been delivered.
fn missed(
    probe: &Probe,
    behind: Vec<(Still, i64)>,
    is_still: impl Fn(&Still) -> bool,
) -> Result<Option<(Place, i64)>, BusError> {
    for (still, at) in behind {
        let (low, high) = probe.watermarks(&still.0)?;
        let from = at.max(low);
        let record = if from < high { probe.first(&still.0, from)? } else { None };
        if let Some(record) = record.filter(|_| is_still(&still)) {
            return Ok(Some((still.0, record.offset)));
        }
    }
    Ok(None)
}

/// What the group has stored of these; nothing for those it has stored nothing of.
fn committed(
    consumer: &BaseConsumer<Membership>,
    places: &[&Place],
) -> Result<HashMap<Place, i64>, BusError> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let asked = list(places.iter().map(|place| (*place, Offset::Invalid)));
    let found = consumer
        .committed_offsets(asked, Duration::from_secs(10))
        .map_err(|error| BusError(error.to_string()))?;
    let stored = places.iter().filter_map(|place| {
        let found = found.find_partition(&place.topic.name(), i32::from(place.partition))?;
        Some(((*place).clone(), found.offset().to_raw().filter(|offset| *offset >= 0)?))
    });
    Ok(stored.collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc;
    use std::thread;

    use bytes::Bytes;
    use tenantry_contracts::Topic;
    use tenantry_ports::{Bus, Group, News, Outgoing, Producer};
    use tenantry_testkit::broker::Kind;

    use super::*;
    use crate::group::Shared;
    use crate::{Kafka, Options, topics};

    const STALLED: Duration = Duration::from_millis(300);

    #[tokio::test(flavor = "multi_thread")]
    async fn a_consumer_that_stopped_polling_is_lost_once_there_is_a_record() {
        let options = Options::new(Kind::Embedded.shared().await, "watchdog");
        topics::apply(&options, &[], 1, 1).await.unwrap();
        let place = Place { topic: Topic::Requests, partition: 0 };
        let probe = Arc::new(Probe::new(&options).unwrap());
        for next in [None, Some(0)] {
            let (_, high) = probe.watermarks(&place).unwrap();
            let shared = Arc::new(Shared::default());
            let group =
                Group { id: format!("{next:?}"), member: None, topics: vec![Topic::Requests], resumes: true };
            let membership = Membership {
                shared: Arc::clone(&shared),
                topics: HashMap::new(),
                resumes: true,
                is_static: false,
                rebalances: AtomicU64::new(0),
            };
            let consumer: BaseConsumer<_> = options.hearing(&group).create_with_context(membership).unwrap();
            shared.slots().assign(vec![place.clone()], true);
            if next.is_some() {
                shared.slots().seek(&place, high).unwrap();
                shared.slots().sought().unwrap();
            } else {
                consumer
                    .commit(&list([(&place, Offset::Offset(high))]), rdkafka::consumer::CommitMode::Sync)
                    .unwrap();
            }
            let (stop, stopped) = mpsc::channel();
            let looking = Arc::clone(&probe);
            let dog = thread::spawn(move || run(&consumer, &looking, STALLED, &stopped));
            thread::sleep(STALLED * 4);
            assert!(!shared.slots().lost(), "silence without a record is no stall");
            let value = Some(Bytes::from_static(b"x"));
            let record = Outgoing { place: place.clone(), key: None, headers: vec![], value, tag: 1 };
            let mut producer = Kafka::new(options.clone()).producer().await.unwrap();
            producer.send(record).unwrap();
            producer.delivered().await;
            dog.join().unwrap();
            drop(stop);
            let news = shared.slots().take();
            assert!(matches!(&news[1], News::Lost(why) if why.starts_with("bus_stalled")), "{news:?}");
        }
    }
}
