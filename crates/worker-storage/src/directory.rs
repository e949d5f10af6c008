//! The embedded provider: `<root>/<region>/t-<tenant id>/`, with the owner tag in the file [`TAG`] inside.
//!
//! A bucket is made under another name and renamed when it is whole, and renamed before it is deleted, so a crash leaves
//! a bucket or none. Both names lie in the region's own directory, which may be a disk of its own. Links are never
//! followed: whoever can write into a bucket cannot lead this worker out of it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tenantry_step::files::{Folder, Held, remove, write_whole};
use tenantry_step::{Answer, Cx, Trouble};

use crate::provider::{self, Bucket, Found, Provider};
use crate::usage::{entries, usage};

/// The tag's name inside a bucket.
pub(crate) const TAG: &str = ".tenantry.json";
/// Where buckets are made.
const DRAFTS: &str = ".draft";
/// Where buckets are deleted.
const GONE: &str = ".gone";
/// Larger than any tag of ours.
const LARGEST: u64 = 16 * 1024;
/// How long to wait before a long deletion is asked about again.
const DELETING: Duration = Duration::from_secs(5);

/// What stands in a tag. The owner tag also says which question made the bucket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tag {
    owner: String,
    region: String,
    quota_bytes: u64,
}

/// The directory that holds the regions.
pub(crate) struct Directory {
    folder: Folder,
}

/// Where things of one tenant's can lie in one region.
struct Place {
    /// The region's directory.
    region: PathBuf,
    bucket: PathBuf,
    /// A bucket that is being made.
    draft: PathBuf,
    /// A tag that is being written.
    tag_draft: PathBuf,
    /// A bucket that is being deleted.
    gone: PathBuf,
}

impl Place {
    fn of(root: &Path, cx: &Cx, region: &str) -> Self {
        let (region, name) = (root.join(region), provider::bucket(cx));
        Self {
            bucket: region.join(&name),
            draft: region.join(DRAFTS).join(&name),
            tag_draft: region.join(DRAFTS).join(format!("{name}.json")),
            gone: region.join(GONE).join(&name),
            region,
        }
    }

    /// The places in every region that was ever used.
    fn all(root: &Path, cx: &Cx) -> io::Result<Vec<(String, Self)>> {
        let mut places = Vec::new();
        for entry in entries(root)?.into_iter().flatten() {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if is_region(&name) && entry.file_type()?.is_dir() {
                let place = Self::of(root, cx, &name);
                places.push((name, place));
            }
        }
        Ok(places)
    }

    /// Takes away what a crash left.
    fn clean(&self) -> io::Result<()> {
        remove(&self.tag_draft)?;
        delete(&self.draft)?;
        delete(&self.gone)
    }

    fn tag(&self) -> PathBuf {
        self.bucket.join(TAG)
    }

    /// Makes the region's directory, if it is not there, and what this worker needs in it.
    fn open(&self, root: &Path) -> io::Result<()> {
        if there(&self.region)?.is_some_and(|meta| !meta.is_dir()) {
            return Err(ErrorKind::NotADirectory.into());
        }
        for dir in [&self.region, &self.region.join(DRAFTS), &self.region.join(GONE)] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        sync(&self.region)?;
        sync(root)
    }
}

impl Directory {
    pub(crate) fn new(root: impl Into<PathBuf>) -> Self {
        Self { folder: Folder::new(root, "storage directory", ".fence") }
    }

    pub(crate) async fn prepare(&self) -> Answer<()> {
        self.folder.prepare().await
    }

    /// Takes the tenant's place, without remnants.
    async fn enter(&self, cx: &Cx) -> Answer<(Held, Found)> {
        let held = self.folder.enter(cx).await?;
        let found = held.work(cx, |root, cx| {
            Place::all(root, cx)?.iter().try_for_each(|(_, place)| place.clean())?;
            find(root, cx)
        });
        let found = patiently(cx, found).await?;
        Ok((held, found))
    }
}

impl Provider for Directory {
    async fn allocate(&self, cx: &Cx, wanted: Bucket) -> Answer<()> {
        let (held, found) = self.enter(cx).await?;
        found.or_refuse(&wanted)?;
        let quota_bytes = wanted.quota_bytes;
        match found.bucket {
            Some(have) if have == wanted => {}
            Some(_) => held.work(cx, move |root, cx| retag(root, cx, &wanted)).await?,
            None => {
                let region = wanted.region.clone();
                held.work(cx, move |root, cx| draft(root, cx, &wanted.region, quota_bytes)).await?;
                cx.point("storage.before-publish").await?;
                held.work(cx, move |root, cx| publish(root, cx, &region)).await?;
            }
        }
        Ok(())
    }

