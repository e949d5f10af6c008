//! One worker is paused, then the whole fleet: what runs is heard, nothing new begins, no deadline passes, and it goes on.

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{Topic, WorkerName};
use tenantry_tests::harness::Up;

use super::crew::{Crew, row};

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_worker_is_asked_nothing_and_others_go_on() {
    let mut crew = Crew::of(Up::start("", &[])).await;
    let before = crew.operations().await;
    let shown = crew.says(0, &["fleet", "pause", "--worker", "config", "--reason", "r"]);
    assert!(shown.contains("worker config") && shown.contains("Nothing was sent"), "{shown}");
    assert_eq!(crew.operations().await, before, "a preview sends nothing");

    let pause = ["fleet", "pause", "--worker", "config", "--reason", "its table moves", "--actor", "ada"];
    let lanes = usize::from(crew.up.running.lanes);
    let paused = crew.json(0, &[&pause[..], &["--id", "move", "--yes"]].concat());
    assert_eq!(paused.as_array().map(Vec::len), Some(lanes), "{paused:#}");
    let told = crew.audit(None, AuditKind::FleetPaused).await;
    assert_eq!(told.len(), lanes, "one record in the chain of each lane");
    assert!(told.iter().all(|event| event.reason.as_deref() == Some("its table moves")));
    // The same once more is the same operation in each lane.
    crew.json(0, &[&pause[..], &["--id", "move", "--yes"]].concat());
    assert_eq!(crew.audit(None, AuditKind::FleetPaused).await.len(), lanes);

    crew.ask(&["waits-one", "waits-two"], |_| {}).await;
    for slug in ["waits-one", "waits-two"] {
        let shown = crew
            .until(slug, "waiting for config alone", |shown| {
                ["database", "storage", "secrets", "quota"].iter().all(|name| row(shown, name) == "done")
            })
            .await;
        assert_eq!((row(&shown, "config"), &shown["state"]), ("paused", &"PROVISIONING".into()), "{shown:#}");
    }
    let asked = crew.topics.read(vec![Topic::Commands(WorkerName::new("config"))]).await;
    assert!(asked.is_empty(), "it is asked nothing");
    let why = crew.says(0, &["why", "waits-one"]);
    assert!(why.contains("config") && why.contains("fleet resume"), "{why}");
    assert!(crew.says(0, &["top", "--once"]).contains("paused"), "the board says so");

    // It stays so whoever owns the lanes.
    crew.up.kill();
    crew.up.start_again();
    crew = Crew::of(crew.up).await;
    crew.ask(&["waits-three"], |_| {}).await;
    crew.until("waits-three", "waiting for config alone", |shown| row(shown, "quota") == "done").await;
    assert!(crew.topics.read(vec![Topic::Commands(WorkerName::new("config"))]).await.is_empty());

    crew.says(0, &["fleet", "resume", "--worker", "config", "--reason", "it is there", "--yes"]);
    for slug in ["waits-one", "waits-two", "waits-three"] {
        crew.rests(slug, "ACTIVE").await;
        let failed = crew.audit(Some(slug), AuditKind::StepFailed).await;
        assert!(failed.is_empty(), "no deadline passed: {failed:?}");
    }
    crew.ground.is_all_or_nothing().await;
    crew.audit_verifies();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_fleet_asks_nothing_of_anybody() {
    let crew = Crew::of(Up::start("", &[])).await;
    crew.says(0, &["fleet", "pause", "--reason", "an incident", "--yes"]);
    crew.ask(&["waits"], |_| {}).await;
    let shown = crew.until("waits", "under way", |shown| shown["state"] == "PROVISIONING").await;
    assert_eq!(row(&shown, "policy"), "paused", "{shown:#}");
    let asked = crew.topics.read(vec![Topic::Commands(WorkerName::new("policy"))]).await;
    assert!(asked.is_empty(), "nobody is asked anything");
    // Twice is refused by every lane, and so is going on with what was not paused alone.
    let again = crew.says(3, &["fleet", "pause", "--reason", "r", "--yes"]);
    assert!(again.contains("verb_not_allowed"), "{again}");
    crew.says(0, &["fleet", "resume", "--reason", "it is over", "--yes"]);
    crew.rests("waits", "ACTIVE").await;
    crew.ground.is_all_or_nothing().await;
    crew.audit_verifies();
}
