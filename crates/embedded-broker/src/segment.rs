//! One file of a partition's log: whole record batches, one after the other, with a sparse index in memory.
//! The index is built by reading batch headers, of the newest file at start, of an older one when somebody first reads it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::batch::{self, HEADER, Header};

/// Distance between two entries of the index. Bytes.
const INDEX_EVERY: u64 = 4096;

/// A file named after its first offset.
pub(crate) struct Segment {
    pub(crate) base: i64,
    pub(crate) size: u64,
    /// Newest record time, milliseconds since 1970; -1 while nothing was indexed.
    pub(crate) max_timestamp: i64,
    path: PathBuf,
    file: Option<Arc<File>>,
    index: Vec<Entry>,
    indexed: bool,
    /// A failed write could not be cut off: the next one tries again first.
    torn: bool,
}

#[derive(Clone, Copy)]
struct Entry {
    offset: i64,
    position: u64,
    /// Newest record time before this position.
    older_than: i64,
}

/// A part of a file to be read without holding the log.
pub(crate) struct Span {
    file: Arc<File>,
    from: u64,
    end: u64,
}

impl Segment {
    /// The file for `base` in `dir`, made if it is not there. Nothing is read.
    pub(crate) fn at(dir: &Path, base: i64) -> io::Result<Segment> {
        let path = dir.join(format!("{base:020}.log"));
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::create_new(&path)?.metadata()?.len()
            }
            Err(error) => return Err(error),
        };
        Ok(Segment {
            base,
            size,
            max_timestamp: -1,
            path,
            file: None,
            index: Vec::new(),
            indexed: size == 0,
            torn: false,
        })
    }

    /// First offsets of the files in `dir`, ascending.
    pub(crate) fn bases(dir: &Path) -> io::Result<Vec<i64>> {
        let mut bases = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            if let Some(base) = name.to_str().and_then(|name| name.strip_suffix(".log")) {
                bases.extend(base.parse::<i64>());
            }
        }
        bases.sort_unstable();
        Ok(bases)
    }

    /// The file, opened when first needed and kept open.
    pub(crate) fn file(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = Arc::new(OpenOptions::new().read(true).append(true).open(&self.path)?);
        self.file = Some(file.clone());
        Ok(file)
    }

    /// Lets go of the descriptor; older files are opened again when somebody reads them.
    pub(crate) fn close(&mut self) {
        self.file = None;
    }

    /// Checks every batch from the start, cuts off what is torn, builds the index, and shows each good batch to `each`.
    pub(crate) fn recover(&mut self, mut each: impl FnMut(&Header)) -> io::Result<()> {
        self.forget();
        let base = self.base;
        let good = self.scan(0, true, |segment, position, header, _| {
            // A batch out of order can only be the remains of something else.
            let fits = header.base_offset >= base
                && segment.index.last().is_none_or(|last| header.base_offset > last.offset);
            if fits {
                segment.note(position, header);
                each(header);
            }
            fits
        })?;
        if good < self.size {
            tracing::warn!(path = %self.path.display(), cut = self.size - good, "a torn tail is cut off the log");
            self.file()?.set_len(good)?;
            self.size = good;
        }
        self.indexed = true;
        Ok(())
    }

    /// Builds the index of a file that was complete before this start.
    pub(crate) fn ensure_index(&mut self) -> io::Result<()> {
        if !self.indexed {
            self.forget();
            self.scan(0, false, |segment, position, header, _| {
                segment.note(position, header);
                true
            })?;
            self.indexed = true;
        }
        Ok(())
    }

    /// Appends a batch with its offset in place: one write. After an error nothing of it remains.
    pub(crate) fn append(&mut self, header: &Header, records: &[u8]) -> io::Result<()> {
        let file = self.file()?;
        if self.torn {
            file.set_len(self.size)?;
            self.torn = false;
        }
        let head = batch::placed(records, header.base_offset);
        if let Err(error) = write_both(&file, &head, &records[head.len()..]) {
            self.torn = file.set_len(self.size).is_err();
            return Err(error);
        }
        self.note(self.size, header);
        self.size += header.length as u64;
        Ok(())
    }

    /// What lies from the batch near `offset` to the end of the file.
    pub(crate) fn span(&mut self, offset: i64) -> io::Result<Span> {
        self.ensure_index()?;
        let after = self.index.partition_point(|entry| entry.offset <= offset);
        let from = after.checked_sub(1).map_or(0, |entry| self.index[entry].position);
        Ok(Span { file: self.file()?, from, end: self.size })
    }

    /// The first record at or after `timestamp`, as (offset, time).
    pub(crate) fn find(&mut self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        self.ensure_index()?;
        if self.max_timestamp < timestamp {
            return Ok(None);
        }
        let after = self.index.partition_point(|entry| entry.older_than < timestamp);
        let from = after.checked_sub(1).map_or(0, |entry| self.index[entry].position);
        let mut found = None;
        self.scan(from, true, |_, _, header, records| {
            if header.max_timestamp >= timestamp {
                found = Some(batch::record_at(header, records, timestamp));
            }
            found.is_none()
        })?;
        Ok(found)
    }

    pub(crate) fn delete(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn forget(&mut self) {
        self.index.clear();
        self.max_timestamp = -1;
    }

    fn note(&mut self, position: u64, header: &Header) {
        if self.index.last().is_none_or(|last| position - last.position >= INDEX_EVERY) {
            self.index.push(Entry { offset: header.base_offset, position, older_than: self.max_timestamp });
        }
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
    }

    /// Walks over whole batches from `position` until `each` says stop or nothing whole follows; returns where it stopped.
    /// The bytes of a batch are read and checked only if `whole`.
    fn scan(
        &mut self,
        mut position: u64,
        whole: bool,
        mut each: impl FnMut(&mut Segment, u64, &Header, &[u8]) -> bool,
    ) -> io::Result<u64> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(position))?;
        let mut reader = BufReader::with_capacity(256 << 10, file);
        let mut batch = Vec::new();
        while self.size - position >= HEADER as u64 {
            batch.resize(HEADER, 0);
            reader.read_exact(&mut batch)?;
            let Some(header) = Header::read(&batch) else { break };
            if header.length as u64 > self.size - position {
                break;
            }
            if whole {
                batch.resize(header.length, 0);
                reader.read_exact(&mut batch[HEADER..])?;
                if !header.intact(&batch) {
                    break;
                }
            } else {
                reader.seek_relative((header.length - HEADER) as i64)?;
            }
            if !each(self, position, &header, &batch) {
                break;
            }
            position += header.length as u64;
        }
        Ok(position)
    }
}

