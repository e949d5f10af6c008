//! The dry run: it says what a request would do, writes nothing while it thinks, and its digest is void once reality has
//! moved.

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_contracts::Topic;
use tenantry_contracts::event::EventKind;
use tenantry_tests::harness::{Ground, Topics, Up, outcome, request};

const PATIENCE: Duration = Duration::from_secs(60);

struct Planner {
    up: Up,
    dir: tempfile::TempDir,
}

impl Planner {
    fn file(&self, name: &str, body: &Value) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, body.to_string()).expect("a file");
        path.to_str().expect("a path").to_owned()
    }

    /// The exit code and what was foreseen.
    fn plan(&self, name: &str, body: &Value) -> (Option<i32>, Value) {
        let output = self.up.run(&["plan", "-f", &self.file(name, body), "--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let foreseen = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), foreseen)
    }
}

fn will<'a>(foreseen: &'a Value, row: &str) -> &'a str {
    let rows = foreseen["rows"].as_array().expect("rows");
    rows.iter().find(|have| have["row"] == row).and_then(|row| row["will"].as_str()).unwrap_or("absent")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_happen_and_writes_nothing() {
    let up = Up::start("", &["--approval", "security"]);
    let planner = Planner { up, dir: tempfile::tempdir().expect("a folder") };
    let topics = Topics::of(&planner.up.running);
    let ground = Ground::of(&planner.up.running).await;
    // One tenant is there already, up to its gate.
    topics.publish(vec![topics.binary("first", "taken", &request("taken", "Taken Name"))]).await;
    let answers = topics.outcomes(&["first".into()], PATIENCE).await;
    assert_eq!(outcome(&answers, "first"), Some(EventKind::AttentionNeeded));
    let approved =
        planner.up.run(&["tenant", "approve", "taken", "--actor", "eve", "--reason", "fine", "--yes"]);
    assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    ground.quiet(PATIENCE).await;

    let body = |slug: &str, change: &dyn Fn(&mut Value)| {
        let mut body = request(slug, &format!("Planned {slug}"));
        change(&mut body);
        body
    };
    let requests: [(&str, Value, i32, &str); 10] = [
        ("plain", body("plan-plain", &|_| {}), 0, ""),
        ("schema", body("plan-schema", &|body| body["plan"] = json!("professional")), 0, ""),
        ("database", body("plan-database", &|body| body["plan"] = json!("ENTERPRISE")), 0, ""),
        ("slug", body("taken", &|_| {}), 3, "slug_taken"),
        ("name", body("plan-name", &|body| body["name"] = json!("Taken Name")), 3, "name_taken"),
        ("gold", body("plan-gold", &|body| body["plan"] = json!("gold")), 3, "plan_unknown"),
        ("self", body("plan-self", &|body| body["initiator"] = json!("self")), 3, "policy_denied"),
        (
            "region",
            body("plan-region", &|body| body["region"] = json!("us-east-1")),
            3,
            "region_outside_residency",
        ),
        ("seats", body("plan-seats", &|body| body["seats"] = json!(1_000_000)), 3, "over_plan"),
        (
            "feature",
            body("plan-feature", &|body| body["features"] = json!(["time-travel"])),
            3,
            "feature_not_in_plan",
        ),
    ];
    let (before, said) = (ground.digest().await, stands(&topics).await);
    for (name, body, exit, code) in &requests {
        let (status, foreseen) = planner.plan(name, body);
        assert_eq!(status, Some(*exit), "{name}: {foreseen:#}");
        assert!(foreseen.to_string().contains(code), "{name}: {foreseen:#}");
        let again = planner.plan(name, body).1;
        assert_eq!(foreseen["digest"], again["digest"], "{name}: the same reality has the same digest");
    }
    assert_eq!(ground.digest().await, before, "nothing was written while planning");
    assert_eq!(stands(&topics).await, said, "and nothing was published");

    let (_, plain) = planner.plan("plain", &requests[0].1);
    for row in ["policy", "validate", "capacity", "database", "storage", "quota", "config"] {
        assert_eq!(will(&plain, row), "create", "{row}: {plain:#}");
    }
    assert_eq!(will(&plain, "approval.security"), "ask");
    assert_eq!(plain["estimate"]["of"], 1, "the estimate comes from the fleet's own history");
    let page = planner.up.run(&["plan", "-f", &planner.file("plain", &requests[0].1)]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("security-admin decides") && page.contains("nothing was written"), "{page}");

    // What was planned is published, and comes to what was foreseen.
    let digest = plain["digest"].as_str().expect("a digest").to_owned();
    let file = planner.file("plain", &requests[0].1);
    let published = planner.up.run(&["request", "-f", &file, "--id", "planned", "--plan", &digest]);
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    let answers = topics.outcomes(&["planned".into()], PATIENCE).await;
    assert_eq!(
        outcome(&answers, "planned"),
        Some(EventKind::AttentionNeeded),
        "the gate asks, as it was foreseen"
    );

    // A second tenant takes the name: the plan of the third one is stale, and nothing is published.
    let rival = body("plan-rival", &|body| body["name"] = json!("Contested Name"));
    let mine = body("plan-mine", &|body| body["name"] = json!("Contested Name"));
    let (status, foreseen) = planner.plan("mine", &mine);
    assert_eq!(status, Some(0), "{foreseen:#}");
    topics.publish(vec![topics.binary("rival", "plan-rival", &rival)]).await;
    let answers = topics.outcomes(&["rival".into()], PATIENCE).await;
    assert_eq!(outcome(&answers, "rival"), Some(EventKind::AttentionNeeded));
    let stale = planner.up.run(&[
        "request",
        "-f",
        &planner.file("mine", &mine),
        "--plan",
        foreseen["digest"].as_str().expect("a digest"),
    ]);
    let said = String::from_utf8_lossy(&stale.stderr).into_owned();
    assert_eq!(stale.status.code(), Some(3), "{said}");
    assert!(said.contains("plan_stale") && said.contains("name_taken"), "{said}");
    assert!(ground.tenants().await.values().all(|tenant| tenant.slug != "plan-mine"));
    let mut up = planner.up;
    up.stop();
}

/// How many records stand on the topics that anybody writes to.
async fn stands(topics: &Topics) -> usize {
    topics
        .read(vec![Topic::Requests, Topic::Operations, Topic::Results, Topic::Events, Topic::Audit])
        .await
        .len()
}
