//! Golden pages: what people see of a request, from the records that the fleet says.

use crate::show::thread;
use tenantry_contracts::event::Assumed;
use tenantry_contracts::operation::Actor;
use tenantry_contracts::result::Failure;
use tenantry_contracts::{Class, Code, Environment, Json, Lane, Refusal, RowName, Slug};

use super::*;

const TENANT: &str = "01919191-9191-7191-8191-919191919191";

fn id() -> RequestId {
    RequestId { source: "crm".into(), id: "7".into() }
}

fn tenant() -> TenantRef {
    TenantRef {
        id: TENANT.parse().unwrap(),
        slug: Slug::parse("acme").unwrap(),
        environment: Environment::default(),
    }
}

fn story(follow: bool) -> Story {
    Story::new(Style::PLAIN, thread::plans(), id(), follow)
}

fn audit(seq: i64, kind: AuditKind, state: State) -> AuditEvent {
    AuditEvent {
        fleet: "local".into(),
        chain: TENANT.into(),
        seq,
        alias: None,
        tenant: Some(tenant()),
        state: Some(state),
        operation: Some(id()),
        ..AuditEvent::new(kind, Time(1_000 + 100 * seq), Lane(0), seq)
    }
}

fn started(seq: i64) -> AuditEvent {
    AuditEvent {
        plan: Some(thread::THREAD.reference()),
        ..audit(seq, AuditKind::Started, State::Provisioning)
    }
}

fn row(seq: i64, kind: AuditKind, row: &'static str, took_ms: i64) -> AuditEvent {
    let state = match kind {
        AuditKind::StepUndone => State::Compensating,
        _ => State::Provisioning,
    };
    AuditEvent { row: Some(RowName::new(row)), took_ms: Some(took_ms), ..audit(seq, kind, state) }
}

fn failure() -> Failure {
    Failure {
        code: Code::FaultInjected,
        class: Class::Business,
        pointer: None,
        message: "the switch database.before-probe is on".into(),
    }
}

fn event(kind: EventKind, state: Option<State>) -> Event {
    Event { request: Some(id()), tenant: state.map(|_| tenant()), state, ..Event::new(kind, Time(5_000)) }
}

fn told(story: &mut Story, audits: &[AuditEvent]) -> Vec<String> {
    audits.iter().flat_map(|event| story.audit(event)).collect()
}

#[test]
fn a_request_is_told_from_accepted_to_active_whatever_topic_is_read_first() {
    let mut story = story(true);
    let early = [
        audit(1, AuditKind::Requested, State::Requested),
        started(2),
        row(3, AuditKind::StepSucceeded, "validate", 12),
    ];
    assert!(told(&mut story, &early).is_empty(), "nothing is told before the answer");
    assert_eq!(story.doing(), "waiting for the answer");
    let mut accepted = event(EventKind::RequestAccepted, Some(State::Provisioning));
    accepted.assumed =
        vec![Assumed { field: "/slug".into(), value: "acme".into(), why: "derived from the name".into() }];
    let mut page = story.event("0:1", &accepted);
    assert_eq!(story.doing(), "database");
    page.extend(told(&mut story, &[row(4, AuditKind::StepSucceeded, "database", 843)]));
    assert_eq!(story.doing(), "credentials", "what waits for the pivot begins with it");
    let rest =
        [row(5, AuditKind::StepSucceeded, "credentials", 20), audit(6, AuditKind::Completed, State::Active)];
    page.extend(told(&mut story, &rest));
    assert_eq!(story.outcome(), None, "the public event is still to come");
    let mut done = event(EventKind::Provisioned, Some(State::Active));
    done.outputs = Some(Json::of(&serde_json::json!({"database": {"schema": "t_1"}})).unwrap());
    page.extend(story.event("0:6", &done));
    assert_eq!(
        page.join("\n"),
        "  ✓ accepted                        tenant 01919191-9191-7191-8191-919191919191
    /slug = acme (derived from the name)
  ✓ validate                 12 ms
  ✓ database                843 ms
  ✓ credentials              20 ms
  ● ACTIVE                  500 ms  in all
    database         t_1"
    );
    assert_eq!(story.outcome(), Some(Outcome::Done));
}

