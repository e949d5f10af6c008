//! What is written, as another codec reads it.

use kafka_protocol::records::RecordBatchDecoder;
use proptest::prelude::*;
use tenantry_contracts::{Headers, Topic};
use tenantry_ports::{Outgoing, Place};

use super::*;

fn bytes(most: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from)
}

fn records() -> impl Strategy<Value = Vec<Said>> {
    let place = Place { topic: Topic::Requests, partition: 0 };
    let headers = prop::collection::btree_map("[a-z]{0,9}", bytes(100), 0..5);
    let fields = (prop::option::of(bytes(200)), prop::option::of(bytes(2_000)), headers, 900..70_000_i64);
    let record = fields.prop_map(move |(key, value, headers, time)| {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let record = Outgoing { place: place.clone(), key, headers, value, tag: 0 };
        Said { bytes: crate::record::batch_bytes(&record), record, time }
    });
    prop::collection::vec(record, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn records_come_back_and_take_no_more_than_was_measured(records in records()) {
        let mut draft = Draft::new(records[0].time, 0);
        for said in &records {
            let before = draft.size();
            draft.push(said);
            prop_assert!(draft.size() - before <= said.bytes - HEADER);
        }
        let mut batch = draft.seal((9, 3), 17, Compression::None).bytes;
        let length = i32::from_be_bytes(batch[8..12].try_into().unwrap());
        prop_assert_eq!(length as usize, batch.len() - 12);
        let read = RecordBatchDecoder::decode(&mut batch).unwrap().records;
        prop_assert_eq!(read.len(), records.len());
        for (at, (read, said)) in read.iter().zip(&records).enumerate() {
            prop_assert_eq!((read.producer_id, read.producer_epoch), (9, 3));
            prop_assert_eq!((read.sequence, read.offset), (17 + at as i32, at as i64));
            prop_assert_eq!(read.timestamp, said.time);
            prop_assert_eq!((&read.key, &read.value), (&said.record.key, &said.record.value));
            let headers: Headers = read
                .headers
                .iter()
                .map(|(name, value)| (name.to_string().into(), value.clone().unwrap()))
                .collect();
            prop_assert_eq!(&headers, &said.record.headers);
        }
    }
}

#[test]
fn sequences_begin_again_at_zero() {
    assert_eq!(sequence_after(5, 3), 8);
    assert_eq!(sequence_after(i32::MAX - 1, 1), i32::MAX);
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 2, 10), 7);
}
