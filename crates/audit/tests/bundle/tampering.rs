//! Every kind of tampering, by somebody without the key and by somebody who signs the manifest anew: each is found by both
//! verifiers, which name the same place.

use tenantry_audit::bundle::{Selector, Trust};
use tenantry_audit::{Head, digest};

use crate::python::both;
use crate::world::{World, all, at, key, only, open, pack, seal, tenant, trust, world, world_of};

type Members = Vec<(String, Vec<u8>)>;

const EVENTS: &str = "events/000001.ndjson";
const LEAVES: &str = "leaves/000001.txt";

fn member<'a>(members: &'a mut Members, name: &str) -> &'a mut Vec<u8> {
    &mut members.iter_mut().find(|(member, _)| member == name).unwrap().1
}

fn edit(members: &mut Members, name: &str, change: impl Fn(&mut Vec<String>)) {
    let content = member(members, name);
    let mut lines: Vec<String> = std::str::from_utf8(content).unwrap().lines().map(str::to_owned).collect();
    change(&mut lines);
    *content = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
}

/// Replaces text in a member that is one line.
fn replace(members: &mut Members, name: &str, from: &str, to: &str) {
    let content = member(members, name);
    let text = std::str::from_utf8(content).unwrap();
    assert!(text.contains(from), "{name} has no {from}");
    *content = text.replacen(from, to, 1).into_bytes();
}

/// The bundle over everything after this change, with the manifest of the untouched one, and with a new one of key 3.
fn tampered(change: impl Fn(&mut Members)) -> (Vec<u8>, Vec<u8>) {
    let (world, first) = world();
    tampered_of(&world.bundle(&first, all()), change)
}

fn tampered_of(bundle: &[u8], change: impl Fn(&mut Members)) -> (Vec<u8>, Vec<u8>) {
    let mut members = open(bundle);
    let old = crate::world::manifest(&members, &key(3));
    change(&mut members);
    let signed = seal(&members, &key(3));
    members.push(("manifest.dsse.json".to_owned(), old));
    (pack(&members), signed)
}

#[track_caller]
fn says(bundle: &[u8], exit: u8, line: &str) {
    assert_eq!(both(bundle, &trust()), (exit, line.to_owned()));
}

/// The lines of a tenant's records, counted from zero.
fn of_two(members: &Members) -> Vec<usize> {
    let events = &members.iter().find(|(name, _)| name == EVENTS).unwrap().1;
    let chain = format!("\"chain\":\"{}\"", tenant(2));
    let lines = std::str::from_utf8(events).unwrap().lines().enumerate();
    lines.filter(|(_, line)| line.contains(&chain)).map(|(at, _)| at).collect()
}

/// Checks both forms of a change of records: member and line stand in the place, then the chain of tenant 2 and a seq.
#[track_caller]
fn records(change: impl Fn(&mut Members, &[usize]), line: usize, seq: i64, exit: u8, code: &str) {
    let (plain, signed) = tampered(|members| {
        let two = of_two(members);
        change(members, &two);
    });
    let place = format!("member={EVENTS} line={line} chain={} seq={seq}", tenant(2));
    // The places of the records stand before them, and show first where they were changed too.
    let (left, said) = both(&plain, &trust());
    let earlier = said == format!("member_altered: member={LEAVES}");
    assert!(left == 1 && (earlier || said == format!("member_altered: {place}")), "{said}");
    says(&signed, exit, &format!("{code}: {place}"));
}

#[test]
fn a_record_that_was_altered_is_named_itself() {
    // Tenant 2's records stand in the lines 2, 5, 8, 12 and so on; its third one is in line 8.
    let change = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| lines[two[2]] = lines[two[2]].replace("words", "Words"));
    };
    let (world, _) = world();
    let line = 1 + world.values.iter().position(|value| is(value, 2, 3)).unwrap();
    records(change, line, 3, 1, "record_altered");
    // What it says of the one before was altered.
    let change = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| lines[two[2]] = lines[two[2]].replace("\"prev\":\"", "\"prev\":\"00"));
    };
    records(change, line, 3, 1, "record_altered");
}

