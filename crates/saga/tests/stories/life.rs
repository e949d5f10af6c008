//! Answers, repeats, deadlines, and the way back.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::result::Said;
use tenantry_contracts::{Class, Code, State, Verb};
use tenantry_saga::{Field, Row, RowState, Then, When};

use crate::common::{LIMIT_MS, broken, gate, lettered, no, pivot, plan, step, wait, yes};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);

#[test]
fn a_diamond_goes_forward_in_order_and_in_parallel_where_it_can() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Compensate, ONCE),
        step("c", &["a"], Then::Compensate, ONCE),
        step("d", &["b", "c"], Then::Compensate, ONCE),
    ]));
    assert_eq!(story.asks(), ["a"]);
    story.yes(&["a"]);
    assert_eq!(story.asks(), ["b", "c"]);
    story.yes(&["c"]);
    assert_eq!(story.asks(), ["b"]);
    story.yes(&["b"]);
    assert_eq!(story.asks(), ["d"]);
    let told = story.answer("d", &yes());
    assert_eq!(told, [AuditKind::StepSucceeded, AuditKind::Completed]);
    story.is(State::Active);
    assert!(story.tenant.at_rest() && story.tenant.holds_slug());
}

#[test]
fn a_failure_undoes_the_failed_row_and_everything_before_it_in_reverse() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Compensate, ONCE),
        step("c", &["a"], Then::Compensate, ONCE),
        step("d", &["b", "c"], Then::Compensate, ONCE),
    ]));
    story.yes(&["a", "b", "c"]);
    story.answer("d", &no(Class::Business));
    story.is(State::Compensating);
    assert_eq!(story.asks(), ["-d"]);
    let d = crate::common::questions(&story.tenant, &story.plans).remove(0).command;
    assert!(d.body.supersedes && d.body.made.is_none(), "the undo of what was refused");
    story.yes(&["d"]);
    assert_eq!(story.asks(), ["-b", "-c"]);
    let b = crate::common::questions(&story.tenant, &story.plans).remove(0).command;
    assert!(b.body.made.is_some(), "the undo of what was made knows what was made");
    story.yes(&["b"]);
    assert_eq!(story.asks(), ["-c"]);
    story.yes(&["c", "a"]);
    story.is(State::RolledBack);
    assert_eq!(story.reason(), Some(Code::FaultInjected));
    assert!(!story.tenant.holds_slug());
}

#[test]
fn a_failure_beside_a_running_row_undoes_that_row_without_waiting_for_its_answer() {
    let mut story =
        Story::of(plan(vec![step("a", &[], Then::Compensate, ONCE), step("b", &[], Then::Compensate, ONCE)]));
    let late = story.question("b");
    story.answer("a", &no(Class::Business));
    assert_eq!(story.asks(), ["-a", "-b"]);
    assert!(story.late(&late, &yes()).is_empty(), "its answer is stale now");
    story.yes(&["a", "b"]);
    story.is(State::RolledBack);
}

#[test]
fn silence_is_asked_again_with_a_higher_token_until_the_plan_says_enough() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Compensate, (2, 1))]));
    let first = story.question("a");
    assert_eq!(story.wait(), [AuditKind::StepFailed]);
    assert_eq!(story.reason(), Some(Code::NoAnswer));
    assert!(story.asks().is_empty(), "a pause before the next attempt");
    assert!(story.late(&first, &yes()).is_empty(), "the first question is closed");
    assert_eq!(story.wait(), [AuditKind::StepAskedAgain]);
    let second = story.question("a");
    assert!(second.token > first.token);
    assert!(story.late(&first, &yes()).is_empty(), "a late answer to the first is not one to the second");
    let told = story.wait();
    assert_eq!(told, [AuditKind::StepFailed, AuditKind::Compensating]);
    assert_eq!(story.asks(), ["-a"]);
    story.yes(&["a"]);
    story.is(State::RolledBack);
    assert_eq!(story.reason(), Some(Code::NoAnswer));
}

