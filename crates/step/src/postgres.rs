//! What every provider that is PostgreSQL does alike: the fence in the effect's own transaction, names, timeouts, and
//! what an error means.
//!
//! The first statement of every effect raises the row of its resource in `<worker's schema>.fence`, or finds a higher
//! token there and stops. That row is also the lock: two questions about one resource wait for each other at it, so
//! no advisory lock is needed beside it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{BuildError, ClientWrapper, Manager, Object, Pool, PoolError, Runtime, Transaction};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use tenantry_contracts::{Class, Code, TenantId};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::Type;
use tokio_postgres::{Config, Socket};

use crate::{Answer, Cx, Resource, Trouble};

/// No step works longer than this, whatever its deadline says.
const LONGEST_MS: u64 = 60_000;

/// An identifier that this house made: lower-case ASCII letters, digits and `_`, at most 63 bytes. Displays quoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PgIdent(String);

impl PgIdent {
    /// `<stem>_<tenant id>`. The only way to name what belongs to a tenant: never from a slug or a display name, which
    /// PostgreSQL would cut at 63 bytes so that two tenants share one schema.
    pub fn of_tenant(stem: &'static str, tenant: TenantId) -> Self {
        debug_assert!(stem.len() <= 30);
        Self(format!("{stem}_{}", tenant.simple()))
    }

    /// A name that was read. `None` where it breaks the grammar.
    pub fn read(text: &str) -> Option<Self> {
        let grammar = (1..=63).contains(&text.len())
            && !text.as_bytes()[0].is_ascii_digit()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        grammar.then(|| Self(text.to_owned()))
    }

    /// The bare name, for a parameter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PgIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_identifier(&self.0))
    }
}

/// A quoted literal, for the few statements that take no parameters (`comment on`, `create role`).
pub fn literal(text: &str) -> String {
    escape_literal(text)
}

/// What a worker keeps for itself in the database of its provider: a schema that nobody else can look into.
#[derive(Clone)]
pub struct Provider {
    pool: Pool,
    schema: &'static str,
}

impl Provider {
    /// The provider behind `pool`; `schema` is the worker's own.
    pub fn new(pool: Pool, schema: &'static str) -> Self {
        Self { pool, schema }
    }

    /// Makes the worker's schema, its fence, and what `more` says, in one transaction. Can be repeated and run from
    /// several processes at once.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached, or the role may not do it.
    pub async fn prepare(&self, more: &str) -> Answer<()> {
        self.prepare_in(&mut *self.pool.get().await?, more).await
    }

    /// The same in the database that `client` is connected to.
    ///
    /// # Errors
    /// As [`Provider::prepare`].
    pub async fn prepare_in(&self, client: &mut ClientWrapper, more: &str) -> Answer<()> {
        let tx = client.transaction().await?;
        // `if not exists` alone fails when two processes do it at once.
        tx.batch_execute(&format!(
            "set local statement_timeout = {LONGEST_MS};
             select pg_advisory_xact_lock(hashtextextended('tenantry prepare', 0));
             create schema if not exists {schema};
             revoke all on schema {schema} from public;
             create table if not exists {schema}.fence (
                 resource text primary key,
                 token bigint not null,
                 at timestamptz not null default now()
             );
             {more}",
            schema = self.schema
        ))
        .await?;
        Ok(tx.commit().await?)
    }

    /// A connection, within what is left of the question's time.
    ///
    /// # Errors
    /// Shaky where none is to be had in time.
    pub async fn connect(&self, cx: &Cx) -> Answer<Object> {
        let patience = Duration::from_millis(left_ms(cx));
        match tokio::time::timeout(patience, self.pool.get()).await {
            Ok(client) => Ok(client?),
            Err(_) => Err(Trouble::shaky("no connection to PostgreSQL within the question's time")),
        }
    }

    /// Begins an effect: timeouts set, and the fence raised to the question's token.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where the fence stands higher.
    pub async fn begin<'a>(
        &self,
        client: &'a mut ClientWrapper,
        cx: &Cx,
        resource: &Resource,
    ) -> Answer<Transaction<'a>> {
        let tx = client.transaction().await?;
        tx.batch_execute(&limits(cx)).await?;
        let raise = format!(
            "insert into {}.fence as mine (resource, token) values ($1, $2)
             on conflict (resource) do update set token = excluded.token, at = now()
             where mine.token <= excluded.token
             returning token",
            self.schema
        );
        let raised = tx
            .query_typed_opt(&raise, &[(&resource.as_str(), Type::TEXT), (&cx.token.0, Type::INT8)])
            .await?;
        raised.map(|_| tx).ok_or(Trouble::Superseded)
    }

    /// Raises the fence alone, before an effect that lies in another database and is fenced there as well.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where the fence stands higher.
    pub async fn raise(&self, cx: &Cx, resource: &Resource) -> Answer<()> {
        let mut client = self.connect(cx).await?;
        Ok(self.begin(&mut client, cx, resource).await?.commit().await?)
    }

    /// Begins to read what is there: one snapshot, nothing written.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub async fn look<'a>(&self, client: &'a mut ClientWrapper, cx: &Cx) -> Answer<Transaction<'a>> {
        let tx = client
            .build_transaction()
            .read_only(true)
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .start()
            .await?;
        tx.batch_execute(&limits(cx)).await?;
        Ok(tx)
    }
}

