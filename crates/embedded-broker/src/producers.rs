//! What a partition remembers of idempotent producers, so that a batch sent twice is stored once and a gap is refused.

use std::collections::{HashMap, VecDeque};

use kafka_protocol::ResponseError;
use serde::{Deserialize, Serialize};

use crate::batch::Header;

/// Batches remembered per producer: as many as a client may have in flight.
const REMEMBERED: usize = 5;
/// A producer silent for this long is forgotten when its partition rolls to a new file. Milliseconds.
const FORGET_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

/// The answer to a batch, before it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    New,
    /// Stored before, at this offset.
    Duplicate(i64),
    Refused(ResponseError),
}

/// All producers of one partition, by producer id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Producers(HashMap<i64, Producer>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    /// Time of the newest batch, in milliseconds since 1970.
    seen: i64,
    recent: VecDeque<Recent>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Recent {
    first: i32,
    last: i32,
    offset: i64,
}

impl Producers {
    pub(crate) fn check(&self, header: &Header) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::New;
        }
        if header.base_sequence < 0 || header.producer_epoch < 0 {
            return Verdict::Refused(ResponseError::InvalidRecord);
        }
        // Whoever is not known may begin anywhere: its earlier records may have been deleted by retention.
        let Some(known) = self.0.get(&header.producer_id) else { return Verdict::New };
        if header.producer_epoch < known.epoch {
            return Verdict::Refused(ResponseError::InvalidProducerEpoch);
        }
        if header.producer_epoch > known.epoch {
            return match header.base_sequence {
                0 => Verdict::New,
                _ => Verdict::Refused(ResponseError::OutOfOrderSequenceNumber),
            };
        }
        let (first, last) = sequences(header);
        if let Some(same) = known.recent.iter().find(|recent| recent.first == first && recent.last == last) {
            return Verdict::Duplicate(same.offset);
        }
        match known.recent.back() {
            Some(newest) if first != advance(newest.last, 1) => {
                let oldest = known.recent.front().map_or(newest.first, |oldest| oldest.first);
                if last < oldest {
                    Verdict::Refused(ResponseError::DuplicateSequenceNumber)
                } else {
                    Verdict::Refused(ResponseError::OutOfOrderSequenceNumber)
                }
            }
            _ => Verdict::New,
        }
    }

    /// Remembers a batch that the log stored at `offset`.
    pub(crate) fn record(&mut self, header: &Header, offset: i64) {
        if header.producer_id < 0 {
            return;
        }
        let (first, last) = sequences(header);
        let producer = self.0.entry(header.producer_id).or_insert_with(|| Producer {
            epoch: header.producer_epoch,
            seen: header.max_timestamp,
            recent: VecDeque::new(),
        });
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.recent.clear();
        }
        producer.seen = producer.seen.max(header.max_timestamp);
        if producer.recent.len() == REMEMBERED {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Recent { first, last, offset });
    }

    /// Forgets producers that were silent for a week. `now` in milliseconds since 1970.
    pub(crate) fn forget_silent(&mut self, now: i64) {
        self.0.retain(|_, producer| producer.seen > now.saturating_sub(FORGET_AFTER_MS));
    }
}

fn sequences(header: &Header) -> (i32, i32) {
    (header.base_sequence, advance(header.base_sequence, header.last_offset_delta))
}

/// Sequence numbers wrap from the largest to zero, never to a negative one.
fn advance(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    (sum % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: i32, records: i32, epoch: i16) -> Header {
        Header {
            base_offset: 0,
            length: 100,
            crc: 0,
            attributes: 0,
            last_offset_delta: records - 1,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence: sequence,
            count: records,
        }
    }

    fn stored(batches: &[(i32, i32)]) -> Producers {
        let mut producers = Producers::default();
        let mut offset = 100;
        for (sequence, records) in batches {
            producers.record(&batch(*sequence, *records, 0), offset);
            offset += i64::from(*records);
        }
        producers
    }

    #[test]
    fn a_repeated_batch_is_answered_with_its_first_offset() {
        let producers = stored(&[(0, 10), (10, 5)]);
        assert_eq!(producers.check(&batch(0, 10, 0)), Verdict::Duplicate(100));
        assert_eq!(producers.check(&batch(10, 5, 0)), Verdict::Duplicate(110));
        assert_eq!(producers.check(&batch(15, 1, 0)), Verdict::New);
    }

    #[test]
    fn a_gap_is_refused_and_so_is_an_older_epoch() {
        let mut producers = stored(&[(0, 10)]);
        let gap = Verdict::Refused(ResponseError::OutOfOrderSequenceNumber);
        assert_eq!(producers.check(&batch(11, 1, 0)), gap);
        assert_eq!(producers.check(&batch(3, 1, 1)), gap);
        producers.record(&batch(0, 1, 1), 200);
        assert_eq!(producers.check(&batch(10, 1, 0)), Verdict::Refused(ResponseError::InvalidProducerEpoch));
    }

    #[test]
    fn a_sequence_wraps_from_the_largest_to_zero() {
        let producers = stored(&[(i32::MAX - 1, 3)]);
        assert_eq!(producers.check(&batch(1, 1, 0)), Verdict::New);
        assert_eq!(producers.check(&batch(i32::MAX - 1, 3, 0)), Verdict::Duplicate(100));
    }

    #[test]
    fn a_batch_older_than_all_remembered_ones_is_a_duplicate_without_an_offset() {
        let producers = stored(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
        assert_eq!(
            producers.check(&batch(0, 1, 0)),
            Verdict::Refused(ResponseError::DuplicateSequenceNumber)
        );
    }
}
