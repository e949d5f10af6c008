//! Records as bytes: each is written once, when it is queued, into the batch that it will be sent in.
//!
//! Written by hand, because the codec keeps a record's headers as a map and so loses the second of two with one name.

use bytes::{BufMut, Bytes, BytesMut};
use tenantry_ports::Tag;

use super::core::Said;

/// Bytes of a batch before its records.
const HEADER: usize = 61;
/// Of these the checksum covers what comes after it.
const CHECKED_FROM: usize = 21;

/// Who we are to the brokers: producer id and epoch.
pub(crate) type Identity = (i64, i16);

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Lz4,
    Zstd,
}

/// A batch that still takes records.
#[derive(Debug)]
pub(crate) struct Draft {
    /// Room for the header, then the records.
    bytes: BytesMut,
    pub(crate) tags: Vec<Tag>,
    /// Room of the queue that its records take.
    pub(crate) cost: usize,
    first_time: i64,
    last_time: i64,
}

/// A batch as it goes over the wire, however often.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) bytes: Bytes,
    pub(crate) tags: Vec<Tag>,
    pub(crate) cost: usize,
}

impl Draft {
    /// An empty batch that begins at `time`, in milliseconds since 1970, and will be about so large.
    pub(crate) fn new(time: i64, size: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(size);
        bytes.put_bytes(0, HEADER);
        Self { bytes, tags: Vec::new(), cost: 0, first_time: time, last_time: time }
    }

    /// Bytes so far, not compressed.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Takes a record.
    pub(crate) fn push(&mut self, said: &Said) {
        self.last_time = self.last_time.max(said.time);
        self.cost += said.bytes;
        let record = &said.record;
        let (time, at) = (said.time - self.first_time, self.tags.len() as i64);
        let headers: usize = record
            .headers
            .iter()
            .map(|(name, value)| field_bytes(Some(name.as_bytes())) + field_bytes(Some(value)))
            .sum();
        let size = 1
            + varint_bytes(time)
            + varint_bytes(at)
            + field_bytes(record.key.as_deref())
            + field_bytes(record.value.as_deref())
            + varint_bytes(record.headers.len() as i64)
            + headers;
        let out = &mut self.bytes;
        out.reserve(size + 5);
        varint(out, size as i64);
        out.put_u8(0);
        varint(out, time);
        varint(out, at);
        field(out, record.key.as_deref());
        field(out, record.value.as_deref());
        varint(out, record.headers.len() as i64);
        for (name, value) in &record.headers {
            field(out, Some(name.as_bytes()));
            field(out, Some(value));
        }
        self.tags.push(record.tag);
    }

    /// Closes the batch: from here on its bytes and its place in the sequence never change.
    pub(crate) fn seal(self, identity: Identity, sequence: i32, compression: Compression) -> Sealed {
        let (mut bytes, attributes) = compressed(self.bytes, compression);
        let count = self.tags.len() as i32;
        let length = (bytes.len() - 12) as i32;
        let mut header = &mut bytes[..HEADER];
        header.put_i64(0);
        header.put_i32(length);
        header.put_i32(-1);
        header.put_u8(2);
        header.put_u32(0);
        header.put_i16(attributes);
        header.put_i32(count - 1);
        header.put_i64(self.first_time);
        header.put_i64(self.last_time);
        header.put_i64(identity.0);
        header.put_i16(identity.1);
        header.put_i32(sequence);
        header.put_i32(count);
        let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
        bytes[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&crc.to_be_bytes());
        Sealed { bytes: bytes.freeze(), tags: self.tags, cost: self.cost }
    }
}

/// The sequence number `count` records after `sequence`; it starts again at zero.
pub(crate) fn sequence_after(sequence: i32, count: usize) -> i32 {
    let after = (i64::from(sequence) + count as i64) % (i64::from(i32::MAX) + 1);
    i32::try_from(after).unwrap_or_default()
}

/// The batch with its records compressed, and the attributes that say so. What does not get smaller stays as it is.
fn compressed(bytes: BytesMut, compression: Compression) -> (BytesMut, i16) {
    let records = &bytes[HEADER..];
    let (small, attributes) = match compression {
        Compression::None => return (bytes, 0),
        Compression::Lz4 => (lz4(records), 3),
        Compression::Zstd => (zstd::bulk::compress(records, zstd::DEFAULT_COMPRESSION_LEVEL), 4),
    };
    match small {
        Ok(small) if small.len() < records.len() => {
            let mut whole = BytesMut::zeroed(HEADER);
            whole.extend_from_slice(&small);
            (whole, attributes)
        }
        _ => (bytes, 0),
    }
}

fn lz4(records: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    std::io::Write::write_all(&mut encoder, records)?;
    encoder.finish().map_err(std::io::Error::other)
}

/// Bytes with their length; a length of -1 is nothing.
fn field(out: &mut BytesMut, bytes: Option<&[u8]>) {
    match bytes {
        None => varint(out, -1),
        Some(bytes) => {
            varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

fn field_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint_bytes(-1), |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

fn varint(out: &mut BytesMut, value: i64) {
    let mut left = zigzag(value);
    while left >= 0x80 {
        out.put_u8(left as u8 | 0x80);
        left >>= 7;
    }
    out.put_u8(left as u8);
}

fn varint_bytes(value: i64) -> usize {
    let bits = 64 - zigzag(value).leading_zeros() as usize;
    bits.div_ceil(7).max(1)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests;
