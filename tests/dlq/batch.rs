//! Many tenants at once: a frozen selection of those with one cause, and exactly those are sent the verb.

use std::time::Duration;

use tenantry_contracts::audit::AuditKind;
use tenantry_tests::harness::{Ground, Topics, Up, request};

use super::night;

/// Two causes, of two workers.
const FAULTS: &str = "quota.before-record=no:class:config:slug:many-quota-*;\
    config.before-record=no:class:config:slug:many-config-*";
/// The second one is not mended.
const LEFT: &str = "config.before-record=no:class:config:slug:many-config-*";
/// How many tenants the first cause holds, and how many the second.
const HELD: [usize; 2] = [8, 22];
/// So many tenants of a lane may be cancelled in an hour.
const LIMIT: u64 = 20;

async fn ask(topics: &Topics, ground: &Ground, slugs: &[String]) {
    let ask = |slug: &String| topics.binary(slug, slug, &request(slug, &format!("Name of {slug}")));
    topics.publish(slugs.iter().map(ask).collect()).await;
    night::state(ground, slugs, "HELD").await;
}

fn slugs(cause: &str, from: usize, count: usize) -> Vec<String> {
    (from..from + count).map(|n| format!("many-{cause}-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_selected_tenants_are_sent_the_verb_through_a_kill_in_the_middle() {
    let mut up = Up::start(FAULTS, &["--lanes", "1"]);
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    let (mended, others) = (slugs("quota", 0, HELD[0]), slugs("config", 0, HELD[1]));
    ask(&topics, &ground, &[mended.clone(), others.clone()].concat()).await;

    // Frozen: those of one cause. One more comes to be held, and one moves on.
    let file = up.dir().join("s.json");
    let selection = file.to_str().expect("a path");
    let plan = ["batch", "plan", "--state", "held", "--code", "fault_injected", "--worker", "quota"];
    let (exit, none) = night::said(&up, &[&plan[..], &["--verb", "retry", "--older", "1h"]].concat());
    assert!(exit == 1 && none.contains("no_tenants"), "{none}");
    let (exit, planned) = night::said(&up, &[&plan[..], &["--verb", "retry", "-o", selection]].concat());
    assert!(exit == 0 && planned.contains("8  retry: would be taken up"), "{planned}");
    let late = slugs("quota", HELD[0], 1);
    ask(&topics, &ground, &late).await;
    let moved = "many-quota-3";
    let (exit, retried) =
        night::said(&up, &["tenant", "retry", moved, "--reason", "INC-0", "--yes", "--watch"]);
    assert_eq!(exit, 5, "held again: {retried}");

    // Mended. The run is killed in the middle, and run again.
    up.kill();
    up.start_again_with(LEFT);
    let (topics, ground) = (Topics::of(&up.running), Ground::of(&up.running).await);
    let run = |rate, actor| {
        let head = ["batch", "run", "--selection", selection, "--rate", rate, "--reason", "INC-1"];
        [&head[..], &["--actor", actor]].concat()
    };
    let (exit, preview) = night::said(&up, &run("5/s", "ada"));
    assert!(exit == 0 && preview.contains("8 tenants to begin"), "{preview}");
    let first = [&run("1/s", "ada")[..], &["--yes"]].concat();
    let begun = night::killed(&up, &first, &up.dir().join("s.json.progress"), 3).await;
    assert!((3..HELD[0]).contains(&begun), "{begun} tenants were begun: not in the middle");
    let again = [&run("10/s", "bob")[..], &["--yes"]].concat();
    let (exit, report) = night::document(&up, &again);
    assert_eq!((exit, night::sums(&report)), (0, [8, 7, 0, 1, 0, 0]), "{report:#}");
    ground.quiet(Duration::from_secs(60)).await;
    let states = night::states(&ground).await;
    for slug in mended.iter().filter(|slug| *slug != moved) {
        assert_eq!(states[slug], "ACTIVE", "{slug}");
    }
    for slug in others.iter().chain(&late).map(String::as_str).chain([moved]) {
        assert_eq!(states[slug], "HELD", "{slug} was not selected, or is not what was selected");
    }

    // One entry of the audit for each run; a second run of the same selection has no effect.
    let (exit, second) = night::document(&up, &again);
    assert_eq!((exit, night::sums(&second)), (0, [8, 7, 0, 1, 0, 0]), "{second:#}");
    let deeds = night::deeds(&topics, AuditKind::BatchRun).await;
    let notes: Vec<_> = deeds.iter().filter_map(|deed| deed.note.as_deref()).collect();
    assert_eq!(notes.len(), 3, "{notes:#?}");
    assert_eq!(notes.iter().map(|note| night::part(note, "done ")).sum::<usize>(), 7, "{notes:#?}");
    assert_eq!(notes.iter().map(|note| night::part(note, "moved on ")).sum::<usize>(), 1, "{notes:#?}");
    assert!(deeds.iter().all(|deed| deed.commitment.as_deref() == report["selection"].as_str()));

    // What destroys needs a second person, however few they are.
    let file = up.dir().join("c.json");
    let selection = file.to_str().expect("a path");
    let plan =
        ["batch", "plan", "--state", "held", "--worker", "config", "--verb", "cancel", "-o", selection];
    let (exit, planned) = night::said(&up, &plan);
    assert!(exit == 0 && planned.contains("22  cancel: would be taken up"), "{planned}");
    let run = ["batch", "run", "--selection", selection, "--reason", "INC-2", "--actor", "ada", "--yes"];
    let (exit, refused) = night::said(&up, &run);
    assert!(exit == 2 && refused.contains("second_missing"), "{refused}");
    let run = [&run[..], &["--second", "eve", "--rate", "20/s"]].concat();
    let (exit, report) = night::document(&up, &run);
    assert_eq!((exit, night::sums(&report)), (1, [22, LIMIT, 0, 0, 0, 22 - LIMIT]), "{report:#}");
    assert!(report["stopped"].as_str().is_some_and(|why| why.contains("blast_radius")), "{report:#}");
    let (exit, report) = night::document(&up, &[&run[..], &["--beyond-limit"]].concat());
    assert_eq!((exit, night::sums(&report)), (0, [22, 22, 0, 0, 0, 0]), "{report:#}");
    night::state(&ground, &others, "ROLLED_BACK").await;
    ground.is_all_or_nothing().await;
    up.stop();
}
