//! The file: a tar that any tar reads, in one form only. Every byte of a header follows from name and size, every byte
//! of padding is zero, two blocks of zeroes end it; so there is no byte that can be changed unnoticed.

use std::io::{self, Read, Write};

pub(super) const BLOCK: usize = 512;
/// All members have the same date, 2000-01-01: when a bundle was made stands in its manifest.
const MTIME: u64 = 946_684_800;
/// The most bytes of a name.
const NAME: usize = 100;
/// The most bytes of a member: what eleven octal digits hold.
const MOST: u64 = (1 << 33) - 1;

/// Whether a member can have this name: relative, plain characters, no way upwards.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    name.len() <= NAME
        && name.chars().all(plain)
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

/// The one header of a member with this name and size.
fn header(name: &str, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, concat!("0000644", "\0", "0000000", "\0", "0000000", "\0"));
    put(124, &format!("{size:011o}\x00{MTIME:011o}\x00        0"));
    put(257, concat!("ustar", "\0", "00"));
    put(329, concat!("0000000", "\0", "0000000", "\0"));
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padding(size: u64) -> usize {
    // Below 512, which every usize holds.
    usize::try_from(size.wrapping_neg() % BLOCK as u64).unwrap_or_default()
}

/// Writes members one after the other.
pub(super) struct TarWriter<W>(pub(super) W);

impl<W: Write> TarWriter<W> {
    /// A member of exactly `size` bytes.
    pub(super) fn member(&mut self, name: &str, size: u64, mut content: impl Read) -> io::Result<()> {
        if !is_name(name) || size > MOST {
            let message = format!("{name:?} with {size} bytes cannot be a member of a bundle");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.0.write_all(&header(name, size))?;
        let copied = io::copy(&mut content.by_ref().take(size), &mut self.0)?;
        if copied != size || content.read(&mut [0])? != 0 {
            let message = format!("{name} has not the {size} bytes that were announced");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.0.write_all(&[0; BLOCK][..padding(size)])
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.0.write_all(&[0; 2 * BLOCK])?;
        self.0.flush()?;
        Ok(self.0)
    }
}

/// Why reading stopped.
pub(super) enum Stop {
    /// The file ends where it should go on.
    Truncated(u64),
    /// What lies there is not of the one form.
    Malformed(u64),
    Io(io::Error),
}

/// A member that is about to be read.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

/// Reads members one after the other, and demands the one form.
pub(super) struct TarReader<R> {
    input: R,
    /// How far it has been read.
    at: u64,
    padding: usize,
}

impl<R: Read> TarReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, at: 0, padding: 0 }
    }

    /// The next member; the one before must have been read to its end. `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Member>, Stop> {
        let start = self.at;
        let mut pad = [0; BLOCK];
        let padding = self.padding;
        self.fill(&mut pad[..padding])?;
        if pad != [0; BLOCK] {
            return Err(Stop::Malformed(start));
        }
        let start = self.at;
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block == [0; BLOCK] {
            let start = self.at;
            self.fill(&mut block)?;
            let more = self.fill(&mut [0]).is_ok();
            return if block == [0; BLOCK] && !more { Ok(None) } else { Err(Stop::Malformed(start)) };
        }
        let member = read_header(&block).ok_or(Stop::Malformed(start))?;
        self.padding = self::padding(member.size);
        Ok(Some(member))
    }

    /// What has just been read is not of the one form.
    pub(super) fn malformed(&self) -> Stop {
        Stop::Malformed(self.at.saturating_sub(BLOCK as u64))
    }

    /// The next bytes of a member.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Stop> {
        let mut done = 0;
        while done < buffer.len() {
            match self.input.read(&mut buffer[done..]) {
                Ok(0) => return Err(Stop::Truncated(self.at)),
                Ok(read) => (done, self.at) = (done + read, self.at + read as u64),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Stop::Io(error)),
            }
        }
        Ok(())
    }
}

fn read_header(block: &[u8; BLOCK]) -> Option<Member> {
    let end = block[..NAME].iter().position(|byte| *byte == 0).unwrap_or(NAME);
    let name = std::str::from_utf8(&block[..end]).ok().filter(|name| is_name(name))?;
    let digits = std::str::from_utf8(&block[124..135]).ok()?;
    let size = u64::from_str_radix(digits, 8).ok()?;
    (*block == header(name, size)).then(|| Member { name: name.to_owned(), size })
}
