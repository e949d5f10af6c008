//! The provider is a directory of envelopes, each under its receipt's digest and written once, and in PostgreSQL, with
//! which the operator's `--tenants-url` connects, the index: which receipts a tenant has.
//!
//! The index is written first and keeps the time of sealing, so that a second try after a crash writes the same bytes.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::Time;
use tenantry_contracts::steps::receipt::{Output, Sealing};
use tenantry_step::Cx;
use tenantry_step::files::{remove, write_whole};

use crate::envelope;

/// Larger than any envelope or key of ours.
const LARGEST: u64 = 256 * 1024;

/// A tenant's entry in the index. Ids and digests only: who asked and who validated stand in the receipts alone.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// When the receipts were sealed.
    pub(crate) at: Time,
    pub(crate) output: Output,
    /// Digests of receipts that were sealed from earlier inputs. They stay: they were true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) earlier: Vec<String>,
}

impl Entry {
    /// Digests of all receipts of the tenant.
    pub(crate) fn digests(&self) -> impl Iterator<Item = &String> {
        self.output.receipts.iter().map(|sealing| &sealing.digest).chain(&self.earlier)
    }
}

/// What lies in a receipt's place.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Lying {
    Nothing,
    /// The receipt, soundly signed.
    Sound,
    /// Something else.
    Other,
}

/// The envelope of the receipt with this digest, from the directory `root`. `None` where there is none.
///
/// # Errors
/// The directory cannot be read.
pub fn read(root: &Path, digest: &str) -> io::Result<Option<Vec<u8>>> {
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    whole(&place(root, &digest.to_ascii_lowercase()))
}

/// The public key with this id, from the directory `root`. `None` where there is none.
///
/// # Errors
/// The directory cannot be read, or the file holds another key.
pub fn public_key(root: &Path, id: &str) -> io::Result<Option<VerifyingKey>> {
    if !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let Some(pem) = whole(&key_place(root, id))? else { return Ok(None) };
    let pem = String::from_utf8_lossy(&pem);
    let key = VerifyingKey::from_public_key_pem(&pem).ok().filter(|key| envelope::key_id(key) == id);
    key.map(Some).ok_or_else(|| io::Error::from(ErrorKind::InvalidData))
}

/// What lies where the receipt belongs, signed with the key of this id.
pub(crate) fn lying(root: &Path, sealing: &Sealing, key: &VerifyingKey) -> io::Result<Lying> {
    let Some(envelope) = whole(&place(root, &sealing.digest))? else { return Ok(Lying::Nothing) };
    let receipt = envelope::open(&envelope, key).ok();
    let sound = receipt.is_some_and(|receipt| hex::encode(Sha256::digest(receipt)) == sealing.digest);
    Ok(if sound { Lying::Sound } else { Lying::Other })
}

/// Writes an envelope where nothing lies. Nobody may write it again.
pub(crate) fn keep(root: &Path, cx: &Cx, digest: &str, envelope: &[u8]) -> io::Result<()> {
    write_once(root, cx, &place(root, digest), envelope)
}

/// Writes the public key with this id for those who verify, once.
///
/// # Errors
/// [`ErrorKind::InvalidData`] where another key lies under this id.
pub(crate) fn keep_key(root: &Path, cx: &Cx, id: &str, pem: &str) -> io::Result<()> {
    match public_key(root, id)? {
        Some(_) => Ok(()),
        None => write_once(root, cx, &key_place(root, id), pem.as_bytes()),
    }
}

/// Removes the receipts with these digests, and what was being written. What is not the receipt of that digest stays.
pub(crate) fn withdraw(root: &Path, cx: &Cx, digests: &[String]) -> io::Result<()> {
    remove(&draft(root, cx))?;
    for digest in digests {
        let path = place(root, digest);
        if whole(&path)?.is_some_and(|envelope| envelope::holds(&envelope, digest)) {
            remove(&path)?;
            path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())?;
        }
    }
    Ok(())
}

fn place(root: &Path, digest: &str) -> PathBuf {
    root.join(&digest[..2]).join(format!("{digest}.json"))
}

fn key_place(root: &Path, id: &str) -> PathBuf {
    root.join("keys").join(format!("{id}.pub.pem"))
}

/// What is being written for a tenant; its lock is held.
fn draft(root: &Path, cx: &Cx) -> PathBuf {
    root.join(format!(".{}.tmp", cx.tenant.simple()))
}

fn write_once(root: &Path, cx: &Cx, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        File::open(root)?.sync_all()?;
    }
    write_whole(path, &draft(root, cx), bytes)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o400))
}

/// What stands in a file. What cannot be one of ours is as good as empty.
fn whole(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(meta) if !meta.is_file() || meta.len() > LARGEST => Ok(Some(Vec::new())),
        Ok(_) => std::fs::read(path).map(Some),
    }
}
