//! The failure presets, in the words of the seeds that they come from.

use std::sync::Arc;

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::request::Kind;
use tenantry_contracts::{Class, Code, State};
use tenantry_saga::{PRESETS, Presets, Rules, plans};

use crate::common::{self, no};
use crate::teller::Story;

fn story(preset: &str) -> Story {
    let rules = Rules { presets: Presets::built_in(), preset: Some(preset.to_owned()), ..Rules::default() };
    let mut story =
        Story::under(rules, &[&plans::PROVISION_1], common::born(0, common::request(Kind::Provision)));
    story.made(&["policy", "validate"]);
    story
}

#[test]
fn seed_000_an_allocation_that_fails_leaves_it_incomplete_and_raises_an_alert() {
    let mut story = story("governed");
    assert_eq!(story.answer("capacity", &no(Class::Capacity)), [AuditKind::StepFailed, AuditKind::Held]);
    story.is(State::Held);
    story.person(OperationVerb::Retry).unwrap();
    story.made(&["capacity"]);
    assert_eq!(story.asks(), ["identity"]);
}

#[test]
fn seed_000_an_iam_misconfiguration_is_rolled_back() {
    for class in [Class::Config, Class::Business, Class::Bug] {
        let mut story = story("governed");
        story.made(&["capacity"]);
        story.answer("identity", &no(class));
        story.is(State::Compensating);
        story.yes(&["identity", "capacity", "validate", "policy"]);
        story.is(State::RolledBack);
    }
}

#[test]
fn seed_001_three_tries_and_then_everything_is_undone_and_the_reservation_comes_last() {
    let mut story = story("rollback");
    story.made(&["capacity", "identity", "storage", "secrets", "quota", "config"]);
    for attempt in 1..=3 {
        let told = story.answer("database", &no(Class::Exhausted));
        assert_eq!(told[0], AuditKind::StepFailed);
        if attempt < 3 {
            story.is(State::Provisioning);
            assert_eq!(story.wait(), [AuditKind::StepAskedAgain]);
        }
    }
    story.is(State::Compensating);
    let mut undone = Vec::new();
    while let Some(row) = story.asks().first().cloned() {
        let row = row.trim_start_matches('-').to_owned();
        story.yes(&[row.as_str()]);
        undone.push(row);
    }
    assert_eq!(undone[undone.len() - 4..], ["identity", "capacity", "validate", "policy"]);
    assert!(undone.contains(&"database".to_owned()), "also the step that failed");
    story.is(State::RolledBack);
}

#[test]
fn seed_004_a_failure_is_kept_and_a_retry_goes_on_from_the_step_that_failed() {
    for class in [Class::Bug, Class::Config, Class::Capacity, Class::Business] {
        let mut story = story("resume");
        story.made(&["capacity", "identity", "storage", "secrets", "quota", "config"]);
        story.answer("database", &no(class));
        story.is(State::Held);
        story.person(OperationVerb::Retry).unwrap();
        assert_eq!(story.asks(), ["database"], "what is done stays done");
    }
}

#[test]
fn no_preset_takes_away_that_a_bad_request_is_refused_and_an_optional_step_only_degrades() {
    for preset in ["governed", "rollback", "resume"] {
        let rules =
            Rules { presets: Presets::built_in(), preset: Some(preset.to_owned()), ..Rules::default() };
        let born = common::born(0, common::request(Kind::Provision));
        let mut story = Story::under(rules, &[&plans::PROVISION_1], born);
        story.answer("policy", &no(Class::Policy));
        story.yes(&["policy"]);
        story.is(State::Rejected);

        let mut story = self::story(preset);
        story.made(&["capacity", "identity", "database", "storage", "secrets", "quota", "config", "verify"]);
        story.made(&["credentials", "capacity.commit", "receipt"]);
        story.answer("notify", &no(Class::Business));
        story.is(State::Active);
        assert!(story.tenant.flags.degraded, "{preset}");
    }
}

#[test]
fn a_template_can_name_its_own_preset() {
    let files = tenantry_contracts::catalogue::BUILT_IN
        .map(|(name, text)| (name.to_owned(), text.replacen('{', "{\"failure\": \"resume\",", 1)));
    let rules = Rules {
        catalogue: Arc::new(Catalogue::read(files).unwrap()),
        presets: Presets::built_in(),
        preset: Some("rollback".to_owned()),
        ..Rules::default()
    };
    let mut request = common::request(Kind::Provision);
    "starter".clone_into(&mut request.plan);
    let story = Story::under(rules, &[&plans::PROVISION_1], common::born(0, request));
    assert_eq!(story.tenant.saga.unwrap().preset.as_deref(), Some("resume"));
}

#[test]
fn every_preset_of_the_folder_is_built_in_and_a_fault_names_file_and_place() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/presets");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, PRESETS.map(|(name, _)| name));
    for preset in Presets::built_in().names() {
        for row in Presets::built_in().find(preset).unwrap().rows.keys() {
            assert!(
                plans::PROVISION_1.index_of(row).is_some(),
                "{preset} names row {row}, which no plan has"
            );
        }
    }
    let broken = PRESETS[0].1.replace("\"capacity\": \"hold\"", "\"capacity\": \"panic\"");
    let fault = Presets::read([("mine.json".to_owned(), broken)]).unwrap_err().remove(0);
    assert_eq!(fault.refusal.code, Code::FieldInvalid);
    assert!(fault.to_string().starts_with("mine.json: field_invalid at /classes"), "{fault}");
}
