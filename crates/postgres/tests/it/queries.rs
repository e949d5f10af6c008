//! What people ask, on tenants that a lane wrote.

use tenantry_contracts::{Lane, Slug, State};
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{LaneRow, Store, TenantRow};
use tenantry_postgres::{PgStore, Queries, TenantFilter};

use crate::fleet::{Fleet, add, must, tenant, write};

async fn with(
    store: &PgStore,
    row: &mut LaneRow,
    which: u8,
    state: State,
    change: impl Fn(&mut TenantRow),
) -> TenantRow {
    let (mut batch, mut made) = (write(row), tenant(row.lane, which));
    add(&mut batch, &mut made);
    made.state = state;
    change(&mut made);
    batch.tenants.push(made.clone());
    must(store, row, batch).await;
    made
}

#[tokio::test]
async fn tenants_are_listed_newest_first_page_by_page_and_by_state() {
    let fleet = Fleet::new().await;
    let (store, queries) = (fleet.store().await, Queries::connect(&fleet.url).await.unwrap());
    let mut row = store.raise(fleet.lane()).await.unwrap();
    let mut all = Vec::new();
    for which in 1..=7 {
        let state = if which % 3 == 0 { State::Held } else { State::Active };
        all.insert(0, with(&store, &mut row, which, state, |_| {}).await);
    }
    let mut filter = TenantFilter { limit: 3, ..TenantFilter::default() };
    let mut pages = Vec::new();
    loop {
        let page = queries.tenants(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 3);
        filter.after = Some(last.tenant);
        pages.extend(page);
    }
    assert_eq!(pages, all);
    let held = TenantFilter { states: vec![State::Held, State::Stuck], limit: 10, ..TenantFilter::default() };
    let found = queries.tenants(&held).await.unwrap();
    assert_eq!(found, all.iter().filter(|row| row.state == State::Held).cloned().collect::<Vec<_>>());
    assert_eq!(queries.counts().await.unwrap(), [(State::Held, 2), (State::Active, 5)]);
    assert_eq!(queries.tenant(all[0].tenant).await.unwrap().as_ref(), Some(&all[0]));
    assert_eq!(queries.lanes().await.unwrap(), [LaneRow { fruitless: 0, ..row }]);
}

#[tokio::test]
async fn a_slug_finds_its_holder_first_and_then_those_before_it_newest_first() {
    let fleet = Fleet::new().await;
    let (store, queries) = (fleet.store().await, Queries::connect(&fleet.url).await.unwrap());
    let mut row = store.raise(fleet.lane()).await.unwrap();
    let slug = Slug::parse("acme-intel").unwrap();
    let gone = |made: &mut TenantRow| {
        made.slug = slug.clone();
        made.holds_slug = false;
        made.at_rest = true;
    };
    let holder = with(&store, &mut row, 2, State::Active, |made| made.slug = slug.clone()).await;
    let first = with(&store, &mut row, 1, State::RolledBack, gone).await;
    let later = with(&store, &mut row, 3, State::Purged, gone).await;
    with(&store, &mut row, 4, State::Active, |_| {}).await;
    let found = queries.find(&holder.environment, &slug).await.unwrap();
    assert_eq!(found, [holder, later, first]);
}

#[tokio::test]
async fn a_history_has_every_row_also_those_that_the_tenants_own_row_does_not_show_yet() {
    let fleet = Fleet::new().await;
    let (store, queries) = (fleet.store().await, Queries::connect(&fleet.url).await.unwrap());
    let mut row = store.raise(fleet.lane()).await.unwrap();
    store.load(&row).await.unwrap();
    let (mut long, mut other) = (tenant(row.lane, 1), tenant(row.lane, 2));
    let mut all = Vec::new();
    for round in 0..6 {
        let mut batch = write(&row);
        add(&mut batch, &mut long);
        add(&mut batch, &mut other);
        if round < 3 {
            batch.tenants = vec![long.clone(), other.clone()];
        }
        all.extend(batch.rows.clone());
        must(&store, &mut row, batch).await;
    }
    let own: Vec<_> = all.iter().filter(|row| row.tenant == Some(long.tenant)).cloned().collect();
    assert_eq!(queries.history(long.tenant).await.unwrap(), own);

    let mut scanned = Vec::new();
    let mut from = 0;
    loop {
        let page = queries.journal_scan(row.lane, from, 5).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.n + 1;
        scanned.extend(page);
    }
    assert_eq!(scanned, all);
    assert_eq!(queries.journal_scan(Lane(9), 0, 5).await.unwrap(), []);
}
