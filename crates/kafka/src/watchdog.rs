//! Sees a consumer that went silent: records are to be had, and none was delivered for a while.
//!
//! It does not trust counts (transactions leave offsets that are never delivered): it reads the record from beside, and
//! only a record that is really there counts.

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
        let still = shared.slots().still(before);
        for (place, next) in still {
            match missed(consumer, probe, &place, next) {
                Ok(Some(offset)) if shared.slots().still(before).contains(&(place.clone(), next)) => {
                    let seconds = stalled.as_secs();
                    shared.lose(format!(
                        "bus_stalled: {}/{} has a record at {offset} that was not delivered for {seconds} s; \
                         open a new consumer",
                        place.topic, place.partition
                    ));
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(target: "tenantry_kafka", %error, "the watchdog could not look");
                    break;
                }
            }
        }
    }
}

/// The offset of a record that should have been delivered.
fn missed(
    consumer: &BaseConsumer<Membership>,
    probe: &Probe,
    place: &Place,
    next: Option<i64>,
) -> Result<Option<i64>, BusError> {
    let (low, high) = probe.watermarks(place)?;
    let from = match next {
        Some(next) => next,
        None => committed(consumer, place)?.unwrap_or(low),
    };
    if from >= high {
        return Ok(None);
    }
    Ok(probe.first(place, from.max(low))?.map(|record| record.offset))
}

fn committed(consumer: &BaseConsumer<Membership>, place: &Place) -> Result<Option<i64>, BusError> {
    let found = consumer
        .committed_offsets(list([(place, Offset::Invalid)]), Duration::from_secs(10))
        .map_err(|error| BusError(error.to_string()))?;
    Ok(found.elements().iter().find_map(|element| match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
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
