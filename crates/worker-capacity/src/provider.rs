//! The provider is PostgreSQL: pools and reservations in the tenants' database, with which the operator's
//! `--tenants-url` connects.
//!
//! Each pool's row keeps the sum of what is reserved of it, changed in the same transaction as the reservation, so that
//! a question costs the same however many tenants there are; the parts of the reservations are the proof of the sums.
//! Locks are taken in one order everywhere: the tenant's fence, its reservation, then pools by region and name.

use deadpool_postgres::Transaction;
use tenantry_contracts::steps::capacity::{Committed, Input, Part, Reserved};
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{Provider, literal};
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Trouble};
use tokio_postgres::types::{ToSql, Type};

use crate::pools::{ANY, Pools};
use crate::sums::{self, Level};

/// Names in the C collation, so that the order of locks is the same whatever the database's own collation is.
pub(crate) const TABLES: &str = r#"
    create table if not exists worker_capacity.pool (
        region text collate "C" not null,
        pool text collate "C" not null,
        total bigint not null check (total >= 0),
        threshold_percent smallint not null check (threshold_percent between 1 and 100),
        used bigint not null default 0 check (used >= 0),
        primary key (region, pool)
    );
    create table if not exists worker_capacity.reservation (
        tenant uuid primary key,
        owner text not null,
        region text collate "C" not null,
        answer json not null,
        committed boolean not null default false,
        at timestamptz not null default now()
    );
    create table if not exists worker_capacity.part (
        tenant uuid not null references worker_capacity.reservation on delete cascade,
        pool text collate "C" not null,
        amount bigint not null check (amount >= 0),
        primary key (tenant, pool)
    );"#;

/// How long a worker that froze may hold up a region: its transaction is ended after so many milliseconds of idling.
const FROZEN: &str = "set local idle_in_transaction_session_timeout = 5000";

/// The statements that make the pools what the file says. Regions that it does not name follow `*`.
pub(crate) fn bring_up_to_date(pools: &Pools) -> String {
    let lines: Vec<_> = pools
        .lines()
        .map(|line| {
            let (region, pool) = (literal(line.region), literal(line.pool));
            format!("({region}, {pool}, {}, {})", line.total, line.threshold_percent)
        })
        .collect();
    let named: Vec<_> = pools.regions().map(literal).collect();
    format!(
        "select from worker_capacity.pool order by region, pool for no key update;
         insert into worker_capacity.pool (region, pool, total, threshold_percent) values {}
             on conflict (region, pool) do update
             set total = excluded.total, threshold_percent = excluded.threshold_percent;
         update worker_capacity.pool mine set total = other.total, threshold_percent = other.threshold_percent
             from worker_capacity.pool other
             where other.region = '{ANY}' and other.pool = mine.pool and mine.region not in ({});",
        lines.join(", "),
        named.join(", ")
    )
}

/// A reservation of the tenant's own.
struct Held {
    region: String,
    answer: Reserved,
    committed: bool,
}

enum Found {
    Nothing,
    Ours(Held),
    Foreign,
}

impl Found {
    /// # Errors
    /// `owned_by_other` where it is not ours.
    fn ours(self) -> Answer<Option<Held>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Ours(held) => Ok(Some(held)),
            Self::Foreign => {
                let message = "a reservation under this tenant's id has no owner tag of ours";
                Err(Trouble::no(Code::OwnedByOther, Class::Conflict, message))
            }
        }
    }
}

impl Held {
    /// Whether it is what the input asks for.
    fn is(&self, input: &Input) -> bool {
        self.region == input.region && self.answer.parts == sums::wanted(&input.requirements)
    }

    /// What it holds of that region's pools.
    fn of(&self, region: &str) -> &[Part] {
        if self.region == region { &self.answer.parts } else { &[] }
    }

    fn differences(&self, input: &Input) -> Vec<Difference> {
        let mut differences = Vec::new();
        if self.region != input.region {
            differences.extend(Difference::of("/region", &input.region, &self.region));
        }
        for part in sums::wanted(&input.requirements) {
            let have = sums::amount(&self.answer.parts, &part.pool);
            if have != part.amount {
                differences.extend(Difference::of(format!("/parts/{}", part.pool), &part.amount, &have));
            }
        }
        differences
    }
}

