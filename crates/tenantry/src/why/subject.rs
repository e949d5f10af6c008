//! What is asked about: a tenant, a saga, or a dead letter; and which tenant that is.

use tenantry_contracts::{Environment, Origin, SagaId, TenantId};
use tenantry_postgres::{MOST, Queries, TenantFilter};

use crate::out::{Refused, failed};
use crate::show::which::Which;
use crate::tenant::find::One;

/// How many tenants are looked through for a saga's id, the newest first. A saga's id is made from its tenant's and
/// cannot be read backwards.
const LOOKED_THROUGH: usize = 200_000;
/// How many sagas of each.
const SAGAS: u32 = 8;

/// What is asked about on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A tenant by its slug; by its id, or by the id of one of its sagas.
    Tenant(Which),
    /// A dead letter, by its own place or by that of the record in it.
    Letter(Origin),
}

impl std::str::FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains('/') {
            return text.parse().map(Self::Tenant);
        }
        let mut parts = text.rsplitn(3, '/');
        let (offset, partition, topic) = (parts.next(), parts.next(), parts.next());
        let origin = || {
            Some(Origin {
                topic: topic?.to_owned().into(),
                partition: partition?.parse().ok()?,
                offset: offset?.parse().ok()?,
            })
        };
        origin().map(Self::Letter).ok_or_else(|| {
            "a letter is topic/partition/offset, as in tenant.commands.database.dlq/0/5".to_owned()
        })
    }
}

/// The tenant of an id that may be its own or that of one of its sagas.
pub(super) async fn tenant_of(
    which: Which,
    environment: Environment,
    store: &Queries,
) -> anyhow::Result<One> {
    let one = One { which, environment };
    let Which::Id(id) = one.which else { return Ok(one) };
    if store.tenant(id).await?.is_some() {
        return Ok(one);
    }
    match of_saga(SagaId(id.0), store).await? {
        Some(tenant) => Ok(One { which: Which::Id(tenant), ..one }),
        None => Err(unknown(id).into()),
    }
}

fn unknown(id: TenantId) -> Refused {
    let text = format!(
        "{id} is no tenant, and no saga of the newest {LOOKED_THROUGH} tenants; look at `tenantry tenant ls`"
    );
    failed("tenant_unknown", text)
}

async fn of_saga(saga: SagaId, store: &Queries) -> anyhow::Result<Option<TenantId>> {
    let mut filter = TenantFilter { limit: MOST, ..TenantFilter::default() };
    for _ in 0..LOOKED_THROUGH / usize::from(MOST) {
        let page = store.tenants(&filter).await?;
        let owns = |tenant: &TenantId| (1..=SAGAS).any(|ordinal| SagaId::of(*tenant, ordinal) == saga);
        if let Some(found) = page.iter().map(|row| row.tenant).find(owns) {
            return Ok(Some(found));
        }
        match page.last() {
            Some(last) if page.len() == usize::from(MOST) => filter.after = Some(last.tenant),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_an_id_and_a_letter_are_told_apart() {
        let read = |text: &str| text.parse::<Subject>();
        assert!(matches!(read("acme"), Ok(Subject::Tenant(Which::Slug(_)))));
        assert!(matches!(read("01919191-9191-7191-8191-919191919191"), Ok(Subject::Tenant(Which::Id(_)))));
        let letter = Origin { topic: "tenant.requests.dlq".into(), partition: 0, offset: 7 };
        assert_eq!(read("tenant.requests.dlq/0/7"), Ok(Subject::Letter(letter)));
        assert!(read("tenant.requests.dlq/7").unwrap_err().contains("topic/partition/offset"));
        assert!(read("Not A Slug").is_err());
    }
}
