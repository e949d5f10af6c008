//! How files of the data directory are written and read: closed to others, and in one step that a crash cannot halve.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::out::{Refused, failed};

pub(super) fn unusable(path: &Path, error: &std::io::Error) -> Refused {
    failed(
        "data_dir_unusable",
        format!("{}: {error}; choose a --data-dir that this user can write", path.display()),
    )
}

pub(super) fn make_open(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(above) = dir.parent() {
        make_open(above)?;
    }
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
        // Whatever the umask is.
        Ok(()) => std::fs::set_permissions(dir, Permissions::from_mode(0o755)),
    }
}

/// `None` where there is no such file.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Refused> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(failed(
                "data_dir_unreadable",
                format!("{}: {error}; run this as the user who runs `tenantry up`", path.display()),
            ));
        }
    };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| {
        failed("data_dir_damaged", format!("{}: {error}; restore the file, or remove it", path.display()))
    })
}

pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Refused> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| failed("internal", format!("{}: {error}; report this", path.display())))?;
    write_private(path, &bytes)
}

/// Writes a file that only this account can read, in one step that a crash cannot halve.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Refused> {
    let new = path.with_extension("new");
    let write = || {
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|error| unusable(path, &error))
}
