//! The cluster from the first start to the end.

use std::fs::File;
use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tokio_postgres::error::SqlState;

use crate::account::Account;
use crate::binaries::{self, Binaries};
use crate::layout::{Layout, write_private};
use crate::server::Server;
use crate::sql::{self, Address, Identity, ROLE};
use crate::{Error, Options, leftover};

/// Recovery after a crash reads up to a gigabyte of log before it lets anybody in.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// For `initdb`, which takes two seconds on a quiet machine.
const INITDB_PATIENCE: Duration = Duration::from_secs(180);
/// For the end of the server when the cluster is dropped without `stop`.
const DROP_PATIENCE: Duration = Duration::from_secs(5);
/// Where a new cluster looks for its port.
const PORTS: Range<u16> = 20_000..30_000;
/// A port can be taken by somebody else between our look and the server's.
const PORT_TRIES: usize = 5;

/// A running private PostgreSQL cluster. Dropped, it is stopped as well as that goes without waiting long.
pub struct Cluster {
    layout: Layout,
    address: Address,
    version: String,
    /// `None` once it was stopped.
    server: Option<Server>,
    /// Says to other processes that the cluster has an owner; `None` once the server was killed.
    lock: Option<File>,
}

impl Cluster {
    /// Makes the cluster if it is new, starts it, and waits until it answers.
    ///
    /// # Errors
    /// With a stable code and advice: no server can be found or fetched, its account cannot reach the folder, another
    /// process owns the cluster, or the server does not come up.
    pub async fn start(options: Options) -> Result<Cluster, Error> {
        let layout = Layout::open(&options.data_dir)?;
        let lock = layout.lock()?;
        let account = Account::choose(&layout.data)?;
        layout.check_reach(&account)?;
        let existing = layout.existing()?;
        if existing.is_some() {
            if let Some((server, address, identity)) = leftover::take_over(&layout, &options).await? {
                return Ok(Cluster {
                    layout,
                    address,
                    version: identity.version,
                    server: Some(server),
                    lock: Some(lock),
                });
            }
            leftover::wait_for_orphans(&layout.data).await;
        }
        let binaries = binaries::find(&options, existing, &account).await?;
        if existing.is_none() {
            initialise(&binaries, &layout, &account, options.fsync).await?;
        }
        layout.make_log_folder(&account)?;
        let (server, address, identity) = run(&binaries, &layout, &account, &options).await?;
        tracing::info!(data = %layout.root.display(), port = address.port, version = identity.version, programs = %binaries.bin.display(), "private PostgreSQL is ready");
        Ok(Cluster { layout, address, version: identity.version, server: Some(server), lock: Some(lock) })
    }

    /// The URL of a database, password included: `postgres://tenantry:...@127.0.0.1:port/database`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// Makes a database, if it is missing.
    ///
    /// # Errors
    /// The name is empty, longer than 63 bytes or has a NUL; or PostgreSQL refuses.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        if !sql::is_name(name) {
            return Err(Error::DatabaseName { name: name.to_owned() });
        }
        let failed = |source| Error::Sql {
            what: format!("making database {name}"),
            path: self.layout.root.clone(),
            source,
        };
        let client = self.address.connect().await.map_err(failed)?;
        if client
            .query_opt("select 1 from pg_database where datname = $1", &[&name])
            .await
            .map_err(failed)?
            .is_some()
        {
            return Ok(());
        }
        match client.batch_execute(&format!("create database {}", sql::quote(name))).await {
            // Somebody else made it in between.
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
            other => other.map_err(failed),
        }
    }

    /// The process id of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.as_ref().map_or(0, Server::pid)
    }

    /// Where everything of the cluster lies, absolute.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.layout.root
    }

    /// The server's version, as it says it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Stops the server: clients are cut off, everything is written. Waits for its end, at most 50 s.
    ///
    /// # Errors
    /// The process is still there after all that.
    pub async fn stop(mut self) -> Result<(), Error> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        if server.stop().await {
            Ok(())
        } else {
            Err(Error::Stop { path: self.layout.root.clone(), pid: server.pid() })
        }
    }

    /// `kill -9` of the server, for tests of crashes. Its data stay; the next start on the same folder recovers.
    pub fn kill(&mut self) {
        if let Some(server) = &mut self.server {
            server.end(Signal::SIGKILL, DROP_PATIENCE);
        }
        self.lock = None;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            server.end(Signal::SIGINT, DROP_PATIENCE);
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the password.
        f.debug_struct("Cluster")
            .field("data_dir", &self.layout.root)
            .field("port", &self.address.port)
            .finish_non_exhaustive()
    }
}

