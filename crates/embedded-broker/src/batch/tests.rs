//! Batches made by the codec crate, read by ours.

use kafka_protocol::records::{
    Compression, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Record, RecordBatchEncoder, RecordEncodeOptions,
    TimestampType,
};

use super::*;

/// A batch of `count` records of `size` bytes, one millisecond apart from `time` on; a sequence makes it idempotent.
pub(crate) fn batch_of(count: i32, size: usize, time: i64, sequence: Option<i32>) -> Bytes {
    let records: Vec<Record> = (0..count)
        .map(|number| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: sequence.map_or(NO_PRODUCER_ID, |_| 7),
            producer_epoch: sequence.map_or(NO_PRODUCER_EPOCH, |_| 0),
            timestamp_type: TimestampType::Creation,
            offset: i64::from(number),
            sequence: sequence.unwrap_or(-1) + number,
            timestamp: time + i64::from(number),
            key: None,
            value: Some(Bytes::from(vec![b'x'; size])),
            headers: Default::default(),
        })
        .collect();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("encodes");
    bytes.freeze()
}

#[test]
fn a_good_batch_is_accepted_and_any_flipped_bit_behind_the_checksum_is_not() {
    let batch = batch_of(3, 10, 1000, Some(0));
    let header = accept(&batch).expect("is good");
    assert_eq!((header.count, header.base_timestamp, header.max_timestamp), (3, 1000, 1002));
    for at in CHECKED_FROM..batch.len() {
        let mut damaged = batch.to_vec();
        damaged[at] ^= 1;
        assert_eq!(accept(&damaged), Err(ResponseError::CorruptMessage), "byte {at}");
    }
}

#[test]
fn anything_but_exactly_one_batch_is_refused() {
    let batch = batch_of(1, 10, 0, None);
    let two = [&batch[..], &batch[..]].concat();
    assert_eq!(accept(&two), Err(ResponseError::InvalidRecord));
    for length in 0..batch.len() {
        assert!(accept(&batch[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn the_place_in_the_log_is_not_covered_by_the_checksum() {
    let batch = batch_of(2, 10, 0, None);
    let moved = [&placed(&batch, 1234)[..], &batch[16..]].concat();
    let header = accept(&moved).expect("is still good");
    assert_eq!((header.base_offset, header.next_offset()), (1234, 1236));
}

#[test]
fn the_first_record_at_a_time_is_found_inside_a_batch() {
    let batch = batch_of(10, 3, 5000, None);
    let header = accept(&batch).expect("is good");
    assert_eq!(record_at(&header, &batch, 5007), (7, 5007));
    assert_eq!(record_at(&header, &batch, 0), (0, 5000));
}
