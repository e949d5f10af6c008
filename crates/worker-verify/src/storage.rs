//! The tenant's bucket in the directory of the worker `storage`: whether it is there as it was made, and whether
//! anything leads into it or out of it.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Deserialize;
use tenantry_contracts::steps::storage::Output;
use tenantry_step::Cx;

use crate::report::State;

/// The tag that the worker `storage` writes into a bucket.
const TAG: &str = ".tenantry.json";
/// Larger than any tag.
const LARGEST: u64 = 16 * 1024;
/// From this share of the quota on, in per cent, there is little room left.
const FULL: u128 = 90;

#[derive(Deserialize)]
struct Tag {
    owner: String,
    quota_bytes: u64,
}

/// Where the bucket lies. `None` where the names in the answer could lead elsewhere.
fn bucket(root: &Path, made: &Output) -> Option<PathBuf> {
    let plain = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    (plain(&made.region) && plain(&made.bucket)).then(|| root.join(&made.region).join(&made.bucket))
}

/// The bucket is there with our owner tag.
pub(crate) fn there(root: &Path, cx: &Cx, made: &Output) -> io::Result<State> {
    let tag = tag(root, made)?;
    Ok(State::when(
        tag.is_some_and(|tag| cx.owns(&tag.owner)),
        "there is no bucket with an owner tag of ours",
    ))
}

/// The quota stands in the tag, and there is room left.
pub(crate) fn quota(root: &Path, made: &Output, until: Instant) -> io::Result<State> {
    let (Some(tag), Some(bucket)) = (tag(root, made)?, bucket(root, made)) else {
        return Ok(State::Failed("there is no bucket".to_owned()));
    };
    if tag.quota_bytes != made.quota_bytes {
        return Ok(State::Failed("the bucket's tag has another quota".to_owned()));
    }
    let (own, mut used) = (bucket.join(TAG), 0_u128);
    walk(&bucket, until, &mut |path, meta| {
        if path != own {
            used += u128::from(meta.len());
        }
    })?;
    let quota = u128::from(tag.quota_bytes);
    Ok(if used * 100 > quota * FULL {
        State::Degraded(format!("{used} of {quota} bytes are used"))
    } else {
        State::Ready
    })
}

/// What leads into the bucket or out of it: each attempt with the words for what was possible.
pub(crate) fn probes(
    root: &Path,
    made: &Output,
    until: Instant,
) -> io::Result<Vec<(&'static str, Option<&'static str>)>> {
    let inside = inside(root, made)?;
    let mut outside = false;
    if let Some(bucket) = bucket(root, made).filter(|_| inside)
        && meta(&bucket)?.is_some()
    {
        let home = bucket.canonicalize()?;
        walk(&bucket, until, &mut |path, meta| {
            // A link that leads nowhere may lead somewhere tomorrow.
            let leads_out = || path.canonicalize().map_or(true, |target| !target.starts_with(&home));
            outside |= meta.is_symlink() && leads_out();
        })?;
    }
    let (open, linked) = neighbours(root, made)?;
    let leak = |leaks: bool, what: &'static str| leaks.then_some(what);
    Ok(vec![
        ("storage.inside-root", leak(!inside, "the bucket's path leads out of the storage directory")),
        ("storage.links", leak(outside, "a link inside the bucket leads out of it")),
        (
            "storage.mode",
            leak(shut(root, made)?.is_some_and(|shut| !shut), "others than the owner may enter the bucket"),
        ),
        ("storage.neighbours", leak(open, "others than the owner may enter another tenant's bucket")),
        ("storage.links-of-neighbours", leak(linked, "a link beside the bucket has the name of a bucket")),
    ])
}

/// Neither the bucket nor what it lies in is a link to somewhere else.
fn inside(root: &Path, made: &Output) -> io::Result<bool> {
    let Some(bucket) = bucket(root, made) else { return Ok(false) };
    match bucket.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        path => Ok(path? == root.canonicalize()?.join(&made.region).join(&made.bucket)),
    }
}

/// Whether nobody but the owner may enter the bucket.
fn shut(root: &Path, made: &Output) -> io::Result<Option<bool>> {
    let Some(bucket) = bucket(root, made) else { return Ok(None) };
    Ok(meta(&bucket)?.map(|meta| private(&meta)))
}

fn private(meta: &Metadata) -> bool {
    meta.mode() & 0o077 == 0
}

/// Whether a bucket of another tenant in the same region is open to others, and whether one is a link.
fn neighbours(root: &Path, made: &Output) -> io::Result<(bool, bool)> {
    let Some(region) = bucket(root, made).and_then(|bucket| bucket.parent().map(Path::to_owned)) else {
        return Ok((false, false));
    };
    let (mut open, mut linked) = (false, false);
    let entries = match std::fs::read_dir(region) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((false, false)),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if !name.as_encoded_bytes().starts_with(b"t-") || name.as_encoded_bytes() == made.bucket.as_bytes() {
            continue;
        }
        match entry.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Ok(meta) if meta.is_symlink() => linked = true,
            Ok(meta) => open |= !private(&meta),
            Err(error) => return Err(error),
        }
    }
    Ok((open, linked))
}

fn tag(root: &Path, made: &Output) -> io::Result<Option<Tag>> {
    let Some(path) = bucket(root, made).map(|bucket| bucket.join(TAG)) else { return Ok(None) };
    match meta(&path)? {
        Some(meta) if meta.is_file() && meta.len() <= LARGEST => {
            Ok(serde_json::from_slice(&std::fs::read(path)?).ok())
        }
        _ => Ok(None),
    }
}

fn meta(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => Ok(None),
        meta => meta.map(Some),
    }
}

/// Shows everything below a directory that is no directory. Links are shown and not followed.
fn walk(dir: &Path, until: Instant, see: &mut impl FnMut(&Path, &Metadata)) -> io::Result<()> {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            if Instant::now() > until {
                return Err(ErrorKind::TimedOut.into());
            }
            match meta(&path)? {
                Some(meta) if meta.is_dir() => open.push(path),
                Some(meta) => see(&path, &meta),
                None => {}
            }
        }
    }
    Ok(())
}
