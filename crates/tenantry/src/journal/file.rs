//! The file of an archived range: a header and rows, a line of JSON each, in frames of Zstandard. `zstdcat` reads it as one
//! text; each frame reads by itself, has a checksum, and is small, so that a reader needs little memory and can go to any of
//! them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Lane, Time};
use tenantry_ports::Row;
use tenantry_postgres::{MOST, Range};
use zstd::bulk::Compressor;

use super::line;
use crate::out::{Refused, failed};

/// The format of this version.
const FORMAT: &str = "tenantry-journal/1";
/// Written once and kept for years: small counts for more than quick.
const LEVEL: i32 = 9;
/// A frame ends once it has so many bytes of text, or so many rows.
const FRAME: usize = 1 << 20;
const FRAME_ROWS: usize = MOST as usize;
/// What claims to have more text is no frame of ours: one row has 64 MiB at most, and its line not three times as much.
const LARGEST: u64 = 192 << 20;

/// What a file says of itself, its first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    format: String,
    /// The installation that wrote it.
    pub(super) fleet: String,
    /// The lane.
    pub(super) lane: Lane,
    /// The first number of the range.
    pub(super) from: i64,
    /// The number of the last row.
    pub(super) to: i64,
    /// How many rows there are.
    pub(super) rows: i64,
    /// When it was begun.
    #[serde(with = "rfc3339")]
    pub(super) written: Time,
}

impl Header {
    /// For a range.
    pub(super) fn of(range: &Range, fleet: &str, written: Time) -> Self {
        Self {
            format: FORMAT.to_owned(),
            fleet: fleet.to_owned(),
            lane: range.lane,
            from: range.from,
            to: range.to,
            rows: range.rows,
            written,
        }
    }
}

/// The name of a range's file.
pub(super) fn name(range: &Range) -> String {
    format!("journal-{}-{}-{}.ndjson.zst", range.lane, range.from, range.to)
}

/// Writes a file.
pub(super) struct Writer {
    file: File,
    compressor: Compressor<'static>,
    text: Vec<u8>,
    rows: usize,
}

impl Writer {
    /// Begins one, over whatever is there. It is for its owner alone: it has what the store has.
    pub(super) fn create(path: &Path, header: &Header) -> std::io::Result<Self> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut writer = Self { file, compressor, text: Vec::new(), rows: 0 };
        serde_json::to_writer(&mut writer.text, header)?;
        writer.text.push(b'\n');
        writer.frame()?;
        Ok(writer)
    }

    /// Adds a row.
    pub(super) fn row(&mut self, row: &Row) -> std::io::Result<()> {
        line::write(row, &mut self.text)?;
        self.rows += 1;
        if self.text.len() >= FRAME || self.rows >= FRAME_ROWS { self.frame() } else { Ok(()) }
    }

    /// Ends it. After this it is on the disk.
    pub(super) fn finish(mut self) -> std::io::Result<()> {
        self.frame()?;
        self.file.sync_all()
    }

    fn frame(&mut self) -> std::io::Result<()> {
        if !self.text.is_empty() {
            self.file.write_all(&self.compressor.compress(&self.text)?)?;
        }
        self.text.clear();
        self.rows = 0;
        Ok(())
    }
}

/// Some rows that stand together.
pub(super) struct Frame {
    /// Where they stand in the file.
    pub(super) offset: u64,
    /// The rows, in order; never none.
    pub(super) rows: Vec<Row>,
}

/// Reads a file: that it has the rows that it says, all of one lane, each once and in order.
pub(super) struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    header: Header,
    rows: i64,
    last: i64,
}

impl Reader {
    /// Opens one.
    ///
    /// # Errors
    /// `archive_missing`, `archive_damaged`, `archive_format`.
    pub(super) fn open(path: &Path) -> Result<Self, Refused> {
        let file = File::open(path).map_err(|error| missing(path, &error))?;
        let mut input = BufReader::new(file);
        let text = text(path, &mut input)?
            .ok_or_else(|| failed("archive_cut", format!("{}: it is empty; {COPY}", path.display())))?;
        let format = serde_json::from_slice::<Format>(&text).map(|header| header.format);
        if let Some(other) = format.ok().filter(|format| format != FORMAT) {
            let text = format!(
                "{}: it has format {other:?}, and this program reads {FORMAT}; use the version that wrote it, or a newer one",
                path.display()
            );
            return Err(failed("archive_format", text));
        }
        let header: Header = serde_json::from_slice(&text).map_err(|_| {
            let text = format!("{}: it does not begin as an archive of the journal", path.display());
            failed("archive_format", format!("{text}; name a file that `tenantry journal archive` wrote"))
        })?;
        let last = header.from - 1;
        Ok(Self { path: path.to_owned(), input, header, rows: 0, last })
    }

