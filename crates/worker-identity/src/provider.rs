//! The provider is PostgreSQL: the tenants' records in the tenants' database, with which the operator's
//! `--tenants-url` connects.

use deadpool_postgres::Transaction;
use tenantry_contracts::steps::identity::{Input, Namespace, Output, Partition};
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Trouble};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

pub(crate) const TABLES: &str = "
    create sequence if not exists worker_identity.number as bigint no cycle;
    create table if not exists worker_identity.tenant (
        tenant uuid primary key,
        number bigint not null unique,
        owner text not null,
        environment text not null,
        slug text not null,
        namespace text not null unique,
        namespace_slug text not null unique,
        template text not null,
        region text not null,
        residency text not null,
        at timestamptz not null default now()
    );
    create table if not exists worker_identity.partition (
        tenant uuid not null references worker_identity.tenant on delete cascade,
        kind text not null,
        id text not null unique,
        name text not null,
        at timestamptz not null default now(),
        primary key (tenant, kind)
    );";

/// The logical partitions of every tenant (seed 002), in the order in which they are told.
const KINDS: [&str; 3] = ["primary", "analytics", "audit"];

/// A record of the tenant's own.
struct Record {
    number: i64,
    template: String,
    region: String,
    residency: String,
}

enum Found {
    Nothing,
    Ours(Record),
    Foreign,
}

impl Found {
    /// # Errors
    /// `owned_by_other` where it is not ours.
    fn ours(self) -> Answer<Option<Record>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Ours(record) => Ok(Some(record)),
            Self::Foreign => {
                let message =
                    "a record of this tenant's id stands in the worker's table and has no owner tag of ours";
                Err(Trouble::no(Code::OwnedByOther, Class::Conflict, message))
            }
        }
    }
}

fn namespace(cx: &Cx) -> Namespace {
    Namespace {
        id: format!("ns_{}", cx.tenant),
        // An environment holds no hyphen, so two pairs never make one name.
        slug: format!("{}-{}", cx.slug, cx.environment),
        environment: cx.environment.clone(),
    }
}

fn partitions(cx: &Cx) -> Vec<Partition> {
    let partition = |kind: &str| Partition {
        id: format!("part_{}_{kind}", cx.tenant),
        name: kind.to_owned(),
        kind: kind.to_owned(),
    };
    KINDS.map(partition).into()
}

fn output(cx: &Cx, number: i64) -> Output {
    Output { display: format!("TEN-{number:03}"), namespace: namespace(cx), partitions: partitions(cx) }
}

/// The namespace has its name once; whose it is, is not told to another tenant.
fn taken(cx: &Cx) -> Trouble {
    let message = format!("the namespace {} is another tenant's", namespace(cx).slug);
    Trouble::no(Code::OwnedByOther, Class::Conflict, message)
}

/// Writes the record and its partitions, or brings the ones that stand up to date. A number once drawn is kept.
pub(crate) async fn create(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    input: &Input,
) -> Answer<Output> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let number = match find(&tx, cx, " for update").await?.ours()? {
        None => insert(&tx, cx, input).await?,
        Some(record) => {
            update(&tx, cx, input, &record).await?;
            record.number
        }
    };
    cx.point("identity.before-partitions").await?;
    let output = output(cx, number);
    let ids: Vec<_> = output.partitions.iter().map(|partition| partition.id.as_str()).collect();
    let kinds: Vec<_> = output.partitions.iter().map(|partition| partition.kind.as_str()).collect();
    let sql = "insert into worker_identity.partition (tenant, kind, id, name)
               select $1, kind, id, kind from unnest($2, $3) as wanted (kind, id)
               on conflict (tenant, kind) do nothing";
    let keys: [(&(dyn ToSql + Sync), Type); 3] =
        [(&cx.tenant.0, Type::UUID), (&kinds, Type::TEXT_ARRAY), (&ids, Type::TEXT_ARRAY)];
    tx.execute_typed(sql, &keys).await?;
    tx.commit().await?;
    Ok(output)
}

/// Removes the record with its partitions. Its number is not given again.
pub(crate) async fn remove(provider: &Provider, cx: &Cx, resource: &Resource) -> Answer<()> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    if find(&tx, cx, " for update").await?.ours()?.is_some() {
        let sql = "delete from worker_identity.tenant where tenant = $1";
        tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID)]).await?;
    }
    Ok(tx.commit().await?)
}

