//! Which records are leaves, which are repeats, and what nobody may sign over.

use tenantry_audit::{Breach, Chains, Head, Heads, Heard, Took, digest};
use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::{Lane, Origin, Time};

const CHAIN: &str = "lane-2";

fn at(partition: u16, offset: i64) -> Origin {
    Origin { topic: "tenant.audit.events".into(), partition, offset }
}

fn event(head: Head, words: &str) -> Vec<u8> {
    let event = AuditEvent {
        chain: CHAIN.to_owned(),
        seq: head.seq + 1,
        prev: head.prev(),
        note: Some(words.to_owned()),
        ..AuditEvent::new(AuditKind::LanePaused, Time(1), Lane(2), head.seq + 1)
    };
    serde_json::to_vec(&event).unwrap()
}

/// So many records of a chain.
fn chain(count: usize) -> Vec<Vec<u8>> {
    let mut head = Head::start(CHAIN);
    let next = |_| {
        let value = event(head, "words");
        head = head.after(&value);
        value
    };
    (0..count).map(next).collect()
}

fn take(chains: &mut Chains, value: &[u8]) -> Result<Took, Breach> {
    let heard = Heard { key: Some(CHAIN.as_bytes()), value: Some(value), at: &at(2, 0) };
    chains.take(heard).map_err(|problem| problem.breach)
}

#[test]
fn a_record_is_a_leaf_once_and_a_repeat_ever_after() {
    let (mut chains, values) = (Chains::new(), chain(4));
    for value in &values {
        let leaf = tenantry_audit::log::leaf_hash(value);
        assert_eq!(take(&mut chains, value), Ok(Took::Leaf(leaf)));
    }
    let root = chains.root();
    for value in &values {
        assert_eq!(take(&mut chains, value), Ok(Took::Repeat));
    }
    assert_eq!((chains.heads().get(CHAIN).unwrap().seq, chains.root()), (4, root));
}

#[test]
fn what_is_not_remembered_any_more_is_left_to_the_topic_but_never_the_last_one() {
    let values = chain(4);
    let last = digest(&values[3]);
    let heads = || Heads::from_iter([(CHAIN.to_owned(), Head { seq: 4, digest: last })]);
    let mut chains = Chains::stored(heads());
    assert_eq!(take(&mut chains, &values[3]), Ok(Took::Repeat));
    let Ok(Took::Older(older)) = take(&mut chains, &values[1]) else { panic!("not remembered") };
    assert_eq!((older.chain.as_str(), older.seq, older.digest), (CHAIN, 2, digest(&values[1])));
    assert_eq!(older.doubled(&at(2, 9)).breach, Breach::Doubled);
    chains.remember(&values[1]);
    assert_eq!(take(&mut chains, &values[1]), Ok(Took::Repeat));
    let other = event(Head { seq: 3, digest: digest(&values[2]) }, "other words");
    assert_eq!(take(&mut chains, &other), Err(Breach::Doubled));
}

#[test]
fn nothing_that_breaks_a_chain_is_taken() {
    let values = chain(5);
    let head = Head { seq: 2, digest: digest(&values[1]) };
    let breach = |value: &[u8]| {
        let mut chains = Chains::new();
        take(&mut chains, &values[0]).unwrap();
        take(&mut chains, &values[1]).unwrap();
        let root = chains.root();
        let breach = take(&mut chains, value).unwrap_err();
        assert_eq!(chains.root(), root, "nothing was taken");
        breach
    };
    assert_eq!(breach(&values[3]), Breach::Missing);
    assert_eq!(breach(&event(Head { seq: 2, ..Head::start(CHAIN) }, "words")), Breach::Altered);
    assert_eq!(breach(b"{}"), Breach::Unreadable);
    let heard = |key: &'static str, partition| {
        let (value, at) = (event(head, "words"), at(partition, 0));
        let mut chains = Chains::stored(Heads::from_iter([(CHAIN.to_owned(), head)]));
        chains.take(Heard { key: Some(key.as_bytes()), value: Some(&value), at: &at }).map(drop)
    };
    heard(CHAIN, 2).unwrap();
    assert_eq!(heard("lane-1", 2).unwrap_err().breach, Breach::WrongChain);
    assert_eq!(heard(CHAIN, 1).unwrap_err().breach, Breach::WrongChain, "a chain lives in one partition");
}

#[test]
fn a_chain_whose_beginning_is_elsewhere_goes_on_from_where_it_is_said_to_be() {
    let values = chain(5);
    let mut chains = Chains::new();
    chains.resume(CHAIN, Head { seq: 3, digest: digest(&values[2]) });
    let root = chains.root();
    assert_eq!(take(&mut chains, &values[4]), Err(Breach::Missing));
    assert!(matches!(take(&mut chains, &values[3]), Ok(Took::Leaf(_))));
    assert_ne!(chains.root(), root);
    chains.resume(CHAIN, Head { seq: 4, digest: [0; 32] });
    assert_eq!(take(&mut chains, &values[4]), Err(Breach::Altered));
}
