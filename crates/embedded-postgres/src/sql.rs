//! The few statements that the cluster itself needs, each on a connection of its own.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_postgres::{Client, Config, NoTls};

/// The one role, made by `initdb`, superuser of this private cluster.
pub(crate) const ROLE: &str = "tenantry";
/// For a connection on this machine; a server that is stuck must not hold a caller for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the server is, and what opens it.
#[derive(Clone)]
pub(crate) struct Address {
    /// On 127.0.0.1.
    pub(crate) port: u16,
    /// Of [`ROLE`].
    pub(crate) password: String,
}

/// What a server says about itself.
#[derive(Debug)]
pub(crate) struct Identity {
    /// For example `15.14 (Debian 15.14-0+deb12u1)`.
    pub(crate) version: String,
    /// The folder of its files.
    pub(crate) data_directory: String,
    /// Whether commits are on the disk when they are answered.
    pub(crate) fsync: bool,
}

impl Address {
    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!("postgres://{ROLE}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// Connects to the maintenance database; the connection ends when the client is dropped.
    pub(crate) async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user(ROLE)
            .password(&self.password)
            .dbname("postgres")
            .connect_timeout(PATIENCE);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a maintenance connection to the private PostgreSQL ended");
            }
        });
        Ok(client)
    }

    /// Asks who answers at this address. `None`: nobody, or not in time.
    pub(crate) async fn identify(&self) -> Option<Identity> {
        let ask = async {
            let client = self.connect().await.ok()?;
            let settings = "select current_setting('server_version'), current_setting('data_directory'), current_setting('fsync')";
            let row = client.query_one(settings, &[]).await.ok()?;
            Some(Identity {
                version: row.get(0),
                data_directory: row.get(1),
                fsync: row.get::<_, String>(2) == "on",
            })
        };
        tokio::time::timeout(PATIENCE, ask).await.ok().flatten()
    }
}

/// A name as it stands in a statement.
pub(crate) fn quote(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// Whether PostgreSQL can hold the name: it cuts longer ones off, and then two names may become one.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_percent_encoded() {
        assert_eq!(quote("a\"; drop database b; --"), "\"a\"\"; drop database b; --\"");
        let address = Address { port: 5, password: "p".into() };
        assert_eq!(address.url("a/b?c"), "postgres://tenantry:p@127.0.0.1:5/a%2Fb%3Fc");
    }

    #[test]
    fn names_that_postgresql_would_cut_are_refused() {
        assert!(is_name(&"a".repeat(63)));
        assert!(!is_name(&"a".repeat(64)));
        assert!(!is_name(""));
        assert!(!is_name("a\0b"));
    }
}
