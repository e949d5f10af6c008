//! What can go wrong, in words that name the place and the next thing to do.

use std::path::{Path, PathBuf};

/// Why a private PostgreSQL cluster could not be started, used or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{what} {}: {source}; check that the folder exists, has space and belongs to the user who runs this", path.display())]
    Files {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The account that runs the server cannot reach a folder, as happens below a home folder of mode 0700.
    #[error(
        "the account '{account}', which runs PostgreSQL because root may not, cannot enter {}, so it cannot reach {}; \
         choose another place, for example {}, or run this as an ordinary user", blocked_by.display(), path.display(), suggestion.display()
    )]
    Unreachable {
        /// The folder that is needed.
        path: PathBuf,
        /// The folder above it that is closed.
        blocked_by: PathBuf,
        /// Who has to get in.
        account: String,
        /// A place that works.
        suggestion: PathBuf,
    },
    /// Run as root on a system that has neither `postgres` nor `nobody`.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account 'postgres' or 'nobody' to run it; create one (useradd --system postgres) or run this as an ordinary user"
    )]
    NoAccount,
    /// The data belongs to somebody else than the one who wants to run it.
    #[error("{} belongs to user id {owner}, who cannot run PostgreSQL here ({why}); run this as that user, or choose another data directory", path.display())]
    Owner {
        /// The data.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Why that does not work.
        why: &'static str,
    },
    /// Another living process owns this cluster.
    #[error("another process is using the PostgreSQL cluster in {}; stop it first, or choose another data directory", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The data directory was not made by this program.
    #[error("{} is not one of our data directories ({why}); choose an empty one", path.display())]
    Foreign {
        /// The data directory.
        path: PathBuf,
        /// What gave it away.
        why: &'static str,
    },
    /// The folder that was asked for holds no usable PostgreSQL.
    #[error("no PostgreSQL server of version {wanted} in {}: it needs the programs postgres and initdb", path.display())]
    NoBinaries {
        /// Where it was looked for.
        path: PathBuf,
        /// The version that would do.
        wanted: String,
    },
    /// Nothing fitting is installed, and the portable build could not be fetched.
    #[error("no PostgreSQL {wanted} is installed, and fetching a portable one into {} failed: {why}; install it (Debian: apt-get install postgresql) or allow access to the network once", cache.display())]
    Download {
        /// The version that would do.
        wanted: String,
        /// Where it would have gone.
        cache: PathBuf,
        /// What failed.
        why: String,
    },
    /// `initdb` failed.
    #[error("initdb could not make a cluster in {}: {output}", path.display())]
    Initdb {
        /// Where.
        path: PathBuf,
        /// The end of what it said.
        output: String,
    },
    /// The server ended, or did not become ready.
    #[error("PostgreSQL in {} {why}; its log is in {}: {log}", path.display(), path.join("log").display())]
    Start {
        /// The data directory.
        path: PathBuf,
        /// What was seen.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The server could not be stopped.
    #[error("PostgreSQL in {} (process {pid}) did not stop; kill it by hand, its data survives that", path.display())]
    Stop {
        /// The data directory.
        path: PathBuf,
        /// The server's process.
        pid: u32,
    },
    /// A database name that PostgreSQL cannot hold.
    #[error("'{name}' cannot be the name of a database: 1 to 63 bytes without NUL are allowed")]
    DatabaseName {
        /// The name.
        name: String,
    },
    /// A statement of ours failed.
    #[error("{what} failed on PostgreSQL in {}: {source}", path.display())]
    Sql {
        /// What was tried.
        what: String,
        /// The data directory.
        path: PathBuf,
        /// What PostgreSQL or the connection said.
        source: tokio_postgres::Error,
    },
}

impl Error {
    /// The stable code of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Files { .. } => "postgres_files",
            Error::Unreachable { .. } => "postgres_unreachable_for_account",
            Error::NoAccount => "postgres_no_account",
            Error::Owner { .. } => "postgres_owner",
            Error::InUse { .. } => "postgres_in_use",
            Error::Foreign { .. } => "postgres_foreign_data",
            Error::NoBinaries { .. } => "postgres_no_binaries",
            Error::Download { .. } => "postgres_download",
            Error::Initdb { .. } => "postgres_initdb",
            Error::Start { .. } => "postgres_start",
            Error::Stop { .. } => "postgres_stop",
            Error::DatabaseName { .. } => "postgres_database_name",
            Error::Sql { .. } => "postgres_sql",
        }
    }

    /// For `map_err`: what was tried on which path.
    pub(crate) fn files<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> Error + 'a {
        move |source| Error::Files { what, path: path.to_owned(), source }
    }
}
