//! The schema's version: brought up by [`migrate`], and looked at by whoever connects.

use std::str::FromStr;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Error;

static FLEET: Migrator = sqlx::migrate!("../../migrations/fleet");

/// Applies what is missing of `migrations/fleet`, each file in a transaction of its own. Several may run at once: one
/// works, the others wait. The role of the URL owns what is made, and must be allowed to make roles where the roles
/// of the fleet are not there yet.
///
/// # Errors
/// Where the server cannot be reached, a migration fails, or the schema is of a later program.
pub async fn migrate(url: &str) -> Result<(), Error> {
    let pool = connect(url).await?;
    let outcome = FLEET.run(&pool).await;
    pool.close().await;
    outcome.map_err(|error| match error {
        MigrateError::VersionMissing(version) => Error::SchemaNewer { version },
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            Error::SchemaAltered { version }
        }
        other => Error::Migration(other.to_string()),
    })
}

/// Checks that the schema is exactly the program's: to be called by everything that connects, before it does anything.
///
/// # Errors
/// `schema_older`, `schema_newer`, `schema_altered`, each with what to do; or the server cannot be reached.
pub async fn check_schema(url: &str) -> Result<(), Error> {
    let pool = connect(url).await?;
    let applied = applied(&pool).await;
    pool.close().await;
    compare(&applied?)
}

/// Number, checksum, and whether it finished.
type Applied = (i64, Vec<u8>, bool);

async fn applied(pool: &PgPool) -> Result<Vec<Applied>, Error> {
    let rows = sqlx::query_as("select version, checksum, success from _sqlx_migrations order by version")
        .fetch_all(pool)
        .await;
    match rows {
        Ok(rows) => Ok(rows),
        // 42P01: the table is not there, so nothing was ever applied.
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => Ok(Vec::new()),
        Err(error) => Err(Error::Unreachable(error.to_string())),
    }
}

fn compare(applied: &[Applied]) -> Result<(), Error> {
    let known: Vec<_> =
        FLEET.iter().filter(|migration| !migration.migration_type.is_down_migration()).collect();
    for (version, checksum, success) in applied {
        let Some(own) = known.iter().find(|migration| migration.version == *version) else {
            return Err(Error::SchemaNewer { version: *version });
        };
        if !success || own.checksum.as_ref() != checksum.as_slice() {
            return Err(Error::SchemaAltered { version: *version });
        }
    }
    if applied.len() < known.len() {
        return Err(Error::SchemaOlder { have: applied.len(), want: known.len() });
    }
    Ok(())
}

async fn connect(url: &str) -> Result<PgPool, Error> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))?;
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(5))
        .connect_with(options.application_name("tenantry migrate"))
        .await
        .map_err(|error| Error::Unreachable(error.to_string()))
}
