//! Retry and cancel, and what refuses them.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Class, Code, State};
use tenantry_saga::{Heard, Then};

use crate::common::{no, operation, pivot, plan, step};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);

fn chain() -> Story {
    Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Compensate, ONCE),
        pivot(&["b"]),
        step("c", &["pivot"], Then::Hold, ONCE),
    ]))
}

#[test]
fn a_cancel_before_the_pivot_undoes_everything_also_what_runs() {
    let mut story = chain();
    story.yes(&["a"]);
    let told = story.person(OperationVerb::Cancel);
    assert_eq!(told, Ok(vec![AuditKind::OperationAccepted, AuditKind::Compensating]));
    assert_eq!(story.asks(), ["-b"]);
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
    assert_eq!(story.reason(), Some(Code::Cancelled));
}

#[test]
fn a_cancel_after_the_pivot_or_after_the_end_is_refused() {
    let mut story = chain();
    story.yes(&["a", "b"]);
    assert_eq!(story.asks(), ["c"]);
    assert_eq!(story.person(OperationVerb::Cancel), Err(Code::VerbNotAllowed));
    story.yes(&["c"]);
    story.is(State::Active);
    assert_eq!(story.person(OperationVerb::Cancel), Err(Code::VerbNotAllowed));
}

#[test]
fn a_cancel_while_undoing_is_refused() {
    let mut story = chain();
    story.person(OperationVerb::Cancel).unwrap();
    assert_eq!(story.person(OperationVerb::Cancel), Err(Code::VerbNotAllowed));
}

#[test]
fn a_held_tenant_can_be_cancelled_and_the_failure_is_why() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Hold, ONCE)]));
    story.answer("a", &no(Class::Config));
    story.person(OperationVerb::Cancel).unwrap();
    story.yes(&["a"]);
    story.is(State::RolledBack);
    assert_eq!(story.reason(), Some(Code::FaultInjected));
}

#[test]
fn a_stuck_undo_lists_what_remains_lets_other_branches_finish_and_can_be_retried() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Compensate, ONCE),
        step("c", &["a"], Then::Compensate, ONCE),
        step("d", &["b", "c"], Then::Compensate, ONCE),
    ]));
    story.yes(&["a", "b", "c"]);
    story.answer("d", &no(Class::Business));
    story.yes(&["d"]);
    assert_eq!(story.answer("b", &no(Class::Conflict)), [AuditKind::UndoFailed]);
    story.is(State::Compensating);
    assert_eq!(story.asks(), ["-c"], "the other branch goes on");
    story.yes(&["c"]);
    story.is(State::Stuck);
    assert_eq!(story.told.last().unwrap().note.as_deref(), Some("remains: a, b"));
    assert!(story.tenant.at_rest() && story.tenant.holds_slug());
    story.person(OperationVerb::Retry).unwrap();
    story.is(State::Compensating);
    assert_eq!(story.asks(), ["-b"]);
    story.yes(&["b", "a"]);
    story.is(State::RolledBack);
    assert_eq!(story.told.last().unwrap().failure.as_ref().unwrap().class, Class::Business, "not the undo's");
}

#[test]
fn a_failed_undo_is_tried_again_before_it_is_stuck() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Compensate, (1, 2))]));
    story.answer("a", &no(Class::Business));
    story.answer("a", &no(Class::Exhausted));
    assert_eq!(story.wait(), [AuditKind::StepAskedAgain]);
    assert_eq!(story.asks(), ["-a"]);
    assert_eq!(story.wait(), [AuditKind::UndoFailed, AuditKind::Stuck]);
}

#[test]
fn a_retry_of_what_runs_is_refused() {
    let mut story = chain();
    assert_eq!(story.person(OperationVerb::Retry), Err(Code::VerbNotAllowed));
    story.person(OperationVerb::Cancel).unwrap();
    assert_eq!(story.person(OperationVerb::Retry), Err(Code::VerbNotAllowed));
}

#[test]
fn an_operation_on_a_version_that_moved_on_is_refused() {
    let mut story = chain();
    let seen = story.tenant.version;
    story.yes(&["a"]);
    let mut cancel = operation(OperationVerb::Cancel);
    cancel.expected_version = Some(seen);
    let refusal = story.hear(Heard::Operation(&cancel)).unwrap_err();
    assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::VersionStale, Some("/expected_version")));
    cancel.expected_version = Some(story.tenant.version);
    story.hear(Heard::Operation(&cancel)).unwrap();
    story.is(State::Compensating);
}

#[test]
fn an_operation_without_a_reason_is_refused() {
    let mut story = chain();
    let mut cancel = operation(OperationVerb::Cancel);
    cancel.reason = "  ".to_owned();
    assert_eq!(story.hear(Heard::Operation(&cancel)).unwrap_err().code, Code::ReasonMissing);
}

#[test]
fn a_decision_about_a_row_that_is_not_open_or_not_there_is_refused() {
    let mut story = chain();
    assert_eq!(story.approve("a"), Err(Code::VerbNotAllowed));
    assert_eq!(story.approve("nowhere"), Err(Code::VerbNotAllowed));
    assert_eq!(story.reject("pivot"), Err(Code::VerbNotAllowed));
}
