//! A producer under observation: every record must be reported once, and every report be of a record.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tenantry_contracts::Topic;

use super::{BusWorld, MOST, within};
use crate::{Bus, Delivery, Outgoing, Place, Producer, Refused, Tag};

pub(super) struct Mouth<W: BusWorld> {
    producer: <W::Bus as Bus>::Producer,
    clock: W::Clock,
    next: Tag,
    waiting: BTreeSet<Tag>,
    /// The offset of each acknowledged record.
    pub(super) acked: BTreeMap<Tag, i64>,
    /// What was certainly not persisted.
    pub(super) refused: BTreeMap<Tag, String>,
}

impl<W: BusWorld> Mouth<W> {
    pub(super) async fn open(world: &W) -> Self {
        let producer = world.bus().producer().await.expect("a producer can be opened");
        Self {
            producer,
            clock: world.clock(),
            next: 1,
            waiting: BTreeSet::new(),
            acked: BTreeMap::new(),
            refused: BTreeMap::new(),
        }
    }

    /// A record with nothing but a value.
    pub(super) fn plain(place: &Place, value: impl Into<String>) -> Outgoing {
        let value = Some(Bytes::from(value.into()));
        Outgoing { place: place.clone(), key: None, headers: vec![], value, tag: 0 }
    }

    /// Queues a record under a fresh tag; waits for reports where the queue is full. `None` where it can never be said.
    pub(super) async fn offer(&mut self, mut record: Outgoing) -> Option<Tag> {
        record.tag = self.next;
        self.next += 1;
        let tag = record.tag;
        loop {
            record = match self.producer.send(record) {
                Ok(()) => break,
                Err(Refused::Full(back)) => *back,
                Err(Refused::Never(back, _)) => {
                    assert_eq!(back.tag, tag, "another record came back");
                    return None;
                }
            };
            self.reports().await;
        }
        self.waiting.insert(tag);
        Some(tag)
    }

    /// Queues a record that must be taken.
    pub(super) async fn say(&mut self, record: Outgoing) -> Tag {
        self.offer(record).await.expect("nothing is wrong with the record")
    }

    /// Says values `from..to` on a place, and waits until they are acknowledged.
    pub(super) async fn count(&mut self, place: &Place, from: usize, to: usize) {
        for value in from..to {
            self.say(Self::plain(place, value.to_string())).await;
        }
        self.settle().await;
    }

    /// Waits until everything was reported.
    pub(super) async fn settle(&mut self) {
        while !self.waiting.is_empty() {
            self.reports().await;
        }
    }

    async fn reports(&mut self) {
        let waiting = self.waiting.len();
        let reports = within(&self.clock, MOST, self.producer.delivered()).await;
        let reports = reports.unwrap_or_else(|| panic!("never: a report on one of {waiting} records"));
        assert!(!reports.is_empty(), "reports without a report");
        for report in reports {
            assert!(self.waiting.remove(&report.tag), "a report on {}, which is not waited for", report.tag);
            match report.delivery {
                Delivery::Acked(offset) => self.acked.insert(report.tag, offset).map_or((), |_| ()),
                Delivery::NotPersisted(why) => self.refused.insert(report.tag, why).map_or((), |_| ()),
                Delivery::PossiblyPersisted(why) => panic!("a healthy bus lost a record: {why}"),
            }
        }
    }
}

/// A partition of a topic.
pub(super) fn at(topic: &Topic, partition: u16) -> Place {
    Place { topic: topic.clone(), partition }
}

/// The numbers as text, as [`Mouth::count`] says them.
pub(super) fn numbers(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|value| value.to_string()).collect()
}
