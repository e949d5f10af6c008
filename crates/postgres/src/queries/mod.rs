//! [`Queries`]: what people ask. Read-only, each statement checked against the schema when this is compiled.
//!
//! After a change here or in `migrations/fleet`, write the checks anew against a migrated database, from the
//! repository's top folder:
//!
//! ```text
//! touch crates/postgres/src/lib.rs
//! DATABASE_URL=postgres://... SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$PWD/.sqlx cargo check -p tenantry-postgres
//! ```

mod archived;
mod records;

use std::str::FromStr;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenantry_contracts::{Environment, Lane, Slug, State, TenantId};
use tenantry_ports::{LaneRow, Row, TenantRow};

use crate::Error;
pub(crate) use archived::over;
pub use archived::{Archived, Range};
use records::{JournalRecord, LaneRecord, TenantRecord, all};

/// The most rows of one answer.
pub const MOST: u16 = 1_000;

/// Which tenants to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// In one of these states; in any where empty.
    pub states: Vec<State>,
    /// After this one of the last page. Newest first: ids begin with the time at which a request was heard, except
    /// those that upstream brought.
    pub after: Option<TenantId>,
    /// How many; from one to [`MOST`].
    pub limit: u16,
}

/// Questions to the store. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Queries {
    pool: PgPool,
}

impl Queries {
    /// Connects, with sessions that cannot write. Role `tenantry_reader` is enough.
    ///
    /// # Errors
    /// Where the URL cannot be used or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::Url(error.to_string()))?
            .application_name("tenantry queries")
            .options([("default_transaction_read_only", "on"), ("statement_timeout", "30s")]);
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        Ok(Self { pool })
    }

    /// A page of tenants, newest first.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantRow>, Error> {
        let after = filter.after.map_or(uuid::Uuid::max(), |tenant| tenant.0);
        let limit = i64::from(filter.limit.clamp(1, MOST));
        let records = if filter.states.is_empty() {
            sqlx::query_as!(
                TenantRecord,
                "select tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash, at_rest,
                    holds_slug, created
                from tenant where tenant < $1 order by tenant desc limit $2",
                after,
                limit
            )
            .fetch_all(&self.pool)
            .await?
        } else {
            let states: Vec<String> = filter.states.iter().map(|state| state.as_str().to_owned()).collect();
            sqlx::query_as!(
                TenantRecord,
                "select tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash, at_rest,
                    holds_slug, created
                from tenant where state = any($3) and tenant < $1 order by tenant desc limit $2",
                after,
                limit,
                &states
            )
            .fetch_all(&self.pool)
            .await?
        };
        all(records)
    }

    /// Who has or had a slug: the one that holds it first, then the others, newest first; at most [`MOST`].
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn find(&self, environment: &Environment, slug: &Slug) -> Result<Vec<TenantRow>, Error> {
        let records = sqlx::query_as!(
            TenantRecord,
            r#"select tenant as "tenant!", lane as "lane!", environment as "environment!", slug as "slug!",
                name as "name!", plan as "plan!", state as "state!", since as "since!", head_n as "head_n!",
                head_seq as "head_seq!", head_hash as "head_hash!", at_rest as "at_rest!", holds_slug as "holds_slug!",
                created as "created!"
            from (
                select * from tenant where environment = $1 and slug = $2 and holds_slug
                union all
                select * from tenant where environment = $1 and slug = $2 and not holds_slug
            ) as found
            order by holds_slug desc, created desc, tenant desc limit $3"#,
            environment.as_str(),
            slug.as_str(),
            i64::from(MOST)
        )
        .fetch_all(&self.pool)
        .await?;
        all(records)
    }

    /// One tenant.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn tenant(&self, tenant: TenantId) -> Result<Option<TenantRow>, Error> {
        let record = sqlx::query_as!(
            TenantRecord,
            "select tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash, at_rest,
                holds_slug, created
            from tenant where tenant = $1",
            tenant.0
        )
        .fetch_optional(&self.pool)
        .await?;
        record.map(TryInto::try_into).transpose()
    }

    /// All journal rows of a tenant in order, those included that its own row does not show yet.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn history(&self, tenant: TenantId) -> Result<Vec<Row>, Error> {
        let records = sqlx::query_as!(
            JournalRecord,
            r#"with recursive asked as (
                select t.tenant, t.lane, t.head_n, t.at_rest, l.settled
                from tenant t join lane l on l.lane = t.lane where t.tenant = $1
            ), walk as (
                select j.* from asked a join journal j on j.lane = a.lane and j.n = a.head_n
                union all
                select j.* from walk w join journal j on j.lane = w.lane and j.n = w.prev_n where w.prev_n > 0
            ), found as (
                select * from walk
                union all
                select j.* from asked a join journal j
                    on j.lane = a.lane and j.n > greatest(a.head_n, a.settled) and j.tenant = a.tenant
                where not a.at_rest
            )
            select lane as "lane!", n as "n!", tenant, seq as "seq!", prev_n as "prev_n!", at as "at!",
                entry as "entry!", facts as "facts!"
            from found order by n"#,
            tenant.0
        )
        .fetch_all(&self.pool)
        .await?;
        all(records)
    }

    /// Up to `limit` rows of a lane from number `from_n` on, in order: what an audit reads when it reads the journal.
    /// Numbers may jump, so the next page begins after the last row's.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn journal_scan(&self, lane: Lane, from_n: i64, limit: u16) -> Result<Vec<Row>, Error> {
        let records = sqlx::query_as!(
            JournalRecord,
            "select lane, n, tenant, seq, prev_n, at, entry, facts
            from journal where lane = $1 and n >= $2 order by n limit $3",
            i32::from(lane.0),
            from_n,
            i64::from(limit)
        )
        .fetch_all(&self.pool)
        .await?;
        all(records)
    }

    /// Every lane, in order.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn lanes(&self) -> Result<Vec<LaneRow>, Error> {
        let records = sqlx::query_as!(
            LaneRecord,
            "select lane, epoch, n, spoken, requests_next, requests_last, results_next, results_last, operations_next,
                operations_last, fruitless, seen_at, paused_ms, chain_seq, chain_head, stopped
            from lane order by lane"
        )
        .fetch_all(&self.pool)
        .await?;
        all(records)
    }

    /// How many tenants are in each state that any is in. Reads every tenant's row.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn counts(&self) -> Result<Vec<(State, i64)>, Error> {
        let counts = sqlx::query!(r#"select state, count(*) as "count!" from tenant group by state"#)
            .fetch_all(&self.pool)
            .await?;
        let mut counts = counts
            .into_iter()
            .map(|row| Ok((records::state(&row.state)?, row.count)))
            .collect::<Result<Vec<_>, Error>>()?;
        counts.sort_unstable();
        Ok(counts)
    }
}
