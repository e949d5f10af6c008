//! Notes against the examples of C2SP's signed-note and of Go's sumdb; checkpoints and take-overs of keys.

use base64::{Engine, engine::general_purpose::STANDARD};
use tenantry_audit::{Checkpoint, KeyRing, Note, NoteError, PublicKey, RingError, Rotation, Signer, sign};
use tenantry_contracts::Time;

/// The example of c2sp.org/signed-note.
const SPEC_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPEC_NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

/// The example of golang.org/x/mod/sumdb/note, with its private key.
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_SIGNATURE: &str = "\u{2014} PeterNeumann \
    x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

const ORIGIN: &str = "tenantry.example/audit/test";

fn signer(entropy: u8) -> Signer {
    Signer::from_entropy(ORIGIN, [entropy; 32]).unwrap()
}

fn point(size: u64) -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size,
        root: [1; 32],
        time: Time(1_700_000_000_000),
        chains: 3,
        heads: [2; 32],
        previous: Some([3; 32]),
        read: vec![(0, 12), (1, 0)],
    }
}

#[test]
fn the_examples_of_the_specification_and_of_go_are_read_and_written_to_the_byte() {
    let key = PublicKey::read(SPEC_KEY).unwrap();
    assert_eq!(key.to_line(), SPEC_KEY);
    let note = Note::read(SPEC_NOTE.as_bytes()).unwrap();
    assert_eq!((note.text, note.signed_by(&[key])), ("This is an example message.\n", Ok(vec![0])));

    let seed = STANDARD.decode(GO_SEED).unwrap();
    let peter = Signer::from_entropy("PeterNeumann", seed[1..].try_into().unwrap()).unwrap();
    assert_eq!(peter.public().to_line(), GO_KEY);
    assert_eq!(sign(GO_TEXT, &[&peter]).unwrap(), format!("{GO_TEXT}\n{GO_SIGNATURE}"));
}

#[test]
fn signatures_of_unknown_keys_say_nothing_and_a_wrong_one_of_a_known_key_spoils_the_note() {
    let (one, two, other) = (signer(1), signer(2), signer(3));
    let note = sign("a text\n", &[&one, &two]).unwrap();
    let keys = [other.public().clone(), two.public().clone()];
    assert_eq!(Note::read(note.as_bytes()).unwrap().signed_by(&keys), Ok(vec![1]));
    assert_eq!(Note::read(note.as_bytes()).unwrap().signed_by(&keys[..1]), Err(NoteError::Unknown));
    let changed = note.replace("a text", "A text");
    assert_eq!(Note::read(changed.as_bytes()).unwrap().signed_by(&keys), Err(NoteError::Invalid));
    let foreign = format!("{note}\u{2014} witness.example {}\n", STANDARD.encode([9; 77]));
    assert_eq!(Note::read(foreign.as_bytes()).unwrap().signed_by(&keys), Ok(vec![1]));
}

#[test]
fn what_is_no_note_is_refused() {
    let good = sign("a text\n", &[&signer(1)]).unwrap();
    let bad = [
        String::new(),
        "a text\n".to_owned(),
        good.trim_end().to_owned(),
        good.replace('\u{2014}', "-"),
        good.replace("a text", "a\ttext"),
        format!("{good}\n"),
        good.replace("audit/test ", "audit/test  "),
    ];
    for note in bad {
        assert_eq!(Note::read(note.as_bytes()), Err(NoteError::Malformed), "{note:?}");
    }
    assert_eq!(sign("no line feed", &[&signer(1)]), Err(NoteError::Malformed));
    assert_eq!(sign("a text\n", &[]), Err(NoteError::Malformed));
}

