//! What one consumer hears: from where, under which generation, and what it must not hear.

use super::ear::{Ear, place};
use super::mouth::{Mouth, at, numbers};
use super::{BusWorld, SILENCE};
use crate::{Bus, Consumer, Group};

/// Without a stored offset everything is heard again by the next consumer.
pub async fn what_was_not_stored_is_heard_again<W: BusWorld>(world: &W) {
    let (topic, group) = (world.topic(1).await, world.group());
    let place = at(&topic, 0);
    Mouth::open(world).await.count(&place, 0, 20).await;
    for _ in 0..2 {
        let mut ear = Ear::worker(world, &group, std::slice::from_ref(&topic)).await;
        ear.until_heard(20).await;
        assert_eq!(ear.values(&place), numbers(0, 20));
        ear.close(false).await;
    }
}

/// The next consumer of the group begins at what was stored, whichever way the last one went.
pub async fn reading_resumes_at_what_was_stored<W: BusWorld>(world: &W) {
    let (topic, group) = (world.topic(2).await, world.group());
    let (one, other) = (at(&topic, 0), at(&topic, 1));
    let mut mouth = Mouth::open(world).await;
    mouth.count(&one, 0, 20).await;
    mouth.count(&other, 0, 5).await;
    for (stored, leave) in [(7, false), (12, true)] {
        let mut ear = Ear::worker(world, &group, std::slice::from_ref(&topic)).await;
        ear.until("the last record", |ear| ear.values(&one).last().is_some_and(|last| last == "19")).await;
        ear.consumer.store(&one, stored);
        ear.close(leave).await;
    }
    let mut ear = Ear::worker(world, &group, std::slice::from_ref(&topic)).await;
    ear.until_heard(8 + 5).await;
    ear.listen(SILENCE).await;
    assert_eq!(ear.values(&one), numbers(12, 20));
    assert_eq!(ear.values(&other), numbers(0, 5));
    ear.close(true).await;
}

/// A coordinator hears nothing of a partition that it did not seek, whatever was committed or is there.
pub async fn nothing_is_heard_before_the_first_seek<W: BusWorld>(world: &W) {
    let topic = world.topic(2).await;
    let (sought, unsought) = (at(&topic, 0), at(&topic, 1));
    let mut mouth = Mouth::open(world).await;
    mouth.count(&sought, 0, 10).await;
    mouth.count(&unsought, 0, 10).await;
    let mut ear = Ear::coordinator(world, &world.group(), std::slice::from_ref(&topic)).await;
    ear.until_ours(2).await;
    ear.listen(SILENCE).await;
    assert!(ear.heard.is_empty());
    let generation = ear.consumer.seek(&sought, 4).await.expect("it is ours");
    ear.until_heard(6).await;
    mouth.count(&unsought, 10, 12).await;
    mouth.count(&sought, 10, 12).await;
    ear.until_heard(8).await;
    ear.listen(SILENCE).await;
    assert_eq!(ear.values(&sought), numbers(4, 12));
    assert!(ear.heard.iter().all(|heard| heard.generation == generation && place(&heard.record) == sought));
    ear.consumer.seek(&unsought, 0).await.expect("it is ours");
    ear.until_heard(8 + 12).await;
    assert_eq!(ear.values(&sought), numbers(4, 12));
    assert_eq!(ear.values(&unsought), numbers(0, 12));
    ear.close(true).await;
}

/// After a seek the first record heard is the one that was sought, under the new generation; back and forth, in the
/// middle of everything, and the other partitions neither lose nor repeat.
pub async fn a_seek_is_followed_by_the_new_generation_only<W: BusWorld>(world: &W) {
    const LAST: i64 = 3_000;
    let topic = world.topic(2).await;
    let (moved, calm) = (at(&topic, 0), at(&topic, 1));
    let mut mouth = Mouth::open(world).await;
    mouth.count(&moved, 0, LAST as usize).await;
    let mut ear = Ear::coordinator(world, &world.group(), std::slice::from_ref(&topic)).await;
    ear.until_ours(2).await;
    ear.consumer.seek(&calm, 0).await.expect("it is ours");
    let mut generation = 0;
    for (round, offset) in [0, 2_990, 5, 5, 1_500, 0, 2_999, 700, 0].into_iter().enumerate() {
        // Time for more records to be read ahead; none of them may be heard after the seek.
        ear.idle(super::AHEAD).await;
        let new = ear.consumer.seek(&moved, offset).await.expect("it is ours");
        assert!(new > generation, "generation {new} after {generation}");
        generation = new;
        mouth.count(&calm, round * 10, round * 10 + 10).await;
        let before = ear.heard.len();
        ear.until("the record that was sought", |ear| {
            ear.heard[before..].iter().any(|heard| place(&heard.record) == moved)
        })
        .await;
        let mut heard = ear.heard[before..].iter().filter(|heard| place(&heard.record) == moved);
        let first = heard.next().expect("one was heard");
        assert_eq!((first.record.offset, first.generation), (offset, new));
        assert!(heard.all(|heard| heard.generation == new), "an older generation after the seek");
    }
    ear.until("everything", |ear| {
        ear.values(&calm).len() == 90 && ear.values(&moved).last() == Some(&"2999".into())
    })
    .await;
    assert_eq!(ear.values(&calm), numbers(0, 90));
    let last: Vec<_> = ear
        .heard
        .iter()
        .filter(|heard| heard.generation == generation)
        .map(|heard| heard.record.offset)
        .collect();
    assert_eq!(last, (0..LAST).collect::<Vec<_>>());
    // To the end and beyond what is there: what comes next is heard.
    ear.consumer.seek(&moved, LAST).await.expect("it is ours");
    let before = ear.heard.len();
    mouth.count(&moved, LAST as usize, LAST as usize + 1).await;
    ear.until_heard(before + 1).await;
    assert_eq!(ear.heard[before].record.offset, LAST);
    ear.close(true).await;
}

