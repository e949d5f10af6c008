//! The leaves of the log in their order. The topic is read once, partition after partition; what is needed of it is put
//! aside in a file without a name, and walked through from there in the order of the log.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tenantry_audit::log::{Frontier, Hash};
use tenantry_audit::order::{ReadUpTo, spans};
use tenantry_audit::{Chains, Checkpoint, Heard, Took};
use tenantry_contracts::{Record, Topic};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::Place;

use super::Trouble;

/// Where a walk begins: how far the log was then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Base {
    /// The tree.
    pub(crate) frontier: Frontier,
    /// What of each partition was in it.
    pub(crate) read: Vec<(i32, i64)>,
}

/// Leaves that were read.
#[derive(Debug)]
pub(crate) struct Leaves {
    file: Arc<File>,
    /// Where the leaves of each partition begin and end in the file.
    pieces: BTreeMap<i32, (u64, u64)>,
    /// Every chain after them.
    pub(crate) chains: Chains,
}

impl Leaves {
    /// Reads what lies between two readings of the topic. Of records with a `wanted` key the values are kept too. The
    /// file lies in `dir`, and is gone with this process.
    pub(crate) async fn read(
        options: &Options,
        dir: &Path,
        (from, to): (&ReadUpTo, &ReadUpTo),
        chains: Chains,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, Trouble> {
        let mut spill = Spill::new(dir, chains)?;
        let all = spans(from, to).ok_or_else(|| Trouble::breach("checkpoint_refused", "it goes back"))?;
        if all.is_empty() {
            return spill.finish();
        }
        let mut next = BTreeMap::new();
        let mut ends = BTreeMap::new();
        for span in &all {
            let partition = u16::try_from(span.partition).unwrap_or(u16::MAX);
            let place = Place { topic: Topic::Audit, partition };
            next.insert(place.clone(), span.from);
            ends.insert(place, span.to);
        }
        let places = next.keys().cloned().collect();
        let mut reader = Reader::open(options, places, Start::At(next.clone())).await?;
        for (place, end) in &ends {
            let there = reader.ends().get(place).copied().unwrap_or_default();
            if there < *end {
                return Err(cut(
                    place,
                    format!("it ends at offset {there}, but what was signed goes to {end}"),
                ));
            }
        }
        while next != ends
            && let Read::Records(records) = reader.read().await?
        {
            for record in &records {
                let place = Place { topic: Topic::Audit, partition: record.partition };
                let Some((next, end)) = next.get_mut(&place).zip(ends.get(&place)) else { continue };
                if record.offset >= *end {
                    continue;
                }
                if record.offset != *next {
                    return Err(cut(&place, format!("offset {next} was signed and is gone")));
                }
                *next += 1;
                spill.put(record, &wanted)?;
            }
        }
        if let Some((place, next)) = next.iter().find(|(place, next)| ends.get(*place) != Some(*next)) {
            return Err(cut(place, format!("offset {next} was signed and is gone")));
        }
        spill.finish()
    }

    /// Gives each leaf in the order of the log: its index, its digest, and its value where it was wanted. Stops where the
    /// log is not what a checkpoint says. `rows`: the checkpoints from `base` on, without those that read nothing new.
    pub(crate) fn walk(
        &self,
        base: &Base,
        rows: &[Checkpoint],
        mut each: impl FnMut(u64, &Hash, Option<&[u8]>) -> Result<(), Trouble>,
    ) -> Result<Frontier, Trouble> {
        let mut frontier = base.frontier.clone();
        let mut cursors: BTreeMap<i32, Cursor> = self
            .pieces
            .iter()
            .map(|(partition, piece)| (*partition, Cursor::new(&self.file, *piece)))
            .collect();
        let mut read = base.read.as_slice();
        for row in rows {
            let spans = spans(read, &row.read)
                .ok_or_else(|| Trouble::breach("checkpoint_refused", "a checkpoint goes back"))?;
            for span in spans {
                let Some(cursor) = cursors.get_mut(&span.partition) else { continue };
                while let Some((hash, value)) = cursor.below(span.to).map_err(Trouble::file("put aside"))? {
                    let index = frontier.append(hash);
                    each(index, &hash, value)?;
                }
            }
            if frontier.size() != row.size || frontier.root() != row.root {
                let text = format!(
                    "the topic is not what was signed when the log had {} records ({}): keep both, and compare with \
                     a copy of the topic and with the witness file",
                    row.size, row.time
                );
                return Err(Trouble::breach("log_differs", text));
            }
            read = &row.read;
        }
        Ok(frontier)
    }
}

fn cut(place: &Place, what: String) -> Trouble {
    let text = format!(
        "{}/{}: {what}; the topic was cut, made anew, or is another one: put it back from a copy",
        place.topic, place.partition
    );
    Trouble::breach("log_cut", text)
}

/// Leaves on their way into the file: of each the offset, how many bytes of its value follow (one more than there are;
/// zero where it is not kept), its digest, the value.
struct Spill {
    file: BufWriter<File>,
    at: u64,
    pieces: BTreeMap<i32, (u64, u64)>,
    chains: Chains,
}

impl Spill {
    fn new(dir: &Path, chains: Chains) -> Result<Self, Trouble> {
        let file = unnamed(dir).map_err(Trouble::file(dir))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 18, file), at: 0, pieces: BTreeMap::new(), chains })
    }

    fn put(&mut self, record: &Record, wanted: &impl Fn(&[u8]) -> bool) -> Result<(), Trouble> {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let Took::Leaf(hash) = self.chains.take(Heard { key, value, at: &record.origin() })? else {
            return Ok(());
        };
        let kept = value.filter(|_| key.is_some_and(wanted));
        let mut write = || {
            let length = kept.map_or(0, |value| value.len() as u64 + 1);
            self.file.write_all(&record.offset.to_le_bytes())?;
            self.file.write_all(&length.to_le_bytes())?;
            self.file.write_all(&hash)?;
            self.file.write_all(kept.unwrap_or_default())?;
            Ok(HEAD as u64 + length.saturating_sub(1))
        };
        let written = write().map_err(Trouble::file("put aside"))?;
        let piece = self.pieces.entry(i32::from(record.partition)).or_insert((self.at, self.at));
        self.at += written;
        piece.1 = self.at;
        Ok(())
    }

    fn finish(self) -> Result<Leaves, Trouble> {
        let file = self.file.into_inner().map_err(|error| error.into_error());
        let file = Arc::new(file.map_err(Trouble::file("put aside"))?);
        Ok(Leaves { file, pieces: self.pieces, chains: self.chains })
    }
}

