//! Records as librdkafka has them, and as the house has them.

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, OwnedHeaders};
use tenantry_contracts::headers::{self, Name};
use tenantry_contracts::{Record, Time, Topic};
use tenantry_ports::Outgoing;

use crate::client::caught;

/// The name given to a header whose own name is not UTF-8; `rdkafka` cannot show it.
const UNREADABLE: &str = "\u{fffd}";

/// Copies a message out of librdkafka's memory, with one allocation for all its bytes.
pub(crate) fn heard(topic: Topic, message: &BorrowedMessage<'_>) -> Record {
    let named: Vec<(Name, &[u8])> = match message.headers() {
        None => Vec::new(),
        Some(headers) => (0..headers.count()).filter_map(|at| header(headers, at)).collect(),
    };
    let (key, value) = (message.key(), message.payload());
    let size = key.map_or(0, <[u8]>::len)
        + value.map_or(0, <[u8]>::len)
        + named.iter().map(|(_, value)| value.len()).sum::<usize>();
    let mut whole = Vec::with_capacity(size);
    for part in key.into_iter().chain(value).chain(named.iter().map(|(_, value)| *value)) {
        whole.extend_from_slice(part);
    }
    let mut rest = Bytes::from(whole);
    let key = key.map(|key| rest.split_to(key.len()));
    let value = value.map(|value| rest.split_to(value.len()));
    let headers = named.into_iter().map(|(name, value)| (name, rest.split_to(value.len()))).collect();
    Record {
        topic,
        // Kafka counts partitions from zero, and a fleet has far fewer than 65,536 of them.
        partition: u16::try_from(message.partition()).unwrap_or(u16::MAX),
        offset: message.offset(),
        at: Time(message.timestamp().to_millis().unwrap_or_default()),
        key,
        headers,
        value,
    }
}

fn header<H: rdkafka::message::Headers>(headers: &H, at: usize) -> Option<(Name, &[u8])> {
    match caught(|| headers.try_get(at)) {
        Some(header) => header.map(|header| (headers::name(header.key), header.value.unwrap_or_default())),
        None => Some((Name::Borrowed(UNREADABLE), &[])),
    }
}

/// The headers of a record to be said.
pub(crate) fn headers(record: &Outgoing) -> Option<OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let start = OwnedHeaders::new_with_capacity(record.headers.len());
    let add = |all: OwnedHeaders, (name, value): &(Name, Bytes)| {
        all.insert(Header { key: name, value: Some(value.as_ref()) })
    };
    Some(record.headers.iter().fold(start, add))
}

/// At most this many bytes the record takes as a batch of its own, which is what brokers measure.
pub(crate) fn batch_bytes(record: &Outgoing) -> usize {
    const BATCH: usize = 61;
    // Attributes, and six numbers of at most five bytes: length, time, offset, key, value and count of headers.
    const RECORD: usize = 1 + 6 * 5;
    let headers: usize = record.headers.iter().map(|(name, value)| 10 + name.len() + value.len()).sum();
    let content = record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len);
    BATCH + RECORD + content + headers
}
