//! How much lies in a directory. Walked at every look: tenants write past this worker, so nothing could be kept.

use std::fs::ReadDir;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Instant;

use crate::directory::TAG;

/// Bytes of all files below `bucket`, by their lengths, without the worker's own tag. Links are not followed; what is
/// removed meanwhile does not count.
///
/// # Errors
/// Of the file system; [`ErrorKind::TimedOut`] where it is not done by `until`.
pub fn usage(bucket: &Path, until: Instant) -> io::Result<u64> {
    let mut used = 0_u64;
    let mut open = vec![bucket.to_owned()];
    while let Some(dir) = open.pop() {
        let Some(entries) = entries(&dir)? else { continue };
        for entry in entries {
            let entry = entry?;
            if Instant::now() > until {
                return Err(ErrorKind::TimedOut.into());
            }
            // Of the entry itself: a link counts as its own length and leads nowhere.
            let meta = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                meta => meta?,
            };
            if meta.is_dir() {
                open.push(entry.path());
            } else if dir != bucket || entry.file_name() != TAG {
                used = used.saturating_add(meta.len());
            }
        }
    }
    Ok(used)
}

/// What is in a directory; `None` where it is gone.
pub(crate) fn entries(dir: &Path) -> io::Result<Option<ReadDir>> {
    match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}