/// Whether a value is this record of this tenant.
fn is(value: &[u8], owner: u8, seq: i64) -> bool {
    let text = std::str::from_utf8(value).unwrap();
    text.contains(&format!("\"chain\":\"{}\",\"seq\":{seq},", tenant(owner)))
}

fn line_of(seq: i64) -> usize {
    1 + world().0.values.iter().position(|value| is(value, 2, seq)).unwrap()
}

#[test]
fn the_last_record_altered_and_a_chain_rewritten_to_its_end_are_found_by_the_logs_own_end() {
    let change = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| lines[two[5]] = lines[two[5]].replace("words", "Words"));
    };
    records(change, line_of(6), 6, 1, "chain_forked");
    let change = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| {
            for pair in two.windows(2).skip(1) {
                lines[pair[0]] = lines[pair[0]].replace("words", "Words");
                let (before, rest) = lines[pair[1]].split_once("\"prev\":\"").unwrap();
                let prev = hex::encode(digest(lines[pair[0]].as_bytes()));
                lines[pair[1]] = format!("{before}\"prev\":\"{prev}{}", &rest[64..]);
            }
        });
    };
    records(change, line_of(6), 6, 1, "chain_forked");
}

#[test]
fn a_gap_a_swap_and_a_double_are_told_apart() {
    let gone = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| drop(lines.remove(two[2])));
        edit(members, LEAVES, |lines| drop(lines.remove(two[2])));
    };
    records(gone, line_of(4) - 1, 3, 2, "record_missing");
    let swapped =
        |members: &mut Members, two: &[usize]| edit(members, EVENTS, |lines| lines.swap(two[2], two[3]));
    records(swapped, line_of(4), 3, 1, "record_out_of_order");
    let doubled = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| lines.insert(two[2], lines[two[2]].clone()));
        edit(members, LEAVES, |lines| lines.insert(two[2], lines[two[2]].clone()));
    };
    records(doubled, line_of(3) + 1, 3, 1, "record_doubled");
    let back_dated = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| {
            lines.insert(two[3], lines[two[2]].replace("words", "Words"));
        });
        edit(members, LEAVES, |lines| lines.insert(two[3], lines[two[3]].clone()));
    };
    records(back_dated, line_of(4), 3, 1, "record_doubled");
}

#[test]
fn what_is_no_event_or_was_not_selected_is_named_with_its_line() {
    let line = line_of(3);
    let unreadable = |members: &mut Members| {
        edit(members, EVENTS, |lines| lines[line - 1] = lines[line - 1].replace("\"seq\":", "\"sec\":"));
    };
    let (plain, signed) = tampered(unreadable);
    says(&plain, 1, &format!("member_altered: member={EVENTS} line={line}"));
    says(&signed, 1, &format!("record_unreadable: member={EVENTS} line={line}"));
    let later = |members: &mut Members, two: &[usize]| {
        edit(members, EVENTS, |lines| lines[two[2]] = lines[two[2]].replace("\"format\":1", "\"format\":2"));
    };
    records(later, line, 3, 1, "record_format_unknown");
    let (world, first) = world();
    let (_, signed) = tampered_of(&world.bundle(&first, only(&[tenant(2)])), |members| {
        let stranger = String::from_utf8(world.values[0].clone()).unwrap();
        edit(members, EVENTS, |lines| lines.insert(0, stranger.clone()));
        edit(members, LEAVES, |lines| lines.insert(0, "0".to_owned()));
    });
    says(&signed, 1, &format!("record_unselected: member={EVENTS} line=1 chain={} seq=1", tenant(1)));
}

