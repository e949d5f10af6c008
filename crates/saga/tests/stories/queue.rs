//! One saga at a time: the others wait behind it.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::request::Kind;
use tenantry_contracts::{Class, Code, State};
use tenantry_saga::Then;

use crate::common::{no, plan, plan_of, questions, request, step};
use crate::teller::Story;

const ONCE: (u8, u8) = (1, 1);

fn story() -> Story {
    let provision = plan(vec![step("a", &[], Then::Compensate, ONCE)]);
    let update = plan_of(Kind::Update, vec![step("change", &[], Then::Compensate, ONCE)]);
    Story::with(&[provision, update], request(Kind::Provision))
}

#[test]
fn a_further_request_waits_and_begins_when_the_running_saga_is_over() {
    let mut story = story();
    assert_eq!(story.request(Kind::Update), Ok(vec![AuditKind::Queued]));
    assert_eq!((story.tenant.queue.len(), story.asks()), (1, vec!["a".to_owned()]));
    let first = story.tenant.saga.as_ref().unwrap().id;
    let told = story.answer("a", &crate::common::yes());
    assert_eq!(told, [AuditKind::StepSucceeded, AuditKind::Completed, AuditKind::Started]);
    story.is(State::Updating);
    let saga = story.tenant.saga.as_ref().unwrap();
    assert_eq!(
        (saga.kind, saga.before, saga.request_id.id.as_str()),
        (Kind::Update, State::Active, "further")
    );
    assert_ne!(saga.id, first);
    assert!(questions(&story.tenant, &story.plans)[0].command.body.supersedes, "not the tenant's first saga");
    story.yes(&["change"]);
    story.is(State::Active);
    assert!(story.tenant.at_rest());
}

#[test]
fn a_request_to_a_resting_tenant_begins_at_once() {
    let mut story = story();
    story.yes(&["a"]);
    assert_eq!(story.request(Kind::Update), Ok(vec![AuditKind::Queued, AuditKind::Started]));
    story.is(State::Updating);
}

#[test]
fn an_update_that_is_undone_returns_to_the_state_before() {
    let mut story = story();
    story.yes(&["a"]);
    story.request(Kind::Update).unwrap();
    story.answer("change", &no(Class::Business));
    story.is(State::Compensating);
    assert_eq!(story.answer("change", &crate::common::yes()), [AuditKind::StepUndone, AuditKind::RolledBack]);
    story.is(State::Active);
    assert!(story.tenant.holds_slug() && story.tenant.at_rest());
}

#[test]
fn two_updates_run_one_after_the_other_and_a_cancel_ends_only_the_first() {
    let mut story = story();
    story.yes(&["a"]);
    story.request(Kind::Update).unwrap();
    story.request(Kind::Update).unwrap();
    let stale = story.question("change");
    story.person(OperationVerb::Cancel).unwrap();
    let told = story.answer("change", &crate::common::yes());
    assert_eq!(told, [AuditKind::StepUndone, AuditKind::RolledBack, AuditKind::Started]);
    assert!(
        story.late(&stale, &crate::common::yes()).is_empty(),
        "an answer to the first update is none to the second"
    );
    story.yes(&["change"]);
    story.is(State::Active);
    assert_eq!(story.tenant.sagas, 3);
}

#[test]
fn requests_that_do_not_fit_are_refused() {
    let mut story = story();
    assert_eq!(story.request(Kind::Provision), Err(Code::VerbNotAllowed));
    assert_eq!(story.request(Kind::Suspend), Err(Code::KindUnsupported));
    story.person(OperationVerb::Cancel).unwrap();
    story.yes(&["a"]);
    story.is(State::RolledBack);
    assert_eq!(story.request(Kind::Update), Err(Code::VerbNotAllowed));
}
