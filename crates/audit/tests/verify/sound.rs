//! What is sound, what is unreadable, and how it is said.

use bytes::Bytes;
use tenantry_audit::{Breach, Expected, Report};
use tenantry_contracts::audit::AuditKind;

use crate::trail::*;

#[test]
fn a_sound_trail_is_ok_with_its_counts() {
    let store = store();
    let report = verify(&store.trail, Some(&store.expected(true))).unwrap();
    assert_eq!((report.chains, report.records, report.repeats), (4, 24, 0));
    assert_eq!(report.kinds["tenant.requested"], 8);
    assert_eq!(report.kinds.values().sum::<u64>(), 24);
    assert_eq!(verify(&Vec::new(), None).unwrap(), Report::default());
}

#[test]
fn repeats_of_the_same_bytes_are_counted_also_long_after() {
    let store = store();
    let mut trail = store.trail.clone();
    trail.extend(store.trail[..9].iter().cloned());
    trail.insert(7, store.trail[6].clone());
    number(&mut trail);
    let report = verify(&trail, Some(&store.expected(true))).unwrap();
    assert_eq!((report.records, report.repeats), (24, 10));
}

#[test]
fn chains_may_go_on_while_heads_are_read_first() {
    let mut store = store();
    let heads = store.expected(false);
    store.append(Some(2), AuditKind::Completed);
    store.append(Some(9), AuditKind::Requested);
    verify(&store.trail, Some(&heads)).unwrap();
    let exact = Expected { exact: true, ..heads };
    let problem = verify(&store.trail, Some(&exact)).unwrap_err();
    names(&problem, Breach::Unknown, 7);
}

#[test]
fn a_first_record_that_begins_nothing_is_altered() {
    let problem = tampered(false, |trail, two| {
        let mut event = read(&trail[two[0]]);
        event.prev = "0".repeat(64);
        write(&mut trail[two[0]], &event);
    });
    names(&problem, Breach::Altered, 1);
}

#[test]
fn a_rewritten_chain_of_the_same_length_is_altered_and_an_invented_one_unknown() {
    let rewritten = tampered(true, |trail, two| {
        let mut event = read(&trail[two[2]]);
        event.note = None;
        write(&mut trail[two[2]], &event);
        relink(trail);
    });
    names(&rewritten, Breach::Altered, 6);
    let mut store = store();
    let heads = store.expected(true);
    store.append(Some(9), AuditKind::Requested);
    let problem = verify(&store.trail, Some(&heads)).unwrap_err();
    assert_eq!((problem.breach, problem.chain), (Breach::Unknown, Some(tenant(9).to_string())));
}

#[test]
fn what_is_no_audit_event_is_unreadable_and_what_is_newer_is_named() {
    let values: [(&[u8], Breach); 6] = [
        (b"", Breach::Unreadable),
        (b"null", Breach::Unreadable),
        (b"{\"format\":1}", Breach::Unreadable),
        (b"\xff\xfe", Breach::Unreadable),
        (b"{\"format\":2,\"chain\":7}", Breach::FormatUnknown),
        (b"{\"format\":0}", Breach::FormatUnknown),
    ];
    for (value, breach) in values {
        let problem = tampered(false, |trail, _| trail[5].value = Some(Bytes::from_static(value)));
        assert_eq!((problem.breach, problem.at.unwrap().offset), (breach, 5));
    }
    let problem = tampered(false, |trail, _| trail[5].value = None);
    assert_eq!(problem.breach, Breach::Unreadable);
    for seq in [0, -1, i64::MIN] {
        let problem = tampered(false, |trail, two| {
            let mut event = read(&trail[two[1]]);
            event.seq = seq;
            write(&mut trail[two[1]], &event);
        });
        assert_eq!(problem.breach, Breach::Unreadable);
    }
}

#[test]
fn the_first_problem_is_named_where_there_are_several() {
    let problem = tampered(false, |trail, two| {
        trail[two[4]].value = None;
        trail.remove(two[1]);
        trail[0].key = None;
    });
    assert_eq!((problem.breach, problem.at.unwrap().offset), (Breach::WrongChain, 0));
    let problem = tampered(false, |trail, two| {
        trail[two[4]].value = None;
        trail.remove(two[1]);
    });
    names(&problem, Breach::Missing, 2);
}

#[test]
fn members_of_later_versions_are_ignored_but_not_their_bytes() {
    let mut store = Store::default();
    store.append(Some(2), AuditKind::Requested);
    let with_more = text(&store.trail[0]).replacen('{', "{\"later\":[1],", 1);
    store.trail[0].value = Some(with_more.into());
    assert!(verify(&store.trail, None).is_ok());
    assert_eq!(verify(&store.trail, Some(&store.expected(true))).unwrap_err().breach, Breach::Altered);
}

#[test]
fn codes_and_advice_are_distinct_and_a_problem_serialises_with_its_code() {
    let mut codes: Vec<_> = Breach::ALL.iter().map(|breach| (breach.as_str(), breach.advice())).collect();
    codes.sort_unstable();
    codes.dedup_by_key(|(code, _)| *code);
    assert_eq!(codes.len(), Breach::ALL.len());
    let problem = tampered(false, |trail, two| drop(trail.remove(two[2])));
    let json = serde_json::to_string(&problem).unwrap();
    assert!(json.starts_with("{\"code\":\"audit_missing\""), "{json}");
}