#[test]
fn a_slice_that_was_cut_is_incomplete_at_either_end() {
    let (world, first) = world();
    let one = world.bundle(&first, only(&[tenant(2)]));
    let cut = |members: &mut Members| {
        edit(members, EVENTS, |lines| drop(lines.pop()));
        edit(members, LEAVES, |lines| drop(lines.pop()));
    };
    let (plain, signed) = tampered_of(&one, cut);
    says(&plain, 1, &format!("member_altered: member={LEAVES}"));
    says(&signed, 2, &format!("record_missing: chain={} seq=6", tenant(2)));
    let (_, signed) = tampered_of(&one, |members| {
        cut(members);
        replace(members, "selection.json", "\"last\":6", "\"last\":5");
    });
    says(&signed, 2, &format!("selection_incomplete: chain={} seq=6", tenant(2)));
    let (_, signed) = tampered_of(&one, |members| {
        let second = hex::encode(digest(world.values.iter().find(|value| is(value, 2, 1)).unwrap()));
        edit(members, EVENTS, |lines| drop(lines.remove(0)));
        edit(members, LEAVES, |lines| drop(lines.remove(0)));
        let from = format!("\"first\":1,\"last\":6,\"prev\":\"{}\"", Head::start(&tenant(2)).prev());
        replace(members, "selection.json", &from, &format!("\"first\":2,\"last\":6,\"prev\":\"{second}\""));
    });
    says(&signed, 2, &format!("selection_incomplete: chain={} seq=1", tenant(2)));
    // The neighbours of a window in time are its proof.
    let window = world.bundle(&first, Selector::new(None, Some(at(8)), Some(at(12))));
    let (_, signed) = tampered_of(&window, |members| {
        replace(members, "selection.json", "2023-11-14T22:13:28.000Z", "2023-11-14T22:13:20.000Z");
    });
    let (exit, said) = both(&signed, &trust());
    assert!(exit == 2 && said.starts_with("selection_incomplete: chain="), "{said}");
    let (_, signed) = tampered_of(&one, |members| {
        replace(members, "selection.json", &Head::start(&tenant(2)).prev(), &"0".repeat(64));
    });
    says(&signed, 1, &format!("record_altered: member={EVENTS} line=1 chain={} seq=1", tenant(2)));
}

#[test]
fn a_tenant_that_was_left_out_is_named() {
    let (world, first) = world();
    let chains = ["lane-0".to_owned(), tenant(1), tenant(3)];
    let without = world.bundle(&first, only(&chains));
    let (_, signed) =
        tampered_of(&without, |members| replace(members, "selection.json", "\"all\":false", "\"all\":true"));
    // Tenant 2 is the second of four chains.
    says(&signed, 2, "chain_missing: member=heads.ndjson line=2");
    let complete = world.bundle(&first, all());
    let heads = open(&complete).into_iter().find(|(name, _)| name == "heads.ndjson").unwrap().1;
    let (_, signed) = tampered_of(&without, |members| {
        replace(members, "selection.json", "\"all\":false", "\"all\":true");
        *member(members, "heads.ndjson") = heads.clone();
        member(members, "proofs/heads.txt").clear();
    });
    says(&signed, 2, &format!("chain_missing: member=selection.json chain={}", tenant(2)));
    let (_, signed) = tampered_of(&complete, |members| {
        edit(members, "heads.ndjson", |lines| drop(lines.remove(1)));
    });
    says(&signed, 1, "heads_altered: member=heads.ndjson");
    let (_, signed) =
        tampered_of(&complete, |members| replace(members, "heads.ndjson", "\"seq\":6", "\"seq\":5"));
    says(&signed, 1, "heads_altered: member=heads.ndjson");
    let (_, signed) = tampered_of(&complete, |members| replace(members, "heads.ndjson", "{", "["));
    says(&signed, 1, "member_malformed: member=heads.ndjson line=1");
}

