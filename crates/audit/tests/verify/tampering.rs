//! Ten kinds of tampering.

use tenantry_audit::{Breach, Head};
use tenantry_contracts::audit::{self, AuditKind};

use crate::trail::*;

#[test]
fn tampering_1_a_flipped_byte_is_altered_or_unreadable() {
    let problem = tampered(false, |trail, two| {
        let flipped = text(&trail[two[2]]).replace("a note", "b note");
        trail[two[2]].value = Some(flipped.into());
    });
    names(&problem, Breach::Altered, 4);
    assert!(problem.message.contains("tenant.audit.events/0/9"), "names the altered record: {problem}");
    let problem = tampered(false, |trail, two| {
        let broken = text(&trail[two[2]]).replacen('{', "}", 1);
        trail[two[2]].value = Some(broken.into());
    });
    assert_eq!((problem.breach, problem.at.unwrap().offset), (Breach::Unreadable, 9));
}

#[test]
fn tampering_2_a_deleted_record_is_missing() {
    let problem = tampered(false, |trail, two| {
        trail.remove(two[2]);
    });
    names(&problem, Breach::Missing, 3);
}

#[test]
fn tampering_3_a_deleted_beginning_is_missing() {
    let problem = tampered(false, |trail, two| {
        trail.remove(two[0]);
    });
    names(&problem, Breach::Missing, 1);
}

#[test]
fn tampering_4_a_tail_that_was_cut_off_is_missing_and_needs_the_heads() {
    let cut = |trail: &mut Trail, two: &[usize]| {
        trail.remove(two[5]);
        trail.remove(two[4]);
    };
    names(&tampered(true, cut), Breach::Missing, 5);
    let whole = |trail: &mut Trail, two: &[usize]| two.iter().rev().for_each(|at| drop(trail.remove(*at)));
    names(&tampered(true, whole), Breach::Missing, 1);
    let mut trail = store().trail;
    let two = of_two(&trail);
    cut(&mut trail, &two);
    assert!(verify(&trail, None).is_ok(), "without the heads nobody can know");
}

#[test]
fn tampering_5_two_swapped_records_are_out_of_order() {
    let problem = tampered(false, |trail, two| trail.swap(two[2], two[3]));
    names(&problem, Breach::OutOfOrder, 3);
    let places = problem.to_string();
    assert!(places.contains("/0/9") && places.contains("/0/13"), "{places}");
}

#[test]
fn tampering_6_a_back_dated_insertion_is_doubled_and_altered_where_all_is_renumbered() {
    let insert = |trail: &mut Trail, two: &[usize]| {
        let before = trail[two[2]].clone();
        let head = Head { seq: 3, digest: tenantry_audit::digest(before.value.as_ref().unwrap()) };
        let chain = tenant(2).to_string();
        let forged = event(&chain, Some(2), &head, AuditKind::GateDecided);
        let (_, value) = audit::encode(&forged, "test").unwrap();
        trail.insert(two[2] + 1, record(&chain, value));
    };
    names(&tampered(false, insert), Breach::Doubled, 4);
    // The forger links the rest of the chain anew: sound in itself, but not what the store has.
    let relinked = |trail: &mut Trail, two: &[usize]| {
        insert(trail, two);
        relink(trail);
    };
    names(&tampered(true, relinked), Breach::Unknown, 7);
}

#[test]
fn tampering_7_a_fork_is_doubled() {
    let problem = tampered(false, |trail, two| {
        let mut fork = trail[two[3]].clone();
        let mut event = read(&fork);
        event.kind = AuditKind::Held;
        write(&mut fork, &event);
        trail.push(fork);
    });
    names(&problem, Breach::Doubled, 4);
    assert_eq!(problem.at.unwrap().offset, 24);
}

#[test]
fn tampering_8_a_duplicate_with_other_bytes_is_doubled() {
    let problem = tampered(false, |trail, two| {
        let mut again = trail[two[1]].clone();
        let changed = text(&again).replace("a note", "no note");
        again.value = Some(changed.into());
        trail.insert(two[4], again);
    });
    names(&problem, Breach::Doubled, 2);
}

#[test]
fn tampering_9_a_record_under_another_chain_is_in_the_wrong_chain() {
    let key = |trail: &mut Trail, two: &[usize]| trail[two[2]].key = Some(tenant(1).to_string().into());
    names(&tampered(false, key), Breach::WrongChain, 3);
    let none = |trail: &mut Trail, two: &[usize]| trail[two[2]].key = None;
    names(&tampered(false, none), Breach::WrongChain, 3);
    // Key and value agree, but the event is about another tenant.
    let moved = tampered(false, |trail, two| {
        let mut event = read(&trail[two[2]]);
        event.chain = tenant(1).to_string();
        write(&mut trail[two[2]], &event);
        trail[two[2]].key = Some(event.chain.into());
    });
    assert_eq!((moved.breach, moved.chain), (Breach::WrongChain, Some(tenant(1).to_string())));
    // A tenant's whole chain under an invented name.
    let renamed = tampered(false, |trail, two| {
        for at in two {
            let mut event = read(&trail[*at]);
            event.chain = tenant(8).to_string();
            write(&mut trail[*at], &event);
            trail[*at].key = Some(event.chain.into());
        }
    });
    assert_eq!(renamed.breach, Breach::WrongChain);
}

#[test]
fn tampering_10_other_white_space_is_altered() {
    let spaced = |at: usize| {
        move |trail: &mut Trail, two: &[usize]| {
            let respaced = text(&trail[two[at]]).replacen("\":", "\": ", 1);
            trail[two[at]].value = Some(respaced.into());
        }
    };
    names(&tampered(false, spaced(2)), Breach::Altered, 4);
    // Nothing follows the last record; only the store knows its bytes.
    names(&tampered(true, spaced(5)), Breach::Altered, 6);
}
