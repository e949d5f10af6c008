//! Retry, rerun, correct, skip, mark-done, hold, release, pause, resume, forget, cancel: each shown first, then done.

use serde_json::json;
use tenantry_contracts::audit::AuditKind;
use tenantry_tests::harness::Up;

use super::crew::{Crew, row};

/// Which steps fail for whom.
const FAULTS: &str = "verify.before-checks=no:slug:checks-*;\
    credentials.before-mint=no:class:config:slug:late-*;\
    quota.before-record=no:slug:stuck-*;\
    storage.before-remove=no:slug:stuck-*";

#[tokio::test(flavor = "multi_thread")]
async fn every_verb_is_shown_first_then_done_and_stands_in_the_audit() {
    // Room everywhere but in one region.
    let folder = tempfile::tempdir().expect("a folder");
    let pools = folder.path().join("pools.json");
    let pool = |total: u64| json!({ "total": total });
    let region = |compute: u64| json!({"database": pool(10_000), "storage": pool(1 << 50), "compute": pool(compute), "network": pool(1_000)});
    let text = json!({"regions": {"*": region(1_000_000), "us-east-1": region(1)}}).to_string();
    std::fs::write(&pools, text).expect("the pools");
    let crew = Crew::of(Up::start(FAULTS, &["--pools", pools.to_str().expect("a path")])).await;
    crew.ask(&["checks-one", "checks-two", "late-one", "late-two", "stuck-one"], |_| {}).await;
    crew.ask(&["too-much"], |body| {
        body["region"] = "us-east-1".into();
        body["residency"] = "US".into();
    })
    .await;
    crew.rests("checks-one", "HELD").await;
    crew.rests("checks-two", "HELD").await;
    crew.rests("late-one", "HELD").await;
    crew.rests("late-two", "HELD").await;
    crew.rests("stuck-one", "STUCK").await;
    crew.rests("too-much", "HELD").await;
    crew.ground.quiet(super::crew::PATIENCE).await;

    previews(&crew).await;
    retry_and_rerun(&crew).await;
    skip(&crew).await;
    correct(&crew).await;
    mark_done(&crew).await;
    brakes(&crew).await;
    let (tenants, made) = (crew.ground.tenants().await, crew.ground.made().await);
    let undone = tenants.values().filter(|tenant| tenant.state == "ROLLED_BACK");
    let undone: Vec<_> = undone.map(|tenant| tenant.id.replace('-', "")).collect();
    assert_eq!(undone.len(), 2, "{tenants:#?}");
    assert!(undone.iter().all(|id| !made.contains_key(id)), "something is left: {made:#?}");
    crew.audit_verifies();
}

