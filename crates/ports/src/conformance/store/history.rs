//! What a take-over and a batch find again.

use tenantry_contracts::State;

use super::StoreWorld;
use super::make::{Owner, add, add_own, request, slug, tenant};
use crate::{Need, Store};

/// No tenant at rest, none of another lane, and each with its rows in order.
pub async fn load_finds_exactly_the_tenants_not_at_rest<W: StoreWorld>(world: &W) {
    let store = world.store().await;
    let [lane, beside] = [world.lane(), world.lane()];
    let mut owner = Owner::of(store.clone(), lane).await;
    let mut write = owner.write();
    let (mut running, mut done) = (tenant(lane, 1), tenant(lane, 2));
    let mut rows = Vec::new();
    for _ in 0..3 {
        rows.push(add(&mut write, &mut running));
        add_own(&mut write);
        add(&mut write, &mut done);
    }
    (done.state, done.at_rest) = (State::Active, true);
    write.tenants = vec![running.clone(), done];
    owner.must(write).await;
    let mut neighbour = Owner::of(store.clone(), beside).await;
    let mut write = neighbour.write();
    let mut other = tenant(beside, 1);
    add(&mut write, &mut other);
    write.tenants.push(other);
    neighbour.must(write).await;

    let next = Owner::of(world.store().await, lane).await;
    let loaded = next.store.load(&next.row).await.expect("it can be loaded");
    assert_eq!(loaded.tenants, [(running, rows)]);
}

/// The tenant's row is written now and then only. What came after it is found nevertheless, by a take-over and by a
/// read, also when several take-overs and rows of others lie between.
pub async fn a_lagging_tenant_row_hides_no_row<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let (mut lagging, mut shown) = (tenant(lane, 1), tenant(lane, 2));
    let (mut rows, mut others) = (Vec::new(), Vec::new());
    let mut owner = Owner::of(world.store().await, lane).await;
    let mut write = owner.write();
    rows.push(add(&mut write, &mut lagging));
    others.push(add(&mut write, &mut shown));
    write.tenants = vec![lagging.clone(), shown.clone()];
    let written = lagging.clone();
    owner.must(write).await;
    for _ in 0..3 {
        let mut write = owner.write();
        rows.push(add(&mut write, &mut lagging));
        others.push(add(&mut write, &mut shown));
        add_own(&mut write);
        write.tenants = vec![shown.clone()];
        owner.must(write).await;

        owner = Owner::of(world.store().await, lane).await;
        let mut write = owner.write();
        rows.push(add(&mut write, &mut lagging));
        owner.must(write).await;
        let loaded = owner.store.load(&owner.row).await.expect("it can be loaded");
        let mut wanted = vec![(written.clone(), rows.clone()), (shown.clone(), others.clone())];
        wanted.sort_by_key(|(row, _)| row.tenant);
        let mut have = loaded.tenants;
        have.sort_by_key(|(row, _)| row.tenant);
        assert_eq!(have, wanted);
        let need = Need { tenants: vec![lagging.tenant], ..Need::default() };
        let found = owner.store.read(need).await.expect("it can be read");
        assert_eq!(found.tenants[&lagging.tenant], (written.clone(), rows.clone()));
    }
    // Caught up: the row shows everything again, and nothing is found twice.
    let mut write = owner.write();
    rows.push(add(&mut write, &mut lagging));
    write.tenants = vec![lagging.clone()];
    owner.must(write).await;
    let mut write = owner.write();
    rows.push(add(&mut write, &mut lagging));
    let caught_up = lagging.clone();
    write.tenants = vec![caught_up.clone()];
    owner.must(write).await;
    let next = Owner::of(world.store().await, lane).await;
    let loaded = next.store.load(&next.row).await.expect("it can be loaded");
    let of_it = loaded.tenants.into_iter().find(|(row, _)| row.tenant == caught_up.tenant);
    assert_eq!(of_it, Some((caught_up, rows)));
}

/// Tenants at rest are in no memory; their history is read when it is needed.
pub async fn a_tenant_at_rest_is_read_with_all_its_rows<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let (mut done, mut noise) = (tenant(lane, 1), tenant(lane, 2));
    let mut rows = Vec::new();
    for round in 0..5 {
        let mut write = owner.write();
        rows.push(add(&mut write, &mut done));
        add(&mut write, &mut noise);
        (done.state, done.at_rest) = (State::Active, round == 4);
        write.tenants = vec![done.clone(), noise.clone()];
        owner.must(write).await;
    }
    let found =
        world.store().await.read(Need { tenants: vec![done.tenant, done.tenant], ..Need::default() }).await;
    assert_eq!(found.expect("it can be read").tenants[&done.tenant], (done, rows));
}

/// In order of their numbers, tenants' and the lane's own; what was spoken is not among them.
pub async fn rows_above_spoken_are_found_in_order<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let mut made = tenant(lane, 1);
    let mut rows = Vec::new();
    for round in 0..4 {
        let mut write = owner.write();
        rows.push(add(&mut write, &mut made));
        rows.push(add_own(&mut write));
        rows.push(add(&mut write, &mut made));
        made.at_rest = round == 3;
        write.tenants.push(made.clone());
        owner.must(write).await;
    }
    let mut write = owner.write();
    write.lane.spoken = rows[4].n;
    owner.must(write).await;
    let next = Owner::of(world.store().await, lane).await;
    assert_eq!(next.row.spoken, rows[4].n);
    let loaded = next.store.load(&next.row).await.expect("it can be loaded");
    assert_eq!(loaded.unspoken, rows[5..]);
    assert!(loaded.tenants.is_empty());
}

/// Asking for what is not there, or for nothing, finds nothing.
pub async fn what_is_not_there_is_not_found<W: StoreWorld>(world: &W) {
    let (store, lane) = (world.store().await, world.lane());
    let nobody = tenant(lane, 1);
    let need = Need {
        requests: vec![request(lane, 1, None).id],
        slugs: vec![(nobody.environment.clone(), slug("nobody-here"))],
        tenants: vec![nobody.tenant],
    };
    let found = store.read(need).await.expect("it can be read");
    assert!(found.requests.is_empty() && found.slugs.is_empty() && found.tenants.is_empty(), "{found:?}");
    assert_eq!(store.read(Need::default()).await.expect("nothing can be read"), crate::Found::default());
    let row = store.raise(lane).await.expect("a new lane can be raised");
    let loaded = store.load(&row).await.expect("a new lane can be loaded");
    assert!(loaded.tenants.is_empty() && loaded.unspoken.is_empty());
    let nothing = store.commit(crate::Batch::default()).await;
    assert_eq!(nothing, crate::CommitOutcome::Done(Vec::new()));
}
