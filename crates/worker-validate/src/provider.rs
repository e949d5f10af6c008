//! The provider is PostgreSQL: one table of claims in the tenants' database, with which the operator's `--tenants-url`
//! connects. A claimed name stands there as a digest only.
//!
//! A claim belongs to a tenant or to nobody; its generation grows each time it passes to a tenant, so that whatever is
//! made under the name can be fenced by it.

use sha2::{Digest, Sha256};
use tenantry_contracts::steps::validate::{Claim, Input};
use tenantry_contracts::{Class, Code, Json};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Trouble};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::names;

pub(crate) const CLAIMS: &str = "
    create table if not exists worker_validate.claim (
        kind text not null check (kind in ('name', 'domain')),
        digest bytea not null,
        tenant uuid,
        generation bigint not null,
        at timestamptz not null default now(),
        primary key (kind, digest)
    );
    create index if not exists claim_by_tenant on worker_validate.claim (tenant) where tenant is not null;";

/// A name that the tenant is to hold.
pub(crate) struct Wanted {
    kind: &'static str,
    digest: Vec<u8>,
    taken: Code,
}

impl Wanted {
    fn is_taken(&self) -> Trouble {
        let message = format!("another tenant holds this {} or one that looks the same", self.kind);
        Trouble::no_at(self.taken, Class::Business, format!("/{}", self.kind), message)
    }
}

/// The names of the input, checked and reduced to digests.
///
/// # Errors
/// `name_invalid`, `domain_invalid`, or the sealed name does not open.
pub(crate) fn wanted(cx: &Cx, input: &Input) -> Answer<Vec<Wanted>> {
    let name = names::display_name(&cx.open("name", &input.name)?)?;
    // The same organisation may have a tenant in each environment; a host name leads to one of them only.
    let scoped = format!("{}\n{name}", cx.environment);
    let mut wanted =
        vec![Wanted { kind: "name", digest: digest(cx, "name", &scoped), taken: Code::NameTaken }];
    if let Some(domain) = &input.domain {
        let digest = digest(cx, "domain", &names::domain(domain)?);
        wanted.push(Wanted { kind: "domain", digest, taken: Code::DomainTaken });
    }
    Ok(wanted)
}

fn digest(cx: &Cx, kind: &str, text: &str) -> Vec<u8> {
    Sha256::digest(format!("tenantry/1\nclaim\n{}\n{kind}\n{text}", cx.fleet)).to_vec()
}

/// Claims all names or none, and lets go of what the tenant held under other names.
pub(crate) async fn claim(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    wanted: &[Wanted],
) -> Answer<Vec<Claim>> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let mut claims = Vec::new();
    // Always in this order (name, domain), so that two tenants never wait for each other in a circle.
    for name in wanted {
        let sql = "insert into worker_validate.claim as held (kind, digest, tenant, generation) values ($1, $2, $3, 1)
                   on conflict (kind, digest) do update
                   set tenant = excluded.tenant, at = now(),
                       generation = held.generation + (held.tenant is null)::int
                   where held.tenant is null or held.tenant = excluded.tenant
                   returning generation";
        let keys: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&name.kind, Type::TEXT), (&name.digest, Type::BYTEA), (&cx.tenant.0, Type::UUID)];
        match tx.query_typed_opt(sql, &keys).await? {
            Some(row) => claims.push(Claim { kind: name.kind.to_owned(), generation: row.get(0) }),
            None => return Err(name.is_taken()),
        }
    }
    let digests: Vec<_> = wanted.iter().map(|name| name.digest.as_slice()).collect();
    let sql =
        "update worker_validate.claim set tenant = null, at = now() where tenant = $1 and digest <> all ($2)";
    tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID), (&digests, Type::BYTEA_ARRAY)]).await?;
    tx.commit().await?;
    Ok(claims)
}

/// What [`claim`] would answer now.
pub(crate) async fn foresee(provider: &Provider, cx: &Cx, wanted: &[Wanted]) -> Answer<Vec<Claim>> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    let mut claims = Vec::new();
    for name in wanted {
        let sql = "select tenant, generation from worker_validate.claim where kind = $1 and digest = $2";
        let row = tx.query_typed_opt(sql, &[(&name.kind, Type::TEXT), (&name.digest, Type::BYTEA)]).await?;
        let held: Option<(Option<Uuid>, i64)> = row.map(|row| (row.get(0), row.get(1)));
        let generation = match held {
            None => 1,
            Some((None, last)) => last + 1,
            Some((Some(holder), now)) if holder == cx.tenant.0 => now,
            Some((Some(_), _)) => return Err(name.is_taken()),
        };
        claims.push(Claim { kind: name.kind.to_owned(), generation });
    }
    Ok(claims)
}

/// Lets go of all that the tenant holds. The claims stay, free, with their generation.
pub(crate) async fn release(provider: &Provider, cx: &Cx, resource: &Resource) -> Answer<()> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let sql = "update worker_validate.claim set tenant = null, at = now() where tenant = $1";
    tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID)]).await?;
    Ok(tx.commit().await?)
}

/// Who holds the names of the input, and whether the tenant holds others.
pub(crate) async fn observe(provider: &Provider, cx: &Cx, input: &Input) -> Answer<Observed> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    let mine = "select kind, digest from worker_validate.claim where tenant = $1";
    let mine = tx.query_typed(mine, &[(&cx.tenant.0, Type::UUID)]).await?;
    let wanted = match wanted(cx, input) {
        Ok(wanted) => wanted,
        // A name that cannot be read or was never sound cannot be compared; nothing held is nothing there.
        Err(_) if mine.is_empty() => return Ok(Observed::Absent),
        Err(trouble) => return Ok(Observed::Unknown { why: trouble.to_string() }),
    };
    let mut differences = Vec::new();
    for name in &wanted {
        let holder = "select tenant from worker_validate.claim where kind = $1 and digest = $2";
        let row =
            tx.query_typed_opt(holder, &[(&name.kind, Type::TEXT), (&name.digest, Type::BYTEA)]).await?;
        let holder: Option<Uuid> = row.and_then(|row| row.get(0));
        match holder {
            Some(other) if other != cx.tenant.0 && mine.is_empty() => {
                return Ok(Observed::Foreign {
                    hint: format!("the {} is held by tenant {other}", name.kind),
                });
            }
            Some(holder) if holder == cx.tenant.0 => {}
            _ => differences.push((format!("/{}", name.kind), true, false)),
        }
    }
    if mine.is_empty() {
        return Ok(Observed::Absent);
    }
    for row in mine {
        let (kind, digest): (&str, &[u8]) = (row.get(0), row.get(1));
        if !wanted.iter().any(|name| name.digest == digest) {
            differences.push((format!("/{kind}/other"), false, true));
        }
    }
    let told = differences.into_iter().filter_map(|(path, want, have)| {
        Some(Difference { path, want: Json::of(&want).ok()?, have: Json::of(&have).ok()? })
    });
    Ok(Observed::Ours { differences: told.collect() })
}