/// A verb without --yes says what would happen, and sends nothing.
async fn previews(crew: &Crew) {
    let before = crew.operations().await;
    let version = crew.json(0, &["tenant", "show", "checks-one"])["version"].to_string();
    let shown = crew.says(0, &["tenant", "retry", "checks-one", "--reason", "r"]);
    for part in ["HELD", "PROVISIONING", "verify", "Nothing was sent", &format!("--expect-version {version}")]
    {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
    let shown = crew.json(0, &["tenant", "cancel", "checks-one", "--reason", "r"]);
    assert_eq!((&shown["sent"], &shown["then"]), (&false.into(), &"COMPENSATING".into()), "{shown:#}");
    let undone = shown["rows"].as_array().expect("rows").iter().filter(|row| row["what"] == "undo").count();
    assert!(undone >= 10, "{shown:#}");
    let shown = crew.json(0, &["tenant", "rerun", "checks-one", "config", "--reason", "r"]);
    let ask = shown["rows"].as_array().expect("rows").iter().find(|row| row["what"] == "ask");
    assert_eq!(ask.expect("a question")["row"], "config", "{shown:#}");
    let shown = crew.json(0, &["tenant", "skip", "late-one", "credentials", "--reason", "r"]);
    assert_eq!(shown["rows"][0]["what"], "look", "{shown:#}");
    for verb in ["hold", "pause"] {
        let shown = crew.json(0, &["tenant", verb, "checks-one", "--reason", "r"]);
        assert_eq!(
            (&shown["then"], shown["notes"].as_array().map(Vec::len)),
            (&"HELD".into(), Some(1)),
            "{shown:#}"
        );
    }
    // What the fleet would refuse is said too, with the exit of a refusal.
    let refused = crew.says(3, &["tenant", "release", "checks-one", "--reason", "r"]);
    assert!(refused.contains("verb_not_allowed") && refused.contains("Nothing was sent"), "{refused}");
    let refused = crew.says(3, &["tenant", "correct", "checks-one", "--set", "plan=gold", "--reason", "r"]);
    assert!(refused.contains("field_unknown") && refused.contains("storage_bytes"), "{refused}");
    let unknown = crew.says(2, &["tenant", "skip", "checks-one", "verfy", "--reason", "r"]);
    assert!(unknown.contains("row_unknown") && unknown.contains("verify"), "{unknown}");
    assert_eq!(crew.operations().await, before, "a preview sends nothing");
}

async fn retry_and_rerun(crew: &Crew) {
    let seen = crew.json(0, &["tenant", "show", "checks-two"])["version"].clone();
    let version = seen.to_string();
    crew.does(&["retry", "checks-two", "--reason", "try once more"]);
    let shown = crew
        .until("checks-two", "HELD again", |shown| shown["state"] == "HELD" && shown["version"] != seen)
        .await;
    let (event, people) = crew.behind("checks-two", AuditKind::OperationAccepted).await;
    assert_eq!(event.reason.as_deref(), Some("try once more"));
    assert_eq!(people, [("ada".to_owned(), false)], "nobody signed it");

    // Whoever looked before that is refused, and told what changed.
    let stale = ["cancel", "checks-two", "--reason", "r", "--expect-version", &version];
    let told = crew.refused("version_stale", &stale);
    assert!(told.contains("what changed since") && told.contains("try once more"), "{told}");
    let stale = [&["tenant"], &stale[..], &["--yes"]].concat();
    let changed = crew.json(3, &stale);
    assert_eq!(changed["refusal"]["code"], "version_stale", "{changed:#}");
    assert_eq!(changed["changed"][0]["reason"], "try once more", "{changed:#}");

    let asked = |shown: &serde_json::Value, name: &str| {
        let rows = shown["saga"]["rows"].as_array().cloned().unwrap_or_default();
        rows.iter().find(|row| row["name"] == name).and_then(|row| row["asked"].as_i64()).unwrap_or_default()
    };
    let was = (asked(&shown, "config"), asked(&shown, "quota"), asked(&shown, "verify"));
    crew.does(&["rerun", "checks-two", "config", "--reason", "another table stands now"]);
    let shown = crew
        .until("checks-two", "HELD once more", |shown| {
            shown["state"] == "HELD" && asked(shown, "verify") > was.2
        })
        .await;
    assert_eq!((asked(&shown, "config"), asked(&shown, "quota")), (was.0 + 1, was.1), "{shown:#}");
    let (event, _) = crew.behind("checks-two", AuditKind::OperationAccepted).await;
    assert_eq!(event.row.as_ref().map(ToString::to_string).as_deref(), Some("config"));
}

/// With the step's own proof, and with a second person instead.
async fn skip(crew: &Crew) {
    let told = crew.says(
        0,
        &[
            "tenant",
            "skip",
            "late-one",
            "credentials",
            "--reason",
            "known",
            "--yes",
            "--actor",
            "ada",
            "--watch",
        ],
    );
    assert!(told.contains("ACTIVE"), "{told}");
    let (event, _) = crew.behind("late-one", AuditKind::ProofAsked).await;
    assert_eq!(event.reason.as_deref(), Some("known"));
    let (event, people) = crew.behind("late-one", AuditKind::StepSkipped).await;
    assert!(people.is_empty() && event.note.is_some(), "the proof is what the step saw: {event:?}");
    let shown = crew.json(0, &["tenant", "show", "late-one"]);
    assert_eq!(
        (&shown["flags"]["degraded"], row(&shown, "credentials")),
        (&true.into(), "skipped"),
        "{shown:#}"
    );

    crew.does(&["skip", "late-two", "credentials", "--reason", "waived", "--second", "bob"]);
    crew.rests("late-two", "ACTIVE").await;
    let (_, people) = crew.behind("late-two", AuditKind::StepSkipped).await;
    assert_eq!(people, [("ada".to_owned(), false), ("bob".to_owned(), false)]);
    let timeline = crew.says(0, &["tenant", "timeline", "late-two"]);
    assert!(timeline.contains("by ada (unverified) and bob (unverified): waived"), "{timeline}");
}

async fn correct(crew: &Crew) {
    let verb = ["correct", "too-much", "--reason", "there is room elsewhere"];
    let corrected = [&verb[..], &["--set", "region=eu-west-1", "--set", "residency=EU", "--watch"]].concat();
    let told = crew.does(&corrected);
    assert!(told.contains("corrected by ada") && told.contains("ACTIVE"), "{told}");
    let (event, _) = crew.behind("too-much", AuditKind::Corrected).await;
    let note = event.note.expect("what changed");
    assert!(note.contains("was sha256:") && note.contains("residency, region"), "{note}");
    assert_eq!(event.commitment.map(|digest| digest.len()), Some(64), "the new digest");
}

/// First the look finds what is left; somebody removes it by hand; then it finds nothing.
async fn mark_done(crew: &Crew) {
    let why = crew.says(0, &["why", "stuck-one"]);
    assert!(why.contains("tenant mark-done stuck-one storage"), "{why}");
    let mark = ["mark-done", "stuck-one", "storage", "--reason", "removed by hand"];
    crew.does(&mark);
    let (event, _) = crew.behind("stuck-one", AuditKind::ProofRefused).await;
    assert!(event.note.is_some_and(|note| note.contains("still there")));
    let shown = crew.rests("stuck-one", "STUCK").await;
    let id = shown["tenant"]["id"].as_str().expect("an id");
    let folder = crew.up.running.places.storage.join("eu-west-1").join(format!("t-{id}"));
    std::fs::remove_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    crew.does(&mark);
    crew.rests("stuck-one", "ROLLED_BACK").await;
    let (event, _) = crew.behind("stuck-one", AuditKind::StepMarkedDone).await;
    assert!(event.note.is_some_and(|note| note.contains("nothing of it is there")));
}

/// A tenant that is in service is held, and let go by two; one that waits is paused; one that is over is forgotten.
async fn brakes(crew: &Crew) {
    crew.ask(&["checks-three"], |_| {}).await;
    crew.rests("checks-three", "HELD").await;
    crew.does(&["hold", "checks-three", "--reason", "matter 7"]);
    let shown = crew.says(0, &["tenant", "show", "checks-three"]);
    assert!(shown.contains("HELD, LEGAL HOLD"), "{shown}");
    crew.refused("legal_hold", &["cancel", "checks-three", "--reason", "r"]);
    crew.refused("second_missing", &["release", "checks-three", "--reason", "r"]);
    let same = ["tenant", "release", "checks-three", "--reason", "r", "--actor", "ada", "--second", "Ada"];
    assert!(crew.says(2, &same).contains("second_is_actor"));
    crew.does(&["release", "checks-three", "--reason", "matter 7 is closed", "--second", "bob"]);
    let (_, people) = crew.behind("checks-three", AuditKind::HoldReleased).await;
    assert_eq!(people.len(), 2);

    crew.does(&["pause", "checks-three", "--reason", "the customer asked"]);
    crew.refused("verb_not_allowed", &["retry", "checks-three", "--reason", "r"]);
    let why = crew.says(0, &["why", "checks-three"]);
    assert!(why.contains("paused") && why.contains("tenant resume checks-three"), "{why}");
    crew.does(&["resume", "checks-three", "--reason", "the customer called back"]);
    let (event, _) = crew.behind("checks-three", AuditKind::Unpaused).await;
    assert_eq!(event.reason.as_deref(), Some("the customer called back"));

    crew.does(&["cancel", "checks-three", "--reason", "not wanted"]);
    crew.rests("checks-three", "ROLLED_BACK").await;
    let id = crew.json(0, &["tenant", "show", "checks-three"])["tenant"]["id"].clone();
    let id = id.as_str().expect("an id");
    crew.refused("second_missing", &["forget", id, "--reason", "r"]);
    crew.does(&["forget", id, "--reason", "erasure was asked for", "--second", "bob"]);
    crew.behind("checks-three", AuditKind::Forgotten).await;
}
