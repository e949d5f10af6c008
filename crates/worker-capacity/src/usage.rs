//! How full the pools are, for the command line and for gauges; and the proof that the sums are right.

use deadpool_postgres::Pool;
use tenantry_step::Answer;

/// One pool of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The region.
    pub region: String,
    /// The pool: `database` (connections), `storage` (bytes), `compute` (thousandths of a core), `network` (segments).
    pub pool: String,
    /// How much there is.
    pub total: u64,
    /// Set aside for tenants that are being made.
    pub reserved: u64,
    /// The tenants' own.
    pub committed: u64,
    /// From which percentage on the pool counts as nearly used up.
    pub threshold_percent: u8,
}

/// How full every pool is that was ever asked for or that the file names. Read-only, one snapshot.
///
/// # Errors
/// PostgreSQL cannot be reached, or the worker never ran on it.
pub async fn usage(pool: &Pool) -> Answer<Vec<Usage>> {
    let sql = "select p.region, p.pool, p.total, p.used, p.threshold_percent, coalesce(own.sum, 0)::bigint
               from worker_capacity.pool p
               left join (
                   select region, pool, sum(amount) from worker_capacity.part
                   join worker_capacity.reservation using (tenant) where committed group by 1, 2
               ) own using (region, pool)
               where p.region <> '*'
               order by p.region, array_position(array['database', 'storage', 'compute', 'network'], p.pool::text)";
    let rows = pool.get().await?.query_typed(sql, &[]).await?;
    // None of them is ever below zero: the table checks it.
    let number = |number: i64| u64::try_from(number).unwrap_or(0);
    let told = rows.iter().map(|row| {
        let (used, committed): (i64, i64) = (row.get(3), row.get(5));
        let threshold: i16 = row.get(4);
        Usage {
            region: row.get(0),
            pool: row.get(1),
            total: number(row.get(2)),
            reserved: number(used - committed),
            committed: number(committed),
            threshold_percent: u8::try_from(threshold).unwrap_or(100),
        }
    });
    Ok(told.collect())
}

/// The pools whose sum is not what the reservations add up to, in words. Empty, unless a foreign hand changed the
/// tables. Read-only, one snapshot.
///
/// # Errors
/// PostgreSQL cannot be reached, or the worker never ran on it.
pub async fn unbalanced(pool: &Pool) -> Answer<Vec<String>> {
    let sql = "select format('%s/%s: %s counted, %s reserved', region, pool, coalesce(p.used, 0), coalesce(r.sum, 0))
               from worker_capacity.pool p
               full join (
                   select region, pool, sum(amount) from worker_capacity.part
                   join worker_capacity.reservation using (tenant) group by 1, 2
               ) r using (region, pool)
               where coalesce(p.used, 0) <> coalesce(r.sum, 0)
               order by 1";
    let rows = pool.get().await?.query_typed(sql, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