/// Sets all parts aside or none, in place of what the tenant held before. A repeat answers what was answered first.
pub(crate) async fn reserve(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    input: &Input,
) -> Answer<Reserved> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let held = find(&tx, cx, " for update").await?.ours()?;
    if let Some(held) = held.as_ref().filter(|held| held.is(input)) {
        tx.commit().await?;
        return Ok(held.answer.clone());
    }
    let mut regions = vec![input.region.as_str()];
    regions.extend(held.as_ref().map(|held| held.region.as_str()));
    open(&tx, &input.region).await?;
    let levels = lock(&tx, &regions).await?;
    let answer = answer(input, &levels, held.as_ref())?;
    if let Some(held) = &held {
        count(&tx, &held.region, &held.answer.parts, -1).await?;
    }
    count(&tx, &input.region, &answer.parts, 1).await?;
    cx.point("capacity.half-reserved").await?;
    write(&tx, cx, &input.region, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Frees what the tenant holds, committed or not.
pub(crate) async fn release(provider: &Provider, cx: &Cx, resource: &Resource) -> Answer<()> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    if let Some(held) = find(&tx, cx, " for update").await?.ours()? {
        lock(&tx, &[&held.region]).await?;
        count(&tx, &held.region, &held.answer.parts, -1).await?;
        cx.point("capacity.half-released").await?;
        let sql = "delete from worker_capacity.reservation where tenant = $1";
        tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID)]).await?;
    } else {
        cx.point("capacity.half-released").await?;
    }
    Ok(tx.commit().await?)
}

/// Makes the reservation the tenant's own.
pub(crate) async fn commit(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    input: &Input,
) -> Answer<Committed> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let held = find(&tx, cx, " for update").await?.ours()?;
    let committed = committed(held, input)?;
    mark(&tx, cx, true).await?;
    tx.commit().await?;
    Ok(committed)
}

/// Makes what is the tenant's own a reservation again, if there is one.
pub(crate) async fn take_back(provider: &Provider, cx: &Cx, resource: &Resource) -> Answer<()> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    if find(&tx, cx, " for update").await?.ours()?.is_some() {
        mark(&tx, cx, false).await?;
    }
    Ok(tx.commit().await?)
}

pub(crate) async fn observe_reserved(provider: &Provider, cx: &Cx, input: &Input) -> Answer<Observed> {
    Ok(match look(provider, cx).await? {
        Found::Nothing => Observed::Absent,
        Found::Ours(held) => Observed::Ours { differences: held.differences(input) },
        Found::Foreign => foreign(),
    })
}

pub(crate) async fn observe_committed(provider: &Provider, cx: &Cx, input: &Input) -> Answer<Observed> {
    Ok(match look(provider, cx).await? {
        Found::Ours(held) if held.committed => Observed::Ours { differences: held.differences(input) },
        Found::Nothing | Found::Ours(_) => Observed::Absent,
        Found::Foreign => foreign(),
    })
}

fn foreign() -> Observed {
    Observed::Foreign { hint: "the reservation has no owner tag of ours".to_owned() }
}

/// What [`reserve`] would answer now. Takes no locks, so another tenant may be faster.
pub(crate) async fn foresee_reserved(provider: &Provider, cx: &Cx, input: &Input) -> Answer<Reserved> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    let held = find(&tx, cx, "").await?.ours()?;
    if let Some(held) = held.as_ref().filter(|held| held.is(input)) {
        return Ok(held.answer.clone());
    }
    let mut levels = levels(&tx, &[&input.region], "").await?;
    if levels.is_empty() {
        levels = self::levels(&tx, &[ANY], "").await?;
        for level in &mut levels {
            level.region.clone_from(&input.region);
        }
    }
    answer(input, &levels, held.as_ref())
}

/// What [`commit`] would answer now. `None` while nothing is reserved: in a dry run nothing ever is.
pub(crate) async fn foresee_committed(
    provider: &Provider,
    cx: &Cx,
    input: &Input,
) -> Answer<Option<Committed>> {
    match look(provider, cx).await?.ours()? {
        None => Ok(None),
        held => committed(held, input).map(Some),
    }
}

/// What is answered where it fits.
fn answer(input: &Input, levels: &[Level], held: Option<&Held>) -> Answer<Reserved> {
    let held = held.map_or(&[][..], |held| held.of(&input.region));
    let parts = sums::wanted(&input.requirements);
    let notices = sums::fit(&input.region, levels, &parts, held)?;
    Ok(Reserved { parts, notices })
}

/// A plan reserves before it commits, with the same input. Anything else is a defect of the fleet or a foreign hand.
fn committed(held: Option<Held>, input: &Input) -> Answer<Committed> {
    let bug = |message: &str| Err(Trouble::no(Code::Bug, Class::Bug, message));
    match held {
        None => {
            bug("nothing is reserved for this tenant; `capacity.reserve` did not run, or somebody freed it")
        }
        Some(held) if !held.is(input) => {
            bug("what is reserved for this tenant is not what is to be committed")
        }
        Some(held) => Ok(Committed { parts: held.answer.parts }),
    }
}

async fn look(provider: &Provider, cx: &Cx) -> Answer<Found> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    find(&tx, cx, "").await
}

