//! The row of notes on the topic of checkpoints: linked, in turn, and never backwards.

use tenantry_audit::{Checkpoint, Published, Rotation, Said, Signer};
use tenantry_contracts::Time;

const ORIGIN: &str = "tenantry.example/audit/test";

fn key(entropy: u8) -> Signer {
    Signer::from_entropy(ORIGIN, [entropy; 32]).unwrap()
}

fn first() -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 0,
        root: [0; 32],
        time: Time(1_700_000_000_000),
        chains: 0,
        heads: [0; 32],
        previous: None,
        read: vec![(0, 0), (1, 0)],
    }
}

fn after(last: &Checkpoint, records: u64) -> Checkpoint {
    let read = vec![(0, last.read[0].1 + i64::try_from(records).unwrap()), last.read[1]];
    Checkpoint { size: last.size + records, previous: Some(last.digest()), read, ..last.clone() }
}

fn note(checkpoint: &Checkpoint, entropy: u8) -> Vec<u8> {
    checkpoint.sign(&[&key(entropy)]).unwrap().into_bytes()
}

fn row(trusted: u8, rotations: Vec<Vec<u8>>) -> Published {
    Published::new(ORIGIN, &[key(trusted).public().clone()], rotations).unwrap()
}

#[test]
fn a_row_goes_on_and_says_again_what_it_said() {
    let (one, mut published) = (first(), row(1, Vec::new()));
    assert!(published.turn().is_none());
    let two = after(&one, 3);
    for checkpoint in [&one, &two] {
        assert_eq!(published.hear(&note(checkpoint, 1)).unwrap(), Said::Checkpoint(checkpoint.clone()));
    }
    assert_eq!(published.hear(&note(&one, 1)).unwrap(), Said::Again);
    // In silence too.
    let three = after(&two, 0);
    published.hear(&note(&three, 1)).unwrap();
    assert_eq!(published.last().unwrap().0, &three);
    assert_eq!(published.turn(), Some(key(1).public()));
}

#[test]
fn what_does_not_go_on_is_refused() {
    let (one, two) = (first(), after(&first(), 3));
    let code = |checkpoint: &Checkpoint, entropy| {
        let mut published = row(1, Vec::new());
        published.hear(&note(&one, 1)).unwrap();
        published.hear(&note(&two, 1)).unwrap();
        let refused = published.hear(&note(checkpoint, entropy)).unwrap_err();
        assert_eq!(published.last().unwrap().0, &two, "nothing was taken over");
        refused.code
    };
    let next = after(&two, 1);
    assert_eq!(code(&after(&one, 4), 1), "checkpoint_unlinked");
    assert_eq!(code(&Checkpoint { previous: None, ..next.clone() }, 1), "checkpoint_unlinked");
    assert_eq!(code(&Checkpoint { size: 2, ..next.clone() }, 1), "checkpoint_refused");
    assert_eq!(code(&Checkpoint { read: vec![(0, 1), (1, 0)], ..next.clone() }, 1), "checkpoint_refused");
    assert_eq!(code(&Checkpoint { read: vec![(0, 9)], ..next.clone() }, 1), "checkpoint_refused");
    assert_eq!(code(&next, 2), "key_unknown");
    let mut published = row(1, Vec::new());
    published.hear(&note(&one, 1)).unwrap();
    assert_eq!(published.hear(b"nonsense").unwrap_err().code, "checkpoint_refused");
}

#[test]
fn a_key_that_took_over_signs_and_the_one_before_no_more() {
    let (one, two) = (first(), after(&first(), 3));
    let turn = Rotation::sign(ORIGIN, &key(1), &key(2), two.size, Time(1)).unwrap().into_bytes();
    let three = after(&two, 2);
    for trusted in [1, 2] {
        let mut published = row(trusted, vec![turn.clone()]);
        published.hear(&note(&one, 1)).unwrap();
        published.hear(&note(&two, 1)).unwrap();
        assert_eq!(published.hear(&turn).unwrap(), Said::Rotation);
        assert_eq!(published.turn(), Some(key(2).public()));
        assert_eq!(published.hear(&note(&three, 1)).unwrap_err().code, "key_out_of_turn");
        published.hear(&note(&three, 2)).unwrap();
        assert_eq!(published.rotations(), std::slice::from_ref(&turn));
    }
    // One that is heard while the row is followed counts from there on.
    let mut published = row(1, Vec::new());
    published.hear(&note(&one, 1)).unwrap();
    published.hear(&turn).unwrap();
    assert_eq!(published.turn(), Some(key(2).public()));
    let stranger = Rotation::sign(ORIGIN, &key(7), &key(8), 9, Time(1)).unwrap().into_bytes();
    assert_eq!(published.hear(&stranger).unwrap_err().code, "rotation_refused");
}
