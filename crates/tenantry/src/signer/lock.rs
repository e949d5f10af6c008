//! The signer's folder belongs to one process, so that two on one machine never write two logs.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::out::failed;
use crate::trail::Trouble;

/// Held by the one process that signs; free again when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder, and makes it where it is missing.
    pub(super) fn take(dir: &Path) -> Result<Self, Trouble> {
        closed(dir)?;
        let path = dir.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.map_err(Trouble::file(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::Error(error)) => Err(Trouble::file(&path)(error)),
            Err(TryLockError::WouldBlock) => {
                let dir = dir.display();
                let text =
                    format!("another signer works in {dir}; a fleet has exactly one: stop the other first");
                Err(Trouble::Passing(failed("signer_running", text)))
            }
        }
    }
}

/// A folder that only this account can look into.
pub(super) fn closed(dir: &Path) -> Result<(), Trouble> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(Trouble::file(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signer_is_refused_until_the_first_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(&dir.path().join("signer")).unwrap();
        let refused = Lock::take(&dir.path().join("signer")).unwrap_err();
        assert!(refused.to_string().starts_with("signer_running: "), "{refused}");
        drop(first);
        Lock::take(&dir.path().join("signer")).unwrap();
    }
}
