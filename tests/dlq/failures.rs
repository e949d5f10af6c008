//! A cause that was not mended after all: the replay stops, and says what is left.

use std::time::Duration;

use tenantry_tests::harness::{Ground, Topics, Up};

use super::night::{self, Cause, FAULTS};

const LETTERS: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_stops_at_so_many_failures_and_what_is_left_is_done_by_the_next_one() {
    let mut up = Up::start(FAULTS, &[]);
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    let slugs = night::slugs(Cause::WrongInput, 0, LETTERS as usize);
    night::hold(&topics, &ground, Cause::WrongInput, &slugs).await;
    ground.quiet(Duration::from_secs(60)).await;
    let file = up.dir().join("m.json");
    let manifest = file.to_str().expect("a path");
    let (exit, planned) = night::text(&up, &["plan", "--filter", "step=quota", "-o", manifest]);
    assert_eq!(exit, 0, "{planned}");

    // The worker now says no to everybody.
    up.kill();
    up.start_again_with("quota.before-record=no:slug:night-*");
    let args = [
        "replay",
        "--manifest",
        manifest,
        "--rate",
        "2/s",
        "--max-failures",
        "2",
        "--reason",
        "INC-3",
        "--yes",
    ];
    let (exit, report) = night::json(&up, &args);
    let part = |report: &serde_json::Value, name: &str| report[name].as_u64().expect("a count");
    let (failed, left) = (part(&report, "failed"), part(&report, "left"));
    assert_eq!((exit, part(&report, "planned"), part(&report, "done")), (1, LETTERS, 0), "{report}");
    assert!(failed >= 2 && left >= 1 && failed + left == LETTERS, "{report}");
    let ground = Ground::of(&up.running).await;
    ground.quiet(Duration::from_secs(60)).await;
    let count = |states: &std::collections::BTreeMap<String, String>, state: &str| {
        slugs.iter().filter(|slug| states[*slug] == state).count() as u64
    };
    let states = night::states(&ground).await;
    let ends = (count(&states, "ROLLED_BACK"), count(&states, "HELD"));
    assert_eq!(ends, (failed, left), "nobody else was touched: {states:?}");

    // Mended: the same command does the rest, and leaves alone what failed.
    up.kill();
    up.start_again_with("");
    let args = ["replay", "--manifest", manifest, "--rate", "10/s", "--reason", "INC-3", "--yes"];
    let (exit, report) = night::json(&up, &args);
    assert_eq!((exit, part(&report, "done"), part(&report, "failed")), (1, left, failed), "{report}");
    assert_eq!((part(&report, "left"), &report["sums_match"]), (0, &true.into()));
    let ground = Ground::of(&up.running).await;
    ground.quiet(Duration::from_secs(60)).await;
    let states = night::states(&ground).await;
    assert_eq!((count(&states, "ROLLED_BACK"), count(&states, "ACTIVE")), (failed, left), "{states:?}");
    up.stop();
}
