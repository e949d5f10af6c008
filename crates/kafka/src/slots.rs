//! What a consumer holds of each partition, and what of it may be delivered. Plain data, no librdkafka.
//!
//! The poll thread puts records in, the consumer takes them out, both under one lock. A seek or a revocation empties the
//! partition's queue in the same moment, so nothing that was read before can come out after it. A seek is only noted
//! here; until the poll thread has carried it out, whatever it still reads of that partition is let fall.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use rdkafka::Offset;
use tenantry_contracts::Record;
use tenantry_ports::{BusError, Heard, News, Place};

use crate::client::refused;

/// The most records of one call to `news`.
const NEWS: usize = 1_024;
/// A partition that holds so many records, or bytes, takes no more ...
const FULL: usize = 8_192;
const FULL_BYTES: usize = 8 << 20;

/// Where reading of a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Nothing is read before the first seek.
    Unsought,
    /// A seek that the poll thread has yet to carry out.
    Wanted(i64),
    /// It is read.
    Live,
}

#[derive(Debug)]
struct Slot {
    generation: u64,
    reading: Reading,
    /// The lowest offset that is still wanted; `None` at the group's own offset.
    next: Option<i64>,
    queue: VecDeque<Record>,
    bytes: usize,
    /// Not delivered, by the consumer's wish.
    paused: bool,
    /// Not fetched, because the queue is full.
    held: bool,
    stored: Option<i64>,
    committed: Option<i64>,
    /// When something last moved here.
    moved: Instant,
}

impl Slot {
    fn full(&self) -> bool {
        self.queue.len() >= FULL || self.bytes >= FULL_BYTES
    }

    fn roomy(&self) -> bool {
        self.queue.len() <= FULL / 2 && self.bytes <= FULL_BYTES / 2
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = 0;
    }
}

/// An assignment that carries out seeks.
#[derive(Debug, Default)]
pub(crate) struct Sought {
    /// Everything that is read, with where to read on.
    pub(crate) read: Vec<(Place, Offset)>,
    /// What was held before, and must be let go first.
    pub(crate) released: Vec<Place>,
}

/// All partitions of a consumer.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    slots: BTreeMap<Place, Slot>,
    told: Vec<News>,
    generation: u64,
    turn: usize,
    lost: Option<String>,
}

impl Slots {
    /// These are ours. `resumes`: they are read from the group's offset, not from a first seek on.
    pub(crate) fn assign(&mut self, places: Vec<Place>, resumes: bool) {
        for place in &places {
            self.generation += 1;
            let slot = Slot {
                generation: self.generation,
                reading: if resumes { Reading::Live } else { Reading::Unsought },
                next: None,
                queue: VecDeque::new(),
                bytes: 0,
                paused: false,
                held: false,
                stored: None,
                committed: None,
                moved: Instant::now(),
            };
            self.slots.insert(place.clone(), slot);
        }
        self.told.push(News::Assigned(places));
    }

    /// These are ours no longer.
    pub(crate) fn revoke(&mut self, places: Vec<Place>) {
        self.slots.retain(|place, _| !places.contains(place));
        self.told.push(News::Revoked(places));
    }

    /// The consumer is of no use any more. The first reason stands.
    pub(crate) fn lose(&mut self, why: String) {
        self.lost.get_or_insert(why);
    }

    /// Whether it was lost.
    pub(crate) fn lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Notes a seek; returns the generation of what is heard from now on.
    pub(crate) fn seek(&mut self, place: &Place, offset: i64) -> Result<u64, BusError> {
        if offset < 0 {
            return Err(refused(
                "bus_offset",
                format_args!("offset {offset} is below zero"),
                "seek to zero or above",
            ));
        }
        let Some(slot) = self.slots.get_mut(place) else {
            let what = format_args!("{}/{} is not ours", place.topic, place.partition);
            return Err(refused("bus_not_ours", what, "wait for the next assignment"));
        };
        self.generation += 1;
        slot.generation = self.generation;
        slot.reading = Reading::Wanted(offset);
        slot.moved = Instant::now();
        slot.clear();
        Ok(self.generation)
    }

    /// Where there are seeks to be carried out: what the next assignment shall be.
    pub(crate) fn sought(&mut self) -> Option<Sought> {
        if !self.slots.values().any(|slot| matches!(slot.reading, Reading::Wanted(_))) {
            return None;
        }
        let mut sought = Sought::default();
        for (place, slot) in &mut self.slots {
            if std::mem::take(&mut slot.held) {
                sought.released.push(place.clone());
            }
            if let Reading::Wanted(offset) = slot.reading {
                slot.reading = Reading::Live;
                slot.next = Some(offset);
            }
            if slot.reading == Reading::Live {
                sought.read.push((place.clone(), slot.next.map_or(Offset::Stored, Offset::Offset)));
            }
        }
        Some(sought)
    }

