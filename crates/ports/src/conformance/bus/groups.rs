//! What several members of a group hear.

use std::collections::BTreeSet;

use super::BusWorld;
use super::ear::Ear;
use super::mouth::{Mouth, at};
use crate::Place;

/// Co-partitioned topics are shared by range: the same partition of each at the same member.
pub async fn members_share_lanes_whole<W: BusWorld>(world: &W) {
    let topics = [world.topic(4).await, world.topic(4).await, world.topic(4).await];
    let group = world.group();
    let mut one = Ear::coordinator(world, &group, &topics).await;
    one.until_ours(12).await;
    let mut other = Ear::coordinator(world, &group, &topics).await;
    until_shared(&mut one, &mut other, 6).await;
    for ear in [&one, &other] {
        let lanes: BTreeSet<u16> = ear.ours.iter().map(|place| place.partition).collect();
        assert_eq!(lanes.len(), 2, "lanes {lanes:?}");
        for topic in &topics {
            assert!(lanes.iter().all(|lane| ear.ours.contains(&at(topic, *lane))), "{:?}", ear.ours);
        }
    }
    other.close(true).await;
    one.until_ours(12).await;
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
    for place in &places {
        mouth.count(place, 0, 50).await;
    }
    one.until("the first records", |ear| ear.heard.len() >= 100).await;
    let mut other = Ear::worker(world, &group, std::slice::from_ref(&topic)).await;
    until_shared(&mut one, &mut other, 2).await;
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
    until_shared(&mut one, &mut other, 2).await;
    let (kept, before) = (other.ours.clone(), one.ours.clone());
    other.close(false).await;
    let mut again = Ear::member(world, &group, "other", std::slice::from_ref(&topic)).await;
    again.until_ours(2).await;
    assert_eq!(again.ours, kept);
    one.listen(super::SILENCE).await;
    assert_eq!(one.ours, before, "the others kept theirs");
    again.close(true).await;
    one.until_ours(4).await;
    one.close(true).await;
}

/// Listens to both in turn until each has its share.
async fn until_shared<W: BusWorld>(one: &mut Ear<W>, other: &mut Ear<W>, each: usize) {
    const TURN: i64 = 50;
    for _ in 0..super::MOST / TURN {
        one.listen(TURN).await;
        other.listen(TURN).await;
        if one.ours.len() == each && other.ours.len() == each {
            assert!(one.ours.is_disjoint(&other.ours), "a partition has two owners");
            return;
        }
    }
    panic!("never: {each} partitions each; one has {:?}, the other {:?}", one.ours, other.ours);
}
