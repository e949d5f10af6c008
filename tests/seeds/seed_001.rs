//! Seed 001, "Tenant Provisioning Automation": the orchestration, with a failing step that is tried three times and then
//! rolled back, the reservation last.

use tenantry_contracts::event::EventKind;
use tenantry_contracts::{Code, State};

use crate::teller::{Fleet, in_order};

const DOCUMENT: &str = include_str!("../../schemas/examples/request.interface.json");

fn document(name: &str, change: impl Fn(String) -> String) -> String {
    let domain = format!("{}.example.com", name.to_lowercase().replace(' ', "-"));
    change(DOCUMENT.replace("Acme Corp\"", &format!("{name}\"")).replace("acme.example.com", &domain))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_orchestrator_and_its_error_handler() {
    let fleet = Fleet::start(
        "database.before-seed=no:slug:failing-*:class:exhausted; storage.before-answer=shaky:2:slug:shaky-*",
        &["--pack", "saas"],
    )
    .await;

    // Steps 1 to 10, with the interface's own document.
    let told = fleet.document("acme-corp", &document("Acme Corp", |text| text)).await;
    let done = told.last().expect("an outcome");
    assert_eq!(done.event, EventKind::Provisioned, "{told:#?}");
    let made: serde_json::Value = done.outputs.as_ref().expect("outputs").read().expect("JSON");
    assert_eq!(
        made["capacity"]["parts"].as_array().map(Vec::len),
        Some(4),
        "database, storage, compute, network"
    );
    assert_eq!(made["validate"]["residency"], "EU");
    assert_eq!(made["storage"]["region"], made["validate"]["region"]);
    assert_eq!(made["config"]["flags"]["reports"], true);
    assert_eq!(made["config"]["integrations"], serde_json::json!(["slack"]));
    assert_eq!(made["config"]["retention"]["operational_days"], 365, "a longer retention is kept");
    assert_eq!(made["config"]["retention"]["audit_days"], 2557, "and the floor is never lowered");
    assert_eq!(made["secrets"]["level"], "enhanced");
    assert_eq!(made["verify"]["status"], "ready");
    assert_eq!(fleet.show("acme-corp")["projection"]["outcome"], "success");
    in_order(
        &fleet.audit("acme-corp").await,
        &[
            ("tenant.step.succeeded", "validate"),
            ("tenant.step.succeeded", "capacity"),
            ("tenant.step.succeeded", "database"),
            ("tenant.step.succeeded", "verify"),
            ("tenant.step.succeeded", "receipt"),
            ("tenant.saga.completed", ""),
        ],
    );

    // A recoverable error is recovered from, and the tenant is made.
    let told = fleet.document("shaky-one", &document("Shaky One", |text| text)).await;
    assert_eq!(told.last().expect("an outcome").event, EventKind::Provisioned, "{told:#?}");

    // maxRetries 3, then rollback: resources are cleaned up, and the reservation is released last.
    let told = fleet.document("failing-one", &document("Failing One", |text| text)).await;
    let end = told.last().expect("an outcome");
    assert_eq!((end.event, end.state), (EventKind::RolledBack, Some(State::RolledBack)));
    let audit = fleet.audit("failing-one").await;
    let failed =
        audit.iter().filter(|event| **event == ("tenant.step.failed".into(), "database".into())).count();
    assert_eq!(failed, 3, "three tries in all: {audit:#?}");
    in_order(
        &audit,
        &[
            ("tenant.compensating", ""),
            ("tenant.step.undone", "database"),
            ("tenant.step.undone", "identity"),
            ("tenant.step.undone", "capacity"),
            ("tenant.rolled-back", ""),
        ],
    );
    assert_eq!(fleet.show("failing-one")["projection"]["outcome"], "failed");

    // The three errors of validateProvisioningRequest, in the seed's words, before anything is made.
    for (name, slug, change, code, words) in [
        ("Acrne Corp", "acrne-corp", None, Code::NameTaken, ""),
        (
            "Gold Digger",
            "gold-digger",
            Some(("\"enterprise\"", "\"gold\"")),
            Code::PlanUnknown,
            "Invalid subscription plan: gold",
        ),
        ("Customised", "customised", Some(("\"settings\"", "\"settings2\"")), Code::FieldUnknown, ""),
        ("Wrong Locale", "wrong-locale", Some(("de-DE", "Germanish")), Code::CustomisationInvalid, "locale"),
        ("Feature Rich", "feature-rich", Some(("\"sso\"", "\"time-travel\"")), Code::FeatureNotInPlan, ""),
        ("Integrator", "integrator", Some(("\"slack\"", "\"carrier-pigeon\"")), Code::IntegrationUnknown, ""),
    ] {
        let text = document(name, |text| match change {
            Some((from, to)) => text.replace(from, to),
            None => text.replace("acme-corp.example.com", "other.example.com").replace("\"ada@", "\"eve@"),
        });
        let refusal = fleet.refusal(slug, &text).await;
        assert_eq!(refusal.code, code, "{name}: {refusal}");
        assert!(refusal.message.contains(words), "{name}: {refusal}");
        assert!(refusal.pointer.is_some() || code == Code::PlanUnknown, "{name}: {refusal}");
    }
    fleet.audit_verifies();
    fleet.ground.is_all_or_nothing().await;
}