impl Span {
    /// Whole batches from the one that holds `offset`, at most `max` bytes; if the first is larger, it alone where
    /// `at_least_one`, else nothing.
    pub(crate) fn read(&self, offset: i64, max: usize, at_least_one: bool) -> io::Result<Bytes> {
        // What is skipped lies between two entries of the index, so the first read nearly always has all of it.
        let mut chunk = self.at(self.from, max.saturating_add(INDEX_EVERY as usize))?;
        let mut skipped = 0;
        while let Some(header) = chunk.get(skipped..).and_then(Header::read) {
            if header.next_offset() > offset {
                break;
            }
            skipped += header.length;
        }
        let Some((from, first)) = self.skip(self.from + skipped as u64, offset)? else {
            return Ok(Bytes::new());
        };
        let length = match first.length {
            fits if fits <= max => max,
            larger if at_least_one => larger,
            _ => return Ok(Bytes::new()),
        };
        let skipped = usize::try_from(from - self.from).unwrap_or(usize::MAX);
        let there = self.end.saturating_sub(from);
        let mut bytes = match chunk.len().checked_sub(skipped) {
            Some(has) if has >= length || has as u64 == there => chunk.split_off(skipped),
            _ => self.at(from, length)?,
        };
        bytes.truncate(length);
        Ok(batch::whole_batches(bytes))
    }

    /// Walks headers from a batch's start to the batch that holds `offset` or follows it.
    fn skip(&self, mut from: u64, offset: i64) -> io::Result<Option<(u64, Header)>> {
        while let Some(header) = Header::read(&self.at(from, HEADER)?) {
            if header.next_offset() > offset {
                return Ok(Some((from, header)));
            }
            from += header.length as u64;
        }
        Ok(None)
    }

    fn at(&self, from: u64, length: usize) -> io::Result<BytesMut> {
        let length = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX).min(length);
        let mut bytes = BytesMut::zeroed(length);
        self.file.read_exact_at(&mut bytes, from)?;
        Ok(bytes)
    }
}

fn write_both(mut file: &File, head: &[u8], rest: &[u8]) -> io::Result<()> {
    let written = file.write_vectored(&[IoSlice::new(head), IoSlice::new(rest)])?;
    if written == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    file.write_all(&head[written.min(head.len())..])?;
    file.write_all(&rest[written.saturating_sub(head.len()).min(rest.len())..])
}
