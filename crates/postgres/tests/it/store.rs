//! What the store on PostgreSQL promises beyond the suite.

use tenantry_contracts::{RequestId, Time};
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{Batch, CommitOutcome, Conflict, LaneRow, RequestRow, Store};

use crate::fleet::{Fleet, NOW, add, must, tenant, write};

const DAY: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn another_server_or_another_timeline_makes_the_numbers_jump_once() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let mut row = store.raise(lane).await.unwrap();
    let client = fleet.client().await;
    for change in ["system_id = system_id + 1", "timeline = timeline + 1", "system_id = 1, timeline = 7"] {
        let same = store.raise(lane).await.unwrap();
        assert_eq!(same.n, row.n, "nothing changed before {change}");
        client.execute(&format!("update lane set {change}"), &[]).await.unwrap();
        row = store.raise(lane).await.unwrap();
        assert_eq!(row.n, same.n + (1 << 32), "after {change}");
        // Numbers go on from there, and what is behind the gap is still found.
        let (mut batch, mut made) = (write(&row), tenant(lane, 1));
        add(&mut batch, &mut made);
        must(&store, &mut row, batch).await;
    }
    assert_eq!(store.load(&row).await.unwrap().unspoken.len(), 3);
}

#[tokio::test]
async fn a_refused_request_may_be_decided_again_after_thirty_days_and_an_accepted_one_never() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let mut row = store.raise(lane).await.unwrap();
    let made = tenant(lane, 1).tenant;
    let decided = |id: &str, at: Time, tenant, digest| RequestRow {
        id: RequestId { source: "s".to_owned(), id: id.to_owned() },
        digest: [digest; 32],
        tenant,
        origin: "tenant.requests/0/1".to_owned(),
        at,
    };
    let mut batch = write(&row);
    batch.requests = vec![
        decided("old", NOW.plus(-31 * DAY), None, 1),
        decided("young", NOW.plus(-29 * DAY), None, 1),
        decided("accepted", NOW.plus(-400 * DAY), Some(made), 1),
    ];
    must(&store, &mut row, batch).await;
    for id in ["young", "accepted"] {
        let mut batch = write(&row);
        batch.requests = vec![decided("old", NOW, Some(made), 2), decided(id, NOW, None, 2)];
        let outcome = store.commit(Batch { lanes: vec![batch] }).await;
        assert_eq!(outcome, CommitOutcome::Conflict(Conflict::Request), "{id}");
    }
    let mut batch = write(&row);
    batch.requests = vec![decided("old", NOW, Some(made), 2)];
    must(&store, &mut row, batch).await;
    let need = tenantry_ports::Need {
        requests: vec![decided("old", NOW, None, 0).id, decided("young", NOW, None, 0).id],
        ..Default::default()
    };
    let found = store.read(need).await.unwrap().requests;
    let digests: Vec<_> = found.values().map(|row| (row.id.id.as_str(), row.digest[0])).collect();
    assert_eq!(digests, [("old", 2), ("young", 1)]);
}

#[tokio::test]
async fn the_lane_remembers_up_to_where_every_tenants_row_shows_the_journal() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let client = fleet.client().await;
    let settled = async || -> i64 { client.query_one("select settled from lane", &[]).await.unwrap().get(0) };
    let mut row = store.raise(lane).await.unwrap();
    store.load(&row).await.unwrap();
    let (mut lagging, mut shown) = (tenant(lane, 1), tenant(lane, 2));
    let mut batch = write(&row);
    add(&mut batch, &mut lagging);
    add(&mut batch, &mut shown);
    batch.tenants = vec![lagging.clone(), shown.clone()];
    must(&store, &mut row, batch).await;
    assert_eq!(settled().await, 2);
    for _ in 0..3 {
        let mut batch = write(&row);
        add(&mut batch, &mut lagging);
        add(&mut batch, &mut shown);
        batch.tenants = vec![shown.clone()];
        must(&store, &mut row, batch).await;
        assert_eq!(settled().await, 2, "row 3 is shown nowhere");
    }
    // An owner that did not load knows nothing, and leaves the bound; one that did goes on from what it found.
    let other = fleet.store().await;
    let mut row = other.raise(lane).await.unwrap();
    let mut batch = write(&row);
    add(&mut batch, &mut shown);
    batch.tenants = vec![shown.clone()];
    must(&other, &mut row, batch).await;
    assert_eq!(settled().await, 2);
    let mut row = other.raise(lane).await.unwrap();
    other.load(&row).await.unwrap();
    let batch = write(&row);
    must(&other, &mut row, batch).await;
    assert_eq!(settled().await, 2);
    let mut batch = write(&row);
    add(&mut batch, &mut lagging);
    batch.tenants = vec![lagging.clone()];
    must(&other, &mut row, batch).await;
    assert_eq!(settled().await, row.n);
    let loaded = other.load(&other.raise(lane).await.unwrap()).await.unwrap();
    let rows: Vec<_> = loaded.tenants.iter().map(|(_, rows)| rows.len()).collect();
    assert_eq!(rows.iter().sum::<usize>() as i64, row.n);
}

#[tokio::test]
async fn a_raise_waits_for_a_batch_in_doubt_and_then_sees_what_it_wrote() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let first = store.raise(lane).await.unwrap();
    for keeps in [true, false] {
        let mut doubt = fleet.client().await;
        let before = store.raise(lane).await.unwrap();
        let open = doubt.transaction().await.unwrap();
        open.execute("update lane set n = n + 5", &[]).await.unwrap();
        let raising = tokio::spawn({
            let store = store.clone();
            async move { raised(&store, lane).await }
        });
        wait_for_a_waiter(&fleet.client().await).await;
        if keeps {
            open.commit().await.unwrap()
        } else {
            open.rollback().await.unwrap()
        }
        let after = raising.await.unwrap();
        assert_eq!(after.n, before.n + if keeps { 5 } else { 0 });
        assert!(after.epoch > before.epoch);
    }
    assert_eq!(first.n, 0);
}

#[tokio::test]
async fn a_batch_in_doubt_that_does_not_end_makes_raise_give_up_so_that_it_can_be_repeated() {
    let fleet = Fleet::new().await;
    let (store, lane) = (fleet.store().await, fleet.lane());
    let row = store.raise(lane).await.unwrap();
    let mut doubt = fleet.client().await;
    let open = doubt.transaction().await.unwrap();
    open.execute("update lane set n = n + 5", &[]).await.unwrap();
    let error = store.raise(lane).await.unwrap_err().to_string();
    assert!(error.contains("55P03"), "{error}");
    // A commit behind it gives up too, and certainly wrote nothing.
    let outcome = store.commit(Batch { lanes: vec![write(&row)] }).await;
    assert!(matches!(&outcome, CommitOutcome::Failed(why) if why.contains("55P03")), "{outcome:?}");
    open.rollback().await.unwrap();
    assert_eq!(store.raise(lane).await.unwrap().n, row.n);
}

/// Repeats, as an owner does.
async fn raised(store: &tenantry_postgres::PgStore, lane: tenantry_contracts::Lane) -> LaneRow {
    for _ in 0..20 {
        if let Ok(row) = store.raise(lane).await {
            return row;
        }
    }
    panic!("it was never raised");
}

async fn wait_for_a_waiter(client: &tokio_postgres::Client) {
    let sql = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}