pub(crate) async fn observe(provider: &Provider, cx: &Cx, input: &Input) -> Answer<Observed> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    let record = match find(&tx, cx, "").await? {
        Found::Ours(record) => record,
        Found::Foreign => {
            return Ok(Observed::Foreign { hint: "the record has no owner tag of ours".to_owned() });
        }
        Found::Nothing => {
            let told = |other| format!("namespace {} is held by tenant {other}", namespace(cx).slug);
            let holder = holder(&tx, cx).await?;
            return Ok(holder.map_or(Observed::Absent, |other| Observed::Foreign { hint: told(other) }));
        }
    };
    let sql = "select id from worker_identity.partition where tenant = $1";
    let rows = tx.query_typed(sql, &[(&cx.tenant.0, Type::UUID)]).await?;
    let have: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    let missing = partitions(cx).into_iter().filter(|partition| !have.contains(&partition.id.as_str()));
    let mut differences: Vec<_> = [
        ("/template", &input.template, &record.template),
        ("/region", &input.region, &record.region),
        ("/residency", &input.residency, &record.residency),
    ]
    .into_iter()
    .filter(|(_, want, have)| want != have)
    .filter_map(|(at, want, have)| Difference::of(at, want, have))
    .collect();
    differences.extend(
        missing.filter_map(|lost| Difference::of(format!("/partitions/{}", lost.kind), &true, &false)),
    );
    Ok(Observed::Ours { differences })
}

/// What [`create`] would answer now. `None` where it would draw a number: only drawing it tells which.
pub(crate) async fn foresee(provider: &Provider, cx: &Cx) -> Answer<Option<Output>> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    if let Some(record) = find(&tx, cx, "").await?.ours()? {
        return Ok(Some(output(cx, record.number)));
    }
    match holder(&tx, cx).await? {
        Some(_) => Err(taken(cx)),
        None => Ok(None),
    }
}

async fn find(tx: &Transaction<'_>, cx: &Cx, lock: &str) -> Answer<Found> {
    let sql = format!(
        "select owner, number, template, region, residency from worker_identity.tenant where tenant = $1{lock}"
    );
    let row = tx.query_typed_opt(&sql, &[(&cx.tenant.0, Type::UUID)]).await?;
    Ok(match row {
        None => Found::Nothing,
        Some(row) if cx.owns(row.get(0)) => Found::Ours(Record {
            number: row.get(1),
            template: row.get(2),
            region: row.get(3),
            residency: row.get(4),
        }),
        Some(_) => Found::Foreign,
    })
}

/// The tenant that holds the namespace's name.
async fn holder(tx: &Transaction<'_>, cx: &Cx) -> Answer<Option<Uuid>> {
    let sql = "select tenant from worker_identity.tenant where namespace_slug = $1";
    let row = tx.query_typed_opt(sql, &[(&namespace(cx).slug, Type::TEXT)]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Draws a number. Another tenant that makes a record of the same namespace at this moment is waited for.
async fn insert(tx: &Transaction<'_>, cx: &Cx, input: &Input) -> Answer<i64> {
    let namespace = namespace(cx);
    let sql = "insert into worker_identity.tenant
                   (tenant, number, owner, environment, slug, namespace, namespace_slug, template, region, residency)
               values ($1, nextval('worker_identity.number'), $2, $3, $4, $5, $6, $7, $8, $9)
               on conflict do nothing returning number";
    let keys: [(&(dyn ToSql + Sync), Type); 9] = [
        (&cx.tenant.0, Type::UUID),
        (&cx.owner_tag(), Type::TEXT),
        (&cx.environment.as_str(), Type::TEXT),
        (&cx.slug.as_str(), Type::TEXT),
        (&namespace.id, Type::TEXT),
        (&namespace.slug, Type::TEXT),
        (&input.template, Type::TEXT),
        (&input.region, Type::TEXT),
        (&input.residency, Type::TEXT),
    ];
    let row = tx.query_typed_opt(sql, &keys).await?;
    row.map(|row| row.get(0)).ok_or_else(|| taken(cx))
}

async fn update(tx: &Transaction<'_>, cx: &Cx, input: &Input, record: &Record) -> Answer<()> {
    let Input { template, region, residency } = input;
    if (template, region, residency) == (&record.template, &record.region, &record.residency) {
        return Ok(());
    }
    let sql = "update worker_identity.tenant
               set owner = $2, template = $3, region = $4, residency = $5, at = now() where tenant = $1";
    let keys: [(&(dyn ToSql + Sync), Type); 5] = [
        (&cx.tenant.0, Type::UUID),
        (&cx.owner_tag(), Type::TEXT),
        (template, Type::TEXT),
        (region, Type::TEXT),
        (residency, Type::TEXT),
    ];
    tx.execute_typed(sql, &keys).await?;
    Ok(())
}
