//! The data directory of `tenantry up`: who may use it, what is kept in it from run to run, and how others find it.
//!
//! | name | what |
//! |---|---|
//! | `broker/`, `postgres/` | what the embedded broker and the private PostgreSQL hold |
//! | `outbox/`, `storage/`, `secrets/`, `receipts/` | mails, tenants' files, tenants' sealed keys, receipts |
//! | `identity.json` | the fleet's name and the member id of the groups, stable across restarts |
//! | `master.key` | what wraps the tenants' keys, mode 0600: keep a copy, without it nothing sealed opens |
//! | `receipt.key` | what signs receipts, mode 0600 |
//! | `signer.key` | what signs the audit, mode 0600 |
//! | `signer/`, `witness/` | what the signer remembers, and its witness |
//! | `http.json` | where `/metrics` was last, taken again if it is free |
//! | `lock` | held while `up` runs |
//! | `up.json` | where everything is while `up` runs, mode 0600 since it holds the database's password |

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tenantry_contracts::{Fleet, MasterKey};
use tenantry_ports::Entropy;

use crate::clock::OsEntropy;
use crate::fleet::Places;
use crate::out::{self, Refused, failed, usage};
use crate::settings::{Governance, Secret};

use super::files::{make_open, read_json, unusable, write_json, write_private};

/// A data directory.
#[derive(Clone, Debug)]
pub struct Home {
    dir: PathBuf,
}

/// Held by the one process that uses a data directory; free again when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// What stays the same from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The fleet's name. Everything sealed is bound to it.
    pub fleet: Fleet,
    /// The static member id in the groups of coordinators and of workers.
    pub member: String,
}

/// Where everything of a running `up` is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// The fleet's name.
    pub fleet: Fleet,
    /// How many lanes there are.
    pub lanes: u16,
    /// The brokers.
    pub brokers: String,
    /// How they are reached.
    #[serde(default)]
    pub kafka_properties: Vec<(String, String)>,
    /// The store, password included.
    pub database_url: String,
    /// The tenants' database, password included.
    pub tenants_url: String,
    /// Where `/metrics`, `/healthz` and `/readyz` are.
    pub http: SocketAddr,
    /// The workers' folders.
    pub places: Places,
    /// The rules that it runs under.
    pub governance: Governance,
}

impl Home {
    /// Opens a data directory, and makes it where it is missing. The account that runs PostgreSQL passes through it, so
    /// it is open; what is secret in it is closed by itself.
    ///
    /// # Errors
    /// Where it cannot be made or written.
    pub fn open(dir: &Path) -> Result<Self, Refused> {
        let refused = |error: std::io::Error| unusable(dir, &error);
        let dir = std::path::absolute(dir).map_err(refused)?;
        make_open(&dir).map_err(refused)?;
        let dir = dir.canonicalize().map_err(refused)?;
        Ok(Self { dir })
    }

    /// The directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A folder in it that only this account can look into.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn closed(&self, name: &str) -> Result<PathBuf, Refused> {
        let path = self.dir.join(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| unusable(&path, &error))?;
        Ok(path)
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// `already_running` where another process has it.
    pub fn lock(&self) -> Result<Lock, Refused> {
        let path = self.dir.join("lock");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(0o644).open(&path);
        let file = file.map_err(|error| unusable(&path, &error))?;
        let mut looks = 3;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
                // Somebody who only looks whether `up` runs holds it for a moment.
                Err(TryLockError::WouldBlock) if looks > 0 => std::thread::sleep(Duration::from_millis(20)),
                Err(TryLockError::WouldBlock) => return Err(self.taken()),
            }
            looks -= 1;
        }
    }

    fn taken(&self) -> Refused {
        let who = self.last().map_or_else(String::new, |up| format!(" (process {})", up.pid));
        let dir = self.dir.display();
        let text =
            format!("another `tenantry up`{who} uses {dir}; stop it first, or choose another --data-dir");
        failed("already_running", text)
    }

    /// Reads what stays the same from run to run, or makes it.
    ///
    /// # Errors
    /// Where another fleet lives here.
    pub fn identity(&self, wanted: Option<&Fleet>, entropy: OsEntropy) -> Result<Identity, Refused> {
        let path = self.dir.join("identity.json");
        if let Some(known) = read_json::<Identity>(&path)? {
            return match wanted {
                Some(fleet) if *fleet != known.fleet => Err(usage(
                    "fleet_differs",
                    format!(
                        "{} belongs to fleet {}, not {fleet}; leave --fleet away, or choose another --data-dir",
                        self.dir.display(),
                        known.fleet
                    ),
                )),
                _ => Ok(known),
            };
        }
        let mut bytes = [0; 6];
        entropy.fill(&mut bytes);
        let fleet = wanted.cloned().unwrap_or(Fleet::new("local"));
        let made = Identity { fleet, member: format!("up-{}", hex::encode(bytes)) };
        write_json(&path, &made)?;
        Ok(made)
    }

    /// Reads the master key of this directory, or makes it where nothing was sealed yet.
    ///
    /// # Errors
    /// Where it is gone although there are data, or is no key.
    pub fn master_key(&self, entropy: OsEntropy) -> Result<MasterKey, Refused> {
        let path = self.dir.join("master.key");
        if !path.exists() {
            if self.dir.join("postgres").join("data").exists() {
                return Err(failed(
                    "master_key_missing",
                    format!(
                        "{} is gone, but there are data whose personal fields only it can open; restore it from a copy, \
                         or move {} away to begin anew",
                        path.display(),
                        self.dir.display()
                    ),
                ));
            }
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            write_private(&path, format!("{}\n", hex::encode(bytes)).as_bytes())?;
        }
        read_master_key(&path)
    }

    /// Reads the master key that is kept in this directory, for somebody who opens what the fleet sealed.
    ///
    /// # Errors
    /// Where it cannot be read or is no key.
    pub fn kept_master_key(&self) -> Result<MasterKey, Refused> {
        read_master_key(&self.dir.join("master.key"))
    }

    /// Reads the key of this directory that signs receipts, or makes one.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn receipt_key(&self, entropy: OsEntropy) -> Result<Secret, Refused> {
        let path = self.dir.join("receipt.key");
        if !path.exists() {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            let (pem, _) = tenantry_worker_receipt::Signer::generate(bytes);
            write_private(&path, pem.as_bytes())?;
        }
        Secret::read(&path)
    }

    /// The file with the key of this directory that signs the audit; made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn signer_key_file(&self, entropy: OsEntropy) -> Result<PathBuf, Refused> {
        let path = Self::signer_key_in(&self.dir);
        if !path.exists() {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            let key = tenantry_audit::Signer::from_entropy("audit", bytes).map_err(out::told)?;
            write_private(&path, key.to_pem().as_bytes())?;
        }
        Ok(path)
    }

    /// Where that file lies in a data directory.
    pub fn signer_key_in(dir: &Path) -> PathBuf {
        dir.join("signer.key")
    }

    /// Writes where everything is.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_running(&self, up: &Running) -> Result<(), Refused> {
        write_json(&self.dir.join("up.json"), up)
    }

    /// Forgets where everything was.
    pub fn forget_running(&self) {
        // A leftover is harmless: it is believed only while the lock is held.
        let _ = std::fs::remove_file(self.dir.join("up.json"));
    }

    /// Remembers where `/metrics` is, so that the next run has it there too.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn remember_http(&self, address: SocketAddr) -> Result<(), Refused> {
        write_json(&self.dir.join("http.json"), &address)
    }

    /// Where `/metrics` was in the last run.
    pub fn last_http(&self) -> Option<SocketAddr> {
        read_json(&self.dir.join("http.json")).ok().flatten()
    }

    /// Where everything is of the `up` that ran or runs here, as it left it.
    fn last(&self) -> Option<Running> {
        read_json(&self.dir.join("up.json")).ok().flatten()
    }

    /// Where everything of the `up` is that runs on a directory now; `None` where none does.
    ///
    /// # Errors
    /// Where one runs, and this account may not read where.
    pub fn running(dir: &Path) -> Result<Option<Running>, Refused> {
        let Ok(file) = File::open(dir.join("lock")) else { return Ok(None) };
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return Ok(None);
        }
        read_json(&dir.join("up.json"))
    }
}

