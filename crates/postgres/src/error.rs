//! What can go wrong before there is a store to work with, in words for the person who set it up.

use tenantry_ports::StoreError;

/// A store that cannot be used as it is set up. Each has a stable code, and says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be used.
    #[error(
        "database_url_invalid: {0}; write postgres://user:password@host:port/database?sslmode=verify-full"
    )]
    Url(String),
    /// A certificate that the URL names, or those of the system, cannot be used.
    #[error(
        "database_tls: {0}; name a PEM file with sslrootcert=<path>, or choose another sslmode in the database's URL"
    )]
    Tls(String),
    /// The server cannot be reached, or refuses.
    #[error(
        "database_unreachable: {0}; check the database's URL, that the server runs, and that the role may log in"
    )]
    Unreachable(String),
    /// A question got no answer.
    #[error("database_query: {0}; try again, and look at the server's log if it stays so")]
    Query(String),
    /// The role of the URL may not do it.
    #[error("database_denied: {0}; use the URL of a role that may (deploy/README.md says which may do what)")]
    Denied(String),
    /// Somebody else archives or restores.
    #[error(
        "journal_busy: another run archives or restores rows of this journal now; wait until it has ended, then run the command again"
    )]
    Busy,
    /// The store holds something that this program cannot have written.
    #[error("store_strange: {0}, which this program does not know; run the release that wrote it")]
    Strange(String),
    /// A migration failed; the ones before it stand.
    #[error("migration_failed: {0}; nothing of the failed file was kept: mend the cause and migrate again")]
    Migration(String),
    /// The program needs more than the schema has.
    #[error(
        "schema_older: the database has {have} of {want} migrations; run `tenantry migrate` with the owner's URL"
    )]
    SchemaOlder {
        /// How many are there.
        have: usize,
        /// How many the program knows.
        want: usize,
    },
    /// The schema is of a later program.
    #[error(
        "schema_newer: the database has migration {version}, which this program does not know; run the release that brought it"
    )]
    SchemaNewer {
        /// The first one that is unknown.
        version: i64,
    },
    /// A migration was edited after it was applied, or did not finish.
    #[error(
        "schema_altered: migration {version} in the database is not the one of this program; run the release that wrote it, or restore the database"
    )]
    SchemaAltered {
        /// Which one.
        version: i64,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => {
                Self::Unreachable(error.to_string())
            }
            // 42501: insufficient privilege.
            sqlx::Error::Database(error) if error.code().as_deref() == Some("42501") => {
                Self::Denied(error.message().to_owned())
            }
            other => Self::Query(other.to_string()),
        }
    }
}

/// The store's own words for something that may work again later.
pub(crate) fn store_error(error: &tokio_postgres::Error) -> StoreError {
    StoreError(describe(error))
}

/// A failed lease: the pool is at its bound for too long, or the server cannot be reached.
pub(crate) fn lease_error(error: &deadpool_postgres::PoolError) -> StoreError {
    match error {
        deadpool_postgres::PoolError::Backend(error) => store_error(error),
        other => StoreError(other.to_string()),
    }
}

/// `tokio_postgres` prints "db error" for whatever the server said; people need the text and the code. The detail and
/// the parameters are left out, since they may hold what was to be written.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What was asked cannot be written, however often it is tried: SQLSTATE class 22 (data exceptions).
pub(crate) fn is_of_the_data(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("22"))
}
