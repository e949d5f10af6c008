//! A commit whose outcome nobody heard is unknown, and a take-over finds out.

use std::net::SocketAddr;

use tenantry_contracts::Lane;
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{Batch, CommitOutcome, LaneRow, LaneWrite, Store};
use tenantry_postgres::PgStore;
use tenantry_testkit::proxy::Proxy;

use crate::fleet::{Fleet, add, must, tenant, write};

/// A store behind a proxy, whose connection has prepared its statement.
async fn behind_a_proxy(fleet: &Fleet) -> (Proxy, PgStore, LaneRow, Lane) {
    let (before, address) = fleet.url.split_once('@').unwrap();
    let (address, after) = address.split_once('/').unwrap();
    let proxy = Proxy::start(address.parse::<SocketAddr>().unwrap()).await.unwrap();
    let store = PgStore::connect(&format!("{before}@{}/{after}", proxy.address())).await.unwrap();
    let lane = fleet.lane();
    let mut row = store.raise(lane).await.unwrap();
    let first = write(&row);
    must(&store, &mut row, first).await;
    (proxy, store, row, lane)
}

fn one_row(row: &LaneRow) -> LaneWrite {
    let (mut batch, mut made) = (write(row), tenant(row.lane, 1));
    add(&mut batch, &mut made);
    batch.tenants.push(made);
    batch
}

fn is_unknown(outcome: &CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Unknown(_))
}

#[tokio::test]
async fn a_lost_reply_is_unknown_and_the_take_over_finds_the_batch() {
    let fleet = Fleet::new().await;
    let (proxy, store, row, lane) = behind_a_proxy(&fleet).await;
    proxy.cut_reply_after(0);
    let outcome = store.commit(Batch { lanes: vec![one_row(&row)] }).await;
    assert!(is_unknown(&outcome), "{outcome:?}");
    assert_eq!(proxy.lost_replies(), 1);
    let after = store.raise(lane).await.unwrap();
    assert_eq!(after.n, row.n + 1);
    assert_eq!(store.load(&after).await.unwrap().unspoken.len(), 1);
}

#[tokio::test]
async fn a_backend_that_is_killed_under_a_batch_is_unknown_and_the_take_over_finds_nothing() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let mut row = store.raise(lane).await.unwrap();
    let first = write(&row);
    must(&store, &mut row, first).await;
    // Somebody holds the lane, so that the batch waits and can be killed.
    let mut holder = fleet.client().await;
    let open = holder.transaction().await.unwrap();
    open.execute("select from lane for update", &[]).await.unwrap();
    let committing = tokio::spawn({
        let (store, batch) = (store.clone(), Batch { lanes: vec![one_row(&row)] });
        async move { store.commit(batch).await }
    });
    let client = fleet.client().await;
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
        where datname = current_database() and wait_event_type = 'Lock'";
    while client.query(kill, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let outcome = committing.await.unwrap();
    assert!(is_unknown(&outcome), "{outcome:?}");
    open.rollback().await.unwrap();
    let after = store.raise(lane).await.unwrap();
    assert_eq!(after.n, row.n);
    assert!(store.load(&after).await.unwrap().unspoken.is_empty());
    // And the store goes on, on another connection; the pool may not have heard of the death of the old one yet.
    let mut after = after;
    for _ in 0..5 {
        let outcome = store.commit(Batch { lanes: vec![one_row(&after)] }).await;
        if outcome == CommitOutcome::Done(vec![lane]) {
            return;
        }
        assert!(is_unknown(&outcome) || matches!(outcome, CommitOutcome::Failed(_)), "{outcome:?}");
        after = store.raise(lane).await.unwrap();
    }
    panic!("the store does not go on");
}

#[tokio::test]
async fn a_server_that_is_away_before_anything_was_sent_is_a_certain_failure() {
    let fleet = Fleet::new().await;
    let (proxy, store, row, lane) = behind_a_proxy(&fleet).await;
    proxy.refuse(true);
    proxy.cut();
    // The session may learn of the cut only by the statement; after that the connection itself is refused.
    let first = store.commit(Batch { lanes: vec![one_row(&row)] }).await;
    assert!(matches!(first, CommitOutcome::Failed(_) | CommitOutcome::Unknown(_)), "{first:?}");
    let second = store.commit(Batch { lanes: vec![one_row(&row)] }).await;
    assert!(matches!(second, CommitOutcome::Failed(_)), "{second:?}");
    assert!(store.raise(lane).await.is_err());
    proxy.refuse(false);
    assert_eq!(store.raise(lane).await.unwrap().n, row.n);
}

#[tokio::test]
async fn what_the_server_refuses_is_a_certain_failure_and_leaves_nothing() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let mut row = store.raise(lane).await.unwrap();
    let mut batch = one_row(&row);
    batch.tenants[0].plan = "a\0b".to_owned();
    let outcome = store.commit(Batch { lanes: vec![batch] }).await;
    assert!(matches!(&outcome, CommitOutcome::Failed(why) if why.contains("22021")), "{outcome:?}");
    assert!(store.load(&row).await.unwrap().unspoken.is_empty());
    let again = one_row(&row);
    must(&store, &mut row, again).await;
}