/// Reads 64 hexadecimal digits from a file.
///
/// # Errors
/// Where the file cannot be read or is no key.
pub(crate) fn read_master_key(path: &Path) -> Result<MasterKey, Refused> {
    let open_to_all = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0);
    if open_to_all {
        tracing::warn!(path = %path.display(), "every account on this machine can read the master key; close it with chmod 600");
    }
    parse_master_key(Secret::read(path)?.expose(), &path.display().to_string())
}

/// Reads 64 hexadecimal digits.
pub(crate) fn parse_master_key(text: &str, place: &str) -> Result<MasterKey, Refused> {
    MasterKey::parse(text).ok_or_else(|| {
        usage(
            "master_key_invalid",
            format!(
                "{place} is no master key; it has 64 hexadecimal digits (`openssl rand -hex 32` makes one)"
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(&dir.path().join("a/b")).unwrap();
        (dir, home)
    }

    #[test]
    fn identity_and_master_key_stay_the_same_and_are_closed() {
        let (_dir, home) = home();
        let entropy = OsEntropy::open().unwrap();
        let first = home.identity(None, entropy).unwrap();
        assert_eq!(home.identity(None, entropy).unwrap(), first);
        assert_eq!(home.identity(Some(&Fleet::new("other")), entropy).unwrap_err().code, "fleet_differs");
        home.master_key(entropy).unwrap();
        let key = std::fs::read(home.dir().join("master.key")).unwrap();
        home.master_key(entropy).unwrap();
        assert_eq!(std::fs::read(home.dir().join("master.key")).unwrap(), key);
        for name in ["master.key", "identity.json"] {
            let mode = std::fs::metadata(home.dir().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_lost_master_key_is_not_replaced_where_there_are_data() {
        let (_dir, home) = home();
        std::fs::create_dir_all(home.dir().join("postgres/data")).unwrap();
        let refused = home.master_key(OsEntropy::open().unwrap()).unwrap_err();
        assert_eq!(refused.code, "master_key_missing");
    }

    #[test]
    fn what_runs_is_found_only_while_it_runs() {
        let (_dir, home) = home();
        let lock = home.lock().unwrap();
        let up = Running {
            pid: 7,
            fleet: Fleet::new("local"),
            lanes: 4,
            brokers: "127.0.0.1:1".into(),
            kafka_properties: Vec::new(),
            database_url: "postgres://a".into(),
            tenants_url: "postgres://b".into(),
            http: SocketAddr::from(([127, 0, 0, 1], 1)),
            places: Places {
                outbox: "/outbox".into(),
                storage: "/storage".into(),
                secrets: "/secrets".into(),
                receipts: "/receipts".into(),
            },
            governance: Governance::default(),
        };
        home.write_running(&up).unwrap();
        assert_eq!(Home::running(home.dir()).unwrap(), Some(up));
        assert_eq!(home.lock().unwrap_err().code, "already_running");
        drop(lock);
        assert_eq!(Home::running(home.dir()).unwrap(), None);
    }
}
