//! Where the chains end by what the store says, and how much of that the topic must hold already.

use std::collections::BTreeMap;

use tenantry_audit::{Expected, Head};
use tenantry_contracts::Lane;
use tenantry_ports::{LaneRow, TenantRow};
use tenantry_postgres::{MOST, Queries, TenantFilter};

use super::Only;

/// The ends of the chains, read before the records.
#[derive(Debug)]
pub(super) struct Heads {
    heads: BTreeMap<String, Head>,
    /// How many ends were not compared: they are committed, and not yet known to be on the topic.
    pub(super) ahead: usize,
    /// The highest number of each lane, where the whole fleet rested.
    resting: Option<Vec<(Lane, i64)>>,
}

impl Heads {
    /// For the topic: only what was spoken must be there.
    pub(super) async fn read(store: &Queries, only: Option<&Only>) -> anyhow::Result<Self> {
        Self::of(store, only, true).await
    }

    /// For the journal: everything that is committed is there.
    pub(super) async fn read_unspoken(store: &Queries, only: Option<&Only>) -> anyhow::Result<Self> {
        Self::of(store, only, false).await
    }

    async fn of(store: &Queries, only: Option<&Only>, spoken: bool) -> anyhow::Result<Self> {
        let tenants = tenants(store).await?;
        // The lanes last: what a tenant's row shows by then was spoken or not for sure.
        let lanes = store.lanes().await?;
        Ok(Self::made(&tenants, &lanes, only, spoken))
    }

    fn made(tenants: &[TenantRow], lanes: &[LaneRow], only: Option<&Only>, spoken: bool) -> Self {
        let mut heads = BTreeMap::new();
        let mut ahead = 0;
        let known: BTreeMap<Lane, &LaneRow> = lanes.iter().map(|lane| (lane.lane, lane)).collect();
        for tenant in tenants {
            let chain = tenant.tenant.to_string();
            if only.is_some_and(|only| {
                only.id.as_ref() != Some(&chain) && only.slug.as_ref() != Some(&tenant.slug)
            }) {
                continue;
            }
            let said = known.get(&tenant.lane).is_some_and(|lane| tenant.head_n <= lane.spoken);
            if spoken && !said {
                ahead += 1;
                continue;
            }
            heads.insert(chain, Head { seq: tenant.head_seq, digest: tenant.head_hash });
        }
        for lane in lanes.iter().filter(|lane| only.is_none() && lane.chain_seq > 0) {
            if spoken && lane.spoken < lane.n {
                ahead += 1;
                continue;
            }
            heads.insert(lane.lane.chain(), Head { seq: lane.chain_seq, digest: lane.chain_head });
        }
        let rests = only.is_none()
            && tenants.iter().all(|tenant| tenant.at_rest)
            && lanes.iter().all(|lane| !spoken || lane.spoken == lane.n);
        let resting = rests.then(|| lanes.iter().map(|lane| (lane.lane, lane.n)).collect());
        Self { heads, ahead, resting }
    }

    /// How many ends are compared.
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// What the verifier is given. Exact where nothing was written from the reading of the ends until now.
    pub(super) async fn expected(self, store: Option<&Queries>) -> anyhow::Result<Expected> {
        let now = match (&self.resting, store) {
            (Some(_), Some(store)) => {
                Some(store.lanes().await?.into_iter().map(|lane| (lane.lane, lane.n)).collect::<Vec<_>>())
            }
            _ => None,
        };
        let exact = self.resting.is_some() && self.resting == now;
        Ok(Expected { heads: self.heads, exact })
    }
}

async fn tenants(store: &Queries) -> anyhow::Result<Vec<TenantRow>> {
    let mut all: Vec<TenantRow> = Vec::new();
    loop {
        let after = all.last().map(|tenant| tenant.tenant);
        let page = store.tenants(&TenantFilter { states: Vec::new(), after, limit: MOST }).await?;
        let full = page.len() == usize::from(MOST);
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::{Environment, Sealed, Slug, State, TenantId, Time};
    use tenantry_ports::HeardAt;

    use super::*;

    fn lane(n: i64, spoken: i64) -> LaneRow {
        LaneRow {
            lane: Lane(0),
            epoch: 1,
            n,
            spoken,
            requests: HeardAt::default(),
            results: HeardAt::default(),
            operations: HeardAt::default(),
            fruitless: 0,
            seen_at: Time(0),
            paused_ms: 0,
            chain_seq: 2,
            chain_head: [2; 32],
            stopped: Default::default(),
        }
    }

    fn tenant(head_n: i64, at_rest: bool) -> TenantRow {
        TenantRow {
            tenant: TenantId::new(Time(head_n), [1; 10]),
            lane: Lane(0),
            environment: Environment::default(),
            slug: Slug::parse(&format!("acme-{head_n}")).unwrap(),
            name: Sealed::read(String::new()),
            plan: "starter".into(),
            state: State::Active,
            since: Time(0),
            head_n,
            head_seq: 6,
            head_hash: [6; 32],
            at_rest,
            holds_slug: true,
            created: Time(0),
        }
    }

    #[test]
    fn an_end_that_was_not_spoken_yet_is_not_demanded_of_the_topic() {
        let tenants = [tenant(5, true), tenant(9, true)];
        let heads = Heads::made(&tenants, &[lane(9, 7)], None, true);
        assert_eq!((heads.len(), heads.ahead, heads.resting.is_some()), (1, 2, false));
        let heads = Heads::made(&tenants, &[lane(9, 9)], None, true);
        assert_eq!((heads.len(), heads.ahead, heads.resting.is_some()), (3, 0, true));
        let heads = Heads::made(&tenants, &[lane(9, 7)], None, false);
        assert_eq!((heads.len(), heads.ahead), (3, 0));
    }

    #[test]
    fn a_fleet_with_a_tenant_under_way_does_not_rest() {
        assert!(Heads::made(&[tenant(5, false)], &[lane(9, 9)], None, true).resting.is_none());
    }

    #[test]
    fn one_tenant_alone_has_one_end() {
        let only = Only { id: None, slug: Some(Slug::parse("acme-5").unwrap()) };
        let heads = Heads::made(&[tenant(5, true), tenant(9, true)], &[lane(9, 9)], Some(&only), true);
        assert_eq!((heads.len(), heads.resting.is_some()), (1, false));
    }
}
