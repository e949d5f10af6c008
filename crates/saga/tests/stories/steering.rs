//! Rerun, correct, skip, mark-done.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Class, Code, Json, RowName, State};
use tenantry_saga::{Plan, RowState, Then};

use crate::common::{gate, looked, no, pivot, plan, reader, step};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);
// What a look can see: see `looked`.
const ABSENT: usize = 0;
const WHOLE: usize = 1;
const DIFFERS: usize = 2;
const FOREIGN: usize = 3;
const UNKNOWN: usize = 4;

fn rerun(row: &'static str) -> OperationVerb {
    OperationVerb::Rerun(RowName::new(row))
}

fn skip(row: &'static str) -> OperationVerb {
    OperationVerb::Skip(RowName::new(row))
}

fn mark(row: &'static str) -> OperationVerb {
    OperationVerb::MarkDone(RowName::new(row))
}

fn correct(patch: &str) -> OperationVerb {
    OperationVerb::Correct(serde_json::from_str::<Json>(patch).unwrap())
}

fn chain() -> &'static Plan {
    plan(vec![
        step("a", &[], Then::Hold, ONCE),
        step("b", &["a"], Then::Hold, ONCE),
        gate("review", &["b"], Then::Hold),
        step("c", &["review"], Then::Hold, ONCE),
        pivot(&["c"]),
        step("d", &["pivot"], Then::Hold, ONCE),
    ])
}

#[test]
fn a_rerun_asks_the_step_and_all_that_was_built_on_it_and_the_gate_opens_again() {
    let mut story = Story::of(chain());
    story.yes(&["a", "b"]);
    story.approve("review").unwrap();
    story.answer("c", &no(Class::Capacity));
    story.is(State::Held);
    assert_eq!(story.person(rerun("b")), Ok(vec![AuditKind::OperationAccepted]));
    story.is(State::Provisioning);
    assert_eq!(story.asks(), ["b"], "what it was built on stays done");
    assert_eq!(*story.row("review"), RowState::Idle, "the decision was about another output");
    story.yes(&["b"]);
    story.is(State::Awaiting);
    story.approve("review").unwrap();
    assert_eq!(story.asks(), ["c"]);
}

#[test]
fn a_rerun_of_a_step_beside_one_that_failed_stays_parked() {
    let rows = vec![step("a", &[], Then::Hold, ONCE), step("b", &[], Then::Hold, ONCE)];
    let mut story = Story::of(plan(rows));
    story.answer("a", &no(Class::Config));
    story.yes(&["b"]);
    story.person(rerun("b")).unwrap();
    story.is(State::Held);
    assert_eq!(story.asks(), ["b"]);
    story.yes(&["b"]);
    story.person(OperationVerb::Retry).unwrap();
    assert_eq!(story.asks(), ["a"]);
}

#[test]
fn a_rerun_in_a_running_saga_makes_late_answers_stale() {
    let mut story = Story::of(chain());
    story.yes(&["a"]);
    let late = story.question("b");
    story.person(rerun("a")).unwrap();
    assert_eq!(story.asks(), ["a"]);
    assert!(story.late(&late, &crate::common::yes()).is_empty(), "b is not asked any more");
    story.yes(&["a"]);
    assert!(story.question("b").token > late.token, "fenced against the first");
}

