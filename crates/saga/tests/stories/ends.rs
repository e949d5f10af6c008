//! What a final failure means: the five end policies.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Class, Code, State};
use tenantry_saga::{End, Row, RowState, Then};

use crate::common::{no, plan, step};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);

fn story(then: Then) -> Story {
    Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], then, ONCE),
        step("c", &["b"], Then::Compensate, ONCE),
    ]))
}

#[test]
fn compensate_undoes_everything_and_rolls_back() {
    let mut story = story(Then::Compensate);
    story.yes(&["a"]);
    assert_eq!(story.answer("b", &no(Class::Capacity)), [AuditKind::StepFailed, AuditKind::Compensating]);
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
}

#[test]
fn hold_parks_until_a_person_retries() {
    let mut story = story(Then::Hold);
    story.yes(&["a"]);
    assert_eq!(story.answer("b", &no(Class::Capacity)), [AuditKind::StepFailed, AuditKind::Held]);
    story.is(State::Held);
    assert!(story.tenant.at_rest() && story.asks().is_empty());
    assert_eq!(story.person(OperationVerb::Retry), Ok(vec![AuditKind::OperationAccepted]));
    story.is(State::Provisioning);
    assert_eq!(story.asks(), ["b"], "what is done stays done");
    story.yes(&["b", "c"]);
    story.is(State::Active);
}

#[test]
fn hold_lets_what_runs_finish_and_begins_nothing_new() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Hold, ONCE),
        step("b", &[], Then::Hold, ONCE),
        step("c", &["b"], Then::Hold, ONCE),
    ]));
    story.answer("a", &no(Class::Config));
    story.is(State::Held);
    assert!(!story.tenant.at_rest(), "b still runs");
    story.yes(&["b"]);
    assert!(story.asks().is_empty() && story.tenant.at_rest());
    story.person(OperationVerb::Retry).unwrap();
    assert_eq!(story.asks(), ["a", "c"]);
    story.yes(&["a", "c"]);
    story.is(State::Active);
}

#[test]
fn degrade_goes_on_without_the_row_and_says_so() {
    let mut story = story(Then::Degrade);
    story.yes(&["a"]);
    assert!(!story.tenant.flags.degraded);
    story.answer("b", &no(Class::Capacity));
    assert!(story.tenant.flags.degraded);
    assert_eq!(story.row("b"), &RowState::Skipped);
    story.yes(&["c"]);
    story.is(State::Active);
    assert!(story.tenant.flags.degraded);
}

#[test]
fn what_was_degraded_is_undone_with_the_rest() {
    let mut story = story(Then::Degrade);
    story.yes(&["a"]);
    story.answer("b", &no(Class::Capacity));
    story.answer("c", &no(Class::Business));
    story.yes(&["c"]);
    assert_eq!(story.asks(), ["-b"], "it may have left something");
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
    assert_eq!(story.told.last().unwrap().failure.as_ref().unwrap().class, Class::Business);
}

#[test]
fn ask_lets_a_person_retry() {
    let mut story = story(Then::Ask);
    story.yes(&["a"]);
    assert_eq!(story.answer("b", &no(Class::Capacity)), [AuditKind::StepFailed, AuditKind::GateOpened]);
    story.is(State::Awaiting);
    story.person(OperationVerb::Retry).unwrap();
    story.is(State::Provisioning);
    story.yes(&["b", "c"]);
    story.is(State::Active);
    assert!(!story.tenant.flags.degraded);
}

#[test]
fn ask_lets_a_person_go_on_without_the_row() {
    let mut story = story(Then::Ask);
    story.yes(&["a"]);
    story.answer("b", &no(Class::Capacity));
    assert_eq!(story.approve("b"), Ok(vec![AuditKind::GateDecided]));
    assert_eq!(story.asks(), ["c"]);
    story.yes(&["c"]);
    story.is(State::Active);
    assert!(story.tenant.flags.degraded);
}

#[test]
fn ask_lets_a_person_or_time_undo_everything() {
    for by_person in [true, false] {
        let mut story = story(Then::Ask);
        story.yes(&["a"]);
        story.answer("b", &no(Class::Capacity));
        let told = if by_person { story.reject("b").unwrap() } else { story.wait() };
        assert_eq!(told, [AuditKind::GateDecided, AuditKind::Compensating]);
        story.yes(&["b", "a"]);
        story.is(State::RolledBack);
        assert_eq!(story.reason(), Some(Code::FaultInjected), "the failure, not the decision, is why");
    }
}

#[test]
fn going_on_without_one_row_asks_the_others_that_failed_again() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Ask, ONCE),
        step("b", &[], Then::Ask, ONCE),
        step("c", &[], Then::Ask, (2, 1)),
    ]));
    story.answer("c", &no(Class::Exhausted));
    story.answer("a", &no(Class::Business));
    story.answer("b", &no(Class::Business));
    story.is(State::Awaiting);
    story.approve("a").unwrap();
    story.is(State::Provisioning);
    assert_eq!(story.asks(), ["b", "c"], "nothing is left behind");
    story.yes(&["b", "c"]);
    story.is(State::Active);
}

#[test]
fn reject_undoes_what_the_refused_row_may_have_left_and_refuses() {
    let mut story =
        Story::of(plan(vec![step("a", &[], Then::Reject, ONCE), step("b", &["a"], Then::Compensate, ONCE)]));
    story.answer("a", &no(Class::Policy));
    story.is(State::Compensating);
    assert_eq!(story.asks(), ["-a"]);
    assert_eq!(story.answer("a", &crate::common::yes()), [AuditKind::StepUndone, AuditKind::Rejected]);
    story.is(State::Rejected);
    assert_eq!(story.reason(), Some(Code::FaultInjected));
    assert!(!story.tenant.holds_slug());
}

#[test]
fn a_class_can_mean_something_else_than_the_default() {
    let end = End::with(Then::Compensate, &[(Class::Validation, Then::Reject), (Class::Config, Then::Hold)]);
    let ends =
        [(Class::Validation, State::Rejected), (Class::Config, State::Held), (Class::Bug, State::RolledBack)];
    for (class, state) in ends {
        let mut story = Story::of(plan(vec![Row { end: end.clone(), ..step("a", &[], Then::Hold, ONCE) }]));
        story.answer("a", &no(class));
        if state != State::Held {
            story.yes(&["a"]);
        }
        story.is(state);
    }
}