    /// What it says of itself.
    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    /// The next rows; `None` after the last one.
    ///
    /// # Errors
    /// `archive_damaged`, `archive_disordered`, `archive_cut`.
    pub(super) fn frame(&mut self) -> Result<Option<Frame>, Refused> {
        let offset = self.input.stream_position().map_err(|error| missing(&self.path, &error))?;
        let Some(text) = text(&self.path, &mut self.input)? else {
            return self.end().map(|()| None);
        };
        let rows = rows(&self.path, offset, &text)?;
        for row in &rows {
            if row.lane != self.header.lane || row.n <= self.last || row.n > self.header.to {
                let text = format!(
                    "{}: row {} of lane {} comes after row {} of lane {}, and the file has up to {}; {COPY}",
                    self.path.display(),
                    row.n,
                    row.lane,
                    self.last,
                    self.header.lane,
                    self.header.to
                );
                return Err(failed("archive_disordered", text));
            }
            self.last = row.n;
            self.rows += 1;
        }
        Ok(Some(Frame { offset, rows }))
    }

    fn end(&self) -> Result<(), Refused> {
        let Header { rows, to, .. } = self.header;
        if (self.rows, self.last) == (rows, to) {
            return Ok(());
        }
        let text = format!(
            "{}: it ends after {} rows with row {}, and says that it has {rows} rows up to {to}; {COPY}",
            self.path.display(),
            self.rows,
            self.last
        );
        Err(failed("archive_cut", text))
    }
}

/// The rows of the frame at this place of a file that was read before.
///
/// # Errors
/// `archive_missing`, `archive_damaged`.
pub(super) fn frame_at(path: &Path, offset: u64) -> Result<Vec<Row>, Refused> {
    let mut file = File::open(path).map_err(|error| missing(path, &error))?;
    file.seek(SeekFrom::Start(offset)).map_err(|error| missing(path, &error))?;
    let text = text(path, &mut BufReader::new(file))?.unwrap_or_default();
    rows(path, offset, &text)
}

/// SHA-256 of a file's bytes, and how many there are.
///
/// # Errors
/// `archive_missing`.
pub(super) fn digest(path: &Path) -> Result<([u8; 32], u64), Refused> {
    let mut file = File::open(path).map_err(|error| missing(path, &error))?;
    let (mut sha, mut piece, mut length) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let read = file.read(&mut piece).map_err(|error| missing(path, &error))?;
        if read == 0 {
            return Ok((sha.finalize().into(), length));
        }
        sha.update(&piece[..read]);
        length += read as u64;
    }
}

#[derive(Deserialize)]
struct Format {
    format: String,
}

const COPY: &str = "take another copy of the file";

fn missing(path: &Path, error: &std::io::Error) -> Refused {
    let text = format!("{}: {error}; bring the file back, or name the folder that has it", path.display());
    failed("archive_missing", text)
}

/// The text of the next frame; `None` where the file ends.
fn text(path: &Path, input: &mut BufReader<File>) -> Result<Option<Vec<u8>>, Refused> {
    if input.fill_buf().map_err(|error| missing(path, &error))?.is_empty() {
        return Ok(None);
    }
    let offset = input.stream_position().unwrap_or_default();
    let mut text = Vec::new();
    let read = zstd::Decoder::with_buffer(input)
        .and_then(|decoder| decoder.single_frame().take(LARGEST + 1).read_to_end(&mut text));
    match read {
        Ok(_) if text.len() as u64 <= LARGEST => Ok(Some(text)),
        Ok(_) => Err(damaged(path, offset, "it is larger than any")),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            let text = format!("{}: it ends within the frame at byte {offset}; {COPY}", path.display());
            Err(failed("archive_cut", text))
        }
        Err(error) => Err(damaged(path, offset, &error.to_string())),
    }
}

fn rows(path: &Path, offset: u64, text: &[u8]) -> Result<Vec<Row>, Refused> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| line::read(line).ok_or_else(|| damaged(path, offset, "a line of it is no row"));
    let rows: Vec<Row> = lines.map(read).collect::<Result<_, _>>()?;
    if rows.is_empty() { Err(damaged(path, offset, "it has no rows")) } else { Ok(rows) }
}

fn damaged(path: &Path, offset: u64, why: &str) -> Refused {
    let text = format!("{}: the frame at byte {offset} does not read ({why}); {COPY}", path.display());
    failed("archive_damaged", text)
}

#[cfg(test)]
mod tests;
