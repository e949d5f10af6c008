//! [`PgStore`]: the coordinator's store.
//!
//! Three pools, so that no work waits behind another kind: commits on their own connections, reads beside them, and
//! take-overs, which may wait for the lock of a batch in doubt.

mod columns;
mod commit;
mod decode;
mod read;
mod settled;
mod take_over;

use std::sync::Arc;

use tenantry_contracts::Lane;
use tenantry_ports::{Batch, CommitOutcome, Found, LaneRow, Loaded, Need, Store, StoreError};

use crate::Error;
use crate::connect::{Hot, Purpose};
use settled::Settled;

const COMMITS: Purpose = Purpose { name: "commit", connections: 2, statement_ms: 10_000, lock_ms: 2_000 };
const READS: Purpose = Purpose { name: "read", connections: 2, statement_ms: 10_000, lock_ms: 2_000 };
const TAKE_OVERS: Purpose =
    Purpose { name: "take-over", connections: 2, statement_ms: 120_000, lock_ms: 2_000 };

/// The store on PostgreSQL. Clones share their connections.
#[derive(Clone)]
pub struct PgStore {
    commits: Hot,
    reads: Hot,
    take_overs: Hot,
    settled: Arc<Settled>,
}

impl PgStore {
    /// Connects. The schema must be there: see [`crate::check_schema`].
    ///
    /// # Errors
    /// Where the URL cannot be used or the server cannot be reached.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let store = Self {
            commits: Hot::new(url, COMMITS)?,
            reads: Hot::new(url, READS)?,
            take_overs: Hot::new(url, TAKE_OVERS)?,
            settled: Arc::default(),
        };
        store.commits.try_out().await?;
        Ok(store)
    }

    /// The statements of the hot path, by name: for tests of their plans.
    #[doc(hidden)]
    #[must_use]
    pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
        let mut all = vec![("commit", commit::SQL)];
        all.extend(read::STATEMENTS);
        all.extend(take_over::STATEMENTS);
        all
    }

    /// What its sessions prepared, with how often each was planned: statement, generic plans, custom plans.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    #[doc(hidden)]
    pub async fn planned(&self) -> Result<Vec<(String, i64, i64)>, StoreError> {
        let mut all = self.commits.planned().await?;
        all.extend(self.reads.planned().await?);
        all.extend(self.take_overs.planned().await?);
        Ok(all)
    }
}

impl Store for PgStore {
    async fn raise(&self, lane: Lane) -> Result<LaneRow, StoreError> {
        take_over::raise(&self.take_overs, lane).await
    }

    async fn load(&self, lane: &LaneRow) -> Result<Loaded, StoreError> {
        let (loaded, behind) = take_over::load(&self.take_overs, lane).await?;
        self.settled.loaded(lane, behind);
        Ok(loaded)
    }

    async fn read(&self, need: Need) -> Result<Found, StoreError> {
        read::read(&self.reads, &need).await
    }

    async fn commit(&self, batch: Batch) -> CommitOutcome {
        let plans = self.settled.plan(&batch);
        let outcome = commit::commit(&self.commits, &batch, &plans).await;
        self.settled.committed(&batch, plans, &outcome);
        outcome
    }
}
