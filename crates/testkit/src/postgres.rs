//! One PostgreSQL for all tests of a process, and a database of its own for each.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;
use tempfile::TempDir;
use tenantry_embedded_postgres::{Cluster, Options};
use tokio::sync::OnceCell;

use crate::guard::Guard;

/// A cluster in a temporary folder. Its commits are not on the disk: nothing here outlives the tests.
#[derive(Debug)]
pub struct Postgres {
    cluster: Cluster,
    made: AtomicU32,
    _guard: Guard,
}

static SHARED: OnceCell<Postgres> = OnceCell::const_new();

impl Postgres {
    /// The one of this process, started by the first who asks and gone with the process.
    ///
    /// # Panics
    /// It cannot be started; the text says why and what to do.
    pub async fn shared() -> &'static Postgres {
        match SHARED.get_or_try_init(Self::start).await {
            Ok(shared) => shared,
            Err(error) => panic!("no PostgreSQL for the tests: {error:#}"),
        }
    }

    /// A new empty database: its URL. The name begins with `prefix`.
    ///
    /// # Panics
    /// PostgreSQL refuses; the text says why.
    pub async fn fresh_database(&self, prefix: &str) -> String {
        let name = format!("{prefix}_{}", self.made.fetch_add(1, Ordering::Relaxed));
        match self.cluster.create_database(&name).await {
            Ok(()) => self.cluster.url(&name),
            Err(error) => panic!("no database {name} for a test: {error}"),
        }
    }

    /// The cluster itself, for tests about all its databases.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    async fn start() -> anyhow::Result<Postgres> {
        let dir = reachable_dir("tenantry-test-postgres-")?;
        let options = Options { fsync: false, max_connections: 400, ..Options::new(dir.path()) };
        let cluster = Cluster::start(options).await?;
        // The guard removes the folder, since a static is never dropped.
        let guard = Guard::over(cluster.pid(), &cluster.data_dir().join("data"), Some(cluster.data_dir()))
            .context("the guard of the server")?;
        let _: std::path::PathBuf = dir.keep();
        Ok(Postgres { cluster, made: AtomicU32::new(0), _guard: guard })
    }
}

/// A temporary folder that the unprivileged account of a private PostgreSQL can enter; removed when it is dropped.
///
/// # Errors
/// The folder cannot be made.
pub fn reachable_dir(prefix: &str) -> anyhow::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir().context("a temporary folder")?;
    // By a call of its own, so that no umask takes from it.
    set_mode(dir.path(), 0o755)?;
    Ok(dir)
}

fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .with_context(|| format!("the mode of {}", path.display()))
}
