//! Speaking: what committed goes to Kafka in order, and `spoken` follows the acknowledgements.

use std::collections::VecDeque;

use bytes::Bytes;
use tenantry_contracts::{Fact, Lane, Topic};
use tenantry_ports::{Outgoing, Place, Producer, Refused, Tag};
use tenantry_saga::Asked;

/// How far a lane has spoken: rows in order of their number, each with what is still to be acknowledged.
#[derive(Debug)]
pub(crate) struct Spoken {
    /// The highest number with everything up to it acknowledged.
    pub(crate) upto: i64,
    /// Which life of the lane's memory this is; reports of an earlier one are not counted.
    life: u16,
    first: u32,
    rows: VecDeque<(i64, u32)>,
}

/// Tags that no lane's row carries.
const LETTER: u16 = u16::MAX;
const UNCOUNTED: u16 = u16::MAX - 1;

/// The tag of a question that is said again: nobody waits for its report.
pub(crate) const UNCOUNTED_TAG: Tag = tag(UNCOUNTED, 0, 0);

const fn tag(lane: u16, life: u16, ordinal: u32) -> Tag {
    ((lane as u64) << 48) | ((life as u64) << 32) | ordinal as u64
}

/// The tag of a letter that a flight waits for.
pub(crate) const fn letter_tag(flight: u32) -> Tag {
    tag(LETTER, 0, flight)
}

/// The flight that waits for the letter of a tag.
pub(crate) fn flight_of(tag: Tag) -> Option<u32> {
    (lane_of(tag) == Lane(LETTER)).then_some(tag as u32)
}

/// The lane of a tag.
pub(crate) fn lane_of(tag: Tag) -> Lane {
    Lane((tag >> 48) as u16)
}

impl Spoken {
    pub(crate) fn new(upto: i64) -> Self {
        Self { upto, life: 0, first: 0, rows: VecDeque::new() }
    }

    /// Sets the life. Different from that of every memory of this lane whose reports may still come.
    pub(crate) fn live(&mut self, life: u16) {
        self.life = life;
    }

    /// Which life of the lane's memory this is.
    pub(crate) fn life(&self) -> u16 {
        self.life
    }

    /// A row that was committed, with the number of records it says. Returns their tag.
    pub(crate) fn row(&mut self, lane: Lane, n: i64, records: u32) -> Tag {
        let ordinal = self.first.wrapping_add(self.rows.len() as u32);
        self.rows.push_back((n, records));
        self.advance();
        tag(lane.0, self.life, ordinal)
    }

    /// A record was acknowledged.
    pub(crate) fn acked(&mut self, tag: Tag) {
        if (tag >> 32) as u16 != self.life {
            return;
        }
        let at = (tag as u32).wrapping_sub(self.first) as usize;
        if let Some((_, open)) = self.rows.get_mut(at) {
            *open = open.saturating_sub(1);
        }
        self.advance();
    }

    fn advance(&mut self) {
        while let Some((n, 0)) = self.rows.front() {
            self.upto = *n;
            self.rows.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Everything that committed is acknowledged.
    pub(crate) fn silent(&self) -> bool {
        self.rows.is_empty()
    }
}

/// What waits to be put into the producer's queue.
#[derive(Debug, Default)]
pub(crate) struct Mouth {
    waiting: VecDeque<Outgoing>,
}

impl Mouth {
    /// A fact of a row.
    pub(crate) fn fact(&mut self, lane: Lane, fact: Fact, tag: Tag) {
        let partition = if fact.topic.settings().keyed { lane.0 } else { 0 };
        let place = Place { topic: fact.topic, partition };
        self.waiting.push_back(Outgoing {
            place,
            key: Some(fact.key),
            headers: fact.headers,
            value: Some(fact.value),
            tag,
        });
    }

    /// A question.
    pub(crate) fn question(&mut self, lane: Lane, asked: &Asked, tag: Tag) {
        let Ok((headers, value)) = asked.command.encode() else { return };
        let key = Bytes::copy_from_slice(asked.command.body.slug.as_str().as_bytes());
        let place = Place { topic: Topic::Commands(asked.worker.clone()), partition: lane.0 };
        self.waiting.push_back(Outgoing { place, key: Some(key), headers, value: Some(value), tag });
    }

    /// Any record.
    pub(crate) fn say(&mut self, record: Outgoing) {
        self.waiting.push_back(record);
    }

    /// Hands over as much as the producer takes, in order. Returns what it will never take.
    pub(crate) fn pump<P: Producer>(&mut self, producer: &mut P) -> Option<(Outgoing, String)> {
        while let Some(record) = self.waiting.pop_front() {
            match producer.send(record) {
                Ok(()) => {}
                Err(Refused::Full(record)) => {
                    self.waiting.push_front(*record);
                    return None;
                }
                Err(Refused::Never(record, why)) => return Some((*record, why)),
            }
        }
        None
    }

    /// Nothing more is queued for a lane that was lost; what the producer has is left to drain.
    pub(crate) fn forget(&mut self, lane: Lane) {
        self.waiting.retain(|record| lane_of(record.tag) != lane);
    }

    /// Forgets everything: the producer is lost.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoken_moves_only_over_what_is_acknowledged_in_full() {
        let mut spoken = Spoken::new(10);
        let lane = Lane(3);
        let first = spoken.row(lane, 11, 2);
        let second = spoken.row(lane, 12, 1);
        assert_eq!(lane_of(first), lane);
        spoken.acked(second);
        assert_eq!(spoken.upto, 10);
        spoken.acked(first);
        assert_eq!(spoken.upto, 10);
        spoken.acked(first);
        assert_eq!(spoken.upto, 12);
        assert!(spoken.silent());
        let third = spoken.row(lane, 13, 1);
        spoken.live(7);
        spoken.acked(third);
        assert_eq!(spoken.upto, 12, "a report of an earlier life is not counted");
    }
}