#[test]
fn a_failed_step_and_its_undoing_are_told_with_code_and_advice() {
    let mut story = story(true);
    let mut page = story.event("0:1", &event(EventKind::RequestAccepted, Some(State::Provisioning)));
    let failed = AuditEvent { failure: Some(failure()), ..row(4, AuditKind::StepFailed, "database", 120) };
    let back =
        AuditEvent { failure: Some(failure()), ..audit(5, AuditKind::Compensating, State::Compensating) };
    page.extend(told(
        &mut story,
        &[
            audit(1, AuditKind::Requested, State::Requested),
            started(2),
            row(3, AuditKind::StepSucceeded, "validate", 12),
            failed,
            back,
        ],
    ));
    assert_eq!(story.doing(), "undoing");
    page.extend(told(
        &mut story,
        &[
            row(6, AuditKind::StepUndone, "database", 33),
            row(7, AuditKind::StepUndone, "validate", 5),
            audit(8, AuditKind::RolledBack, State::RolledBack),
        ],
    ));
    page.extend(story.event("0:8", &event(EventKind::RolledBack, Some(State::RolledBack))));
    assert_eq!(
        page.join("\n"),
        "  ✓ accepted                        tenant 01919191-9191-7191-8191-919191919191
  ✓ validate                 12 ms
  ✗ database                120 ms
    fault_injected
    the switch database.before-probe is on
    next: switch the fault off (TENANTRY_FAULTS), then retry
    more: tenantry explain fault_injected
  ↺ undoing everything that may be there, newest first
  ✓ database                 33 ms  undone
  ✓ validate                  5 ms  undone
  ○ ROLLED_BACK             700 ms  in all; nothing of it is left"
    );
    assert_eq!(story.outcome(), Some(Outcome::RolledBack));
    let report = serde_json::to_value(story.report(Outcome::RolledBack)).unwrap();
    assert_eq!((report["exit"].as_i64(), report["steps"].as_array().map(Vec::len)), (Some(4), Some(4)));
}

#[test]
fn a_refusal_is_told_with_its_place_and_ends_the_story() {
    let mut story = story(true);
    let mut refused = event(EventKind::RequestRejected, None);
    refused.refusal = Some(Refusal::new(Code::SlugTaken, "the slug is held by another tenant").at("/slug"));
    assert_eq!(
        story.event("0:1", &refused).join("\n"),
        "  ✗ rejected
    slug_taken at /slug
    the slug is held by another tenant
    next: choose another slug, or offboard the tenant that holds it"
    );
    assert_eq!(story.outcome(), Some(Outcome::Rejected));
}

#[test]
fn a_quarantined_record_is_found_by_its_place() {
    let mut story = story(false);
    let place = Origin { topic: "tenant.requests".into(), partition: 0, offset: 3 };
    story.at(place.clone());
    let mut other = event(EventKind::RequestQuarantined, None);
    (other.request, other.origin) = (None, Some(Origin { offset: 2, ..place.clone() }));
    assert!(story.event("0:1", &other).is_empty());
    let mine = Event { origin: Some(place), ..other };
    assert!(!story.event("0:2", &mine).is_empty());
    assert_eq!(story.outcome(), Some(Outcome::Rejected));
}

#[test]
fn repeats_and_other_tenants_are_not_told() {
    let mut story = story(true);
    let accepted = event(EventKind::RequestAccepted, Some(State::Provisioning));
    assert!(!story.event("0:1", &accepted).is_empty());
    assert!(story.event("0:1", &accepted).is_empty());
    let step = row(3, AuditKind::StepSucceeded, "validate", 12);
    assert_eq!(told(&mut story, &[step.clone(), step.clone()]).len(), 1);
    assert!(told(&mut story, &[AuditEvent { chain: "lane-0".into(), seq: 9, ..step }]).is_empty());
}

