//! One partition: its segments, its first and next offset, its idempotent producers, and who waits for new records.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use kafka_protocol::ResponseError;
use tokio::sync::Notify;

use crate::batch::Header;
use crate::journal;
use crate::producers::{Producers, Verdict};
use crate::segment::{Segment, Span};
use crate::settings::Settings;

/// Waiters are swept when there are more than this.
const SWEEP_WAITERS: usize = 16;

/// The log of one partition. All methods are short; reading happens on a [`Span`], without the log's lock.
pub(crate) struct Log {
    dir: PathBuf,
    /// Never empty; the last one is written to.
    segments: Vec<Segment>,
    start: i64,
    end: i64,
    producers: Producers,
    waiters: Vec<Weak<Notify>>,
}

impl Log {
    /// Opens the log in `dir`, which is made if its parent exists. Reads the newest segment only. Records before `start` were
    /// deleted by request.
    pub(crate) fn open(dir: PathBuf, start: i64) -> io::Result<Log> {
        if !dir.exists() {
            fs::create_dir(&dir)?;
        }
        let bases = Segment::bases(&dir)?;
        let mut segments = Vec::with_capacity(bases.len());
        for base in if bases.is_empty() { &[0][..] } else { &bases } {
            segments.push(Segment::at(&dir, *base)?);
        }
        let mut log =
            Log { dir, segments, start: 0, end: 0, producers: Producers::default(), waiters: Vec::new() };
        log.recover()?;
        log.start = start.clamp(log.segments[0].base, log.end);
        Ok(log)
    }

    fn recover(&mut self) -> io::Result<()> {
        let tail = self.segments.len() - 1;
        // Without its snapshot, what a segment began with is found by reading the ones before it.
        let mut from = tail;
        self.producers = loop {
            if let Some(snapshot) = self.snapshot_before(from) {
                break snapshot;
            }
            if from == 0 {
                break Producers::default();
            }
            from -= 1;
        };
        self.end = self.segments[tail].base;
        for segment in &mut self.segments[from..] {
            segment.recover(|header| {
                self.producers.record(header, header.base_offset);
                self.end = self.end.max(header.next_offset());
            })?;
        }
        for segment in &mut self.segments[..tail] {
            segment.close();
        }
        Ok(())
    }

    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets.
    pub(crate) fn end(&self) -> i64 {
        self.end
    }

    /// Stores a batch and wakes who waits; answers with the offset of its first record. A batch that is already there is not
    /// stored again.
    ///
    /// # Errors
    /// What the producer is told.
    pub(crate) fn append(
        &mut self,
        mut header: Header,
        records: &[u8],
        settings: &Settings,
        now: i64,
    ) -> Result<i64, ResponseError> {
        match self.producers.check(&header) {
            Verdict::New => {}
            Verdict::Duplicate(offset) => return Ok(offset),
            Verdict::Refused(error) => return Err(error),
        }
        if header.length > settings.max_message_bytes {
            return Err(ResponseError::MessageTooLarge);
        }
        header.base_offset = self.end;
        let written = self
            .roll_if_full(header.length as u64, settings, now)
            .and_then(|()| self.active().append(&header, records));
        if let Err(error) = written {
            tracing::error!(path = %self.dir.display(), %error, "a batch could not be stored");
            return Err(ResponseError::KafkaStorageError);
        }
        self.producers.record(&header, header.base_offset);
        self.end = header.next_offset();
        self.wake();
        Ok(header.base_offset)
    }

    /// Where to read from `offset` on; `None` at the end of the log.
    ///
    /// # Errors
    /// `OffsetOutOfRange`, `KafkaStorageError`.
    pub(crate) fn span(&mut self, offset: i64) -> Result<Option<Span>, ResponseError> {
        if offset < self.start || offset > self.end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        if offset == self.end {
            return Ok(None);
        }
        let at = self.segments.partition_point(|segment| segment.base <= offset).saturating_sub(1);
        let span = self.segments[at].span(offset).map(Some);
        if at + 1 < self.segments.len() {
            self.segments[at].close();
        }
        span.map_err(|error| self.unreadable(&error))
    }

