//! What must hold after every story: the store, the journal, the audit chains and what upstream heard agree.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tenantry_audit::{Expected, Head, Heard, Report, Verifier};
use tenantry_contracts::event::EventKind;
use tenantry_contracts::{Fact, Headers, Lane, State, Topic, fact};
use tenantry_ports::{LaneRow, TenantRow};
use tenantry_postgres::{MOST, TenantFilter};

use crate::ground::Ground;
use crate::work::fails;

/// Everything that a record is: key, headers, value.
type Said = (Bytes, Headers, Bytes);

/// Judges a fleet whose owners were stopped, and which was asked for these tenants and no other.
pub(crate) async fn judge(ground: &Ground, slugs: &[String]) -> Report {
    let lanes = ground.store.lanes().await.expect("the lanes");
    let tenants = tenants(ground).await;
    each_was_made_once(&tenants, slugs);
    for lane in &lanes {
        assert_eq!(lane.n, lane.spoken, "lane {} has said what it committed", lane.lane);
    }
    what_was_said_is_the_journal(ground, &lanes).await;
    each_was_answered_once(ground, slugs).await;
    let report = verified(ground, &lanes, &tenants).await;
    let bad = slugs.iter().filter(|slug| fails(slug)).count();
    let count = |kind: &str| report.kinds.get(kind).copied().unwrap_or(0) as usize;
    assert_eq!(count("tenant.requested"), slugs.len(), "{:?}", report.kinds);
    assert_eq!(count("tenant.saga.completed"), slugs.len() - bad, "{:?}", report.kinds);
    assert_eq!(count("tenant.rolled-back"), bad, "{:?}", report.kinds);
    report
}

/// All tenants as the store lists them.
pub(crate) async fn tenants(ground: &Ground) -> Vec<TenantRow> {
    let filter = TenantFilter { limit: MOST, ..TenantFilter::default() };
    let tenants = ground.store.tenants(&filter).await.expect("the tenants");
    assert!(tenants.len() < usize::from(MOST), "one page shows them all");
    tenants
}

fn each_was_made_once(tenants: &[TenantRow], slugs: &[String]) {
    let made: BTreeSet<&str> = tenants.iter().map(|tenant| tenant.slug.as_str()).collect();
    assert_eq!(made, slugs.iter().map(String::as_str).collect(), "the tenants that were asked for");
    assert_eq!(tenants.len(), slugs.len(), "one tenant for each slug");
    for tenant in tenants {
        let end = if fails(tenant.slug.as_str()) { State::RolledBack } else { State::Active };
        assert_eq!((tenant.state, tenant.at_rest), (end, true), "{}", tenant.slug);
    }
}

/// The numbers of a lane have no gap, and the first occurrences on its partition of both topics are the journal's facts:
/// all of them, in its order, byte for byte, and nothing else.
async fn what_was_said_is_the_journal(ground: &Ground, lanes: &[LaneRow]) {
    let mut said: BTreeMap<(Topic, u16), Vec<Said>> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for record in ground.topics.read(vec![Topic::Audit, Topic::Events]).await {
        let id = record.header("ce_id").expect("a fact has an id").to_owned();
        let place = (record.topic, record.partition);
        let fact = (record.key.expect("a key"), record.headers, record.value.expect("a value"));
        match seen.get(&(place.clone(), id.clone())) {
            Some(first) => assert_eq!(first, &fact, "{id} was said again, and differs"),
            None => {
                seen.insert((place.clone(), id), fact.clone());
                said.entry(place).or_default().push(fact);
            }
        }
    }
    for lane in lanes {
        let facts = journal(ground, lane).await;
        for topic in [Topic::Audit, Topic::Events] {
            let of_topic = facts.iter().filter(|fact| fact.topic == topic);
            let want: Vec<Said> =
                of_topic.map(|fact| (fact.key.clone(), fact.headers.clone(), fact.value.clone())).collect();
            let have = said.remove(&(topic.clone(), lane.lane.0)).unwrap_or_default();
            let wrong = want.iter().zip(&have).position(|(want, have)| want != have);
            let at = wrong.unwrap_or(want.len().min(have.len()));
            assert!(
                want == have,
                "{topic}/{}: the journal has {} facts, first occurrences are {}; at {at} the journal has {:?}, the topic {:?}",
                lane.lane,
                want.len(),
                have.len(),
                want.get(at),
                have.get(at)
            );
        }
    }
    assert!(said.is_empty(), "nothing is said beside the lanes: {:?}", said.keys());
}

/// The facts of all rows of a lane, in order of their numbers, which have no gap.
async fn journal(ground: &Ground, lane: &LaneRow) -> Vec<Fact> {
    let (mut facts, mut next) = (Vec::new(), 1);
    while next <= lane.n {
        let rows = ground.store.journal_scan(lane.lane, next, MOST).await.expect("the journal");
        assert!(!rows.is_empty(), "lane {} has no row {next} of {}", lane.lane, lane.n);
        for row in rows {
            assert_eq!(row.n, next, "lane {}", lane.lane);
            next += 1;
            facts.extend(fact::decode(row.facts).expect("facts"));
        }
    }
    assert_eq!(next, lane.n + 1, "lane {} has no row above its number", lane.lane);
    facts
}

/// Each request was accepted and came to its right end, each said once but for repeats of the same record.
async fn each_was_answered_once(ground: &Ground, slugs: &[String]) {
    let answers = ground.topics.answers().await;
    assert_eq!(answers.len(), slugs.len(), "no answer to anything else");
    for slug in slugs {
        let end = if fails(slug) { EventKind::RolledBack } else { EventKind::Provisioned };
        let said: Vec<EventKind> =
            answers.get(&format!("id-of-{slug}")).into_iter().flatten().map(|event| event.event).collect();
        assert_eq!(said, [EventKind::RequestAccepted, end], "{slug}");
    }
}

/// Every chain is whole and ends where the store says.
async fn verified(ground: &Ground, lanes: &[LaneRow], tenants: &[TenantRow]) -> Report {
    let of_tenant = |tenant: &TenantRow| {
        (tenant.tenant.to_string(), Head { seq: tenant.head_seq, digest: tenant.head_hash })
    };
    let of_lane =
        |lane: &LaneRow| (Lane::chain(lane.lane), Head { seq: lane.chain_seq, digest: lane.chain_head });
    let mut expected = Expected { exact: true, ..Expected::default() };
    expected.heads.extend(tenants.iter().map(of_tenant));
    expected.heads.extend(lanes.iter().filter(|lane| lane.chain_seq > 0).map(of_lane));
    let mut verifier = Verifier::new();
    for record in ground.topics.read(vec![Topic::Audit]).await {
        let at = record.origin();
        verifier.hear(Heard { key: record.key.as_deref(), value: record.value.as_deref(), at: &at });
    }
    match verifier.finish(Some(&expected)) {
        Ok(report) => report,
        Err(problem) => panic!("the audit does not verify: {problem:?}"),
    }
}
