//! A store with a past: the rows of a few real tenants, as often as there shall be finished ones.
//!
//! What is multiplied was written by the fleet itself, so sizes and shapes are real: the tenant's row at rest, its journal
//! rows, its request, its key, its fences. Ids are as the coordinator makes them, lanes are the slugs' homes, and each
//! lane's numbers go on without a gap, so that it is taken over like any other.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::{Lane, Slug, TenantId, Time};
use tenantry_ports::Clock;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::store::Store;
use crate::clock::SystemClock;

/// How many tenants one transaction makes: their rows are sorted in memory.
const AT_ONCE: u64 = 5_000;
/// So many tenants a second were made in the past.
const A_SECOND: u64 = 1_000;

/// What the store was filled with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Filled {
    pub(super) tenants: u64,
    /// Of the journal.
    pub(super) rows: u64,
    /// Of all tables with their indexes.
    pub(super) bytes: u64,
    pub(super) took_s: f64,
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenants, rows, took_s, .. } = self;
        let gigabytes = self.bytes as f64 / 1e9;
        write!(
            f,
            "finished tenants in the store: {tenants} with {rows} journal rows, {gigabytes:.2} GB in all; filled in {took_s:.0} s"
        )
    }
}

/// What there is to multiply, by number: tenants, their rows in order, the prefixes of their fences.
const EXAMPLES: &str = "
create temp table example as
    select (row_number() over (order by tenant) - 1)::int4 as e, t.* from tenant t where at_rest;
create temp table example_row as
    select e.e, row_number() over (partition by e.e order by j.n) as i, j.n, j.seq, j.at, j.entry, j.facts
    from example e join journal j on j.lane = e.lane and j.tenant = e.tenant;
create temp table example_fence as
    select e.e, replace(f.resource, e.tenant::text, '') as prefix, r.i
    from example e join fence f on f.resource like '%/' || e.tenant::text
    join example_row r on r.e = e.e and r.n = f.token;
analyze example, example_row, example_fence";

/// The tenants that one transaction makes.
const MADE: &str = "
create temp table made (tenant uuid, lane int4, slug text, e int4, base int8, at int8) on commit delete rows";

const MAKE: &str = "
insert into made select * from unnest($1::uuid[], $2::int4[], $3::text[], $4::int4[], $5::int8[], $6::int8[])";

/// In the order in which a lane would have written them.
const ROWS: [&str; 5] = [
    "insert into journal (lane, n, tenant, seq, prev_n, at, entry, facts)
    select m.lane, m.base + r.i, m.tenant, r.seq, case r.i when 1 then 0 else m.base + r.i - 1 end,
        m.at + r.at - e.created, r.entry, r.facts
    from made m join example e using (e) join example_row r using (e) order by m.lane, m.base + r.i",
    "insert into tenant (tenant, lane, environment, slug, name, plan, state, since, head_n, head_seq, head_hash, at_rest,
        holds_slug, created)
    select m.tenant, m.lane, e.environment, m.slug, e.name, e.plan, e.state, m.at + e.since - e.created,
        m.base + e.head_seq, e.head_seq, e.head_hash, true, e.holds_slug, m.at
    from made m join example e using (e) order by m.tenant",
    "insert into request (source, id, digest, tenant, origin, at)
    select q.source, m.slug, q.digest, m.tenant, q.origin, m.at
    from made m join example e using (e) join request q on q.tenant = e.tenant order by m.tenant",
    "insert into tenant_key (tenant, wrapped)
    select m.tenant, k.wrapped from made m join example e using (e) join tenant_key k on k.tenant = e.tenant
    order by m.tenant",
    "insert into fence (resource, token)
    select f.prefix || m.tenant, m.base + f.i from made m join example_fence f using (e) order by m.tenant",
];

/// Everything of it was said, and every tenant's row shows it.
const ENDS: &str = "
update lane l set n = w.n, spoken = w.n, settled = w.n from unnest($1::int4[], $2::int8[]) as w(lane, n)
where l.lane = w.lane";