/// A partition that is not ours cannot be sought.
pub async fn a_foreign_partition_cannot_be_sought<W: BusWorld>(world: &W) {
    let topic = world.topic(1).await;
    let mut ear = Ear::coordinator(world, &world.group(), std::slice::from_ref(&topic)).await;
    ear.until_ours(1).await;
    assert!(ear.consumer.seek(&at(&topic, 1), 0).await.is_err());
    ear.close(true).await;
}

/// A topic that does not exist is refused when the group is joined.
pub async fn a_missing_topic_is_refused<W: BusWorld>(world: &W) {
    let group = Group { id: world.group(), member: None, topics: vec![world.missing()], resumes: true };
    assert!(world.bus().consumer(group).await.is_err());
}

/// Pausing delivers nothing, resuming delivers all of it, and neither touches another partition.
pub async fn paused_partitions_are_silent_and_miss_nothing<W: BusWorld>(world: &W) {
    let topic = world.topic(2).await;
    let (quiet, loud) = (at(&topic, 0), at(&topic, 1));
    let mut mouth = Mouth::open(world).await;
    let mut ear = Ear::worker(world, &world.group(), std::slice::from_ref(&topic)).await;
    ear.until_ours(2).await;
    mouth.count(&quiet, 0, 10).await;
    ear.until_heard(10).await;
    ear.consumer.pause(std::slice::from_ref(&quiet));
    ear.consumer.pause(std::slice::from_ref(&quiet));
    mouth.count(&quiet, 10, 3_000).await;
    mouth.count(&loud, 0, 10).await;
    ear.until_heard(20).await;
    ear.listen(SILENCE).await;
    assert_eq!(ear.values(&quiet), numbers(0, 10));
    ear.consumer.resume(&[loud.clone(), at(&topic, 9), quiet.clone()]);
    ear.consumer.resume(std::slice::from_ref(&quiet));
    ear.until_heard(3_000 + 10).await;
    mouth.count(&quiet, 3_000, 3_010).await;
    ear.until_heard(3_010 + 10).await;
    assert_eq!(ear.values(&quiet), numbers(0, 3_010));
    assert_eq!(ear.values(&loud), numbers(0, 10));
    ear.close(true).await;
}

/// Watermarks and single records are seen without disturbing what is heard.
pub async fn watermarks_and_records_are_seen_from_beside<W: BusWorld>(world: &W) {
    let topic = world.topic(1).await;
    let place = at(&topic, 0);
    let mut mouth = Mouth::open(world).await;
    let mut ear = Ear::worker(world, &world.group(), std::slice::from_ref(&topic)).await;
    ear.until_ours(1).await;
    assert_eq!(ear.consumer.watermarks(&place).await, Ok((0, 0)));
    assert_eq!(ear.consumer.record_at(&place, 0).await, Ok(None));
    mouth.count(&place, 0, 10).await;
    assert_eq!(ear.consumer.watermarks(&place).await, Ok((0, 10)));
    for offset in [9, 0, 4] {
        let record =
            ear.consumer.record_at(&place, offset).await.expect("the bus is there").expect("it is kept");
        assert_eq!((record.offset, super::ear::text(&record)), (offset, offset.to_string()));
    }
    assert_eq!(ear.consumer.record_at(&place, 10).await, Ok(None));
    mouth.count(&place, 10, 12).await;
    ear.until_heard(12).await;
    let record = ear.consumer.record_at(&place, 3).await.expect("the bus is there");
    assert_eq!(record.as_ref(), Some(&ear.heard[3].record));
    assert_eq!(ear.values(&place), numbers(0, 12));
    ear.close(true).await;
}
