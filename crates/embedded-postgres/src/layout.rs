//! The data directory: what lies where, and the files that are ours to write.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::account::Account;
use crate::{Error, Options, suggested_data_dir};

/// The paths of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// The data directory, absolute, without links.
    pub(crate) root: PathBuf,
    /// PostgreSQL's own files.
    pub(crate) data: PathBuf,
    /// The server's logs.
    pub(crate) log: PathBuf,
}

impl Layout {
    /// Makes the data directory if it is missing.
    pub(crate) fn open(wanted: &Path) -> Result<Layout, Error> {
        let wanted =
            std::path::absolute(wanted).map_err(Error::files("cannot use the data directory", wanted))?;
        // Open to pass through: what is secret inside is closed by itself, and the server's account has to get to its part.
        make_open_folder(&wanted)?;
        let root = wanted.canonicalize().map_err(Error::files("cannot use the data directory", &wanted))?;
        if root.join("PG_VERSION").exists() {
            return Err(Error::Foreign {
                path: root,
                why: "it is a PostgreSQL cluster made by somebody else",
            });
        }
        Ok(Layout { data: root.join("data"), log: root.join("log"), root })
    }

    /// Takes the cluster for this process, until the file is dropped or the process ends.
    pub(crate) fn lock(&self) -> Result<File, Error> {
        let path = self.root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::files("cannot open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: self.root.clone() }),
            Err(TryLockError::Error(error)) => Err(Error::files("cannot lock", &path)(error)),
        }
    }

    /// The major version of the data, if there are any.
    pub(crate) fn existing(&self) -> Result<Option<u32>, Error> {
        if !self.data.exists() {
            return Ok(None);
        }
        let path = self.data.join("PG_VERSION");
        let text = std::fs::read_to_string(&path).map_err(Error::files("cannot read", &path))?;
        let major = text
            .trim()
            .parse()
            .map_err(|_| Error::Foreign { path: self.root.clone(), why: "data/PG_VERSION is no number" })?;
        Ok(Some(major))
    }

    /// Fails if the server's account cannot get here.
    pub(crate) fn check_reach(&self, account: &Account) -> Result<(), Error> {
        account.check_reach(&self.root, suggested_data_dir())
    }

    /// The folder of the logs, writable for the server.
    pub(crate) fn make_log_folder(&self, account: &Account) -> Result<(), Error> {
        if !self.log.exists() {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(&self.log)
                .map_err(Error::files("cannot make", &self.log))?;
            account.give(&self.log)?;
        }
        Ok(())
    }

    /// The password of the role, made if it is missing and `make` allows it.
    pub(crate) fn password(&self, make: bool) -> Result<String, Error> {
        let path = self.root.join("password");
        if make && !path.exists() {
            // 244 bits from the system's source of entropy.
            let made = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            write_private(&path, &made)?;
        }
        std::fs::read_to_string(&path)
            .map(|text| text.trim().to_owned())
            .map_err(Error::files("cannot read the password in", &path))
    }

    /// The port of last time.
    pub(crate) fn last_port(&self) -> Option<u16> {
        std::fs::read_to_string(self.root.join("port")).ok()?.trim().parse().ok()
    }

    /// Writes the server's settings and who may connect.
    pub(crate) fn write_settings(&self, options: &Options, port: u16) -> Result<(), Error> {
        let text = settings(self, options, port);
        self.write("postgresql.conf", &text)?;
        self.write("pg_hba.conf", "# Written at every start. One role, by password, from this machine.\nhost all all 127.0.0.1/32 scram-sha-256\n")?;
        self.write("port", &format!("{port}\n"))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        std::fs::write(&path, text).map_err(Error::files("cannot write", &path))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
            .map_err(Error::files("cannot set the mode of", &path))
    }

    /// The ends of the logs, for an error text.
    pub(crate) fn log_tail(&self) -> String {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(&self.log).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort_by_key(|path| {
            std::fs::metadata(path).map(|found| (found.mtime(), found.mtime_nsec())).unwrap_or_default()
        });
        let tails: Vec<String> = files
            .iter()
            .rev()
            .take(2)
            .rev()
            .filter_map(|path| tail(path, 1500))
            .filter(|text| !text.is_empty())
            .collect();
        if tails.is_empty() { "(empty)".to_owned() } else { tails.join("\n") }
    }
}

/// Makes a folder, and those above it that are missing, so that every account may pass through, whatever the umask is.
pub(crate) fn make_open_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_open_folder(above)?;
    }
    match std::fs::create_dir(path) {
        // Another process was faster.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)),
    }
    .map_err(Error::files("cannot make the folder", path))
}

/// Writes a file that only we may read, in one step.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || {
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(Error::files("cannot write", path))
}

/// The last bytes of a file as text.
fn tail(path: &Path, bytes: u64) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(bytes))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    Some(String::from_utf8_lossy(&end).trim().to_owned())
}

/// The settings, for a small private server whose log holds no statement and no row: both may carry personal data.
fn settings(layout: &Layout, options: &Options, port: u16) -> String {
    let quoted = |path: &Path| format!("'{}'", path.to_string_lossy().replace('\'', "''"));
    let durable = if options.fsync {
        "fsync = on\nsynchronous_commit = on\nfull_page_writes = on"
    } else {
        "fsync = off\nsynchronous_commit = off\nfull_page_writes = off"
    };
    format!(
        "# Written at every start. Your own settings: ALTER SYSTEM SET name = value.
data_directory = {data}
hba_file = {hba}
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
cluster_name = 'tenantry'
max_connections = {connections}
password_encryption = 'scram-sha-256'
shared_buffers = 64MB
wal_level = replica
max_wal_senders = 0
{durable}
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = {log}
log_filename = 'postgresql-%a.log'
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_min_error_statement = panic
log_error_verbosity = terse
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
",
        data = quoted(&layout.data),
        hba = quoted(&layout.root.join("pg_hba.conf")),
        log = quoted(&layout.log),
        connections = options.max_connections,
    )
}