/// Makes the files of a new cluster. They appear by one rename, so a process that is killed half-way leaves no half cluster.
async fn initialise(
    binaries: &Binaries,
    layout: &Layout,
    account: &Account,
    fsync: bool,
) -> Result<(), Error> {
    let new = layout.root.join("data.new");
    if new.exists() {
        std::fs::remove_dir_all(&new).map_err(Error::files("cannot remove an unfinished cluster", &new))?;
    }
    std::fs::create_dir(&new).map_err(Error::files("cannot make", &new))?;
    account.give(&new)?;
    let handed = layout.root.join("initdb.password");
    write_private(&handed, &layout.password(true)?)?;
    account.give(&handed)?;
    let mut command = account.command(&binaries.bin.join("initdb"), &layout.root);
    command.args([
        "--username",
        ROLE,
        "--auth",
        "scram-sha-256",
        "--encoding",
        "UTF8",
        "--locale",
        "C",
        "--data-checksums",
    ]);
    command.arg("--pwfile").arg(&handed).arg("-D").arg(&new).stdin(Stdio::null());
    if !fsync {
        command.arg("--no-sync");
    }
    let mut command = tokio::process::Command::from(command);
    let done = tokio::time::timeout(INITDB_PATIENCE, command.kill_on_drop(true).output()).await;
    let _ = std::fs::remove_file(&handed);
    let failed = |output: String| Error::Initdb { path: layout.root.clone(), output };
    let done = done.map_err(|_| failed(format!("not finished after {} s", INITDB_PATIENCE.as_secs())))?;
    let done = done.map_err(|error| failed(error.to_string()))?;
    if !done.status.success() {
        return Err(failed(format!("{} {}", String::from_utf8_lossy(&done.stderr).trim(), done.status)));
    }
    std::fs::rename(&new, &layout.data).map_err(Error::files("cannot rename to", &layout.data))
}

/// Starts the server and waits until it answers; with another port if somebody took ours.
async fn run(
    binaries: &Binaries,
    layout: &Layout,
    account: &Account,
    options: &Options,
) -> Result<(Server, Address, Identity), Error> {
    let password = layout.password(false)?;
    let mut wanted = layout.last_port();
    let mut tries = 0;
    loop {
        let port = free_port(wanted.take()).map_err(Error::files("no free port for", &layout.root))?;
        let address = Address { port, password: password.clone() };
        layout.write_settings(options, port)?;
        let mut server = Server::spawn(binaries, layout, account)?;
        match ready(&mut server, &address, layout).await {
            Ok(identity) => return Ok((server, address, identity)),
            Err(error) => {
                server.stop().await;
                tries += 1;
                if tries >= PORT_TRIES || is_free(port) {
                    return Err(error);
                }
            }
        }
    }
}

/// Waits until the server answers as the one of these data.
async fn ready(server: &mut Server, address: &Address, layout: &Layout) -> Result<Identity, Error> {
    let failed = |why: String| Error::Start { path: layout.root.clone(), why, log: layout.log_tail() };
    let end = Instant::now() + START_PATIENCE;
    loop {
        if let Some(identity) = address.identify().await
            && Path::new(&identity.data_directory) == layout.data
        {
            return Ok(identity);
        }
        if !server.alive() {
            return Err(failed("ended while it started".to_owned()));
        }
        if Instant::now() >= end {
            return Err(failed(format!("did not answer within {} s", START_PATIENCE.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The port wanted, if it is free, else one by chance. Always below the range from which systems take the ports of outgoing
/// connections: while the server is down, a client that tries again and again could else be given the server's own port.
fn free_port(wanted: Option<u16>) -> std::io::Result<u16> {
    let chance = || {
        let [one, two, ..] = uuid::Uuid::new_v4().into_bytes();
        PORTS.start + u16::from_be_bytes([one, two]) % (PORTS.end - PORTS.start)
    };
    let candidates = wanted.into_iter().chain(std::iter::repeat_with(chance).take(200));
    candidates
        .into_iter()
        .find(|port| is_free(*port))
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::AddrInUse))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