    /// The first record at or after `timestamp`, as (offset, time).
    pub(crate) fn find(&mut self, timestamp: i64) -> Result<Option<(i64, i64)>, ResponseError> {
        for at in 0..self.segments.len() {
            match self.segments[at].find(timestamp) {
                Ok(Some((offset, _))) if offset < self.start => return Ok(Some((self.start, timestamp))),
                Ok(Some(found)) => return Ok(Some(found)),
                Ok(None) => {}
                Err(error) => return Err(self.unreadable(&error)),
            }
        }
        Ok(None)
    }

    /// The record with the newest time, as (offset, time).
    pub(crate) fn newest(&mut self) -> Result<Option<(i64, i64)>, ResponseError> {
        let mut newest = -1;
        for at in 0..self.segments.len() {
            self.segments[at].ensure_index().map_err(|error| self.unreadable(&error))?;
            newest = newest.max(self.segments[at].max_timestamp);
        }
        if newest < 0 { Ok(None) } else { self.find(newest) }
    }

    /// Wakes `waiter` at the next append, or when the topic is deleted.
    pub(crate) fn wait(&mut self, waiter: &Arc<Notify>) {
        if self.waiters.len() > SWEEP_WAITERS {
            self.waiters.retain(|waiter| waiter.strong_count() > 0);
        }
        self.waiters.push(Arc::downgrade(waiter));
    }

    pub(crate) fn wake(&mut self) {
        for waiter in self.waiters.drain(..) {
            if let Some(waiter) = waiter.upgrade() {
                waiter.notify_one();
            }
        }
    }

    /// Lets go of everything before `offset`, and of the files that held nothing else.
    ///
    /// # Errors
    /// `KafkaStorageError`.
    pub(crate) fn delete_before(&mut self, offset: i64) -> Result<(), ResponseError> {
        self.start = offset.clamp(self.start, self.end);
        while self.segments.get(1).is_some_and(|second| second.base <= self.start) {
            self.drop_oldest().map_err(|error| self.unreadable(&error))?;
        }
        Ok(())
    }

    /// Deletes what the topic's settings no longer keep, whole files at a time. `now` in milliseconds since 1970.
    pub(crate) fn enforce_retention(&mut self, settings: &Settings, now: i64) -> io::Result<()> {
        while let Some(oldest) = self.segments.first_mut() {
            oldest.ensure_index()?;
            let expired = settings
                .retention_ms
                .is_some_and(|keep| (0..now.saturating_sub(keep)).contains(&oldest.max_timestamp));
            let total: u64 = self.segments.iter().map(|segment| segment.size).sum();
            let oldest = &self.segments[0];
            let too_much = settings.retention_bytes.is_some_and(|keep| total - oldest.size >= keep);
            let last = self.segments.len() == 1;
            if oldest.size == 0 || !(expired || too_much && !last) {
                break;
            }
            if last {
                self.roll(now)?;
            }
            self.drop_oldest()?;
            self.start = self.start.max(self.segments[0].base);
        }
        Ok(())
    }

    fn active(&mut self) -> &mut Segment {
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }

    fn roll_if_full(&mut self, more: u64, settings: &Settings, now: i64) -> io::Result<()> {
        let size = self.active().size;
        if size > 0 && size + more > settings.segment_bytes { self.roll(now) } else { Ok(()) }
    }

    /// Goes on in a new file. What is known of producers is written first: a start reads the newest file only.
    fn roll(&mut self, now: i64) -> io::Result<()> {
        self.producers.forget_silent(now);
        let path = self.snapshot_path(self.end);
        journal::replace(&path, &journal::encode(&self.producers)?).map_err(io::Error::other)?;
        let next = Segment::at(&self.dir, self.end)?;
        self.active().close();
        self.segments.push(next);
        Ok(())
    }

    fn drop_oldest(&mut self) -> io::Result<()> {
        let oldest = self.segments.remove(0);
        match fs::remove_file(self.snapshot_path(oldest.base)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => oldest.delete(),
        }
    }

    fn snapshot_before(&self, segment: usize) -> Option<Producers> {
        journal::decode(&fs::read(self.snapshot_path(self.segments[segment].base)).ok()?)
    }

    fn snapshot_path(&self, base: i64) -> PathBuf {
        self.dir.join(format!("{base:020}.producers"))
    }

    fn unreadable(&self, error: &io::Error) -> ResponseError {
        tracing::error!(path = %self.dir.display(), %error, "the log could not be read or changed");
        ResponseError::KafkaStorageError
    }
}

#[cfg(test)]
mod tests;