#[test]
fn a_failure_that_was_overcome_is_not_the_reason_of_the_end() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, (2, 2)),
        step("b", &["a"], Then::Compensate, ONCE),
    ]));
    story.wait();
    story.wait();
    story.yes(&["a"]);
    story.answer("b", &no(Class::Business));
    story.yes(&["b"]);
    story.answer("a", &no(Class::Exhausted));
    story.wait();
    story.yes(&["a"]);
    story.is(State::RolledBack);
    let reason = story.told.last().unwrap().failure.clone().unwrap();
    assert_eq!((reason.code, reason.class), (Code::FaultInjected, Class::Business));
}

#[test]
fn an_exhausted_step_is_tried_again_and_a_final_no_is_not() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Compensate, (3, 1))]));
    assert_eq!(story.answer("a", &no(Class::Exhausted)), [AuditKind::StepFailed]);
    assert!(matches!(story.row("a"), RowState::Later { verb: Verb::Execute, attempt: 2, .. }));
    story.wait();
    story.answer("a", &no(Class::Conflict));
    assert_eq!(story.asks(), ["-a"]);
}

#[test]
fn not_yet_and_expired_write_nothing_and_the_same_question_stands() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Compensate, ONCE)]));
    let question = story.question("a");
    for said in [Said::NotYet(500), Said::Expired] {
        assert!(story.late(&question, &said).is_empty());
        assert_eq!(story.question("a"), question);
    }
}

#[test]
fn a_duplicate_answer_is_heard_once() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        step("b", &["a"], Then::Compensate, ONCE),
    ]));
    let question = story.question("a");
    assert!(!story.late(&question, &yes()).is_empty());
    assert!(story.late(&question, &yes()).is_empty());
    assert!(story.late(&question, &no(Class::Business)).is_empty(), "the first answer stands");
    assert_eq!(story.asks(), ["b"]);
}

#[test]
fn a_pause_of_the_lane_moves_the_deadline_of_a_question_but_not_of_a_gate() {
    let story =
        Story::of(plan(vec![step("a", &[], Then::Compensate, ONCE), gate("review", &[], Then::Reject)]));
    let due = |row: usize, paused: i64| story.tenant.saga.as_ref().unwrap().rows[row].due(paused).unwrap();
    assert_eq!(due(0, 0), story.now.plus(LIMIT_MS));
    assert_eq!(due(0, 700), story.now.plus(LIMIT_MS + 700));
    assert_eq!(due(1, 0), due(1, 700));
    let deadline = |paused: i64| {
        let fleet = crate::common::fleet();
        story.tenant.questions(&story.plans, &fleet, tenantry_contracts::Token(0), paused)[0].command.deadline
    };
    assert_eq!(deadline(700).since(deadline(0)), 700);
}

#[test]
fn a_wait_ends_by_itself() {
    let mut story = Story::of(plan(vec![wait("rest", &[]), step("a", &["rest"], Then::Compensate, ONCE)]));
    story.is(State::Provisioning);
    assert!(story.asks().is_empty() && !story.tenant.at_rest());
    assert_eq!(story.wait(), [AuditKind::WaitEnded]);
    assert_eq!(story.asks(), ["a"]);
}

