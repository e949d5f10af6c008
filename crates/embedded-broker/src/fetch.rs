//! Fetch and ListOffsets: the way of records out. A fetch that finds nothing sleeps until an append wakes it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::Shared;
use crate::wire::Client;

/// Never more than this in one answer, whatever is asked for. Bytes.
const MAX_ANSWER: usize = 64 << 20;
/// Never longer than this without an answer.
const MAX_WAIT: Duration = Duration::from_secs(300);

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const NEWEST: i64 = -3;

pub(crate) async fn fetch(shared: &Shared, client: &Client, request: FetchRequest) -> FetchResponse {
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)).min(MAX_WAIT);
    let deadline = Instant::now() + wait;
    let enough = usize::try_from(request.min_bytes).unwrap_or(0);
    let waiter = Arc::new(Notify::new());
    loop {
        let (response, bytes, failed) = read(shared, &request, &waiter);
        if bytes >= enough || failed || Instant::now() >= deadline {
            return response;
        }
        tokio::select! {
            woken = timeout_at(deadline, waiter.notified()) => drop(woken),
            () = client.gone() => return response,
        }
    }
}

/// Reads what there is now and asks to be woken when there is more. Also says how many bytes, and whether a partition failed.
fn read(shared: &Shared, request: &FetchRequest, waiter: &Arc<Notify>) -> (FetchResponse, usize, bool) {
    let most = usize::try_from(request.max_bytes).unwrap_or(0).min(MAX_ANSWER);
    let (mut total, mut failed) = (0, false);
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in &request.topics {
        let topic = shared.store.topic(&wanted.topic);
        let mut answers = Vec::with_capacity(wanted.partitions.len());
        for part in &wanted.partitions {
            let partition =
                topic.as_ref().map_err(|error| *error).and_then(|topic| topic.partition(part.partition));
            let read = partition.and_then(|partition| {
                let max = usize::try_from(part.partition_max_bytes).unwrap_or(0).min(most - most.min(total));
                let (start, end, span) = partition.with(|log| {
                    log.wait(waiter);
                    Ok((log.start(), log.end(), log.span(part.fetch_offset)))
                })?;
                let records = match span {
                    Ok(Some(span)) => span.read(part.fetch_offset, max, total == 0).map_err(|error| {
                        tracing::error!(topic = %wanted.topic.as_str(), partition = part.partition, %error, "a log could not be read");
                        ResponseError::KafkaStorageError
                    }),
                    Ok(None) => Ok(Bytes::new()),
                    Err(error) => Err(error),
                };
                Ok((start, end, records))
            });
            let (start, end, records) = read.unwrap_or_else(|error| (-1, -1, Err(error)));
            failed |= records.is_err();
            total += records.as_ref().map_or(0, Bytes::len);
            answers.push(answer(part, start, end, records));
        }
        topics.push(
            FetchableTopicResponse::default().with_topic(wanted.topic.clone()).with_partitions(answers),
        );
    }
    (FetchResponse::default().with_responses(topics), total, failed)
}

fn answer(
    part: &FetchPartition,
    start: i64,
    end: i64,
    records: Result<Bytes, ResponseError>,
) -> PartitionData {
    let answer = PartitionData::default()
        .with_partition_index(part.partition)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_log_start_offset(start)
        .with_aborted_transactions(Some(Vec::new()));
    match records {
        Ok(records) => answer.with_records(Some(records)),
        Err(error) => answer.with_records(Some(Bytes::new())).with_error_code(error.code()),
    }
}

pub(crate) fn list_offsets(
    shared: &Shared,
    request: ListOffsetsRequest,
    version: i16,
) -> ListOffsetsResponse {
    let leader_epoch = if version >= 4 { 0 } else { -1 };
    let topics = request.topics.into_iter().map(|wanted| {
        let topic = shared.store.topic(&wanted.name);
        let answers = wanted.partitions.iter().map(|part| {
            let found = topic.as_ref().map_err(|error| *error).and_then(|topic| {
                topic.partition(part.partition_index)?.with(|log| match part.timestamp {
                    LATEST => Ok(Some((log.end(), -1))),
                    EARLIEST => Ok(Some((log.start(), -1))),
                    NEWEST => log.newest(),
                    timestamp if timestamp >= 0 => log.find(timestamp),
                    _ => Err(ResponseError::UnsupportedVersion),
                })
            });
            let answer = ListOffsetsPartitionResponse::default().with_partition_index(part.partition_index);
            match found {
                Ok(Some((offset, time))) => {
                    answer.with_offset(offset).with_timestamp(time).with_leader_epoch(leader_epoch)
                }
                Ok(None) => answer.with_offset(-1).with_timestamp(-1),
                Err(error) => answer.with_offset(-1).with_timestamp(-1).with_error_code(error.code()),
            }
        });
        let answers = answers.collect();
        ListOffsetsTopicResponse::default().with_name(wanted.name).with_partitions(answers)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}