const BYTES: &str = "
select sum(pg_total_relation_size(c.oid))::int8 from pg_class c
where c.relkind = 'r' and c.relname in ('lane', 'journal', 'tenant', 'request', 'tenant_key', 'fence', 'answer')";

/// Fills the store with so many finished tenants. No coordinator may run.
pub(super) async fn fill(url: &str, store: &Store, tenants: u64) -> anyhow::Result<Filled> {
    let began = Instant::now();
    let (mut client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.batch_execute("set synchronous_commit = off; set work_mem = '256MB'; set jit = off").await?;
    let mut lanes = store.at_peace().await?;
    client.batch_execute(EXAMPLES).await?;
    client.batch_execute(MADE).await?;
    let examples: Vec<i64> = client
        .query("select head_seq from example order by e", &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    if examples.is_empty() {
        bail!("there is no tenant at rest to multiply");
    }
    let from = SystemClock::default().now().plus(-((tenants * 1000 / A_SECOND) as i64));
    let mut rows = 0;
    for first in (0..tenants).step_by(AT_ONCE as usize) {
        let mut made = Made::default();
        for number in first..(first + AT_ONCE).min(tenants) {
            let example = number as usize % examples.len();
            let base = made.push(number, example, from, &mut lanes)?;
            *base += examples[example];
            rows += examples[example] as u64;
        }
        made.write(&mut client).await.with_context(|| format!("filling from tenant {first} on"))?;
    }
    let ends: (Vec<i32>, Vec<i64>) = lanes.iter().enumerate().map(|(lane, n)| (lane as i32, *n)).unzip();
    client.execute(ENDS, &[&ends.0, &ends.1]).await?;
    // What the filling leaves to be done is not for the measured run to pay.
    for table in ["lane", "journal", "tenant", "request", "tenant_key", "fence"] {
        // The journal is not vacuumed in service either: see its settings.
        let how = if table == "journal" { "analyze" } else { "vacuum (analyze)" };
        client.batch_execute(&format!("{how} {table}")).await?;
    }
    client.batch_execute("checkpoint").await.context("the database's user must be allowed to checkpoint")?;
    let bytes: i64 = client.query_one(BYTES, &[]).await?.get(0);
    Ok(Filled { tenants, rows, bytes: bytes as u64, took_s: began.elapsed().as_secs_f64() })
}

/// Tenants as columns.
#[derive(Default)]
struct Made {
    tenant: Vec<Uuid>,
    lane: Vec<i32>,
    slug: Vec<String>,
    example: Vec<i32>,
    base: Vec<i64>,
    at: Vec<i64>,
}

impl Made {
    /// One more; the number of its lane, which it goes on from.
    fn push<'a>(
        &mut self,
        number: u64,
        example: usize,
        from: Time,
        lanes: &'a mut [i64],
    ) -> anyhow::Result<&'a mut i64> {
        // Names do not come in the order of the alphabet, and neither do these.
        let chance: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
        let slug = Slug::parse(&format!("b-{}-{number}", hex::encode(&chance[..4])))?;
        let mut entropy = [0; 10];
        entropy.copy_from_slice(&chance[4..14]);
        let at = from.plus((number * 1000 / A_SECOND) as i64);
        let lane = Lane::of(&slug, lanes.len() as u16);
        let base = &mut lanes[usize::from(lane.0)];
        self.tenant.push(TenantId::new(at, entropy).0);
        self.lane.push(i32::from(lane.0));
        self.slug.push(slug.as_str().to_owned());
        self.example.push(example as i32);
        self.base.push(*base);
        self.at.push(at.0);
        Ok(base)
    }

    async fn write(&self, client: &mut Client) -> anyhow::Result<()> {
        let tx = client.transaction().await?;
        tx.execute(MAKE, &[&self.tenant, &self.lane, &self.slug, &self.example, &self.base, &self.at])
            .await?;
        tx.batch_execute("analyze made").await?;
        for sql in ROWS {
            tx.execute(sql, &[]).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