/// The bytes before a value.
const HEAD: usize = 8 + 8 + 32;

/// A leaf: its digest, and its value where it was kept.
type Leaf<'a> = (Hash, Option<&'a [u8]>);

/// Reads the leaves of one partition.
struct Cursor {
    piece: BufReader<Piece>,
    /// The next one's offset and digest, when it was read already; its value is in `value`.
    next: Option<(i64, Hash, bool)>,
    value: Vec<u8>,
}

impl Cursor {
    fn new(file: &Arc<File>, (at, end): (u64, u64)) -> Self {
        let piece = BufReader::with_capacity(1 << 16, Piece { file: Arc::clone(file), at, end });
        Self { piece, next: None, value: Vec::new() }
    }

    /// The next leaf, where its offset is below `to`.
    fn below(&mut self, to: i64) -> std::io::Result<Option<Leaf<'_>>> {
        if self.next.is_none() {
            let mut head = [0; HEAD];
            match self.piece.read_exact(&mut head) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
                read => read?,
            }
            let number = |at: usize| <[u8; 8]>::try_from(&head[at..at + 8]).unwrap_or_default();
            let length = u64::from_le_bytes(number(8));
            let mut hash = [0; 32];
            hash.copy_from_slice(&head[16..]);
            self.value.clear();
            let more = length.saturating_sub(1);
            self.piece.by_ref().take(more).read_to_end(&mut self.value)?;
            self.next = Some((i64::from_le_bytes(number(0)), hash, length > 0));
        }
        let Some((_, hash, kept)) = self.next.take_if(|(offset, ..)| *offset < to) else { return Ok(None) };
        Ok(Some((hash, kept.then_some(self.value.as_slice()))))
    }
}

/// A piece of a file.
struct Piece {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl std::io::Read for Piece {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// A file in this folder that nobody else can open, and that is gone with this process.
pub(crate) fn unnamed(dir: &Path) -> std::io::Result<File> {
    let path = dir.join(format!(".{}.tmp", uuid::Uuid::new_v4()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
