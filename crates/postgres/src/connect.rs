//! From a URL to pools of connections, each with the settings of what it is for.
//!
//! `sslmode` means what it means to libpq: `disable`; `prefer` (the default: encrypted where the server can, nothing
//! checked); `require` (encrypted, nothing checked unless `sslrootcert` is given); `verify-ca` and `verify-full`, which
//! both check chain and host name here. `sslrootcert` names a PEM file; without it the system's roots count.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolConfig, RecyclingMethod, Runtime, Timeouts,
};
use percent_encoding::percent_decode_str;
use tenantry_ports::StoreError;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Statement};

use crate::error::{lease_error, store_error};
use crate::tls::{self, Check};
use crate::{Error, error};

/// The settings of hot sessions, as options of a connection.
///
/// Plans made on empty tables would scan for ever, and without a generic plan the large statements are planned at
/// every call: so plans are generic, and go by index whatever the statistics say.
pub const HOT: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off \
                       -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";

/// What a pool is for, and what that allows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose {
    /// Shown in `pg_stat_activity`, after the word `tenantry`.
    pub(crate) name: &'static str,
    /// The most connections.
    pub(crate) connections: usize,
    /// The longest that a statement may take, in milliseconds. The server's clock, since dropping a statement that was
    /// sent would leave its outcome unknown.
    pub(crate) statement_ms: u32,
    /// The longest wait for a row lock, in milliseconds.
    pub(crate) lock_ms: u32,
}

/// A pool for one purpose. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Hot(Pool);

impl Hot {
    /// Makes the pool. Connects to nothing yet.
    pub(crate) fn new(url: &str, purpose: Purpose) -> Result<Self, Error> {
        let (mut config, check) = parse(url)?;
        session(&mut config, purpose);
        let manager = Manager::from_config(
            config,
            tls::connector(&check)?,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let patience = Some(Duration::from_secs(5));
        let pool = Pool::builder(manager)
            .config(PoolConfig {
                max_size: purpose.connections,
                timeouts: Timeouts { wait: patience, create: patience, recycle: patience },
                ..PoolConfig::default()
            })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Url(error.to_string()))?;
        Ok(Self(pool))
    }

    /// Leases a connection.
    pub(crate) async fn lease(&self) -> Result<Object, StoreError> {
        self.0.get().await.map_err(|error| lease_error(&error))
    }

    /// What this pool's sessions prepared: statement, generic plans, custom plans. For tests.
    pub(crate) async fn planned(&self) -> Result<Vec<(String, i64, i64)>, StoreError> {
        let sql = "select statement, generic_plans, custom_plans from pg_prepared_statements";
        let rows = self.lease().await?.query(sql, &[]).await.map_err(|error| store_error(&error))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Leases a connection to see that there is one.
    pub(crate) async fn try_out(&self) -> Result<(), Error> {
        self.lease().await.map(drop).map_err(|error| Error::Unreachable(error.0))
    }
}

/// Prepares a statement, once for each connection.
pub(crate) async fn prepared(client: &Object, sql: &'static str) -> Result<Statement, StoreError> {
    client.prepare_cached(sql).await.map_err(|error| store_error(&error))
}

fn session(config: &mut Config, purpose: Purpose) {
    let own = config.get_options().unwrap_or_default().to_owned();
    config.options(format!(
        "{own} {HOT} -c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout=10000",
        purpose.statement_ms, purpose.lock_ms
    ));
    if config.get_application_name().is_none() {
        config.application_name(format!("tenantry {}", purpose.name));
    }
    config
        .connect_timeout(Duration::from_secs(5))
        .tcp_user_timeout(Duration::from_secs(15))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(10))
        .keepalives_interval(Duration::from_secs(3))
        .keepalives_retries(3);
}

/// Reads a URL for a connection of one's own, with a connector for its `sslmode`: for administration, where neither a
/// pool nor the settings of hot statements are wanted.
///
/// # Errors
/// Where the URL or a file that it names cannot be used.
pub fn plain(url: &str) -> Result<(Config, tokio_postgres_rustls::MakeRustlsConnect), Error> {
    let (config, check) = parse(url)?;
    Ok((config, tls::connector(&check)?))
}

/// `tokio_postgres` knows neither `verify-*` nor `sslrootcert`: they are taken out and said to the connector.
fn parse(url: &str) -> Result<(Config, Check), Error> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(Error::Url("it does not begin with postgres://".to_owned()));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = ("prefer".to_owned(), None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        match key {
            "sslmode" => mode = value,
            "sslrootcert" => roots = Some(value),
            _ => rest.push(pair),
        }
    }
    let (ssl, check) = match mode.as_str() {
        "disable" => (SslMode::Disable, Check::Nothing),
        "allow" | "prefer" => (SslMode::Prefer, Check::Nothing),
        "require" if roots.is_none() => (SslMode::Require, Check::Nothing),
        "require" | "verify-ca" | "verify-full" => (SslMode::Require, Check::All(roots)),
        other => return Err(Error::Url(format!("sslmode={other} is not known"))),
    };
    let mut config = Config::from_str(&format!("{base}?{}", rest.join("&")))
        .map_err(|error| Error::Url(error::describe(&error)))?;
    config.ssl_mode(ssl);
    Ok((config, check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ssl_words_of_libpq_are_understood_and_the_rest_is_passed_on() {
        let of = |query: &str| parse(&format!("postgres://me@db.example:5433/store?{query}"));
        let (config, check) =
            of("sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&application_name=x").unwrap();
        assert_eq!(config.get_ssl_mode(), SslMode::Require);
        assert_eq!(check, Check::All(Some("/etc/ca.pem".to_owned())));
        assert_eq!(config.get_application_name(), Some("x"));
        assert_eq!(config.get_ports(), [5433]);
        let (config, check) = of("").unwrap();
        assert_eq!((config.get_ssl_mode(), check), (SslMode::Prefer, Check::Nothing));
        assert_eq!(of("sslmode=require").unwrap().1, Check::Nothing);
        assert!(matches!(of("sslmode=maybe"), Err(Error::Url(_))));
        assert!(matches!(parse("mysql://x"), Err(Error::Url(_))));
    }

    #[test]
    fn settings_of_ones_own_in_the_url_are_kept_before_ours() {
        let (mut config, _) = parse("postgres://me@db/store?options=-c%20search_path%3Dfleet").unwrap();
        session(&mut config, Purpose { name: "x", connections: 1, statement_ms: 7, lock_ms: 5 });
        let options = config.get_options().unwrap();
        assert!(options.starts_with("-c search_path=fleet "), "{options}");
        assert!(
            options.contains("statement_timeout=7") && options.contains("force_generic_plan"),
            "{options}"
        );
    }

    #[test]
    fn a_root_file_that_is_not_there_is_named() {
        let error = tls::connector(&Check::All(Some("/nowhere/ca.pem".to_owned()))).err().unwrap();
        assert!(error.to_string().starts_with("database_tls: /nowhere/ca.pem"), "{error}");
    }
}