#[test]
fn nothing_behind_the_pivot_is_asked_again() {
    let mut story = Story::of(chain());
    story.yes(&["a", "b"]);
    story.approve("review").unwrap();
    story.yes(&["c"]);
    story.answer("d", &no(Class::Config));
    assert_eq!(story.person(rerun("c")), Err(Code::VerbNotAllowed));
    assert_eq!(story.person(correct(r#"{"seats":5}"#)), Err(Code::VerbNotAllowed));
    assert_eq!(story.person(rerun("nothing")), Err(Code::RowUnknown));
    assert_eq!(story.person(rerun("review")), Err(Code::RowUnknown), "a gate is no step");
    story.person(rerun("d")).unwrap();
    assert_eq!(story.asks(), ["d"]);
}

#[test]
fn a_corrected_request_is_validated_again_from_the_first_row_on() {
    let mut story = Story::of(chain());
    story.yes(&["a"]);
    story.answer("b", &no(Class::Validation));
    let before = story.tenant.saga.as_ref().unwrap().request.digest();
    assert_eq!(story.person(correct(r#"{"seats":5,"region":null}"#)), Ok(vec![AuditKind::Corrected]));
    story.is(State::Provisioning);
    assert_eq!(story.asks(), ["a"]);
    let request = story.tenant.saga.as_ref().unwrap().request.clone();
    assert_eq!((request.seats, request.region.as_ref()), (Some(5), None));
    assert_eq!(story.tenant.request, request);
    let told = story.told.last().unwrap();
    assert_eq!(told.seen, Some(request.digest()));
    let note = told.note.as_ref().unwrap();
    assert!(note.contains(&before) && note.contains("region, seats"), "{note}");
    story.yes(&["a", "b"]);
    assert_eq!(story.approve("review"), Err(Code::ApproverIsRequester), "ada corrected it");
    story.decides("bob", None, OperationVerb::Approve(RowName::new("review"))).unwrap();
}

#[test]
fn a_correction_that_is_not_sound_is_refused_by_code_and_changes_nothing() {
    let mut story = Story::of(chain());
    story.yes(&["a"]);
    story.answer("b", &no(Class::Validation));
    for (patch, code) in [
        (r#"{"seats":"many"}"#, Code::FieldInvalid),
        (r#"{"admin":{"email":"eve@example.com"}}"#, Code::FieldUnknown),
        (r#"{"plan":"enterprise"}"#, Code::FieldUnknown),
        (r#"{"slug":"other"}"#, Code::FieldUnknown),
        (r#"{"region":"eu-1"}"#, Code::FieldInvalid),
        (r#"{"domain":"Not A Host"}"#, Code::DomainInvalid),
        ("{}", Code::FieldInvalid),
        ("[]", Code::FieldInvalid),
    ] {
        assert_eq!(story.person(correct(patch)), Err(code), "{patch}");
    }
    story.is(State::Held);
}

#[test]
fn a_skip_asks_the_step_itself_for_proof() {
    for (seen, skipped) in
        [(ABSENT, true), (WHOLE, true), (FOREIGN, true), (DIFFERS, false), (UNKNOWN, false)]
    {
        let mut story = Story::of(chain());
        story.answer("a", &no(Class::Capacity));
        assert_eq!(story.person(skip("a")), Ok(vec![AuditKind::ProofAsked]));
        story.is(State::Held);
        assert_eq!(story.asks(), ["?a"]);
        let told = story.answer("a", &looked(seen));
        if skipped {
            assert_eq!(told, [AuditKind::StepSkipped], "{seen}");
            assert!(story.tenant.flags.degraded);
            assert_eq!(story.asks(), ["b"]);
        } else {
            assert_eq!(told, [AuditKind::ProofRefused], "{seen}");
            story.is(State::Held);
            assert!(story.tenant.at_rest());
            story.person(OperationVerb::Retry).unwrap();
            assert_eq!(story.asks(), ["a"]);
        }
    }
}

#[test]
fn a_look_that_fails_or_never_comes_back_proves_nothing() {
    let mut story = Story::of(chain());
    story.answer("a", &no(Class::Capacity));
    story.person(skip("a")).unwrap();
    assert_eq!(story.answer("a", &no(Class::Config)), [AuditKind::ProofRefused]);
    story.person(skip("a")).unwrap();
    assert_eq!(story.wait(), [AuditKind::ProofRefused]);
    story.person(skip("a")).unwrap();
    story.person(OperationVerb::Retry).unwrap();
    assert_eq!(story.asks(), ["a"], "a retry does not wait for the look");
}

#[test]
fn a_second_person_answers_for_a_skip_without_proof() {
    let mut story = Story::of(chain());
    story.answer("a", &no(Class::Capacity));
    assert_eq!(story.both(skip("a")), Ok(vec![AuditKind::StepSkipped]));
    let by = story.told.last().unwrap().by.as_ref().unwrap();
    assert_eq!(by.second.as_ref().unwrap().name, "grace");
    story.yes(&["b"]);
    // Asked for after all, it is whole again.
    story.person(rerun("a")).unwrap();
    assert!(!story.tenant.flags.degraded);
}

#[test]
fn a_step_whose_output_the_next_row_reads_is_not_skipped() {
    let rows = vec![step("a", &[], Then::Hold, ONCE), reader("b", &["a"])];
    let mut story = Story::of(plan(rows));
    story.answer("a", &no(Class::Capacity));
    assert_eq!(story.person(skip("a")), Err(Code::VerbNotAllowed));
    assert_eq!(story.both(skip("a")), Err(Code::VerbNotAllowed));
}

fn stuck() -> Story {
    let rows = vec![step("a", &[], Then::Compensate, ONCE), step("b", &["a"], Then::Compensate, ONCE)];
    let mut story = Story::of(plan(rows));
    story.yes(&["a"]);
    story.answer("b", &no(Class::Capacity));
    story.answer("b", &no(Class::Config));
    story.is(State::Stuck);
    story
}

#[test]
fn an_undo_is_marked_done_where_the_look_finds_nothing_left() {
    let mut story = stuck();
    assert_eq!(story.person(mark("a")), Err(Code::VerbNotAllowed), "it was not tried yet");
    assert_eq!(story.person(mark("b")), Ok(vec![AuditKind::ProofAsked]));
    story.is(State::Stuck);
    assert_eq!(story.answer("b", &looked(WHOLE)), [AuditKind::ProofRefused]);
    story.is(State::Stuck);
    story.person(mark("b")).unwrap();
    assert_eq!(story.answer("b", &looked(ABSENT)), [AuditKind::StepMarkedDone]);
    story.is(State::Compensating);
    assert_eq!(story.asks(), ["-a"]);
    story.yes(&["a"]);
    story.is(State::RolledBack);
}

#[test]
fn a_second_person_answers_for_an_undo_without_proof() {
    let mut story = stuck();
    assert_eq!(story.both(mark("b")), Ok(vec![AuditKind::StepMarkedDone]));
    story.yes(&["a"]);
    story.is(State::RolledBack);
}
