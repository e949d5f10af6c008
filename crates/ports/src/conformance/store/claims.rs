//! What only one may have: request ids, tenant ids, slugs.

use tenantry_contracts::State;

use super::StoreWorld;
use super::make::{Owner, add, key, request, tenant};
use crate::{Batch, CommitOutcome, Conflict, LaneWrite, Need, Store};

/// Two lanes that decide on one request id: the second one's whole batch is a conflict, and leaves nothing.
pub async fn a_request_id_is_decided_once<W: StoreWorld>(world: &W) {
    let store = world.store().await;
    let [a, b, c] = [world.lane(), world.lane(), world.lane()];
    let mut first = Owner::of(store.clone(), a).await;
    let mut write = first.write();
    write.requests.push(request(a, 1, None));
    first.must(write).await;

    let (second, third) = (Owner::of(store.clone(), b).await, Owner::of(store.clone(), c).await);
    let (mut again, mut beside) = (second.write(), third.write());
    again.requests.push(request(a, 1, None));
    let mut made = tenant(c, 1);
    add(&mut beside, &mut made);
    beside.tenants.push(made.clone());
    let outcome = store.commit(Batch { lanes: vec![again, beside.clone()] }).await;
    assert_eq!(outcome, CommitOutcome::Conflict(Conflict::Request));
    let found = store.read(Need { tenants: vec![made.tenant], ..Need::default() }).await;
    assert!(found.expect("it can be read").tenants.is_empty(), "the batch left something");
    // The others may go on as they were.
    assert_eq!(store.commit(Batch { lanes: vec![beside] }).await, CommitOutcome::Done(vec![c]));
}

/// A tenant id that upstream brought to two lanes belongs to the first.
pub async fn a_tenant_id_belongs_to_one_lane<W: StoreWorld>(world: &W) {
    let store = world.store().await;
    let [a, b] = [world.lane(), world.lane()];
    let (mut first, mut second) = (Owner::of(store.clone(), a).await, Owner::of(store.clone(), b).await);
    let mut made = tenant(a, 1);
    let mut write = first.write();
    add(&mut write, &mut made);
    write.tenants.push(made.clone());
    write.keys.push(key(made.tenant));
    first.must(write).await;

    let mut twin = tenant(b, 1);
    twin.tenant = made.tenant;
    let mut write = second.write();
    add(&mut write, &mut twin);
    write.tenants.push(twin);
    assert_eq!(second.commit(write).await, CommitOutcome::Conflict(Conflict::Tenant));
    let found = store.read(Need { tenants: vec![made.tenant], ..Need::default() }).await;
    assert_eq!(found.expect("it can be read").tenants[&made.tenant].0, made);
}

/// A key that was destroyed is gone: another one can be written in its place, which is refused while it is there.
pub async fn a_key_that_is_destroyed_is_gone<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let (mut made, mut beside) = (tenant(lane, 1), tenant(lane, 2));
    let mut write = owner.write();
    add(&mut write, &mut made);
    add(&mut write, &mut beside);
    write.tenants.extend([made.clone(), beside.clone()]);
    write.keys.extend([key(made.tenant), key(beside.tenant)]);
    owner.must(write).await;

    let again = |owner: &Owner<W::Store>, tenant| LaneWrite { keys: vec![key(tenant)], ..owner.write() };
    let write = again(&owner, made.tenant);
    assert!(matches!(owner.commit(write).await, CommitOutcome::Conflict(_)));
    let write = LaneWrite { forgotten: vec![made.tenant], ..owner.write() };
    owner.must(write).await;
    let write = again(&owner, made.tenant);
    owner.must(write).await;
    let write = again(&owner, beside.tenant);
    assert!(matches!(owner.commit(write).await, CommitOutcome::Conflict(_)), "the other's is still there");
}

/// A slug that is held cannot be claimed by another tenant; one that nobody holds any more can.
pub async fn a_slug_has_one_holder<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let (mut first, mut second) = (tenant(lane, 1), tenant(lane, 2));
    second.slug = first.slug.clone();
    let mut write = owner.write();
    add(&mut write, &mut first);
    write.tenants.push(first.clone());
    owner.must(write).await;

    let mut write = owner.write();
    add(&mut write, &mut second);
    write.tenants.push(second.clone());
    assert_eq!(owner.commit(write).await, CommitOutcome::Conflict(Conflict::Other));

    // The same slug in another environment is another one.
    let mut elsewhere = tenant(lane, 3);
    elsewhere.slug = first.slug.clone();
    elsewhere.environment =
        tenantry_contracts::Environment::parse("staging").expect("it keeps to the grammar");
    let mut write = owner.write();
    add(&mut write, &mut elsewhere);
    write.tenants.push(elsewhere.clone());
    owner.must(write).await;
}

/// In one batch, whichever of the two is named first.
pub async fn a_slug_is_freed_and_claimed_in_one_batch<W: StoreWorld>(world: &W) {
    for claimer_first in [false, true] {
        let lane = world.lane();
        let mut owner = Owner::of(world.store().await, lane).await;
        // The ids are ordered the other way round in one of the two cases, so that sorting by id does not help.
        let (mut old, mut new) = if claimer_first {
            (tenant(lane, 2), tenant(lane, 1))
        } else {
            (tenant(lane, 1), tenant(lane, 2))
        };
        new.slug = old.slug.clone();
        let mut write = owner.write();
        add(&mut write, &mut old);
        write.tenants.push(old.clone());
        owner.must(write).await;

        let mut write = owner.write();
        old.state = State::RolledBack;
        (old.at_rest, old.holds_slug) = (true, false);
        add(&mut write, &mut old);
        add(&mut write, &mut new);
        write.tenants = vec![old.clone(), new.clone()];
        if claimer_first {
            write.tenants.reverse();
        }
        owner.must(write).await;
        let name = (new.environment.clone(), new.slug.clone());
        let need = Need { slugs: vec![name.clone()], tenants: vec![old.tenant], ..Need::default() };
        let found = owner.store.read(need).await.expect("it can be read");
        assert_eq!(found.slugs[&name], new.tenant);
        assert_eq!(found.tenants[&old.tenant].0, old);
    }
}
