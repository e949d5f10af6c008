//! What a caller can choose, and the places that are chosen where nothing was said.

use std::path::PathBuf;

/// How to run the cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything of the cluster lies. Made if missing.
    pub data_dir: PathBuf,
    /// Where portable builds are kept. Default: `/var/cache/tenantry` as root, else `$XDG_CACHE_HOME/tenantry` or
    /// `~/.cache/tenantry`.
    pub cache_dir: Option<PathBuf>,
    /// Whether a commit is on the disk when it is answered. Off only where the data may be lost with the machine, as in tests.
    pub fsync: bool,
    /// The folder with `postgres` and `initdb` to use, instead of looking for one.
    pub binaries: Option<PathBuf>,
    /// Take the portable build even where PostgreSQL is installed.
    pub prefer_portable: bool,
    /// How many connections the server takes.
    pub max_connections: u16,
}

impl Options {
    /// The defaults: installed binaries first, every commit on the disk, 100 connections.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            cache_dir: None,
            fsync: true,
            binaries: None,
            prefer_portable: false,
            max_connections: 100,
        }
    }

    /// The folder for portable builds.
    pub(crate) fn cache(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| {
            if nix::unistd::geteuid().is_root() {
                PathBuf::from("/var/cache/tenantry")
            } else {
                below_home("XDG_CACHE_HOME", ".cache")
            }
        })
    }
}

/// A data directory that works for whoever runs this: as root one that an unprivileged account can reach.
#[must_use]
pub fn suggested_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        PathBuf::from("/var/lib/tenantry/postgres")
    } else {
        below_home("XDG_DATA_HOME", ".local/share").join("postgres")
    }
}

/// `$variable/tenantry`, or `~/fallback/tenantry`; the XDG rules say that a relative value counts as unset.
fn below_home(variable: &str, fallback: &str) -> PathBuf {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(fallback)))
        .unwrap_or_else(std::env::temp_dir)
        .join("tenantry")
}
