//! Every worker is killed between its effect and its answer: what it made is found again, and undone where the saga then
//! turns back; what lies after the pivot is found again and answered.

use std::time::Duration;

use tenantry::fleet::Worker;
use tenantry_tests::harness::{Ground, Topics, Up, request};

const PATIENCE: Duration = Duration::from_secs(120);

/// The workers before the pivot; what the others did is not undone.
const UNDONE: [Worker; 10] = [
    Worker::Policy,
    Worker::Validate,
    Worker::Capacity,
    Worker::Identity,
    Worker::Database,
    Worker::Storage,
    Worker::Secrets,
    Worker::Quota,
    Worker::Config,
    Worker::Verify,
];

fn slug(worker: Worker) -> String {
    format!("killed-in-{}", worker.name())
}

/// The same switch at the last point of every worker's work: its effect is there, its answer is not.
fn switch(action: &str, workers: &[Worker]) -> String {
    let rule = |worker: &Worker| format!("{}.before-answer={action}:slug:{}", worker.name(), slug(*worker));
    workers.iter().map(rule).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_effect_and_answer_leaves_nothing_and_loses_nothing() {
    let mut up = Up::start(&switch("hang", &Worker::ALL), &["--concurrency", "64"]);
    let topics = Topics::of(&up.running);
    let plans = ["starter", "professional", "enterprise"];
    let records = Worker::ALL.iter().zip(plans.iter().cycle()).map(|(worker, plan)| {
        let mut body = request(&slug(*worker), &format!("Name of {}", slug(*worker)));
        body["plan"] = (*plan).into();
        topics.binary(&slug(*worker), &slug(*worker), &body)
    });
    topics.publish(records.collect()).await;
    for worker in Worker::ALL {
        hangs(&up, worker).await;
    }
    up.kill();

    // Everything before the pivot now says no where it hung: the effect is there, and must be found and undone.
    up.start_again_with(&switch("no:class:business", &UNDONE));
    let ground = Ground::of(&up.running).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    for worker in Worker::ALL {
        let wanted: &[&str] = match worker {
            Worker::Policy | Worker::Validate => &["REJECTED"],
            // A failed check holds: a person looks first.
            Worker::Verify => &["HELD"],
            _ if UNDONE.contains(&worker) => &["ROLLED_BACK"],
            _ => &["ACTIVE"],
        };
        loop {
            let tenants = ground.tenants().await;
            let tenant = tenants.values().find(|tenant| tenant.slug == slug(worker)).expect("the tenant");
            if wanted.contains(&tenant.state.as_str()) {
                break;
            }
            assert!(tokio::time::Instant::now() < end, "{tenant:?} should be {wanted:?}\n{}", up.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    let cancelled =
        up.run(&["tenant", "cancel", &slug(Worker::Verify), "--reason", "it stays unhealthy", "--yes"]);
    assert!(cancelled.status.success(), "{}", String::from_utf8_lossy(&cancelled.stderr));
    ground.quiet(PATIENCE).await;
    ground.is_all_or_nothing().await;
    let verified = up.run(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    up.stop();
}

/// Waits until the worker's own row is asked and nothing else of that tenant is.
async fn hangs(up: &Up, worker: Worker) {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let shown = up.run(&["tenant", "show", &slug(worker), "--json"]);
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap_or_default();
        let rows = shown["saga"]["rows"].as_array().cloned().unwrap_or_default();
        let running: Vec<_> = rows.iter().filter(|row| row["state"] == "running").collect();
        let name = worker.name();
        if let [only] = running.as_slice()
            && only["name"].as_str().is_some_and(|row| row.split('.').next() == Some(name.as_str()))
        {
            // A moment more, so that the effect is surely there and the worker surely waits at its point.
            tokio::time::sleep(Duration::from_millis(300)).await;
            return;
        }
        assert!(tokio::time::Instant::now() < end, "{name} does not hang: {shown:#}\n{}", up.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
