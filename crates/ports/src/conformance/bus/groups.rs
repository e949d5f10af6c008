//! What several members of a group hear.

use std::collections::BTreeSet;

use super::BusWorld;
use super::ear::Ear;
use super::mouth::{Mouth, at};
use crate::Place;

/// Co-partitioned topics are shared by range: the same partition of each at the same member.
pub async fn members_share_lanes_whole<W: BusWorld>(world: &W) {
    // An odd number of lanes: what only takes turns would tear them apart.
    let topics = [world.topic(3).await, world.topic(3).await, world.topic(3).await];
    let group = world.group();
    let mut one = Ear::coordinator(world, &group, &topics).await;
    one.until_ours(9).await;
    let mut other = Ear::coordinator(world, &group, &topics).await;
    until_shared(&mut one, &mut other, 9).await;
    for ear in [&one, &other] {
        let lanes: BTreeSet<u16> = ear.ours.iter().map(|place| place.partition).collect();
        for topic in &topics {
            assert!(lanes.iter().all(|lane| ear.ours.contains(&at(topic, *lane))), "{:?}", ear.ours);
        }
    }
    other.close(true).await;
    one.until_ours(9).await;
    one.close(true).await;
}

/// When a member comes and goes, what is its own is its own (the ear sees to that), and no record is missed by all.
pub async fn partitions_that_went_elsewhere_are_silent_and_nothing_is_missed<W: BusWorld>(world: &W) {
    let topic = world.topic(4).await;
    let places: Vec<Place> = (0..4).map(|partition| at(&topic, partition)).collect();
    let group = world.group();
    let mut mouth = Mouth::open(world).await;
    let mut one = Ear::worker(world, &group, std::slice::from_ref(&topic)).await;
    one.until_ours(4).await;
    // These wait unheard at the first member when half of its partitions go.
    for place in &places {
        mouth.count(place, 0, 50).await;
    }
    one.idle(super::AHEAD).await;
    let mut other = Ear::worker(world, &group, std::slice::from_ref(&topic)).await;
    other.until_ours(2).await;
    until_shared(&mut one, &mut other, 4).await;
    for place in &places {
        mouth.count(place, 50, 60).await;
    }
    let all = |ear: &Ear<W>| ear.ours.iter().all(|place| ear.values(place).contains(&"59".to_string()));
    one.until("its last records", all).await;
    other.until("its last records", all).await;
    for place in &places {
        let (here, there) = (one.values(place), other.values(place));
        let late = |values: &[String]| values.iter().any(|value| value == "59");
        assert!(late(&here) != late(&there), "{place:?} was heard by both, or by none");
        for value in 0..60 {
            let value = value.to_string();
            assert!(here.contains(&value) || there.contains(&value), "{place:?} {value} was missed");
        }
    }
    other.close(true).await;
    one.until_ours(4).await;
    one.close(true).await;
}

/// A static member that goes without leaving finds the same partitions when it comes back.
pub async fn a_static_member_finds_its_partitions_again<W: BusWorld>(world: &W) {
    let topic = world.topic(4).await;
    let group = world.group();
    let mut one = Ear::member(world, &group, "one", std::slice::from_ref(&topic)).await;
    one.until_ours(4).await;
    let mut other = Ear::member(world, &group, "other", std::slice::from_ref(&topic)).await;
    until_shared(&mut one, &mut other, 4).await;
    let (kept, before) = (other.ours.clone(), one.revocations);
    other.close(false).await;
    let mut again = Ear::member(world, &group, "other", std::slice::from_ref(&topic)).await;
    again.until_ours(2).await;
    assert_eq!(again.ours, kept);
    one.listen(super::SILENCE).await;
    assert_eq!(one.revocations, before, "the others were not disturbed");
    again.close(true).await;
    one.until_ours(4).await;
    one.close(true).await;
}

/// Listens to both in turn until they share all partitions.
async fn until_shared<W: BusWorld>(one: &mut Ear<W>, other: &mut Ear<W>, all: usize) {
    const TURN: i64 = 50;
    for _ in 0..super::MOST / TURN {
        one.listen(TURN).await;
        other.listen(TURN).await;
        let (here, there) = (one.ours.len(), other.ours.len());
        if here > 0 && there > 0 && here + there == all {
            assert!(one.ours.is_disjoint(&other.ours), "a partition has two owners");
            return;
        }
    }
    panic!("never: {all} partitions shared; one has {:?}, the other {:?}", one.ours, other.ours);
}
