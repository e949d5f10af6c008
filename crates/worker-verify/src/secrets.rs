//! The tenant's key file in the directory of the worker `secrets`: whether its keys open, and whether they open for
//! anybody else.
//!
//! A wrapped key carries the tenant in its associated data, so a file that was copied from one tenant to another opens
//! for the first one only.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde::Deserialize;
use tenantry_contracts::sealed::Place;
use tenantry_contracts::steps::secrets::Output;
use tenantry_contracts::{DataKey, MasterKey, Sealed, TenantId};
use tenantry_step::Cx;
use uuid::Uuid;

use crate::report::State;

/// Larger than any key file.
const LARGEST: u64 = 1024 * 1024;
/// The most other tenants that are tried.
const NEIGHBOURS: usize = 16;
/// The field under which an enhanced tenant's wrapping key is sealed.
const WRAPPING_KEY: &str = "secrets.wrapping-key";

/// A key file, as far as it is looked at.
#[derive(Deserialize)]
struct Keys {
    owner: String,
    level: String,
    wrapping: Option<Wrapping>,
    keys: Vec<Wrapped>,
}

#[derive(Deserialize)]
struct Wrapping {
    wrapped: String,
    sealed: Sealed,
}

#[derive(Deserialize)]
struct Wrapped {
    id: String,
    wrapped: String,
}

impl Keys {
    /// What the master key itself wraps in this file.
    fn outermost(&self) -> Vec<&str> {
        match &self.wrapping {
            Some(wrapping) => vec![&wrapping.wrapped],
            None => self.keys.iter().map(|key| key.wrapped.as_str()).collect(),
        }
    }

    fn open(&self, cx: &Cx, master: &MasterKey) -> bool {
        let wrapper = match &self.wrapping {
            None => Some(master.clone()),
            Some(wrapping) => unwrap(cx, master, cx.tenant, &wrapping.wrapped).and_then(|around| {
                let place = Place { fleet: &cx.fleet, tenant: cx.tenant, field: WRAPPING_KEY };
                MasterKey::parse(&around.open(&place, &wrapping.sealed).ok()?)
            }),
        };
        wrapper.is_some_and(|wrapper| {
            self.keys.iter().all(|key| unwrap(cx, &wrapper, cx.tenant, &key.wrapped).is_some())
        })
    }
}

fn unwrap(cx: &Cx, master: &MasterKey, tenant: TenantId, text: &str) -> Option<DataKey> {
    master.unwrap(&cx.fleet, tenant, &BASE64.decode(text).ok()?).ok()
}

fn path(root: &Path, tenant: TenantId) -> PathBuf {
    root.join(format!("{tenant}.keys"))
}

/// The file is ours, its keys open with the master key, and the newest is the one that was made.
pub(crate) fn keys(root: &Path, cx: &Cx, master: &MasterKey, made: &Output) -> io::Result<State> {
    if root.join(&made.path) != path(root, cx.tenant) {
        return Ok(State::Failed("the keys lie under another name than the tenant's".to_owned()));
    }
    let Some(keys) = read(&path(root, cx.tenant))?.filter(|keys| cx.owns(&keys.owner)) else {
        return Ok(State::Failed("there is no key file with an owner tag of ours".to_owned()));
    };
    if !keys.open(cx, master) {
        return Ok(State::Failed("the keys do not open with the master key".to_owned()));
    }
    let newest = keys.keys.last().is_some_and(|newest| newest.id == made.key);
    let same = newest && keys.level == made.level && keys.keys.len() == made.generation as usize;
    Ok(State::when(same, "the newest key is not the one that was made"))
}

/// What opens for the wrong tenant, and what others may read: each attempt with the words for what was possible.
pub(crate) fn probes(
    root: &Path,
    cx: &Cx,
    master: &MasterKey,
) -> io::Result<Vec<(&'static str, Option<&'static str>)>> {
    let file = path(root, cx.tenant);
    let Some(own) = read(&file)? else { return Ok(Vec::new()) };
    let mut ours = own.outermost().into_iter();
    let strangers = [TenantId(Uuid::nil()), TenantId(Uuid::from_u128(!cx.tenant.0.as_u128()))];
    let neighbours = neighbours(root, cx)?;
    let opens = ours.any(|text| {
        let mut others = strangers.iter().chain(&neighbours);
        others.any(|other| unwrap(cx, master, *other, text).is_some())
    });
    let mut theirs = false;
    for neighbour in neighbours {
        let keys = read(&path(root, neighbour))?;
        theirs |= keys.is_some_and(|keys| {
            keys.outermost().into_iter().any(|text| unwrap(cx, master, cx.tenant, text).is_some())
        });
    }
    let private = |path: &Path| Ok::<_, io::Error>(path.symlink_metadata()?.mode() & 0o077 == 0);
    let shut = private(&file)? && private(root)?;
    let leak = |leaks: bool, what: &'static str| leaks.then_some(what);
    Ok(vec![
        ("secrets.as-another-tenant", leak(opens, "a key of the tenant opens as another tenant's")),
        ("secrets.keys-of-another-tenant", leak(theirs, "a key of another tenant opens as the tenant's")),
        ("secrets.mode", leak(!shut, "others than the owner may read the key file")),
    ])
}

/// Other tenants that have key files.
fn neighbours(root: &Path, cx: &Cx) -> io::Result<Vec<TenantId>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".keys")).and_then(|id| id.parse().ok());
        match id {
            Some(id) if id != cx.tenant => found.push(id),
            _ => {}
        }
        if found.len() == NEIGHBOURS {
            break;
        }
    }
    Ok(found)
}

/// A key file; `None` where there is none that could be one.
fn read(path: &Path) -> io::Result<Option<Keys>> {
    let meta = match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        meta => meta?,
    };
    if !meta.is_file() || meta.len() > LARGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes).ok())
}