#[test]
fn a_retried_tenant_that_fails_again_is_parked() {
    let mut story = story(true);
    story.event("0:1", &event(EventKind::OperationAccepted, Some(State::Provisioning)));
    let mut taken = audit(9, AuditKind::OperationAccepted, State::Provisioning);
    taken.actor = Some(Actor { name: "root\u{1b}[2J".into(), verified: false });
    taken.reason = Some("mended".into());
    let failed = AuditEvent { failure: Some(failure()), ..row(10, AuditKind::StepFailed, "credentials", 7) };
    let mut page = told(&mut story, &[taken, failed, audit(11, AuditKind::Held, State::Held)]);
    page.extend(story.event("0:11", &event(EventKind::AttentionNeeded, Some(State::Held))));
    assert_eq!(
        page.join("\n"),
        "  ▸ taken up for root\\u{1b}[2J: mended
  ✗ credentials               7 ms
    fault_injected
    the switch database.before-probe is on
    next: switch the fault off (TENANTRY_FAULTS), then retry
    more: tenantry explain fault_injected
  ■ HELD                    200 ms  in all; a person must act
    next: tenantry why acme"
    );
    assert_eq!(story.outcome(), Some(Outcome::Parked));
}

#[test]
fn a_duplicate_of_what_rests_is_not_waited_for() {
    let mut story = story(true);
    let lines =
        story.event("0:1", &Event { tenant: Some(tenant()), ..event(EventKind::RequestDuplicate, None) });
    assert!(lines[0].contains("duplicate"), "{lines:?}");
    assert_eq!(story.outcome(), Some(Outcome::Done));
}

#[test]
fn a_look_that_proves_nothing_ends_the_story_where_it_began() {
    let mut story = story(true);
    let ada = Some(Actor { name: "ada".into(), verified: true });
    story.event("0:1", &event(EventKind::OperationAccepted, Some(State::Held)));
    let asked = AuditEvent {
        actor: ada.clone(),
        state: Some(State::Held),
        ..row(7, AuditKind::ProofAsked, "database", 0)
    };
    let mut page = told(&mut story, &[asked]);
    assert_eq!(story.outcome(), None, "the look is under way");
    let refused = AuditEvent {
        note: Some("it is there and differs: /schema".into()),
        state: Some(State::Held),
        ..row(8, AuditKind::ProofRefused, "database", 30)
    };
    page.extend(told(&mut story, &[refused]));
    page.extend(story.event("0:8", &event(EventKind::AttentionNeeded, Some(State::Held))));
    assert_eq!(
        page.join("\n"),
        "  ? database                        looks for ada whether something is there
  ✗ database                        not proved: it is there and differs: /schema
  ■ HELD                    100 ms  in all; a person must act
    next: tenantry why acme"
    );
    assert_eq!(story.outcome(), Some(Outcome::Parked));
}

#[test]
fn what_two_people_did_names_both_and_what_was_proved_names_the_proof() {
    let mut story = story(false);
    story.event("0:1", &event(EventKind::OperationAccepted, Some(State::Held)));
    let person = |name: &str| Some(Actor { name: name.into(), verified: false });
    let of = |seq: i64, kind: AuditKind| AuditEvent {
        actor: person("ada"),
        second: person("bob"),
        reason: Some("matter 7".into()),
        ..audit(seq, kind, State::Held)
    };
    let waived = AuditEvent { row: Some(RowName::new("database")), ..of(2, AuditKind::StepSkipped) };
    let proved = AuditEvent {
        note: Some("nothing of it is there".into()),
        ..row(3, AuditKind::StepMarkedDone, "database", 9)
    };
    let corrected = AuditEvent { note: Some("changed: seats".into()), ..of(4, AuditKind::Corrected) };
    let page = told(&mut story, &[of(1, AuditKind::HoldReleased), waived, proved, corrected]);
    assert_eq!(
        page.join("\n"),
        "  ▸ legal hold lifted by ada and bob: matter 7
  ↷ database                        given up, says ada and bob
  ✓ database                        undone by hand: nothing of it is there
  ▸ corrected by ada and bob: matter 7; changed: seats"
    );
}
