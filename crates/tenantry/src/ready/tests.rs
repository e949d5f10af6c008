//! What is said of being ready, and when.

use tenantry_contracts::Topic;

use super::*;

#[test]
fn lanes_are_ready_when_every_one_that_is_held_was_sought() {
    let ready = Ready::new(&[Role::Coordinator]);
    assert!(!ready.is_ready());
    ready.store_found_right();
    let place = |partition| Place { topic: Topic::Requests, partition };
    ready.with(Role::Coordinator, |member| {
        member.joined = true;
        member.held.extend([place(0), place(1)]);
        member.sought.insert(place(0));
    });
    let lanes = ready.checks().pop().unwrap();
    assert_eq!((lanes.ok, lanes.why.as_str()), (false, "1 of 2 lanes served"));
    ready.with(Role::Coordinator, |member| {
        member.sought.insert(place(1));
    });
    assert!(ready.is_ready());
    ready.stopping();
    assert!(!ready.is_ready());
}

#[test]
fn a_lane_that_stands_still_says_why_and_only_a_restore_waits_for_a_person() {
    let ready = Ready::new(&[Role::Coordinator]);
    ready.store_found_right();
    let place = |partition| Place { topic: Topic::Requests, partition };
    ready.with(Role::Coordinator, |member| {
        member.joined = true;
        member.held.extend([place(0), place(1)]);
        member.sought.insert(place(0));
    });
    assert_eq!(ready.restored(), None);
    ready.standing().say(Lane(1), Some("the log ends at 3".to_owned()));
    assert_eq!(ready.restored(), None);
    let why = "store_restored: the journal of lane 1 ends at 7".to_owned();
    ready.standing().say(Lane(1), Some(why.clone()));
    assert_eq!(ready.restored(), Some(why.clone()));
    assert_eq!(ready.checks().pop().unwrap().why, format!("1 of 2 lanes served; {why}"));
}

#[test]
fn a_signer_that_refuses_makes_unready_and_keeps_nobody_from_being_served() {
    let ready = Ready::new(&[Role::Signer]);
    assert!(!ready.is_ready() && !ready.serves());
    ready.signer(Ok("7 records".to_owned()));
    assert!(ready.is_ready() && ready.serves());
    ready.signer(Err("bus_unreachable: gone".to_owned()));
    assert!(!ready.is_ready() && !ready.serves());
    ready.signer_refuses("audit_missing: a gap".to_owned());
    assert!(!ready.is_ready() && ready.serves());
    assert_eq!(ready.checks().pop().unwrap().why, "audit_missing: a gap");
}

#[test]
fn a_member_without_a_partition_stands_by_and_is_ready() {
    let ready = Ready::new(&[Role::Coordinator, Role::Workers]);
    ready.store_found_right();
    ready.with(Role::Coordinator, |member| member.joined = true);
    assert!(!ready.is_ready());
    ready.with(Role::Workers, |member| member.joined = true);
    assert!(ready.is_ready());
}
