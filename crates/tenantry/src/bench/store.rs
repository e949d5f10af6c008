//! The store, asked for what it has written.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tenantry_audit::{Expected, Head};
use tenantry_contracts::{TenantId, Time};

/// How long the lanes may take to write that everything was said: they do so every five seconds.
const PEACE_TAKES: Duration = Duration::from_secs(30);

/// The store, asked for what it has written.
pub(super) struct Store(tokio_postgres::Client);

impl Store {
    pub(super) async fn new(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// Whether some fleet has used it.
    pub(super) async fn is_used(&self) -> anyhow::Result<bool> {
        Ok(self.0.query_one("select exists (select from lane)", &[]).await?.get(0))
    }

    /// Bytes of WAL, and rows of the journal.
    pub(super) async fn counted(&self) -> anyhow::Result<(i64, i64)> {
        let sql =
            "select (pg_current_wal_lsn() - '0/0')::bigint, coalesce((select sum(n) from lane), 0)::bigint";
        let row = self.0.query_one(sql, &[]).await?;
        Ok((row.get(0), row.get(1)))
    }

    /// The number of each lane, once its owner has written that everything was said.
    pub(super) async fn at_peace(&self) -> anyhow::Result<Vec<i64>> {
        let until = Instant::now() + PEACE_TAKES;
        loop {
            let lanes = self.0.query("select n, spoken = n from lane order by lane", &[]).await?;
            if !lanes.is_empty() && lanes.iter().all(|row| row.get(1)) {
                return Ok(lanes.iter().map(|row| row.get(0)).collect());
            }
            if Instant::now() > until {
                bail!("the lanes did not come to rest in {PEACE_TAKES:?}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the audit must have of the tenants that were made since then, all of which are at rest.
    pub(super) async fn expected(&self, since: Time) -> anyhow::Result<Expected> {
        let awake: i64 = self.0.query_one("select count(*) from tenant where not at_rest", &[]).await?.get(0);
        if awake > 0 {
            bail!("{awake} tenants are not at rest although each has its outcome");
        }
        let sql = "select tenant, head_seq, head_hash from tenant where created >= $1";
        let mut expected = Expected::default();
        for row in self.0.query(sql, &[&since.0]).await? {
            let digest: Vec<u8> = row.get(2);
            let digest = digest.try_into().ok().context("a head that is no digest")?;
            expected.heads.insert(TenantId(row.get(0)).to_string(), Head { seq: row.get(1), digest });
        }
        Ok(expected)
    }
}
