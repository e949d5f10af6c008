//! Seed 000, "Tenant Provisioning": governed and auditable, with three reviewers and three unhappy paths.

use serde_json::{Value, json};
use tenantry_contracts::Code;
use tenantry_contracts::event::EventKind;

use crate::teller::{Fleet, in_order};

fn request(slug: &str, plan: &str) -> Value {
    json!({
        "name": format!("Name of {slug}"), "slug": slug, "plan": plan, "requested_by": "platform_admin@platform.com",
        "admin": {"email": format!("tenant_admin@{slug}.example.com")},
    })
}

/// Given platform infrastructure is active, when Platform Admin provisions a tenant, then tenant identity and resources
/// are created, and Tenant Admin receives access.
#[tokio::test(flavor = "multi_thread")]
async fn successful_tenant_provisioning() {
    let fleet = Fleet::start("", &["--pack", "governed"]).await;
    let told = fleet.request("TEN-REQ-1", "ten-001", &request("ten-001", "starter")).await;
    let gate = told.last().and_then(|event| event.gate.as_ref()).expect("an open gate");
    assert_eq!((gate.row.as_str(), gate.role.as_str()), ("approval.onboarding", "platform-admin"));
    assert!(
        fleet.ground.made().await.values().all(|made| !made.contains("identity")),
        "nothing is made before the yes"
    );

    // Precondition: tenant onboarding request approved. Never by whoever asked.
    let refused = fleet.refused(&[
        "tenant",
        "approve",
        "ten-001",
        "--actor",
        "platform_admin@platform.com",
        "--reason",
        "it is mine",
        "--yes",
    ]);
    assert!(refused.contains(Code::ApproverIsRequester.as_str()), "{refused}");
    fleet.approve("ten-001", "approval.onboarding", "onboarding_desk@platform.com");

    // Security Admin validates configuration and access policies.
    let shown = fleet.is("ten-001", "AWAITING").await;
    assert!(shown["turn"]["verbs"].to_string().contains("approval."), "{shown:#}");
    let opened = fleet.said("ten-001", EventKind::AttentionNeeded).await;
    assert!(opened.gate.is_some());
    wait_for_gate(&fleet, "ten-001", "approval.security").await;
    let stale = fleet.refused(&[
        "tenant",
        "approve",
        "ten-001",
        "--gate",
        "approval.security",
        "--seen",
        &"00".repeat(32),
        "--actor",
        "security_admin@platform.com",
        "--reason",
        "seen something else",
        "--yes",
    ]);
    assert!(stale.contains(Code::EvidenceChanged.as_str()), "{stale}");
    fleet.approve("ten-001", "approval.security", "security_admin@platform.com");

    // Compliance Officer reviews evidence of provisioning.
    wait_for_gate(&fleet, "ten-001", "approval.compliance").await;
    fleet.approve("ten-001", "approval.compliance", "compliance@platform.com");
    fleet.is("ten-001", "ACTIVE").await;
    let done = fleet.said("ten-001", EventKind::Provisioned).await;
    let made = done.outputs.expect("what was made").read::<Value>().expect("JSON");
    assert_eq!(made["identity"]["display"], "TEN-001");

    // Tenant Admin receives access: one claim link, no password.
    let mails: Vec<String> = std::fs::read_dir(&fleet.up.running.places.outbox)
        .expect("the outbox")
        .flatten()
        .filter(|entry| entry.path().is_file())
        .map(|entry| std::fs::read_to_string(entry.path()).expect("a mail"))
        .collect();
    assert!(mails.iter().any(|mail| mail.contains("https://")), "a link in a mail");

    // The receipt, in the seed's own form.
    let receipt =
        receipts(&fleet).into_iter().find(|receipt| receipt.get("created_by").is_some()).expect("a receipt");
    let keys: Vec<&str> = receipt.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["created_by", "status", "tenant_id", "timestamp", "validated_by"]);
    assert_eq!(receipt["tenant_id"], "TEN-001");
    assert_eq!(receipt["status"], "ACTIVE");
    assert_eq!(receipt["created_by"], "platform_admin@platform.com");
    assert_eq!(receipt["validated_by"], "security_admin@platform.com");

    in_order(
        &fleet.audit("ten-001").await,
        &[
            ("tenant.requested", ""),
            ("tenant.saga.started", ""),
            ("tenant.gate.opened", "approval.onboarding"),
            ("tenant.gate.decided", "approval.onboarding"),
            ("tenant.step.succeeded", "identity"),
            ("tenant.step.succeeded", "verify"),
            ("tenant.gate.decided", "approval.security"),
            ("tenant.gate.decided", "approval.compliance"),
            ("tenant.step.succeeded", "receipt"),
            ("tenant.saga.completed", ""),
        ],
    );
    let named = ["Requested", "Started", "tenant.created", "tenant.validated", "Completed"];
    assert_eq!(fleet.aliases("ten-001").await, named, "each exactly once");
    fleet.audit_verifies();
    fleet.ground.is_all_or_nothing().await;
}