#[test]
fn a_row_that_is_not_chosen_passes_on_what_it_waits_for() {
    let unless = |row: Row, when| Row { when, ..row };
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        unless(step("domain", &["a"], Then::Compensate, ONCE), When::Field(Field::Domain)),
        unless(step("pack", &["domain"], Then::Compensate, ONCE), When::Pack("governed")),
        unless(step("gold", &["pack"], Then::Compensate, ONCE), When::Template("gold")),
        unless(
            step("both", &["gold"], Then::Compensate, ONCE),
            When::All(&[When::Pack("summit"), When::Field(Field::Admin)]),
        ),
        unless(
            step("any", &["gold"], Then::Compensate, ONCE),
            When::Any(&[When::Field(Field::DemoData), When::Template("basic")]),
        ),
    ]));
    assert_eq!(story.asks(), ["a"], "nothing begins before the row above the rows that were not chosen");
    assert_eq!(story.tenant.saga.as_ref().unwrap().rows.len(), 3);
    story.yes(&["a"]);
    assert_eq!(story.asks(), ["both", "any"]);
    story.answer("any", &no(Class::Business));
    assert_eq!(story.asks(), ["-both", "-any"], "also undone across the rows that were not chosen: a waits");
    story.yes(&["both", "any", "a"]);
    story.is(State::RolledBack);
}

#[test]
fn after_the_pivot_a_final_failure_is_held_and_never_undone() {
    let mut story = Story::of(plan(vec![
        step("a", &[], Then::Compensate, ONCE),
        pivot(&["a"]),
        step("b", &["pivot"], Then::Compensate, ONCE),
    ]));
    story.yes(&["a"]);
    assert_eq!(story.answer("b", &no(Class::Business)), [AuditKind::StepFailed, AuditKind::Held]);
    story.is(State::Held);
    assert_eq!(story.person(tenantry_contracts::operation::OperationVerb::Cancel), Err(Code::VerbNotAllowed));
    story.person(tenantry_contracts::operation::OperationVerb::Retry).unwrap();
    story.yes(&["b"]);
    story.is(State::Active);
}

#[test]
fn a_dead_lettered_command_holds_whatever_the_plan_says() {
    for then in [Then::Compensate, Then::Degrade, Then::Reject, Then::Ask, Then::Hold] {
        let mut story = Story::of(plan(vec![step("a", &[], then, (3, 3))]));
        assert_eq!(story.answer("a", &lettered()), [AuditKind::StepFailed, AuditKind::Held], "{then:?}");
        story.is(State::Held);
        assert!(story.tenant.at_rest());
    }
}

#[test]
fn a_dead_lettered_undo_is_stuck_at_once() {
    let mut story = Story::of(plan(vec![step("a", &[], Then::Compensate, (1, 5))]));
    story.answer("a", &no(Class::Business));
    assert_eq!(story.answer("a", &lettered()), [AuditKind::UndoFailed, AuditKind::Stuck]);
    story.is(State::Stuck);
}

#[test]
fn a_row_whose_input_cannot_be_made_opens_no_gate_in_a_saga_that_goes_back() {
    let failing = |then| Row { end: tenantry_saga::End::always(then), ..broken("broken", &["a"]) };
    let rows = |then| {
        let gate = gate("review", &["a"], Then::Reject);
        plan(vec![step("a", &[], Then::Compensate, ONCE), failing(then), gate])
    };
    let mut story = Story::of(rows(Then::Compensate));
    let told = story.answer("a", &yes());
    assert_eq!(told, [AuditKind::StepSucceeded, AuditKind::StepFailed, AuditKind::Compensating]);
    story.is(State::Compensating);
    assert_eq!(story.row("review"), &RowState::Idle);
    story.yes(&["a"]);
    story.is(State::RolledBack);
    assert_eq!(story.reason(), Some(Code::OutputInvalid));
}

#[test]
fn two_rows_whose_inputs_cannot_be_made_fail_once_each_and_a_gate_beside_them_opens_once() {
    let failing = |name| Row { end: tenantry_saga::End::always(Then::Degrade), ..broken(name, &[]) };
    let story = Story::of(plan(vec![failing("one"), failing("two"), gate("review", &[], Then::Reject)]));
    let told = |what| story.told.iter().filter(|change| change.what == what).count();
    assert_eq!((told(AuditKind::StepFailed), told(AuditKind::GateOpened)), (2, 1));
    story.is(State::Awaiting);
    assert!(story.tenant.flags.degraded);
}
