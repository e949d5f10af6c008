//! Pausing, legal holds, and forgetting.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::{OperationVerb, Scope};
use tenantry_contracts::request::Kind;
use tenantry_contracts::{Class, Code, State};
use tenantry_saga::Then;

use crate::common::{gate, no, plan, step};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);
const TWICE: (u8, u8) = (2, 2);
const PAUSE: OperationVerb = OperationVerb::Pause(Scope::Tenant);
const RESUME: OperationVerb = OperationVerb::Resume(Scope::Tenant);

fn story() -> Story {
    Story::of(plan(vec![
        step("a", &[], Then::Compensate, TWICE),
        step("b", &["a"], Then::Compensate, ONCE),
        step("c", &["b"], Then::Compensate, ONCE),
    ]))
}

#[test]
fn a_pause_lets_what_runs_finish_and_begins_nothing_until_it_is_resumed() {
    let mut story = story();
    assert_eq!(story.person(PAUSE), Ok(vec![AuditKind::Paused]));
    assert_eq!(story.person(PAUSE), Err(Code::VerbNotAllowed), "it is paused already");
    story.yes(&["a"]);
    assert!(story.asks().is_empty() && story.tenant.at_rest(), "nothing begins, and nothing is due");
    story.is(State::Provisioning);
    assert_eq!(story.person(RESUME), Ok(vec![AuditKind::Unpaused]));
    assert_eq!(story.asks(), ["b"]);
    story.yes(&["b", "c"]);
    story.is(State::Active);
    assert_eq!(story.person(RESUME), Err(Code::VerbNotAllowed), "nothing is paused");
}

#[test]
fn what_was_to_be_asked_again_waits_for_the_pause_to_end() {
    let mut story = story();
    story.answer("a", &no(Class::Exhausted));
    story.person(PAUSE).unwrap();
    assert_eq!(story.tenant.next_due(0), None);
    story.person(RESUME).unwrap();
    story.wait();
    assert_eq!(story.asks(), ["a"]);
}

#[test]
fn a_paused_tenant_is_not_undone_either() {
    let mut story = story();
    story.yes(&["a"]);
    story.person(PAUSE).unwrap();
    story.answer("b", &no(Class::Capacity));
    story.is(State::Compensating);
    assert!(story.asks().is_empty() && story.tenant.at_rest());
    story.person(RESUME).unwrap();
    assert_eq!(story.asks(), ["-b"]);
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
    assert_eq!(story.person(PAUSE), Err(Code::VerbNotAllowed), "it is over");
}

#[test]
fn decisions_are_taken_while_it_is_paused_and_count_when_it_goes_on() {
    let mut story =
        Story::of(plan(vec![gate("review", &[], Then::Hold), step("a", &["review"], Then::Hold, ONCE)]));
    story.person(PAUSE).unwrap();
    story.approve("review").unwrap();
    assert!(story.asks().is_empty());
    story.person(RESUME).unwrap();
    assert_eq!(story.asks(), ["a"]);
}

#[test]
fn a_verb_that_begins_something_waits_for_the_pause_to_end() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Hold, ONCE)]));
    story.answer("a", &no(Class::Capacity));
    story.person(PAUSE).unwrap();
    assert_eq!(story.person(OperationVerb::Retry), Err(Code::VerbNotAllowed));
    story.person(RESUME).unwrap();
    story.is(State::Held);
    story.person(OperationVerb::Retry).unwrap();
    assert_eq!(story.asks(), ["a"]);
}

#[test]
fn a_request_that_waits_begins_when_the_pause_ends() {
    let (made, update) = (plan(vec![step("a", &[], Then::Hold, ONCE)]), {
        let rows = vec![step("u", &[], Then::Hold, ONCE)];
        Box::leak(Box::new(tenantry_saga::Plan {
            kind: Kind::Update,
            version: 1,
            rows: rows.leak(),
            known_as: &[],
        }))
    });
    let mut story = Story::with(&[made, update], crate::common::request(Kind::Provision));
    story.person(PAUSE).unwrap();
    story.request(Kind::Update).unwrap();
    story.yes(&["a"]);
    story.is(State::Active);
    assert!(story.asks().is_empty());
    story.person(RESUME).unwrap();
    assert_eq!(story.asks(), ["u"]);
}

#[test]
fn a_legal_hold_stops_undos_and_refuses_what_destroys() {
    let mut story = story();
    story.yes(&["a"]);
    assert_eq!(story.person(OperationVerb::Hold), Ok(vec![AuditKind::HoldPlaced]));
    assert_eq!(story.person(OperationVerb::Cancel), Err(Code::LegalHold));
    story.answer("b", &no(Class::Capacity));
    story.is(State::Compensating);
    assert!(story.asks().is_empty() && story.tenant.at_rest());
    assert_eq!(story.person(OperationVerb::Release), Err(Code::SecondMissing));
    assert_eq!(story.both(OperationVerb::Release), Ok(vec![AuditKind::HoldReleased]));
    assert_eq!(story.asks(), ["-b"]);
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
}

#[test]
fn a_hold_in_the_middle_of_an_undo_lets_what_runs_finish_and_begins_no_other() {
    let mut story = story();
    story.yes(&["a", "b"]);
    story.answer("c", &no(Class::Capacity));
    story.person(OperationVerb::Hold).unwrap();
    story.yes(&["c"]);
    assert!(story.asks().is_empty() && story.tenant.at_rest());
    story.is(State::Compensating);
    story.both(OperationVerb::Release).unwrap();
    assert_eq!(story.asks(), ["-b"]);
}

#[test]
fn a_hold_does_not_stop_what_goes_forward() {
    let mut story = story();
    story.person(OperationVerb::Hold).unwrap();
    story.yes(&["a", "b", "c"]);
    story.is(State::Active);
}

#[test]
fn a_key_is_given_up_only_of_a_tenant_that_is_over_by_two_people_and_not_under_a_hold() {
    let mut story = story();
    assert_eq!(story.both(OperationVerb::Forget), Err(Code::VerbNotAllowed), "it lives");
    story.yes(&["a"]);
    story.answer("b", &no(Class::Capacity));
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
    assert_eq!(story.person(OperationVerb::Forget), Err(Code::SecondMissing));
    story.person(OperationVerb::Hold).unwrap();
    assert_eq!(story.both(OperationVerb::Forget), Err(Code::LegalHold));
    story.both(OperationVerb::Release).unwrap();
    assert_eq!(story.both(OperationVerb::Forget), Ok(vec![AuditKind::Forgotten]));
    story.is(State::RolledBack);
}