#[test]
fn records_that_are_not_in_the_log_at_their_places_are_found() {
    let (_, signed) = tampered(|members| {
        // Two records of two chains, neighbours in the log: each chain is still whole.
        edit(members, EVENTS, |lines| lines.swap(0, 1));
    });
    says(&signed, 1, "records_not_in_log: member=proofs/inclusion.txt");
    let (world, first) = world();
    let one = world.bundle(&first, only(&[tenant(2)]));
    let (_, signed) = tampered_of(&one, |members| edit(members, LEAVES, |lines| lines[0] = "0".to_owned()));
    says(&signed, 1, "records_not_in_log: member=proofs/inclusion.txt");
    let (_, signed) = tampered_of(&one, |members| edit(members, LEAVES, |lines| lines[1] = "x".to_owned()));
    says(&signed, 1, &format!("member_malformed: member={LEAVES} line=2"));
    let (_, signed) =
        tampered_of(&one, |members| edit(members, "proofs/inclusion.txt", |lines| lines[2].truncate(9)));
    says(&signed, 1, "member_malformed: member=proofs/inclusion.txt line=3");
}

#[test]
fn members_that_are_missing_added_moved_or_doubled_are_named() {
    let gone = |name: &'static str| move |members: &mut Members| members.retain(|(member, _)| member != name);
    let (plain, signed) = tampered(gone("attachments/plan.json"));
    says(&plain, 2, "member_missing: member=attachments/plan.json");
    says(&signed, 0, "");
    for name in ["selection.json", "checkpoints/first.note", "heads.ndjson", "proofs/inclusion.txt"] {
        let (plain, signed) = tampered(gone(name));
        says(&plain, 2, &format!("member_missing: member={name}"));
        says(&signed, 2, &format!("member_missing: member={name}"));
    }
    let added = ("attachments/more.json".to_owned(), b"{}".to_vec());
    let (plain, _) = tampered(|members| members.push(added.clone()));
    says(&plain, 1, "member_unknown: member=attachments/more.json");
    let (plain, _) = tampered(|members| members.swap(1, 4));
    says(&plain, 1, "member_unknown: member=checkpoints/first.note");
    let (plain, _) = tampered(|members| members.insert(1, members[1].clone()));
    says(&plain, 1, "member_unknown: member=selection.json");
    let (plain, _) = tampered(|members| replace(members, "attachments/plan.json", "{", "["));
    says(&plain, 1, "member_altered: member=attachments/plan.json");
    let (world, first) = world();
    says(&pack(&open(&world.bundle(&first, all()))), 2, "member_missing: member=manifest.dsse.json");
}

#[test]
fn a_file_that_ends_too_early_or_goes_on_is_named_with_its_byte() {
    let (world, first) = world();
    let bundle = world.bundle(&first, all());
    for length in [0, 100, 512, 700, bundle.len() / 2, bundle.len() - 1024, bundle.len() - 1] {
        says(&bundle[..length], 2, &format!("bundle_truncated: offset={length}"));
    }
    let longer = [bundle.as_slice(), &[0]].concat();
    says(&longer, 1, &format!("bundle_malformed: offset={}", bundle.len() - 512));
    let mut other = bundle.clone();
    other[110] = b'7';
    says(&other, 1, "bundle_malformed: offset=0");
    says(b"PK\x03\x04", 2, "bundle_truncated: offset=4");
}