/// The way into the other databases of the provider's server, for tenants that have one of their own.
#[derive(Clone)]
pub struct Databases(Arc<Open>);

/// Makes the pool that one connection to a database is taken from.
type Open = dyn Fn(&PgIdent) -> Result<Pool, BuildError> + Send + Sync;

impl Databases {
    /// Connects as `config` does, which the pool of the tenants' database is made from, to other databases than its.
    pub fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + Sync,
        T::TlsConnect: Send + Sync,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self(Arc::new(move |database| {
            let mut config = config.clone();
            config.dbname(database.as_str());
            let manager = Manager::new(config, tls.clone());
            Pool::builder(manager).max_size(1).runtime(Runtime::Tokio1).build()
        }))
    }

    /// A connection to this database, that ends when it is dropped; within what is left of the question's time.
    /// `None` where there is no such database, or it lets nobody in.
    ///
    /// # Errors
    /// Shaky where none is to be had in time.
    pub async fn connect(&self, cx: &Cx, database: &PgIdent) -> Answer<Option<Object>> {
        let pool = (self.0)(database).map_err(|_| {
            Trouble::no(Code::Misconfigured, Class::Config, "the pool of connections cannot be made")
        })?;
        let closed = [SqlState::INVALID_CATALOG_NAME, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE];
        match tokio::time::timeout(Duration::from_millis(left_ms(cx)), pool.get()).await {
            Ok(Ok(client)) => Ok(Some(client)),
            Ok(Err(PoolError::Backend(error)))
                if error.code().is_some_and(|state| closed.contains(state)) =>
            {
                Ok(None)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Trouble::shaky("no connection to PostgreSQL within the question's time")),
        }
    }
}

fn left_ms(cx: &Cx) -> u64 {
    cx.left_ms().min(LONGEST_MS)
}

/// The deadline as timeouts of the server, so that a worker that froze inside a transaction loses it and its locks.
fn limits(cx: &Cx) -> String {
    let ms = left_ms(cx);
    format!(
        "set local statement_timeout = {ms}; set local lock_timeout = {ms};
         set local idle_in_transaction_session_timeout = {ms}"
    )
}

impl From<tokio_postgres::Error> for Trouble {
    /// Only the SQLSTATE is told: PostgreSQL's own words can hold names, rows and statements.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code() else {
            return Self::shaky("the connection to PostgreSQL broke");
        };
        let code = state.code();
        let shaky = ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
            || [
                &SqlState::LOCK_NOT_AVAILABLE,
                &SqlState::OBJECT_IN_USE,
                &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                // "tuple concurrently updated": two sessions changed one row of a catalogue.
                &SqlState::INTERNAL_ERROR,
            ]
            .contains(&state);
        let denied = code.starts_with("28")
            || [&SqlState::INSUFFICIENT_PRIVILEGE, &SqlState::INVALID_CATALOG_NAME].contains(&state);
        let there = [&SqlState::DUPLICATE_SCHEMA, &SqlState::DUPLICATE_OBJECT, &SqlState::DUPLICATE_DATABASE]
            .contains(&state);
        if shaky {
            Self::Shaky(format!("PostgreSQL answered {code}"))
        } else if denied {
            let message = format!("the worker's account cannot do this in PostgreSQL ({code})");
            Self::no(Code::Misconfigured, Class::Config, message)
        } else if there {
            let message = format!("a thing of that name appeared beside the worker ({code})");
            Self::no(Code::OwnedByOther, Class::Conflict, message)
        } else {
            Self::no(Code::Bug, Class::Bug, format!("PostgreSQL refused a statement of the worker ({code})"))
        }
    }
}

impl From<PoolError> for Trouble {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::shaky("no connection to PostgreSQL in time"),
            PoolError::Closed => Self::shaky("the connections to PostgreSQL are being closed"),
            PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => Self::no(
                Code::Misconfigured,
                Class::Config,
                "the pool of connections to PostgreSQL is not set up",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_quoted_and_never_longer_than_postgresql_takes() {
        let tenant: TenantId = "00000000-0000-0000-0000-000000000007".parse().expect("a UUID");
        let name = PgIdent::of_tenant("t", tenant);
        assert_eq!(name.to_string(), "\"t_00000000000000000000000000000007\"");
        assert_eq!(PgIdent::read(name.as_str()), Some(name));
        for bad in ["", "1a", "a\"b", "a b", "Ä", "a;", &"a".repeat(64), "A"] {
            assert_eq!(PgIdent::read(bad), None, "{bad}");
        }
    }
}
