//! Seed 004, "Tenant Lifecycle Automation": the job, its failure, its retry that resumes, and what the audit and the
//! metrics say of it.

use tenantry_contracts::event::EventKind;
use tenantry_contracts::{Code, Topic};

use crate::teller::{Fleet, in_order};

const DOCUMENT: &str = include_str!("../../schemas/examples/request.lifecycle.json");

#[tokio::test(flavor = "multi_thread")]
async fn the_job_with_retry_and_resume() {
    let mut fleet =
        Fleet::start("database.before-migration=no:slug:job-*:class:bug", &["--pack", "core"]).await;

    // Requested, Started, Completed, with the seed's own fields.
    let told = fleet.document("acme", DOCUMENT).await;
    assert_eq!(told.last().expect("an outcome").event, EventKind::Provisioned, "{told:#?}");
    let mut aliases = Vec::new();
    for record in fleet.topics.read(vec![Topic::Audit]).await {
        let event = tenantry_contracts::audit::decode(&record).expect("an audit event");
        assert!(event.tenant.is_none() || event.operation.is_some(), "each event has its correlation id");
        aliases.extend(event.alias);
    }
    assert_eq!(aliases, ["Requested", "Started", "tenant.created", "Completed"]);
    let shown = fleet.show("acme");
    assert_eq!(
        (&shown["projection"]["lifecycle"], &shown["projection"]["health"]),
        (&"Active".into(), &"ready".into())
    );
    let rows = shown["saga"]["rows"].as_array().expect("rows");
    assert!(
        rows.iter().filter(|row| row["what"] == "step").all(|row| row["took_ms"].is_i64()),
        "each step with its duration"
    );

    // A migration fails: status Failed with error details; nothing that was done is undone.
    let told = fleet.request("job", "job-one", &tenantry_tests::harness::request("job-one", "Job One")).await;
    assert_eq!(told.last().expect("an outcome").event, EventKind::AttentionNeeded, "{told:#?}");
    let shown = fleet.is("job-one", "HELD").await;
    assert_eq!(
        (&shown["projection"]["lifecycle"], &shown["projection"]["health"]),
        (&"Failed".into(), &"degraded".into())
    );
    assert!(shown.to_string().contains(Code::FaultInjected.as_str()), "{shown:#}");
    let asked_before = asked(&shown);
    fleet.ground.is_all_or_nothing().await;

    // The metrics under the seed's names.
    let metrics = fleet.metrics().await;
    for name in ["provision_duration_seconds", "provision_step_failures_total", "active_tenants"] {
        assert!(metrics.contains(name), "{name} is missing from /metrics");
    }
    // The cause is mended; the job is retried and resumes from the failed step.
    fleet.start_again_with("").await;
    fleet.run(&["tenant", "retry", "job-one", "--reason", "the migration was mended", "--yes"]);
    let shown = fleet.is("job-one", "ACTIVE").await;
    assert_eq!(shown["projection"]["health"], "ready", "health improves after a successful retry");
    let asked_after = asked(&shown);
    for (row, times) in &asked_before {
        let after = asked_after.iter().find(|(name, _)| name == row).expect("the same rows").1;
        let want = if row == "database" { times + 1 } else { (*times).max(1) };
        assert_eq!(after, want, "{row}: what is done is not done again");
    }
    in_order(
        &fleet.audit("job-one").await,
        &[
            ("tenant.step.failed", "database"),
            ("tenant.held", "database"),
            ("operator.accepted", ""),
            ("tenant.step.succeeded", "database"),
            ("tenant.saga.completed", ""),
        ],
    );

    fleet.audit_verifies();
    fleet.ground.is_all_or_nothing().await;
    fleet.up.stop();
}

/// How often each step was asked.
fn asked(shown: &serde_json::Value) -> Vec<(String, u64)> {
    let rows = shown["saga"]["rows"].as_array().expect("rows");
    rows.iter()
        .filter(|row| row["what"] == "step")
        .map(|row| {
            (row["name"].as_str().expect("a name").to_owned(), row["asked"].as_u64().expect("a count"))
        })
        .collect()
}
