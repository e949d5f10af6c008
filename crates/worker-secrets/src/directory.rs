//! The embedded provider: the file `<root>/<tenant id>.keys`.
//!
//! To destroy a file it is renamed, overwritten with zeros, made durable, and removed. On file systems that keep a
//! journal, copy on write, take snapshots, or lie on flash, the zeros may go to other blocks than the keys did, and a
//! rotation leaves the earlier file's blocks as they were. So destruction rests on this: the wrapped keys can no longer
//! be reached through the file system, what a raw disk or a backup still holds opens with the master key alone, and
//! without them all data that was sealed with them is lost. Who needs more gives the fleet a new master key, and
//! destroys the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tenantry_step::files::{Folder, Held, remove, write_whole};
use tenantry_step::{Answer, Cx};

use crate::provider::{self, Found, Provider};

/// Larger than any key file of ours, with all generations that there can be.
const LARGEST: u64 = 1024 * 1024;

/// The directory of key files.
pub(crate) struct Directory {
    folder: Folder,
}

/// Where a tenant's files lie.
struct Paths {
    keys: PathBuf,
    /// A key file that is being written.
    draft: PathBuf,
    /// A key file that is being destroyed.
    gone: PathBuf,
}

impl Paths {
    fn of(root: &Path, cx: &Cx) -> Self {
        let name = provider::path(cx);
        Self {
            keys: root.join(&name),
            draft: root.join(format!(".{name}.draft")),
            gone: root.join(format!(".{name}.gone")),
        }
    }
}

impl Directory {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { folder: Folder::new(root, "key directory", ".fence") }
    }

    pub(crate) async fn prepare(&self) -> Answer<()> {
        self.folder.prepare().await
    }
}

impl Provider for Directory {
    type Place = Held;

    async fn enter(&self, cx: &Cx) -> Answer<(Held, Found)> {
        let held = self.folder.enter(cx).await?;
        let found = held.work(cx, |root, cx| {
            let paths = Paths::of(root, cx);
            erase(&paths.draft)?;
            erase(&paths.gone)?;
            find(root, cx)
        });
        let found = found.await?;
        Ok((held, found))
    }

    async fn write(&self, cx: &Cx, place: &Held, text: String) -> Answer<()> {
        let write = move |root: &Path, cx: &Cx| {
            let paths = Paths::of(root, cx);
            write_whole(&paths.keys, &paths.draft, text.as_bytes())
        };
        place.work(cx, write).await
    }

    async fn destroy(&self, cx: &Cx, place: &Held) -> Answer<()> {
        // Renamed first: a key file that is half zeros would be nobody's.
        place
            .work(cx, |root, cx| {
                let paths = Paths::of(root, cx);
                match std::fs::rename(&paths.keys, &paths.gone) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    renamed => renamed.and_then(|()| sync(root)),
                }
            })
            .await?;
        cx.point("secrets.before-erase").await?;
        place.work(cx, |root, cx| erase(&Paths::of(root, cx).gone)).await
    }

    async fn find(&self, cx: &Cx) -> Answer<Found> {
        self.folder.look(cx, |root, cx, _| find(root, cx)).await
    }
}

/// The part of a key file that says whose it is, whatever else is in it.
#[derive(Deserialize)]
struct Owner {
    owner: String,
}

fn find(root: &Path, cx: &Cx) -> io::Result<Found> {
    let paths = Paths::of(root, cx);
    let mut found = Found::default();
    for remnant in [&paths.draft, &paths.gone] {
        found.remnants |= is_there(remnant)?;
    }
    if !is_there(&paths.keys)? {
        return Ok(found);
    }
    let text = read(&paths.keys)?;
    let ours = |text: &String| serde_json::from_str(text).is_ok_and(|Owner { owner }| cx.owns(&owner));
    match text.filter(ours) {
        Some(text) => found.text = Some(text),
        None => {
            let hint = "what stands under the name of this tenant's key file has no owner tag of ours";
            found.foreign = Some(hint.to_owned());
        }
    }
    Ok(found)
}

/// The text of a key file; `None` where it cannot be one.
fn read(path: &Path) -> io::Result<Option<String>> {
    let meta = path.symlink_metadata()?;
    if !meta.is_file() || meta.len() > LARGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8(bytes).ok())
}

/// Overwrites a file with zeros, durably, and removes it.
fn erase(path: &Path) -> io::Result<()> {
    if !is_there(path)? {
        return Ok(());
    }
    let meta = path.symlink_metadata()?;
    if meta.is_file() {
        let mut file = OpenOptions::new().write(true).open(path)?;
        io::copy(&mut io::repeat(0).take(meta.len()), &mut file)?;
        file.sync_all()?;
    }
    remove(path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Whether anything is at a path; a link is a link.
fn is_there(path: &Path) -> io::Result<bool> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        meta => meta.map(|_| true),
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
