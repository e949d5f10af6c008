//! One owner at a time: the epoch, the number, and what a batch of several lanes does.

use super::StoreWorld;
use super::make::{NOW, Owner, add, add_own, heard, key, request, tenant};
use crate::{Batch, CommitOutcome, LaneRow, Need, Store};
use tenantry_contracts::operation::Stopped;

/// A lane is made by its first take-over; each one raises the epoch and is counted until a commit.
pub async fn a_take_over_is_counted_until_a_commit<W: StoreWorld>(world: &W) {
    let (store, lane) = (world.store().await, world.lane());
    let first = store.raise(lane).await.expect("a new lane can be raised");
    let second = store.raise(lane).await.expect("a lane can be raised again");
    assert_eq!((first.n, first.spoken, first.chain_seq, first.paused_ms), (0, 0, 0, 0));
    assert_eq!((first.requests.next, first.results.next, first.operations.next), (0, 0, 0));
    assert!(second.epoch > first.epoch, "{} then {}", first.epoch, second.epoch);
    assert_eq!((first.fruitless, second.fruitless), (1, 2));
    let mut owner = Owner { store, row: second };
    owner.must(owner.write()).await;
    let third = owner.store.raise(lane).await.expect("raised after a commit");
    assert_eq!(third.fruitless, 1);
}

/// Everything that was written is found, byte for byte.
pub async fn a_commit_is_read_back_as_it_was_written<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let mut write = owner.write();
    let mut made = tenant(lane, 1);
    let rows = vec![add(&mut write, &mut made), add_own(&mut write), add(&mut write, &mut made)];
    let decided = request(lane, 1, Some(made.tenant));
    write.tenants.push(made.clone());
    write.requests.push(decided.clone());
    write.keys.push(key(made.tenant));
    write.lane.requests = heard(7);
    write.lane.results = heard(8);
    write.lane.operations = heard(9);
    write.lane.paused_ms = 5;
    write.lane.stopped = Stopped::parse("dns storage");
    let wanted = write.lane.clone();
    owner.must(write).await;

    let other = world.store().await;
    let raised = other.raise(lane).await.expect("another owner raises");
    assert_eq!(raised, LaneRow { epoch: wanted.epoch + 1, fruitless: 1, ..wanted });
    let loaded = other.load(&raised).await.expect("another owner loads");
    assert_eq!(loaded.unspoken, rows);
    let own: Vec<_> = rows.into_iter().filter(|row| row.tenant.is_some()).collect();
    assert_eq!(loaded.tenants, [(made.clone(), own.clone())]);
    let found = other
        .read(Need {
            requests: vec![decided.id.clone()],
            slugs: vec![(made.environment.clone(), made.slug.clone())],
            tenants: vec![made.tenant],
        })
        .await
        .expect("it can be read");
    assert_eq!(found.requests[&decided.id], decided);
    assert_eq!(found.slugs[&(made.environment.clone(), made.slug.clone())], made.tenant);
    assert_eq!(found.tenants[&made.tenant], (made.clone(), own));
}

/// Who is not sure that a batch was written and sends it again writes nothing twice.
pub async fn a_commit_that_is_repeated_counts_once<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let mut write = owner.write();
    let mut made = tenant(lane, 1);
    add(&mut write, &mut made);
    write.tenants.push(made.clone());
    write.requests.push(request(lane, 1, Some(made.tenant)));
    owner.must(write.clone()).await;
    assert_eq!(owner.commit(write).await, CommitOutcome::Done(Vec::new()));
}

/// Once the lane was raised, whatever an earlier owner sends is lost.
pub async fn an_old_owner_writes_nothing<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut old = Owner::of(world.store().await, lane).await;
    let mut new = Owner::of(world.store().await, lane).await;
    let mut late = old.write();
    let mut ghost = tenant(lane, 1);
    add(&mut late, &mut ghost);
    late.tenants.push(ghost.clone());
    late.requests.push(request(lane, 1, Some(ghost.tenant)));
    late.keys.push(key(ghost.tenant));
    assert_eq!(old.commit(late).await, CommitOutcome::Done(Vec::new()));

    let need = Need {
        requests: vec![request(lane, 1, None).id],
        slugs: vec![(ghost.environment.clone(), ghost.slug.clone())],
        tenants: vec![ghost.tenant],
    };
    let found = new.store.read(need).await.expect("it can be read");
    assert!(found.requests.is_empty() && found.slugs.is_empty() && found.tenants.is_empty(), "{found:?}");
    let mut write = new.write();
    let kept = add_own(&mut write);
    new.must(write).await;
    let row = new.row.clone();
    assert_eq!(new.store.load(&row).await.expect("it can be loaded").unspoken, [kept]);
}

/// The number must match too: an owner that missed a batch of its own epoch loses.
pub async fn a_wrong_number_writes_nothing<W: StoreWorld>(world: &W) {
    let lane = world.lane();
    let mut owner = Owner::of(world.store().await, lane).await;
    let mut write = owner.write();
    let row = add_own(&mut write);
    let mut stale = write.clone();
    stale.lane.seen_at = NOW.plus(1);
    owner.must(write).await;
    assert_eq!(owner.commit(stale).await, CommitOutcome::Done(Vec::new()));
    let mut ahead = owner.write();
    ahead.n_before += 1;
    add_own(&mut ahead);
    assert_eq!(owner.commit(ahead).await, CommitOutcome::Done(Vec::new()));
    assert_eq!(owner.store.load(&owner.row).await.expect("it can be loaded").unspoken, [row]);
}

/// A lane that was lost takes nothing from the others of the same batch.
pub async fn other_lanes_of_a_batch_still_commit<W: StoreWorld>(world: &W) {
    let store = world.store().await;
    let mut lanes = vec![world.lane(), world.lane(), world.lane()];
    lanes.sort();
    let mut writes = Vec::new();
    for lane in &lanes {
        let owner = Owner::of(store.clone(), *lane).await;
        let (mut write, mut made) = (owner.write(), tenant(*lane, 1));
        add(&mut write, &mut made);
        write.tenants.push(made.clone());
        write.requests.push(request(*lane, 1, Some(made.tenant)));
        writes.push(write);
    }
    // Somebody takes the middle one away.
    let other = Owner::of(world.store().await, lanes[1]).await;
    // Not in the order of the lanes, since no order is promised.
    writes.rotate_left(1);
    let CommitOutcome::Done(mut won) = store.commit(Batch { lanes: writes }).await else {
        panic!("the other lanes commit");
    };
    won.sort();
    assert_eq!(won, [lanes[0], lanes[2]]);
    let need =
        Need { tenants: lanes.iter().map(|lane| tenant(*lane, 1).tenant).collect(), ..Need::default() };
    let found = other.store.read(need).await.expect("it can be read");
    let have: Vec<_> = found.tenants.values().map(|(row, _)| row.lane).collect();
    assert_eq!(have.len(), 2);
    assert!(!have.contains(&lanes[1]), "{have:?}");
    assert!(other.store.load(&other.row).await.expect("it can be loaded").unspoken.is_empty());
}
