//! Gates: a person decides, or time does.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Class, Code, State};
use tenantry_saga::{RowState, Then};

use crate::common::{gate, no, pivot, plan, step, yes};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);

fn story(then: Then) -> Story {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        gate("review", &["a"], then),
        step("b", &["review"], Then::Compensate, ONCE),
    ]));
    assert_eq!(story.answer("a", &yes()), [AuditKind::StepSucceeded, AuditKind::GateOpened]);
    story.is(State::Awaiting);
    assert!(story.asks().is_empty() && !story.tenant.at_rest());
    story
}

#[test]
fn an_approved_gate_lets_the_saga_go_on() {
    let mut story = story(Then::Reject);
    assert_eq!(story.approve("review"), Ok(vec![AuditKind::GateDecided]));
    let by = story.told.last().unwrap().by.as_ref().unwrap();
    assert_eq!((by.actor.name.as_str(), by.reason.as_str()), ("ada", "because"));
    story.is(State::Provisioning);
    assert_eq!(story.asks(), ["b"]);
    assert_eq!(story.approve("review"), Err(Code::VerbNotAllowed), "decided once");
}

#[test]
fn a_refused_or_forgotten_gate_means_what_its_policy_says() {
    for (then, state) in [(Then::Reject, State::Rejected), (Then::Compensate, State::RolledBack)] {
        for by_person in [true, false] {
            let mut story = story(then);
            let told = if by_person { story.reject("review").unwrap() } else { story.wait() };
            assert_eq!(told, [AuditKind::GateDecided, AuditKind::Compensating]);
            story.yes(&["a"]);
            story.is(state);
            let code = if by_person { Code::GateRejected } else { Code::GateExpired };
            assert_eq!(story.reason(), Some(code));
        }
    }
}

#[test]
fn a_gate_that_only_degrades_is_passed_without_a_yes() {
    let mut story = story(Then::Degrade);
    story.reject("review").unwrap();
    assert!(story.tenant.flags.degraded);
    assert_eq!(story.asks(), ["b"]);
}

#[test]
fn a_refused_gate_can_block_and_a_retry_opens_it_again() {
    for then in [Then::Hold, Then::Ask] {
        let mut story = story(then);
        assert_eq!(story.reject("review"), Ok(vec![AuditKind::GateDecided, AuditKind::Blocked]));
        story.is(State::Blocked);
        assert!(story.tenant.at_rest());
        let told = story.person(OperationVerb::Retry);
        assert_eq!(told, Ok(vec![AuditKind::OperationAccepted, AuditKind::GateOpened]));
        story.is(State::Awaiting);
        story.approve("review").unwrap();
        story.yes(&["b"]);
        story.is(State::Active);
    }
}

#[test]
fn a_blocked_tenant_can_be_cancelled() {
    let mut story = story(Then::Hold);
    story.reject("review").unwrap();
    story.person(OperationVerb::Cancel).unwrap();
    story.yes(&["a"]);
    story.is(State::RolledBack);
    assert_eq!(story.reason(), Some(Code::GateRejected));
}

#[test]
fn a_gate_that_is_refused_after_the_pivot_blocks_and_undoes_nothing() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        gate("review", &[], Then::Compensate),
        pivot(&["a"]),
    ]));
    story.yes(&["a"]);
    story.reject("review").unwrap();
    story.is(State::Blocked);
    story.person(OperationVerb::Retry).unwrap();
    story.approve("review").unwrap();
    story.is(State::Active);
}

#[test]
fn a_gate_stays_open_while_another_row_is_held() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Hold, ONCE),
        gate("review", &[], Then::Hold),
        step("b", &["a", "review"], Then::Hold, ONCE),
    ]));
    story.is(State::Awaiting);
    story.answer("a", &no(Class::Config));
    story.is(State::Held);
    story.approve("review").unwrap();
    story.is(State::Held);
    assert!(story.asks().is_empty());
    story.person(OperationVerb::Retry).unwrap();
    story.is(State::Provisioning);
    story.yes(&["a", "b"]);
    story.is(State::Active);
}

#[test]
fn a_gate_that_was_refused_while_held_opens_again_with_the_retry() {
    let mut story =
        Story::of(plan(vec![step("a", &[], Then::Hold, ONCE), gate("review", &[], Then::Reject)]));
    story.answer("a", &no(Class::Config));
    story.reject("review").unwrap();
    story.is(State::Held);
    assert_eq!(story.row("review"), &RowState::Failed);
    story.person(OperationVerb::Retry).unwrap();
    story.is(State::Awaiting);
    assert_eq!(story.asks(), ["a"]);
    story.approve("review").unwrap();
    story.yes(&["a"]);
    story.is(State::Active);
}

#[test]
fn two_gates_are_open_until_both_are_decided() {
    let mut story = Story::of(plan(vec![gate("one", &[], Then::Reject), gate("two", &[], Then::Reject)]));
    story.approve("one").unwrap();
    story.is(State::Awaiting);
    story.approve("two").unwrap();
    story.is(State::Active);
}

#[test]
fn a_request_that_is_refused_at_a_gate_before_anything_was_asked_is_rejected_at_once() {
    let mut story =
        Story::of(plan(vec![gate("review", &[], Then::Reject), step("a", &["review"], Then::Hold, ONCE)]));
    assert_eq!(story.reject("review"), Ok(vec![AuditKind::GateDecided, AuditKind::Rejected]));
    story.is(State::Rejected);
}
