//! Who runs the server, and whether that account can reach a folder.
//!
//! PostgreSQL refuses to run as root; as root we therefore lend it an unprivileged account. `initdb` asks for the
//! account's name, so it must have an entry in the user database.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User, geteuid};

use crate::Error;

/// The account that runs the server.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// We are root and give our rights up for the server.
    lent: bool,
}

impl Account {
    /// Chooses the account: ourselves; as root the owner of existing `data`, else `postgres`, else `nobody`.
    pub(crate) fn choose(data: &Path) -> Result<Account, Error> {
        let me = geteuid();
        let owner = std::fs::metadata(data).ok().map(|found| found.uid());
        let not_ours = |owner, why| Error::Owner { path: data.to_owned(), owner, why };
        if !me.is_root() {
            return match owner {
                Some(owner) if owner != me.as_raw() => Err(not_ours(owner, "only its owner may run it")),
                _ => Ok(Account {
                    name: me.to_string(),
                    uid: me.as_raw(),
                    gid: nix::unistd::getegid().as_raw(),
                    lent: false,
                }),
            };
        }
        let user = match owner {
            Some(0) => return Err(not_ours(0, "PostgreSQL refuses to run as root")),
            Some(owner) => User::from_uid(Uid::from_raw(owner))
                .ok()
                .flatten()
                .ok_or_else(|| not_ours(owner, "this user has no account"))?,
            None => ["postgres", "nobody"]
                .iter()
                .find_map(|name| User::from_name(name).ok().flatten())
                .ok_or(Error::NoAccount)?,
        };
        Ok(Account { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), lent: true })
    }

    /// Gives a file or folder of ours to the account.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        if self.lent {
            chown(path, Some(self.uid), Some(self.gid))
                .map_err(Error::files("cannot change the owner of", path))
        } else {
            Ok(())
        }
    }

    /// Fails, with advice, if the account cannot enter `path` or a folder above it.
    pub(crate) fn check_reach(&self, path: &Path, suggestion: PathBuf) -> Result<(), Error> {
        match self.blocked_by(path) {
            None => Ok(()),
            Some(blocked_by) => Err(Error::Unreachable {
                path: path.to_owned(),
                blocked_by,
                account: self.name.clone(),
                suggestion,
            }),
        }
    }

    /// Whether the account can enter the folder `path`.
    pub(crate) fn reaches(&self, path: &Path) -> bool {
        self.blocked_by(path).is_none()
    }

    /// The topmost folder on the way to `path` that the account cannot enter. Folders that do not exist yet do not count.
    fn blocked_by(&self, path: &Path) -> Option<PathBuf> {
        if !self.lent {
            return None;
        }
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        let closed = |folder: &&&Path| {
            std::fs::metadata(folder).is_ok_and(|found| {
                let bit = match (found.uid() == self.uid, found.gid() == self.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                found.mode() & bit == 0
            })
        };
        way.iter().find(closed).map(|folder| folder.to_path_buf())
    }

    /// Prepares a program of PostgreSQL: under the account, in the folder given, without any `PG*` variable or locale of ours.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .current_dir(folder);
        // Its own process group: Ctrl-C in a terminal reaches us, and we decide when the database ends.
        command.process_group(0);
        if self.lent {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_below_a_closed_one_is_named_with_the_one_that_is_closed() {
        let base = tempfile::tempdir_in("/tmp").expect("a temporary folder");
        let closed = base.path().join("closed");
        let inside = closed.join("inside");
        std::fs::create_dir_all(&inside).expect("folders");
        std::fs::set_permissions(base.path(), std::fs::Permissions::from_mode(0o755)).expect("mode");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("mode");
        let stranger = Account { name: "stranger".into(), uid: 4_000_000, gid: 4_000_000, lent: true };
        assert_eq!(stranger.blocked_by(&inside.join("new")), Some(closed.clone()));
        let error = stranger.check_reach(&inside, PathBuf::from("/somewhere")).expect_err("closed");
        assert_eq!(error.code(), "postgres_unreachable_for_account");
        assert!(error.to_string().contains("/somewhere"), "{error}");
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o711)).expect("mode");
        assert!(stranger.reaches(&inside));
    }
}
