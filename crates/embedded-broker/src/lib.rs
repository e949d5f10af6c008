//! A small broker that speaks Kafka's protocol, for running everything in one process and for tests. One node, loopback only,
//! no transactions, no access control. What it acknowledged survives a kill of the process, though not a loss of power.
//!
//! `wire` reads requests and hands them to `produce`, `fetch`, `groups_api`, `admin` and `configs`; those work on `store` (topics,
//! each partition a `log` of `segment`s), `offsets` and `groups`.

mod admin;
mod batch;
mod configs;
mod fetch;
mod frame;
mod groups;
mod groups_api;
mod journal;
mod log;
mod offsets;
mod offsets_api;
mod produce;
mod producers;
mod segment;
mod settings;
mod shape;
mod store;
mod topic;
mod wire;

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::groups::Group;
use crate::offsets::Offsets;
use crate::store::{Store, lock};

/// Time between two looks for records that are no longer kept.
const RETENTION_EVERY: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted, for want of descriptors as a rule.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks whether everything has ended.
const STOP_PAUSE: Duration = Duration::from_millis(1);

/// How to run a broker.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is kept; made if it is not there. One broker at a time.
    pub data_dir: PathBuf,
    /// Port on 127.0.0.1. 0 takes the one of the last run if it is free, else any free one.
    pub port: u16,
    /// Largest request accepted, in bytes.
    pub max_frame_bytes: usize,
}

impl Options {
    /// Any free port, requests of up to 100 MiB.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Options { data_dir: data_dir.into(), port: 0, max_frame_bytes: 100 << 20 }
    }
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    #[error(
        "broker_io: could not {what} {path}: {source}; check that the place exists, is writable and has room"
    )]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another broker runs on the data directory.
    #[error("broker_locked: another broker uses {path}; stop it, or choose another data directory")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// A journal was damaged by something else than a crash.
    #[error(
        "broker_corrupt: line {line} of {path} does not match its checksum; restore the file from a backup, or move it away and start empty"
    )]
    Corrupt {
        /// The journal.
        path: PathBuf,
        /// The first line that is wrong, from 1.
        line: usize,
    },
    /// The port cannot be had.
    #[error("broker_port: could not listen on {address}: {source}; choose another port, or 0 for a free one")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl Error {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Io { .. } => "broker_io",
            Error::Locked { .. } => "broker_locked",
            Error::Corrupt { .. } => "broker_corrupt",
            Error::Listen { .. } => "broker_port",
        }
    }

    pub(crate) fn io(what: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::Io { what, path: path.to_owned(), source }
    }
}

/// A running broker. Dropping it stops it soon; [`Broker::stop`] waits until the data directory is free.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) offsets: Mutex<Offsets>,
    pub(crate) groups: Mutex<HashMap<String, Group>>,
    /// Something may be due earlier than the reaper of silent members knows.
    pub(crate) groups_changed: Notify,
    pub(crate) address: SocketAddr,
    pub(crate) max_frame_bytes: usize,
    /// Held as long as anything of this broker lives.
    _lock: File,
}

impl Broker {
    /// Opens the data directory and listens.
    ///
    /// # Errors
    /// [`Error`] says what to do.
    pub async fn start(options: Options) -> Result<Broker, Error> {
        let dir = &options.data_dir;
        fs::create_dir_all(dir).map_err(|source| Error::io("make the directory", dir, source))?;
        let lock = lock_dir(dir)?;
        let store = Store::open(dir)?;
        let offsets = Offsets::open(dir)?;
        let listener = listen(dir, options.port).await?;
        let address = listener.local_addr().map_err(|source| Error::io("read the port of", dir, source))?;
        let shared = Arc::new(Shared {
            store,
            offsets: Mutex::new(offsets),
            groups: Mutex::default(),
            groups_changed: Notify::new(),
            address,
            max_frame_bytes: options.max_frame_bytes,
            _lock: lock,
        });
        tracing::info!(%address, dir = %dir.display(), "the embedded broker listens");
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(shared, listener, stopped));
        Ok(Broker { address, stop, task })
    }

    /// Where clients connect to: 127.0.0.1 and the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops, and returns when port and data directory are free again.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Err(error) = (&mut self.task).await {
            tracing::error!(%error, "the broker ended badly");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(shared: Arc<Shared>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(expel_silent_members(shared.clone()));
    tasks.spawn(enforce_retention(shared.clone()));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => drop(tasks.spawn(serve(shared.clone(), stream, peer))),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the broker ended badly");
                }
            }
            _ = stopped.changed() => break,
        }
    }
    tasks.shutdown().await;
    // A thread that deletes old records may still hold on to the directory.
    while Arc::strong_count(&shared) > 1 {
        tokio::time::sleep(STOP_PAUSE).await;
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    match wire::serve(&shared, stream, peer).await {
        Ok(()) => tracing::debug!(%peer, "a client hung up"),
        Err(error) => tracing::debug!(%peer, %error, "a connection is closed"),
    }
}

async fn expel_silent_members(shared: Arc<Shared>) {
    loop {
        let due = {
            let mut groups = lock(&shared.groups);
            let now = Instant::now();
            let due = groups.values_mut().filter_map(|group| group.tick(now)).min();
            groups.retain(|_, group| !group.is_deserted());
            due
        };
        let changed = shared.groups_changed.notified();
        match due {
            Some(due) => drop(tokio::time::timeout_at(due.into(), changed).await),
            None => changed.await,
        }
    }
}

async fn enforce_retention(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(RETENTION_EVERY).await;
        let shared = shared.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || shared.store.enforce_retention()).await {
            tracing::error!(%error, "the deletion of old records ended badly");
        }
    }
}

fn lock_dir(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = File::create(&path).map_err(|source| Error::io("make the file", &path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Error::io("lock the file", &path, source)),
    }
}

/// Listens on `port`, or for 0 on the port of the last run, else on any; and remembers which.
async fn listen(dir: &Path, port: u16) -> Result<TcpListener, Error> {
    let path = dir.join("port");
    let last = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
    let bind = |port: u16| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = match (port, last) {
        (0, Some(last)) => match bind(last).await {
            Ok(listener) => Ok(listener),
            Err(_) => bind(0).await,
        },
        (port, _) => bind(port).await,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = listener.map_err(|source| Error::Listen { address, source })?;
    let port = listener.local_addr().map_err(|source| Error::Listen { address, source })?.port();
    journal::replace(&path, port.to_string().as_bytes())?;
    Ok(listener)
}
