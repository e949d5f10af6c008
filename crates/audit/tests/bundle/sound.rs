//! Bundles as they should be.

use std::path::PathBuf;
use std::process::Command;

use tenantry_audit::bundle::{Bound, Contents, Proofs, Selector, Trust, WriteError, Writer, verify_bundle};
use tenantry_audit::{Head, PublicKey};

use crate::python::both;
use crate::world::{World, all, at, before, key, only, open, seal, tenant, trust, world};

#[test]
fn everything_one_tenant_and_windows_are_proved_by_both_verifiers() {
    let (world, first) = world();
    let window = |from, to| Selector::new(None, from, to);
    let selectors = [
        ("all", all(), 23),
        ("one tenant", only(&[tenant(3)]), 5),
        ("two chains", only(&["lane-0".to_owned(), tenant(1)]), 12),
        ("from record 3 on", window(Some(Bound::Seq(3)), None), 15),
        ("records 3 to 4", window(Some(Bound::Seq(3)), Some(Bound::Seq(4))), 8),
        ("a window in time with its neighbours", window(Some(at(8)), Some(at(12))), 12),
        ("a window before everything", window(None, Some(at(-5))), 4),
        ("a window after everything", window(Some(at(1000)), None), 4),
    ];
    for (name, selector, records) in selectors {
        let bundle = world.bundle(&first, selector);
        assert_eq!(both(&bundle, &trust()), (0, String::new()), "{name}");
        let proved = verify_bundle(bundle.as_slice(), &trust()).unwrap().proved.unwrap();
        assert_eq!((proved.records, proved.size, proved.attachments), (records, 23, 2), "{name}");
    }
}

#[test]
fn any_key_of_the_row_is_enough_and_what_is_known_is_gone_on_from() {
    let (world, first) = world();
    let bundle = world.bundle(&first, all());
    for at in 1..=3 {
        let keys = vec![key(9).public().clone(), key(at).public().clone()];
        assert_eq!(both(&bundle, &Trust { keys, known: None }).0, 0, "key {at}");
    }
    let mut earlier = World { turn: 1, ..World::default() };
    let nothing = earlier.point();
    for value in &world.values[..8] {
        let event: serde_json::Value = serde_json::from_slice(value).unwrap();
        let chain = event["chain"].as_str().unwrap();
        let head = earlier.heads.get(chain).unwrap_or_else(|| Head::start(chain));
        earlier.push(chain, head, value.clone());
    }
    for known in [nothing, earlier.point(), world.point()] {
        let size = known.size;
        let known = Trust { known: Some(known), ..trust() };
        // The empty log's time lies before that of the first checkpoint.
        assert_eq!(both(&bundle, &known), (0, String::new()), "known {size}");
    }
}

#[test]
fn a_log_without_take_overs_and_a_log_without_records_are_bundled_too() {
    let mut world = World { turn: 1, ..World::default() };
    let empty = before(&world);
    assert_eq!(both(&world.bundle(&empty, all()), &trust()), (0, String::new()));
    world.append("lane-0");
    assert_eq!(both(&world.bundle(&empty, all()), &trust()), (0, String::new()));
    let pem = PublicKey::read(&key(1).public().to_pem()).unwrap();
    let unnamed = Trust { keys: vec![pem], known: None };
    assert_eq!(both(&world.bundle(&before(&world), all()), &unnamed), (0, String::new()));
}

#[test]
fn any_tar_reads_it_and_the_records_are_the_exact_bytes() {
    let (world, first) = world();
    let bundle = world.bundle(&first, all());
    let members = open(&bundle);
    let events = members.iter().find(|(name, _)| name == "events/000001.ndjson").unwrap();
    let expected: Vec<u8> =
        world.values.iter().flat_map(|value| [value.as_slice(), b"\n"].concat()).collect();
    assert_eq!(events.1, expected);
    assert_eq!(seal(&members, &key(3)), bundle, "the test's own writer writes the same bytes");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("b.tar"), &bundle).unwrap();
    let listed = Command::new("tar").args(["-tf"]).arg(dir.path().join("b.tar")).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), members.len() + 1);
}

#[test]
fn a_bundle_that_no_verifier_would_accept_is_not_written() {
    let (world, first) = world();
    let (selection, indices) = world.selector(only(&[tenant(1)]));
    let proofs = Proofs::default();
    let contents = Contents {
        selection: &selection,
        rotations: &[],
        first: &first.note,
        last: &world.note(),
        heads: &world.heads,
        proofs: &proofs,
    };
    let begin = || Writer::begin(Vec::new(), contents).unwrap();
    let code = |result: Result<(), WriteError>| match result.unwrap_err() {
        WriteError::Refused(refused) => refused.code,
        WriteError::Io(error) => panic!("{error}"),
    };
    let value = |at: usize| world.values[indices[at] as usize].as_slice();
    assert_eq!(code(begin().record(0, b"{\n}")), "record_not_one_line");
    assert_eq!(code(begin().record(0, b"{}")), "record_refused");
    assert_eq!(code(begin().record(indices[1], value(1))), "record_refused");
    let mut writer = begin();
    writer.record(indices[0], value(0)).unwrap();
    assert_eq!(code(writer.record(indices[0], value(1))), "record_refused");
    assert_eq!(code(writer.finish(&key(1), world.now(), "test").map(drop)), "selection_refused");
    assert!(begin().attach("../up", 0, [].as_slice()).is_err());
    assert!(begin().attach("short", 3, b"ab".as_slice()).is_err());
    assert!(begin().attach("long", 1, b"ab".as_slice()).is_err());
    let error = only(&["lane-7".to_owned()]).finish(&world.heads).unwrap_err();
    assert_eq!(error.code, "chain_unknown");
}

/// The bundle of the first version, as long as there are verifiers: it must stay readable. `TENANTRY_GOLDEN=write` writes
/// one where there is none.
#[test]
fn the_golden_bundle_still_verifies() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bundle/golden.tar");
    let (world, first) = world();
    if std::env::var("TENANTRY_GOLDEN").is_ok_and(|what| what == "write") {
        std::fs::write(&path, world.bundle(&first, all())).unwrap();
    }
    let golden = std::fs::read(path).expect("tests/bundle/golden.tar");
    assert_eq!(both(&golden, &trust()), (0, String::new()));
    let same =
        |bundle: &[u8]| open(bundle).into_iter().filter(|(name, _)| name != "README.txt").collect::<Vec<_>>();
    let now = world.bundle(&first, all());
    assert_eq!(
        same(&golden),
        same(&now),
        "the form changed: a new version is due, and this one must stay readable"
    );
}