    /// Takes in what was read, in order.
    pub(crate) fn put(&mut self, records: impl IntoIterator<Item = Record>) {
        let mut place: Option<Place> = None;
        for record in records {
            // Most records follow one of the same place.
            let same = |place: &Place| place.topic == record.topic && place.partition == record.partition;
            let place = match place.take().filter(same) {
                Some(same) => place.insert(same),
                None => place.insert(Place { topic: record.topic.clone(), partition: record.partition }),
            };
            let Some(slot) = self.slots.get_mut(place) else { continue };
            if slot.reading != Reading::Live || slot.next.is_some_and(|next| record.offset < next) {
                continue;
            }
            slot.next = Some(record.offset + 1);
            slot.bytes += bytes(&record);
            slot.queue.push_back(record);
            slot.moved = Instant::now();
        }
    }

    /// What is to be told now; empty where there is nothing.
    pub(crate) fn take(&mut self) -> Vec<News> {
        let mut news = std::mem::take(&mut self.told);
        if let Some(why) = &self.lost {
            news.push(News::Lost(why.clone()));
            return news;
        }
        let ready = self.slots.values().filter(|slot| !slot.paused && !slot.queue.is_empty()).count();
        if ready == 0 {
            return news;
        }
        // Each partition gets its share, and another one begins each time.
        let share = (NEWS / ready).max(1);
        self.turn = self.turn.wrapping_add(1);
        let start = self.turn % ready;
        let mut slots: Vec<_> =
            self.slots.values_mut().filter(|slot| !slot.paused && !slot.queue.is_empty()).collect();
        slots.rotate_left(start);
        for slot in slots {
            let count = slot.queue.len().min(share);
            for record in slot.queue.drain(..count) {
                slot.bytes = slot.bytes.saturating_sub(bytes(&record));
                news.push(News::Heard(Heard { record, generation: slot.generation }));
            }
        }
        news
    }

    /// Stops or starts the delivery.
    pub(crate) fn pause(&mut self, places: &[Place], paused: bool) {
        for place in places {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.paused = paused;
                slot.moved = Instant::now();
            }
        }
    }

    /// Whether a partition is full that may be drained any moment: then waiting is better than to stop fetching.
    pub(crate) fn crowded(&self) -> bool {
        self.slots.values().any(|slot| slot.full() && !slot.held && !slot.paused)
    }

    /// Whether a partition that is not fetched has room again.
    pub(crate) fn room(&self) -> bool {
        self.slots.values().any(|slot| slot.held && slot.roomy())
    }

    /// Which partitions shall not be fetched from now on, and which again.
    pub(crate) fn flow(&mut self) -> (Vec<Place>, Vec<Place>) {
        let (mut hold, mut release) = (Vec::new(), Vec::new());
        for (place, slot) in &mut self.slots {
            let turned = if slot.held { slot.roomy() } else { slot.full() };
            if turned {
                slot.held = !slot.held;
                slot.moved = Instant::now();
                if slot.held { &mut hold } else { &mut release }.push(place.clone());
            }
        }
        (hold, release)
    }

    /// Which of these are held; they are forgotten as such.
    pub(crate) fn unhold(&mut self) -> Vec<Place> {
        let held = self.slots.iter_mut().filter(|(_, slot)| slot.held);
        held.map(|(place, slot)| {
            slot.held = false;
            place.clone()
        })
        .collect()
    }

    /// Everything below `offset` is finished.
    pub(crate) fn store(&mut self, place: &Place, offset: i64) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.stored = slot.stored.max(Some(offset));
        }
    }

    /// What was stored and not committed yet; counts as committed from here on.
    pub(crate) fn uncommitted(&mut self) -> Vec<(Place, Offset)> {
        let waiting = self.slots.iter_mut().filter(|(_, slot)| slot.stored > slot.committed);
        waiting
            .filter_map(|(place, slot)| {
                slot.committed = slot.stored;
                Some((place.clone(), Offset::Offset(slot.stored?)))
            })
            .collect()
    }

    /// A commit failed: these are committed again with the next one.
    pub(crate) fn commit_failed(&mut self, places: &[Place]) {
        for place in places {
            if let Some(slot) = self.slots.get_mut(place) {
                slot.committed = None;
            }
        }
    }

    /// Partitions that are read, with the offset wanted next, and where nothing moved since `before`.
    pub(crate) fn still(&self, before: Instant) -> Vec<(Place, Option<i64>)> {
        let still = |slot: &Slot| {
            slot.reading == Reading::Live && !slot.held && slot.queue.is_empty() && slot.moved <= before
        };
        self.slots
            .iter()
            .filter(|(_, slot)| still(slot))
            .map(|(place, slot)| (place.clone(), slot.next))
            .collect()
    }
}

fn bytes(record: &Record) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    let content = |part: &Option<bytes::Bytes>| part.as_ref().map_or(0, bytes::Bytes::len);
    content(&record.key) + content(&record.value) + headers + 128
}

#[cfg(test)]
mod tests;