    async fn remove(&self, cx: &Cx) -> Answer<()> {
        let (held, found) = self.enter(cx).await?;
        found.ours_only()?;
        held.work(cx, |root, cx| Place::all(root, cx)?.iter().try_for_each(|(_, place)| set_aside(place)))
            .await?;
        cx.point("storage.before-delete").await?;
        let deleted =
            held.work(cx, |root, cx| Place::all(root, cx)?.iter().try_for_each(|(_, place)| place.clean()));
        patiently(cx, deleted).await
    }

    async fn find(&self, cx: &Cx) -> Answer<Found> {
        self.folder.look(cx, |root, cx, _| find(root, cx)).await
    }

    async fn used(&self, cx: &Cx, bucket: Bucket) -> Answer<u64> {
        let until = Instant::now() + Duration::from_millis(cx.left_ms().min(60_000));
        self.folder
            .look(cx, move |root, cx, _| usage(&Place::of(root, cx, &bucket.region).bucket, until))
            .await
    }
}

/// Whether a region's name can be the name of a directory, and of none of this worker's own.
pub(crate) fn is_region(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(sound)
        && !name.starts_with('-')
        && !name.contains("--")
}

/// Waits for work on files that may be long, as much of the question's time as is left for it. The work itself goes on
/// and keeps the lock.
async fn patiently<T>(cx: &Cx, work: impl Future<Output = Answer<T>>) -> Answer<T> {
    let patience = Duration::from_millis(cx.left_ms().min(60_000) / 2);
    tokio::time::timeout(patience, work).await.unwrap_or(Err(Trouble::NotYet(DELETING)))
}

/// What has the name of the tenant's bucket, in all regions.
fn find(root: &Path, cx: &Cx) -> io::Result<Found> {
    let mut found = Found::default();
    for (region, place) in Place::all(root, cx)? {
        for remnant in [&place.draft, &place.tag_draft, &place.gone] {
            found.remnants |= there(remnant)?.is_some();
        }
        let Some(meta) = there(&place.bucket)? else { continue };
        let hint = if !meta.is_dir() {
            "something that is no directory"
        } else if let Some(tag) = tag(&place.tag())?.filter(|tag| cx.owns(&tag.owner) && tag.region == region)
        {
            found.bucket = Some(Bucket { region, quota_bytes: tag.quota_bytes });
            continue;
        } else {
            "a directory without an owner tag of ours"
        };
        found.foreign =
            Some(format!("the region {region} has {hint} under the name of this tenant's bucket"));
    }
    Ok(found)
}

/// The tag that is read in a file; `None` where it is no tag.
fn tag(path: &Path) -> io::Result<Option<Tag>> {
    let Some(meta) = there(path)? else { return Ok(None) };
    if !meta.is_file() || meta.len() > LARGEST {
        return Ok(None);
    }
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    // Not something else that was put there between the two looks.
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (meta.dev(), meta.ino()) {
        return Ok(None);
    }
    let mut text = Vec::new();
    Read::by_ref(&mut file).take(LARGEST).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}

/// A bucket that is whole and has not its name yet.
fn draft(root: &Path, cx: &Cx, region: &str, quota_bytes: u64) -> io::Result<()> {
    let place = Place::of(root, cx, region);
    place.open(root)?;
    DirBuilder::new().mode(0o700).create(&place.draft)?;
    let tag = Tag { owner: cx.owner_tag(), region: region.to_owned(), quota_bytes };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place.draft.join(TAG))?;
    file.write_all(&serde_json::to_vec(&tag)?)?;
    file.sync_all()?;
    sync(&place.draft)
}

fn publish(root: &Path, cx: &Cx, region: &str) -> io::Result<()> {
    let place = Place::of(root, cx, region);
    std::fs::rename(&place.draft, &place.bucket)?;
    sync(&place.region)
}

/// Writes another quota into the bucket's tag.
fn retag(root: &Path, cx: &Cx, wanted: &Bucket) -> io::Result<()> {
    let place = Place::of(root, cx, &wanted.region);
    place.open(root)?;
    let Some(tag) = tag(&place.tag())? else { return Err(ErrorKind::InvalidData.into()) };
    let tag = Tag { quota_bytes: wanted.quota_bytes, ..tag };
    // Not drafted inside the bucket, where a link could lie under the draft's name.
    write_whole(&place.tag(), &place.tag_draft, &serde_json::to_vec(&tag)?)
}

/// Takes a bucket its name, so that it is gone whole.
fn set_aside(place: &Place) -> io::Result<()> {
    if there(&place.bucket)?.is_some() {
        DirBuilder::new().recursive(true).mode(0o700).create(place.region.join(GONE))?;
        std::fs::rename(&place.bucket, &place.gone)?;
        sync(&place.region)?;
    }
    Ok(())
}

/// Deletes a directory with all that is in it, durably; one that is not there is gone already.
fn delete(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        deleted => deleted.and_then(|()| dir.parent().map_or(Ok(()), sync)),
    }
}

/// What is at a path; a link is a link.
fn there(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        meta => meta.map(Some),
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