#[test]
fn keys_are_read_from_pem_and_from_lines_and_from_nothing_else() {
    let one = signer(1);
    let again = Signer::from_pem(ORIGIN, &one.to_pem()).unwrap();
    assert_eq!(again.public(), one.public());
    let pem = PublicKey::read(&one.public().to_pem()).unwrap();
    assert_eq!((pem.name(), pem.bytes()), (None, one.public().bytes()));
    assert_eq!(pem.named(ORIGIN).unwrap().to_line(), one.public().to_line());
    let line = one.public().to_line();
    let wrong_hash = line.replacen('+', "+0", 1);
    for text in ["", "hello", one.to_pem().as_str(), wrong_hash.as_str(), "a+b+c"] {
        assert!(PublicKey::read(text).is_err(), "{text:?}");
    }
    assert!(!format!("{one:?}").contains(&hex::encode([1; 32])), "a private key is never printed");
    assert!(Signer::from_entropy("two words", [1; 32]).is_err());
}

#[test]
fn a_checkpoint_reads_back_and_lines_of_later_versions_are_passed_over() {
    let point = point(5);
    let text = point.text();
    assert!(text.starts_with(&format!(
        "{ORIGIN}\n5\n{}\ntime 2023-11-14T22:13:20.000Z\nheads 3 ",
        STANDARD.encode([1; 32])
    )));
    assert_eq!(Checkpoint::parse(&text).as_ref(), Ok(&point));
    assert_eq!(Checkpoint::parse(&format!("{text}later thing\n")).as_ref(), Ok(&point));
    let note = point.sign(&[&signer(1)]).unwrap();
    // A key without a name goes by the log's.
    let pem = PublicKey::read(&signer(1).public().to_pem()).unwrap();
    assert_eq!(Checkpoint::open(note.as_bytes(), &[pem]), Ok(point));
    let elsewhere = Signer::from_entropy("other.example/log", [1; 32]).unwrap();
    let opened = Checkpoint::open(note.as_bytes(), &[elsewhere.public().clone()]);
    assert_eq!(opened, Err(NoteError::Unknown), "the same key under another log's name");
    let cases = [
        ("\n5\n", "\n05\n"),
        ("\n5\n", "\n-5\n"),
        ("time 2023", "time 23"),
        ("heads 3", "heads x"),
        ("read 0 12", "read 0"),
    ];
    for (good, bad) in cases {
        assert_eq!(Checkpoint::parse(&text.replacen(good, bad, 1)), Err(NoteError::Malformed), "{bad:?}");
    }
}

#[test]
fn whoever_knows_any_key_can_follow_three_take_overs() {
    let keys = [signer(1), signer(2), signer(3), signer(4)];
    let turn = |at: usize, size| {
        Rotation::sign(ORIGIN, &keys[at], &keys[at + 1], size, Time(0)).unwrap().into_bytes()
    };
    let rotations = vec![turn(0, 10), turn(1, 10), turn(2, 30)];
    for known in &keys {
        let ring = KeyRing::new(&[known.public().clone()], &rotations).unwrap();
        assert_eq!(ring.keys().len(), 4);
        let at = |size| (0..4).filter(|key| ring.in_turn(*key, size)).collect::<Vec<_>>();
        assert_eq!((at(9), at(10), at(11), at(31)), (vec![0], vec![0, 1, 2], vec![2], vec![3]));
    }
    let foreign = signer(9).public().clone();
    assert_eq!(KeyRing::new(&[foreign], &rotations), Err(RingError::Unknown));

    let known = [keys[0].public().clone()];
    let missing = [turn(0, 10), turn(2, 30)];
    assert_eq!(KeyRing::new(&known, &missing), Err(RingError::Rotation(1, NoteError::Invalid)));
    let back = [turn(0, 10), turn(1, 9)];
    assert_eq!(KeyRing::new(&known, &back), Err(RingError::Rotation(1, NoteError::Invalid)));
    // Signed by the new key and by somebody else than the old one.
    let text = String::from_utf8(rotations[0].clone()).unwrap();
    let (text, _) = text.split_once("\n\n").unwrap();
    let forged = sign(&format!("{text}\n"), &[&signer(9), &keys[1]]).unwrap().into_bytes();
    assert_eq!(KeyRing::new(&known, &[forged]), Err(RingError::Rotation(0, NoteError::Invalid)));
}
