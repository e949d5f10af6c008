//! What is delivered, held and stored over assignments, seeks and pauses.

use bytes::Bytes;
use tenantry_contracts::{Time, Topic};

use super::*;

fn place() -> Place {
    Place { topic: Topic::Results, partition: 1 }
}

fn record(offset: i64) -> Record {
    let value = Some(Bytes::from_static(b"x"));
    let Place { topic, partition } = place();
    Record { topic, partition, offset, at: Time(0), key: None, headers: vec![], value }
}

fn heard(news: &[News]) -> Vec<(i64, u64)> {
    let heard = |news: &News| match news {
        News::Heard(heard) => Some((heard.record.offset, heard.generation)),
        _ => None,
    };
    news.iter().filter_map(heard).collect()
}

#[test]
fn nothing_is_delivered_before_the_first_seek() {
    let mut slots = Slots::default();
    slots.assign(vec![place()], false);
    slots.put([record(0)]);
    assert_eq!(slots.take(), vec![News::Assigned(vec![place()])]);
}

#[test]
fn what_is_read_between_the_wish_to_seek_and_the_seek_is_let_fall() {
    let mut slots = Slots::default();
    slots.assign(vec![place()], true);
    slots.put([record(5), record(6)]);
    let generation = slots.seek(&place(), 6).unwrap();
    slots.put([record(7)]);
    assert!(heard(&slots.take()).is_empty());
    assert_eq!(slots.sought().unwrap().read, vec![(place(), Offset::Offset(6))]);
    assert!(slots.sought().is_none());
    slots.put([record(4), record(6), record(6), record(7)]);
    assert_eq!(heard(&slots.take()), vec![(6, generation), (7, generation)]);
}

#[test]
fn what_was_revoked_is_silent_even_where_it_was_read_before() {
    let mut slots = Slots::default();
    slots.assign(vec![place()], true);
    slots.put([record(0)]);
    slots.revoke(vec![place()]);
    slots.put([record(1)]);
    assert!(heard(&slots.take()).is_empty());
    assert!(slots.seek(&place(), 0).is_err());
}

#[test]
fn generations_grow_over_assignments_and_seeks() {
    let mut slots = Slots::default();
    slots.assign(vec![place()], true);
    slots.put([record(0)]);
    let first = heard(&slots.take())[0].1;
    let second = slots.seek(&place(), 0).unwrap();
    slots.revoke(vec![place()]);
    slots.assign(vec![place()], true);
    slots.put([record(0)]);
    let third = heard(&slots.take())[0].1;
    assert!(first < second && second < third);
}

#[test]
fn a_full_partition_is_held_until_half_of_it_is_taken() {
    let mut slots = Slots::default();
    slots.assign(vec![place()], true);
    slots.put((0..FULL as i64).map(record));
    assert!(slots.crowded());
    assert_eq!(slots.flow(), (vec![place()], vec![]));
    assert!(!slots.crowded());
    let mut taken = 0;
    while slots.flow().1.is_empty() {
        taken += heard(&slots.take()).len();
    }
    assert_eq!(taken, FULL / 2);
}

#[test]
fn a_failed_commit_is_committed_again_and_stores_never_fall() {
    let mut slots = Slots::default();
    slots.assign(vec![place()], true);
    slots.store(&place(), 3);
    slots.store(&place(), 2);
    assert_eq!(slots.uncommitted(), vec![(place(), Offset::Offset(3))]);
    assert!(slots.uncommitted().is_empty());
    slots.commit_failed(&[place()]);
    assert_eq!(slots.uncommitted(), vec![(place(), Offset::Offset(3))]);
}