async fn find(tx: &Transaction<'_>, cx: &Cx, lock: &str) -> Answer<Found> {
    let sql = format!(
        "select owner, region, answer::text, committed from worker_capacity.reservation where tenant = $1{lock}"
    );
    let Some(row) = tx.query_typed_opt(&sql, &[(&cx.tenant.0, Type::UUID)]).await? else {
        return Ok(Found::Nothing);
    };
    if !cx.owns(row.get(0)) {
        return Ok(Found::Foreign);
    }
    let answer = serde_json::from_str(row.get(2)).map_err(|_| {
        let message = "the reservation that stands has another shape than this worker writes";
        Trouble::no(Code::OutputInvalid, Class::Bug, message)
    })?;
    Ok(Found::Ours(Held { region: row.get(1), answer, committed: row.get(3) }))
}

/// Gives the region pools like `*` where it has none. Comes before any pool is locked, as `*` comes before any region.
async fn open(tx: &Transaction<'_>, region: &str) -> Answer<()> {
    // The lock keeps out a `prepare` that would change `*` and not see the new rows.
    let sql = "insert into worker_capacity.pool (region, pool, total, threshold_percent)
               select $1, pool, total, threshold_percent from worker_capacity.pool
               where region = $2 and not exists (select from worker_capacity.pool where region = $1)
               order by pool for share
               on conflict do nothing";
    tx.execute_typed(sql, &[(&region, Type::TEXT), (&ANY, Type::TEXT)]).await?;
    Ok(())
}

/// Locks the pools of these regions, always in the same order.
async fn lock(tx: &Transaction<'_>, regions: &[&str]) -> Answer<Vec<Level>> {
    tx.batch_execute(FROZEN).await?;
    levels(tx, regions, " for no key update").await
}

async fn levels(tx: &Transaction<'_>, regions: &[&str], lock: &str) -> Answer<Vec<Level>> {
    let sql = format!(
        "select region, pool, total, threshold_percent, used from worker_capacity.pool
         where region = any ($1) order by region, pool{lock}"
    );
    let rows = tx.query_typed(&sql, &[(&regions, Type::TEXT_ARRAY)]).await?;
    let level = rows.iter().map(|row| Level {
        region: row.get(0),
        pool: row.get(1),
        total: row.get(2),
        threshold_percent: row.get(3),
        used: row.get(4),
    });
    Ok(level.collect())
}

/// Pools and amounts side by side, as PostgreSQL takes them.
fn columns(parts: &[Part], sign: i64) -> Answer<(Vec<&str>, Vec<i64>)> {
    let amounts = parts.iter().map(|part| i64::try_from(part.amount).map(|amount| amount * sign));
    let amounts = amounts.collect::<Result<_, _>>().map_err(|_| {
        Trouble::no(Code::Bug, Class::Bug, "a part is larger than any pool, and yet it was found to fit")
    })?;
    Ok((parts.iter().map(|part| part.pool.as_str()).collect(), amounts))
}

/// Changes the sums of the region's pools, which are locked.
async fn count(tx: &Transaction<'_>, region: &str, parts: &[Part], sign: i64) -> Answer<()> {
    let (pools, amounts) = columns(parts, sign)?;
    let sql = "update worker_capacity.pool mine set used = mine.used + part.amount
               from unnest($2, $3) as part (pool, amount)
               where mine.region = $1 and mine.pool = part.pool";
    let keys: [(&(dyn ToSql + Sync), Type); 3] =
        [(&region, Type::TEXT), (&pools, Type::TEXT_ARRAY), (&amounts, Type::INT8_ARRAY)];
    tx.execute_typed(sql, &keys).await?;
    Ok(())
}

/// Writes the reservation and its parts, in place of those before.
async fn write(tx: &Transaction<'_>, cx: &Cx, region: &str, answer: &Reserved) -> Answer<()> {
    let text = serde_json::to_string(answer)
        .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "the reservation has no JSON form"))?;
    let (pools, amounts) = columns(&answer.parts, 1)?;
    let sql = "with reservation as (
                   insert into worker_capacity.reservation (tenant, owner, region, answer)
                   values ($1, $2, $3, $4::text::json)
                   on conflict (tenant) do update set owner = excluded.owner, region = excluded.region,
                       answer = excluded.answer, committed = false, at = now()
               )
               insert into worker_capacity.part (tenant, pool, amount)
               select $1, pool, amount from unnest($5, $6) as part (pool, amount)
               on conflict (tenant, pool) do update set amount = excluded.amount";
    let keys: [(&(dyn ToSql + Sync), Type); 6] = [
        (&cx.tenant.0, Type::UUID),
        (&cx.owner_tag(), Type::TEXT),
        (&region, Type::TEXT),
        (&text, Type::TEXT),
        (&pools, Type::TEXT_ARRAY),
        (&amounts, Type::INT8_ARRAY),
    ];
    tx.execute_typed(sql, &keys).await?;
    Ok(())
}

async fn mark(tx: &Transaction<'_>, cx: &Cx, committed: bool) -> Answer<()> {
    let sql = "update worker_capacity.reservation set committed = $2 where tenant = $1 and committed <> $2";
    tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID), (&committed, Type::BOOL)]).await?;
    Ok(())
}
