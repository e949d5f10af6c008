//! Seed 002, "Tenant Provisioning Flow": the policy decides first, in the admin's flow and in the user's, and receipts
//! prove what was made, only after the isolation guard said yes.

use base64::Engine;
use serde_json::{Value, json};
use tenantry_contracts::event::EventKind;
use tenantry_contracts::{Code, State};

use crate::teller::{Fleet, in_order};

const DOCUMENT: &str = include_str!("../../schemas/examples/request.admin.json");

/// The rows that seed 002's sequence names, in its order.
const SEQUENCE: [(&str, &str); 6] = [
    ("tenant.step.succeeded", "policy"),
    ("tenant.step.succeeded", "identity"),
    ("tenant.step.succeeded", "quota"),
    ("tenant.step.succeeded", "verify"),
    ("tenant.step.succeeded", "receipt"),
    ("tenant.saga.completed", ""),
];

/// The contents of all receipts; each verifies with the public key that lies beside them.
pub(crate) fn contents(fleet: &Fleet) -> Vec<Value> {
    let envelopes = fleet.receipts();
    assert!(!envelopes.is_empty(), "there is a receipt");
    let root = &fleet.up.running.places.receipts;
    envelopes
        .iter()
        .map(|envelope| {
            let bytes = serde_json::to_vec(envelope).expect("JSON");
            let id = envelope["signatures"][0]["keyid"].as_str().expect("a key id");
            let key = tenantry_worker_receipt::public_key(root, id)
                .expect("it can be read")
                .expect("the public key");
            tenantry_worker_receipt::verify(&bytes, &key).expect("the receipt verifies");
            let payload = envelope["payload"].as_str().expect("a payload");
            let content = base64::engine::general_purpose::STANDARD.decode(payload).expect("base64");
            serde_json::from_slice(&content).expect("JSON")
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_flow_and_the_self_serve_flow() {
    let fleet =
        Fleet::start("verify.before-record=no:slug:unguarded*:class:policy", &["--pack", "summit"]).await;

    // POST /api/admin/tenants: the seed's own document.
    let told = fleet.document("acme-intel", DOCUMENT).await;
    let done = told.last().expect("an outcome");
    assert_eq!(done.event, EventKind::Provisioned, "{told:#?}");
    let id = done.tenant.as_ref().expect("the tenant").id.to_string();
    let made: Value = done.outputs.as_ref().expect("outputs").read().expect("JSON");
    assert_eq!(made["policy"]["allow"], true);
    assert_eq!(
        made["identity"]["namespace"],
        json!({"id": format!("ns_{id}"), "slug": "acme-intel-prod", "environment": "prod"})
    );
    let partitions: Vec<&str> = made["identity"]["partitions"]
        .as_array()
        .expect("partitions")
        .iter()
        .filter_map(|partition| partition["type"].as_str())
        .collect();
    assert_eq!(partitions, ["primary", "analytics", "audit"]);
    assert_eq!(made["identity"]["partitions"][0]["id"], format!("part_{id}_primary"));
    assert_eq!(
        (&made["quota"]["tier"], &made["quota"]["requests_per_day"]),
        (&json!("ENTERPRISE"), &json!(10_000_000))
    );
    assert_eq!(made["quota"]["storage_bytes"], 500_000_000_000_u64, "the value survives exactly");
    let receipts = made["receipt"]["receipts"].as_array().expect("receipts");
    let ids = receipts.iter().filter_map(|receipt| receipt["id"].as_str());
    assert!(ids.clone().count() >= 2 && ids.clone().all(|id| id.starts_with("prov_")), "{receipts:#?}");
    in_order(&fleet.audit("acme-intel").await, &SEQUENCE);

    // Both receipts, signed, with what they are about.
    let contents = contents(&fleet);
    let of = |action: &str| {
        contents
            .iter()
            .find(|receipt| receipt.to_string().contains(action))
            .unwrap_or_else(|| panic!("no {action}: {contents:#?}"))
    };
    let provisioned = of("TENANT_PROVISIONED").to_string();
    assert!(
        provisioned.contains("acme-intel-prod") && provisioned.contains(&format!("part_{id}_audit")),
        "{provisioned}"
    );
    assert!(of("TENANT_QUOTA_ASSIGNED").to_string().contains("10000000"));

    let shown = fleet.run(&["tenant", "receipts", "acme-intel"]);
    assert_eq!(shown.lines().filter(|line| line.contains("signed by")).count(), 3, "{shown}");

    // Guard failure: no receipt at all.
    let told = fleet
        .document(
            "unguarded",
            &DOCUMENT.replace("Acme Intel", "Unguarded").replace("acme-intel", "unguarded"),
        )
        .await;
    assert_eq!(told.last().expect("an alert").event, EventKind::AttentionNeeded, "{told:#?}");
    assert_eq!(contents.len(), self::contents(&fleet).len(), "an unchecked tenant gets no receipt");

    // POST /api/tenants/provision: off unless the policies say otherwise.
    let body = |slug: &str| {
        json!({"name": format!("Self {slug}"), "slug": slug, "plan": "starter", "initiator": "self", "requested_by": "ada",
               "admin": {"email": format!("ada@{slug}.example.com")}})
    };
    let told = fleet.request("self-1", "self-one", &body("self-one")).await;
    let end = told.last().expect("an outcome");
    assert_eq!(end.state, Some(State::Rejected), "{told:#?}");
    let refusal = end.refusal.as_ref().expect("the reasons");
    assert_eq!(refusal.code, Code::PolicyDenied);
    fleet.audit_verifies();
    fleet.ground.is_all_or_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_self_serve_flow_runs_the_same_steps_where_the_policies_allow_it() {
    let policies = tempfile::tempdir().expect("a folder");
    let from = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/policies");
    std::fs::create_dir(policies.path().join("tenants")).expect("a folder");
    std::fs::copy(from.join("tenants/provision.rego"), policies.path().join("tenants/provision.rego"))
        .expect("the policy");
    let data = std::fs::read_to_string(from.join("data.json")).expect("the tables");
    let mut data: Value = serde_json::from_str(&data).expect("JSON");
    data["provisioning"]["self_serve"]["enabled"] = json!(true);
    std::fs::write(policies.path().join("data.json"), data.to_string()).expect("the tables");
    let fleet = Fleet::start("", &["--policies", policies.path().to_str().expect("a path")]).await;

    let body = |slug: &str, initiator: &str| {
        json!({"name": format!("Name {slug}"), "slug": slug, "plan": "starter", "initiator": initiator,
               "admin": {"email": format!("ada@{slug}.example.com")}})
    };
    for (id, slug, initiator) in [("by-admin", "by-admin", "admin"), ("by-user", "by-user", "self")] {
        let told = fleet.request(id, slug, &body(slug, initiator)).await;
        assert_eq!(told.last().expect("an outcome").event, EventKind::Provisioned, "{told:#?}");
    }
    let steps = |events: Vec<(String, String)>| {
        let mut steps: Vec<_> =
            events.into_iter().filter(|event| event.0 == "tenant.step.succeeded").collect();
        steps.sort();
        steps
    };
    assert_eq!(
        steps(fleet.audit("by-admin").await),
        steps(fleet.audit("by-user").await),
        "both flows have the same steps"
    );
}
