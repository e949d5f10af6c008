//! The product's own gates: who may decide, about what, and when nobody does.

use std::sync::Arc;

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::request::{Kind, requester};
use tenantry_contracts::steps::{gate, receipt};
use tenantry_contracts::{Code, RowName, State, Verb};
use tenantry_saga::{Approvers, Rules, plans};

use crate::common;
use crate::teller::Story;

fn rules(packs: &[&str], approvals: &[&str]) -> Rules {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Rules { packs: words(packs), approvals: words(approvals), ..Rules::default() }
}

fn story(rules: Rules) -> Story {
    let mut born = common::born(0, common::request(Kind::Provision));
    born.requesters = vec![requester(born.tenant, "Grace")];
    Story::under(rules, &[&plans::PROVISION_1], born)
}

fn yes(row: &'static str) -> OperationVerb {
    OperationVerb::Approve(RowName::new(row))
}

/// The digest that the gate showed when it opened.
fn shown(story: &Story) -> Option<String> {
    story.told.iter().rev().find(|change| change.what == AuditKind::GateOpened)?.seen.clone()
}

const MADE: [&str; 8] =
    ["capacity", "identity", "database", "storage", "secrets", "quota", "config", "verify"];

#[test]
fn a_governed_fleet_asks_three_people_before_a_tenant_is_active() {
    let mut story = story(rules(&["governed"], &[]));
    story.made(&["policy", "validate"]);
    for (gate, rows) in
        [("approval.onboarding", &MADE[..]), ("approval.security", &[]), ("approval.compliance", &[])]
    {
        story.is(State::Awaiting);
        assert!(story.asks().is_empty(), "nothing goes on past {gate}");
        let seen = shown(&story);
        story.decides("ada", seen, yes(gate)).unwrap();
        story.made(rows);
    }
    let mut asked = story.asks();
    asked.sort();
    assert_eq!(asked, ["capacity.commit", "credentials"]);
    story.made(&["credentials", "capacity.commit"]);
    let sealed = common::questions(&story.tenant, &story.plans).remove(0).command.body.input;
    let validated = sealed.read::<receipt::Input>().unwrap().validated_by;
    assert_eq!(validated.as_deref(), Some("ada"), "the receipt names who validated it");
    story.made(&["receipt", "notify"]);
    story.is(State::Active);
}

#[test]
fn whoever_asked_for_the_tenant_never_approves_it() {
    let mut story = story(rules(&[], &["security"]));
    story.made(&["policy", "validate"]);
    story.made(&MADE);
    let seen = shown(&story);
    for name in ["grace", " GRACE "] {
        let told = story.decides(name, seen.clone(), yes("approval.security"));
        assert_eq!(told, Err(Code::ApproverIsRequester));
    }
    let told = story.decides("grace", seen, OperationVerb::Reject(RowName::new("approval.security")));
    assert_eq!(told, Err(Code::ApproverIsRequester));
}