#[test]
fn foreign_keys_and_stolen_turns_are_told_apart() {
    let (mut world, first) = world();
    let bundle = world.bundle(&first, all());
    let stranger = Trust { keys: vec![key(9).public().clone()], known: None };
    assert_eq!(both(&bundle, &stranger), (3, "key_unknown: member=keys/000001.note".to_owned()));
    says(&seal(&open(&bundle), &key(9)), 3, "key_unknown: member=manifest.dsse.json");
    let (_, signed) = tampered(|members| {
        *member(members, "checkpoints/last.note") = world.point().sign(&[&key(9)]).unwrap().into_bytes();
    });
    says(&signed, 3, "key_unknown: member=checkpoints/last.note");
    // Key 1 is trusted still, but its time was over long before.
    let (_, signed) = tampered(|members| {
        *member(members, "checkpoints/last.note") = world.point().sign(&[&key(1)]).unwrap().into_bytes();
    });
    says(&signed, 1, "key_out_of_turn: member=checkpoints/last.note");
    let (_, signed) = tampered(|members| replace(members, "checkpoints/last.note", "\n23\n", "\n24\n"));
    says(&signed, 1, "signature_invalid: member=checkpoints/last.note");
    let (_, signed) = tampered(|members| replace(members, "keys/000002.note", "size 17", "size 12"));
    says(&signed, 1, "signature_invalid: member=keys/000002.note");
    let (plain, _) = tampered(|members| members.retain(|(name, _)| name != "keys/000002.note"));
    says(&plain, 3, "key_unknown: member=manifest.dsse.json");
    let mut members = open(&bundle);
    let manifest = crate::world::manifest(&members, &key(3));
    let other = String::from_utf8(manifest).unwrap().replace(&key(3).public().id(), &key(2).public().id());
    members.push(("manifest.dsse.json".to_owned(), other.into_bytes()));
    says(&pack(&members), 1, "manifest_altered: member=manifest.dsse.json");
    // A foreign key that nobody handed over to.
    world.rotations.clear();
    world.turn = 9;
    says(&world.bundle(&first, all()), 3, "key_unknown: member=manifest.dsse.json");
}

#[test]
fn a_log_that_was_cut_rewritten_or_put_back_is_found() {
    let (world, first) = world();
    let known = |world: &World| Trust { known: Some(world.point()), ..trust() };
    // The whole log was cut, or an old checkpoint played again: the reader knows a newer one.
    let mut longer = world.clone();
    longer.append("lane-0");
    let bundle = world.bundle(&first, all());
    assert_eq!(
        both(&bundle, &known(&longer)),
        (1, "checkpoint_old: member=checkpoints/last.note".to_owned())
    );
    let mut idle = world.point();
    idle.time = idle.time.plus(60_000);
    let later = Trust { known: Some(idle), ..trust() };
    assert_eq!(both(&bundle, &later), (1, "checkpoint_old: member=checkpoints/last.note".to_owned()));
    // The bundle's own checkpoints stand the wrong way round.
    let (_, signed) = tampered(|members| *member(members, "checkpoints/first.note") = longer.note());
    says(&signed, 1, "checkpoint_old: member=checkpoints/last.note");
    // Another log under the same keys: against the reader's, and against its own beginning.
    let (fork, fork_first) = world_of("other");
    let forked = fork.bundle(&fork_first, all());
    assert_eq!(both(&forked, &trust()).0, 0, "a fork is sound in itself");
    assert_eq!(both(&forked, &known(&world)), (1, "log_forked: member=checkpoints/last.note".to_owned()));
    let (_, signed) =
        tampered_of(&forked, |members| *member(members, "checkpoints/first.note") = first.note.clone());
    says(&signed, 1, "log_forked: member=proofs/consistency.txt");
    // A checkpoint in between is not proved to lie on the way.
    let mut early = World { turn: 1, ..World::default() };
    early.append("lane-0");
    let unlinked = (2, "checkpoint_unlinked: member=checkpoints/first.note".to_owned());
    assert_eq!(both(&bundle, &known(&early)), unlinked);
}

#[test]
fn a_log_whose_signer_says_another_end_of_a_chain_is_found_by_the_records() {
    let (mut world, first) = world();
    world.heads.set(&tenant(2), Head { seq: 7, digest: [7; 32] });
    // The writer refuses it; the members of the sound bundle with that signer's ends do not.
    let sound = crate::world::world().0;
    let (_, signed) = tampered_of(&sound.bundle(&first, only(&[tenant(2)])), |members| {
        *member(members, "checkpoints/last.note") = world.note();
        let digest = hex::encode([7; 32]);
        edit(members, "heads.ndjson", |lines| {
            let (before, _) = lines[0].split_once("\"seq\"").unwrap();
            lines[0] = format!("{before}\"seq\":7,\"digest\":\"{digest}\"}}");
        });
    });
    says(&signed, 2, &format!("selection_incomplete: chain={} seq=7", tenant(2)));
}
