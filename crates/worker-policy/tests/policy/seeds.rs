//! The documents of the five seeds, as they are published: the house's policies allow them all.

use tenantry_contracts::request::{Decoded, decode};
use tenantry_contracts::steps::policy::{Input, PROVISION};
use tenantry_contracts::{Record, Time, Topic};
use tenantry_step::Step;
use tenantry_step::kit::Tenant;
use tenantry_worker_policy::Engine;

use crate::world::Decisions;

const DOCUMENTS: [(&str, &str); 5] = [
    ("onboarding", include_str!("../../../../schemas/examples/request.onboarding.json")),
    ("interface", include_str!("../../../../schemas/examples/request.interface.json")),
    ("admin", include_str!("../../../../schemas/examples/request.admin.json")),
    ("canonical", include_str!("../../../../schemas/examples/request.canonical.json")),
    ("lifecycle", include_str!("../../../../schemas/examples/request.lifecycle.json")),
];

/// What a plan makes of a document for this step.
fn input(document: &'static str) -> Input {
    let record = Record {
        topic: Topic::Requests,
        partition: 0,
        offset: 0,
        at: Time(1_700_000_000_000),
        key: None,
        headers: vec![],
        value: Some(document.into()),
    };
    let heard = match decode(&record, 4, "starter") {
        Decoded::Heard(heard) => *heard,
        other => panic!("{other:?}"),
    };
    let request = heard.request;
    Input {
        query: PROVISION.to_owned(),
        source: heard.id.source,
        initiator: request.initiator.unwrap_or_else(|| "admin".to_owned()),
        plan: request.plan,
        template: None,
        residency: request.residency,
        region: request.region,
        seats: request.seats,
        storage_bytes: request.storage_bytes,
        encryption: request.encryption,
        retention_days: request.retention_days,
        features: request.features,
        integrations: request.integrations,
        modules: request.modules,
    }
}

#[tokio::test]
async fn the_house_policies_allow_the_documents_of_all_seeds() {
    let world = Decisions::new("seeds", Engine::built_in()).await;
    for (name, document) in DOCUMENTS {
        let answer = world.step.execute(&Tenant::fresh().cx(10), &input(document)).await;
        assert!(matches!(&answer, Ok(output) if output.allow), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn data_of_a_country_does_not_leave_it_and_the_rule_is_named() {
    let world = Decisions::new("abroad", Engine::built_in()).await;
    let abroad = r#"{"name":"Acme Corp","residency":"DE","region":"us-east-1"}"#;
    let answer = world.step.execute(&Tenant::fresh().cx(10), &input(abroad)).await;
    let denied = answer.unwrap_err().to_string();
    let rule = "residency.region: data of DE stays in EU; choose one of the regions there: \
                eu-central-1, eu-west-1, eu-west-3, eu-north-1, eu-south-1";
    assert!(denied.starts_with("policy_denied: dec_") && denied.ends_with(rule), "{denied}");
}