#[test]
fn only_those_who_have_the_role_decide_and_the_audit_says_which_rule_let_them() {
    let approvers =
        Approvers::read(r#"{"roles":{"security-admin":["ada"],"platform-admin":["eve"]}}"#).unwrap();
    let mut story = story(Rules { approvers, ..rules(&[], &["security"]) });
    story.made(&["policy", "validate"]);
    story.made(&MADE);
    let seen = shown(&story);
    let told = story.decides("eve", seen.clone(), yes("approval.security"));
    assert_eq!(told, Err(Code::ApproverNotAllowed));
    story.decides("ada", seen, yes("approval.security")).unwrap();
    let decided = story.told.iter().find(|change| change.what == AuditKind::GateDecided).unwrap();
    let rule = decided.by.as_ref().unwrap().decision.as_deref().unwrap();
    assert!(rule.starts_with("approvers/security-admin@"), "{rule}");
}

#[test]
fn an_approval_is_about_what_was_seen_and_nothing_else() {
    let mut story = story(rules(&[], &["security"]));
    story.made(&["policy", "validate"]);
    story.made(&MADE);
    assert_eq!(story.decides("ada", None, yes("approval.security")), Err(Code::FieldMissing));
    let other = Some("00".repeat(32));
    assert_eq!(story.decides("ada", other, yes("approval.security")), Err(Code::EvidenceChanged));
    let seen = shown(&story);
    story.decides("ada", seen.clone(), yes("approval.security")).unwrap();
    let decided = story.told.iter().find(|change| change.what == AuditKind::GateDecided).unwrap();
    let output: gate::Output = decided.output.as_ref().unwrap().read().unwrap();
    assert_eq!(
        (output.by.as_str(), output.role.as_str(), Some(output.seen)),
        ("ada", "security-admin", seen)
    );
}

#[test]
fn what_is_seen_differs_for_every_request_and_every_output() {
    let seen = |email: &str, region: &str| {
        let mut request = common::request(Kind::Provision);
        request.admin.as_mut().unwrap().email = tenantry_contracts::Sealed::read(email);
        request.region = Some(region.to_owned());
        let rules = rules(&[], &["onboarding"]);
        let mut story = Story::under(rules, &[&plans::PROVISION_1], common::born(0, request));
        story.made(&["policy", "validate"]);
        shown(&story).unwrap()
    };
    assert_eq!(seen("a", "eu-1"), seen("a", "eu-1"));
    assert_ne!(seen("a", "eu-1"), seen("b", "eu-1"));
    assert_ne!(seen("a", "eu-1"), seen("a", "eu-2"));
}

#[test]
fn a_request_that_was_approved_elsewhere_is_not_asked_about_again() {
    let mut request = common::request(Kind::Provision);
    request.approval = Some("CRM-4711".to_owned());
    let rules = rules(&["governed"], &[]);
    let mut story = Story::under(rules, &[&plans::PROVISION_1], common::born(0, request));
    story.made(&["policy", "validate"]);
    assert_eq!(story.asks(), ["capacity"]);
}

#[test]
fn a_template_can_ask_for_approvals_of_its_own() {
    let files = tenantry_contracts::catalogue::BUILT_IN.map(|(name, text)| {
        let text = text.replace("\"approvals\": []", "\"approvals\": [\"security\"]");
        (name.to_owned(), text)
    });
    let catalogue = Arc::new(Catalogue::read(files).unwrap());
    for (plan, asks) in [("starter", true), ("basic", false)] {
        let mut request = common::request(Kind::Provision);
        plan.clone_into(&mut request.plan);
        let rules = Rules { catalogue: Arc::clone(&catalogue), ..Rules::default() };
        let story = Story::under(rules, &[&plans::PROVISION_1], common::born(0, request));
        let saga = story.tenant.saga.as_ref().unwrap();
        let gate = plans::PROVISION_1.index_of("approval.security").unwrap();
        assert_eq!(saga.rows.iter().any(|run| run.row == gate), asks, "{plan}");
        assert_eq!(saga.template.is_some(), asks, "the template is pinned where there is one");
    }
}

#[test]
fn a_gate_that_nobody_looks_at_is_escalated_once_and_then_expires() {
    let mut story = story(rules(&[], &["onboarding"]));
    story.made(&["policy", "validate"]);
    let opened = story.now;
    assert_eq!(story.wait(), [AuditKind::GateEscalated]);
    assert_eq!(story.now.since(opened), 2 * 24 * 3600 * 1000);
    story.is(State::Awaiting);
    assert_eq!(story.wait(), [AuditKind::GateDecided, AuditKind::Compensating]);
    assert_eq!(story.now.since(opened), 7 * 24 * 3600 * 1000, "the gate did not begin anew");
    story.yes(&["validate", "policy"]);
    story.is(State::Rejected);
    assert_eq!(story.reason(), Some(Code::GateExpired));
}

#[test]
fn a_review_that_says_no_blocks_the_tenant_before_or_after_delivery() {
    for gate in ["approval.compliance", "approval.compliance-after"] {
        let approval = gate.trim_start_matches("approval.");
        let mut story = story(rules(&[], &[approval]));
        story.made(&["policy", "validate"]);
        story.made(&MADE);
        if approval == "compliance-after" {
            story.made(&["credentials", "capacity.commit", "receipt", "notify"]);
        }
        story.decides("ada", None, OperationVerb::Reject(RowName::new(gate))).unwrap();
        story.is(State::Blocked);
        assert!(story.asks().is_empty(), "nothing goes on");
        let cancelled = story.person(OperationVerb::Cancel);
        let delivered = approval == "compliance-after";
        assert_eq!(cancelled.is_err(), delivered, "what was delivered is not undone by a cancel");
        if !delivered {
            let undone = common::questions(&story.tenant, &story.plans);
            assert!(undone.iter().all(|asked| asked.command.question.verb == Verb::Compensate));
        }
    }
}