/// Given Platform Admin provisions a tenant, when IAM configuration fails, then tenant access is not established, and
/// provisioning is rolled back.
#[tokio::test(flavor = "multi_thread")]
async fn iam_misconfiguration_and_resource_allocation_failure() {
    let pools = tempfile::NamedTempFile::new().expect("a file");
    let scarce = |compute: u64| {
        json!({"regions": {"*": {
            "database": {"total": 100, "threshold_percent": 80}, "storage": {"total": 1_000_000_000_000_u64, "threshold_percent": 80},
            "compute": {"total": compute, "threshold_percent": 80}, "network": {"total": 10, "threshold_percent": 80},
        }}})
        .to_string()
    };
    std::fs::write(pools.path(), scarce(370)).expect("the pools");
    let path = pools.path().to_str().expect("a path").to_owned();
    let fleet = Fleet::start(
        "identity.before-partitions=no:slug:iam-*:class:config",
        &["--preset", "governed", "--pools", &path],
    )
    .await;

    // IAM misconfiguration: tenant access not established, rollback executed.
    let told = fleet.request("iam", "iam-broken", &request("iam-broken", "starter")).await;
    assert_eq!(told.last().expect("an outcome").event, EventKind::RolledBack);
    fleet.ground.is_all_or_nothing().await;
    assert!(fleet.ground.made().await.is_empty(), "no access, and nothing else, is left");

    // Resource allocation failure: provisioning incomplete, alert raised.
    let first = fleet.request("fits", "fits-in", &request("fits-in", "starter")).await;
    assert_eq!(first.last().expect("an outcome").event, EventKind::Provisioned, "{first:#?}");
    let told = fleet.request("short", "too-much", &request("too-much", "starter")).await;
    let alert = told.last().expect("an alert");
    assert_eq!(alert.event, EventKind::AttentionNeeded);
    let refusal = alert.refusal.as_ref();
    let shown = fleet.is("too-much", "HELD").await;
    let text = refusal.map_or_else(|| shown.to_string(), |refusal| refusal.message.clone());
    assert!(text.contains("Insufficient resources: compute"), "it names what is missing: {text}");
    assert!(!text.contains("resources: compute, storage"), "and nothing else: {text}");

    let full = fleet.run(&["capacity"]);
    assert!(full.contains("nearly used up"), "an SRE sees which pool is short: {full}");

    // Capacity is added; the retry goes on from there.
    std::fs::write(pools.path(), scarce(100_000)).expect("the pools");
    let urls = (fleet.up.running.database_url.clone(), fleet.up.running.tenants_url.clone());
    fleet.run_bare(&["migrate", "--database-url", &urls.0, "--tenants-url", &urls.1, "--pools", &path]);
    fleet.run(&["tenant", "retry", "too-much", "--reason", "capacity was added", "--yes"]);
    fleet.is("too-much", "ACTIVE").await;
    fleet.audit_verifies();
    fleet.ground.is_all_or_nothing().await;
}

/// Compliance review fails: tenant provisioning blocked. Before activation, and after delivery.
#[tokio::test(flavor = "multi_thread")]
async fn a_compliance_review_that_fails_blocks_the_tenant() {
    for (approval, gate) in
        [("compliance", "approval.compliance"), ("compliance-after", "approval.compliance-after")]
    {
        let fleet = Fleet::start("", &["--approval", approval]).await;
        fleet.request("review", "reviewed", &request("reviewed", "starter")).await;
        wait_for_gate(&fleet, "reviewed", gate).await;
        fleet.run(&[
            "tenant",
            "reject",
            "reviewed",
            "--actor",
            "compliance@platform.com",
            "--reason",
            "no evidence of a DPA",
            "--yes",
        ]);
        let shown = fleet.is("reviewed", "BLOCKED").await;
        assert!(shown.to_string().contains(Code::GateRejected.as_str()), "{shown:#}");
        let audit = fleet.audit("reviewed").await;
        in_order(&audit, &[("tenant.gate.decided", gate), ("tenant.blocked", gate)]);
        assert!(!audit.iter().any(|(kind, _)| kind == "tenant.saga.completed"), "it is not activated");
        fleet.audit_verifies();
    }
}

async fn wait_for_gate(fleet: &Fleet, slug: &str, gate: &str) {
    let end = tokio::time::Instant::now() + crate::teller::PATIENCE;
    loop {
        let shown = fleet.show(slug);
        let rows = shown["saga"]["rows"].as_array().cloned().unwrap_or_default();
        if rows.iter().any(|row| row["name"] == gate && row["state"] == "open") {
            return;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "gate {gate} does not open: {shown:#}\n{}",
            fleet.up.log()
        );
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
}

/// The contents of all receipts; each must verify with the public key that lies beside them.
fn receipts(fleet: &Fleet) -> Vec<Value> {
    crate::seed_002::contents(fleet)
}
