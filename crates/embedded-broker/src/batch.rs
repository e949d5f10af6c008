//! The header of a record batch (magic 2): the only part of a batch that the broker ever reads or writes.
//! A batch is stored as it came; compressed records are never opened.

use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;

/// Bytes of a batch before its records.
pub(crate) const HEADER: usize = 61;
/// Bytes before the part that the checksum covers.
const CHECKED_FROM: usize = 21;
const COMPRESSION: i16 = 0x07;
const TRANSACTIONAL_OR_CONTROL: i16 = 0x30;

/// What the broker needs to know of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub(crate) length: usize,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    /// Milliseconds since 1970.
    pub(crate) base_timestamp: i64,
    /// Milliseconds since 1970.
    pub(crate) max_timestamp: i64,
    /// -1 where the producer is not idempotent.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) count: i32,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` where no batch of magic 2 can begin with these bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Header> {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length = usize::try_from(i32_at(header, 8)).ok()?.checked_add(12)?;
        let last_offset_delta = i32_at(header, 23);
        if header[16] != 2 || length < HEADER || last_offset_delta < 0 {
            return None;
        }
        Some(Header {
            base_offset: i64_at(header, 0),
            length,
            crc: u32::from_be_bytes(array_at(header, 17)),
            attributes: i16_at(header, 21),
            last_offset_delta,
            base_timestamp: i64_at(header, 27),
            max_timestamp: i64_at(header, 35),
            producer_id: i64_at(header, 43),
            producer_epoch: i16_at(header, 51),
            base_sequence: i32_at(header, 53),
            count: i32_at(header, 57),
        })
    }

    /// The offset after the last record of the batch.
    pub(crate) fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta)).saturating_add(1)
    }

    /// Whether the checksum of `batch`, which is a whole batch, holds.
    pub(crate) fn intact(&self, batch: &[u8]) -> bool {
        crc32c::crc32c(&batch[CHECKED_FROM..]) == self.crc
    }

    fn compressed(&self) -> bool {
        self.attributes & COMPRESSION != 0
    }
}

/// Checks what a producer sent for one partition: exactly one intact batch of plain records.
pub(crate) fn accept(records: &[u8]) -> Result<Header, ResponseError> {
    match records.get(16) {
        Some(2) => {}
        Some(_) => return Err(ResponseError::UnsupportedForMessageFormat),
        None => return Err(ResponseError::CorruptMessage),
    }
    let header = Header::read(records).ok_or(ResponseError::CorruptMessage)?;
    if header.length > records.len() {
        return Err(ResponseError::CorruptMessage);
    }
    if header.length < records.len() {
        return Err(ResponseError::InvalidRecord);
    }
    if !header.intact(records) {
        return Err(ResponseError::CorruptMessage);
    }
    if header.attributes & TRANSACTIONAL_OR_CONTROL != 0
        || header.count != header.last_offset_delta.wrapping_add(1)
    {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(header)
}

/// The first bytes of `batch` with the offset and leader epoch that the log gives it. The checksum does not cover them.
pub(crate) fn placed(batch: &[u8], base_offset: i64) -> [u8; 16] {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&base_offset.to_be_bytes());
    head[8..12].copy_from_slice(&batch[8..12]);
    head
}

/// The first record of `batch` whose time is at or after `timestamp`, as (offset, time). A compressed batch is not opened:
/// its first offset stands for all of its records.
pub(crate) fn record_at(header: &Header, batch: &[u8], timestamp: i64) -> (i64, i64) {
    let whole = (header.base_offset, header.max_timestamp);
    if header.compressed() {
        return whole;
    }
    let mut rest = batch.get(HEADER..header.length).unwrap_or_default();
    while let Some(length) = varint(&mut rest).and_then(|n| usize::try_from(n).ok()) {
        let Some((mut record, after)) = rest.split_at_checked(length) else { break };
        rest = after;
        let Some((_attributes, fields)) = record.split_first() else { break };
        record = fields;
        let (Some(time), Some(offset)) = (varint(&mut record), varint(&mut record)) else { break };
        let time = header.base_timestamp.saturating_add(time);
        if time >= timestamp {
            return (header.base_offset.saturating_add(offset), time);
        }
    }
    whole
}

/// Cuts `bytes` after the last whole batch that ends within it.
pub(crate) fn whole_batches(bytes: BytesMut) -> Bytes {
    let mut end = 0;
    while let Some(header) = Header::read(&bytes[end..]) {
        match end.checked_add(header.length) {
            Some(next) if next <= bytes.len() => end = next,
            _ => break,
        }
    }
    bytes.freeze().slice(..end)
}

fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn array_at<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&header[at..at + N]);
    array
}

fn i16_at(header: &[u8; HEADER], at: usize) -> i16 {
    i16::from_be_bytes(array_at(header, at))
}

fn i32_at(header: &[u8; HEADER], at: usize) -> i32 {
    i32::from_be_bytes(array_at(header, at))
}

fn i64_at(header: &[u8; HEADER], at: usize) -> i64 {
    i64::from_be_bytes(array_at(header, at))
}

#[cfg(test)]
pub(crate) mod tests;
