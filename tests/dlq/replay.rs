//! Letters of three causes; one cause is mended, and exactly its letters are replayed, through a kill in the middle.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tenantry_tests::harness::{Ground, Topics, Up, binary};

use super::night::{self, Cause, FAULTS, PATIENCE};

/// How many letters each cause has.
const EACH: usize = 20;

fn sums(report: &Value) -> [u64; 6] {
    assert_eq!(report["sums_match"], true, "{report}");
    ["planned", "done", "already", "moved_on", "failed", "left"]
        .map(|part| report[part].as_u64().unwrap_or_else(|| panic!("no {part}: {report}")))
}

fn group<'a>(listing: &'a Value, name: &str) -> &'a Value {
    let groups = listing["groups"].as_array().expect("groups");
    let found = groups.iter().find(|group| group["group"] == name);
    found.unwrap_or_else(|| panic!("no group {name}: {listing}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_planned_letters_are_answered_once_through_a_kill_in_the_middle() {
    let mut up = Up::start(FAULTS, &[]);
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    let causes = [Cause::Unreadable, Cause::UnknownStep, Cause::WrongInput];
    for cause in causes {
        night::hold(&topics, &ground, cause, &night::slugs(cause, 0, EACH)).await;
    }
    ground.quiet(Duration::from_secs(60)).await;

    // What the person sees first.
    let (exit, listing) = night::json(&up, &["ls"]);
    assert_eq!(exit, 0);
    for cause in causes {
        let group = group(&listing, cause.code());
        assert_eq!((&group["letters"], &group["open"]), (&EACH.into(), &EACH.into()), "{cause:?}: {group}");
    }
    let (_, by_tenant) = night::json(&up, &["ls", "--group", "tenant", "--topic", "tenant.commands.quota"]);
    assert_eq!(by_tenant["groups"].as_array().map(Vec::len), Some(3 * EACH));

    // One letter, with its tenant's story and nothing of its people.
    let first = listing["letters"][0]["letter"].as_str().expect("a letter").to_owned();
    let (exit, page) = night::text(&up, &["show", &first]);
    assert_eq!(exit, 0, "{page}");
    for part in
        ["verdict  ask-afresh", "HELD", "read again now", "step.failed  quota", "next: tenantry dlq plan"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("Lovelace") && !page.contains("admin@"), "{page}");
    let (_, unknown) = night::text(&up, &["show", "tenant.commands.quota/0/999999"]);
    assert!(unknown.contains("letter_unknown"), "{unknown}");

    // The plan; then letters of the same cause arrive, which it must not touch.
    let file = up.dir().join("m.json");
    let manifest = file.to_str().expect("a path");
    let mended = Cause::UnknownStep;
    let filter = format!("code={},worker=quota", mended.code());
    let (exit, planned) = night::text(&up, &["plan", "--filter", &filter, "-o", manifest]);
    assert_eq!(exit, 0, "{planned}");
    assert!(planned.contains(&format!("{EACH}  ask-afresh")), "{planned}");
    let late = night::slugs(mended, EACH, 3);
    night::hold(&topics, &ground, mended, &late).await;
    ground.quiet(Duration::from_secs(60)).await;
    let asked = night::tokens(&topics).await;

    let (exit, preview) = night::text(&up, &["replay", "--manifest", manifest, "--reason", "INC-1"]);
    assert!(exit == 0 && preview.contains("Nothing was done"), "{preview}");
    assert_eq!(night::tokens(&topics).await, asked, "a preview asks nothing");
    let alone = ["replay", "--manifest", manifest, "--reason", "INC-1", "--four-eyes-above", "5", "--yes"];
    let (exit, refused) = night::text(&up, &alone);
    assert!(exit == 2 && refused.contains("four_eyes"), "{refused}");
    let (exit, refused) =
        night::text(&up, &[&alone[..], &["--actor", "ada", "--approved-by", "Ada"]].concat());
    assert!(exit == 2 && refused.contains("approver_is_operator"), "{refused}");

    // The replayer is killed in the middle of its work.
    let mut child = Command::new(binary())
        .args([
            "dlq",
            "replay",
            "--manifest",
            manifest,
            "--rate",
            "5/s",
            "--reason",
            "INC-1",
            "--yes",
            "--actor",
            "ada",
        ])
        .arg("--data-dir")
        .arg(up.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the replayer starts");
    let progress = up.dir().join("m.json.progress");
    let begun = || {
        let text = std::fs::read_to_string(&progress).unwrap_or_default();
        text.lines().filter(|line| line.starts_with("{\"begun\"")).count()
    };
    let end = tokio::time::Instant::now() + PATIENCE;
    while begun() < 8 {
        assert!(tokio::time::Instant::now() < end, "the replay does not get on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().expect("kill -9");
    child.wait().expect("a child can be waited for");
    let before = begun();
    assert!((8..EACH).contains(&before), "{before} letters were begun: it was not killed in the middle");

    // Run again, with other words: it goes on where it was, and the first words stand.
    let again =
        ["replay", "--manifest", manifest, "--rate", "10/s", "--reason", "INC-2", "--yes", "--actor", "bob"];
    let (exit, report) = night::json(&up, &again);
    assert_eq!(exit, 0, "{report}");
    let all = EACH as u64;
    assert_eq!(sums(&report), [all, all, 0, 0, 0, 0], "{report}");
    assert_eq!((&report["reason"], &report["actor"]["name"]), (&"INC-1".into(), &"ada".into()));
    let healed = night::slugs(mended, 0, EACH);
    night::state(&ground, &healed, "ACTIVE").await;
    ground.quiet(Duration::from_secs(60)).await;

    // Exactly so many effects: one question more for each of these tenants and for no other, one quota each.
    let healed: BTreeSet<_> = healed.into_iter().collect();
    let effects = asked_more(&topics, &asked, &healed).await;
    assert_eq!(effects, EACH);
    let quotas = quotas(&ground).await;
    for (slug, state) in night::states(&ground).await {
        let is_healed = healed.contains(&slug) || slug.starts_with("good-");
        assert_eq!(state, if is_healed { "ACTIVE" } else { "HELD" }, "{slug}");
        assert_eq!(quotas.contains(&slug), is_healed, "{slug}");
    }

    // A second replay, and one from a machine that knows of no first, have no effect.
    let (exit, second) = night::json(&up, &again);
    assert_eq!((exit, sums(&second)), (0, [all, all, 0, 0, 0, 0]));
    assert_eq!(second["nothing_to_do"], true);
    std::fs::rename(&progress, up.dir().join("elsewhere")).expect("the progress moves away");
    let (exit, elsewhere) = night::json(&up, &again);
    assert_eq!((exit, sums(&elsewhere)), (0, [all, 0, all, 0, 0, 0]), "{elsewhere}");
    assert_eq!(asked_more(&topics, &asked, &healed).await, EACH);

    // What is left to do shows, the late ones with it; what was answered is marked.
    let (_, listing) = night::json(&up, &["ls"]);
    let group = group(&listing, mended.code());
    let counts = (&group["letters"], &group["open"], &group["answered"]);
    assert_eq!(counts, (&(EACH + 3).into(), &3.into(), &EACH.into()), "{group}");
    let (exit, report) = night::json(&up, &["expire", "--report"]);
    assert_eq!((exit, &report["topics"][0]["letters"]), (0, &(3 * EACH + 3).into()), "{report}");
    assert_eq!(report["topics"][0]["going"], 0);

    // A manifest that somebody touched is not run.
    let text = std::fs::read_to_string(&file).expect("the manifest");
    std::fs::write(&file, text.replacen("ask-afresh", "replay", 2)).expect("the manifest can be written");
    let (exit, refused) = night::text(&up, &again);
    assert!(exit == 1 && refused.contains("manifest_changed"), "{refused}");
    up.stop();
}

/// How many questions about quotas were asked since; for these tenants one each, for no other any.
async fn asked_more(
    topics: &Topics,
    before: &std::collections::BTreeMap<String, BTreeSet<i64>>,
    healed: &BTreeSet<String>,
) -> usize {
    let mut effects = 0;
    for (slug, tokens) in night::tokens(topics).await {
        let more = tokens.len() - before.get(&slug).map_or(0, BTreeSet::len);
        assert_eq!(more, usize::from(healed.contains(&slug)), "{slug}");
        effects += more;
    }
    effects
}

/// The slugs of the tenants for which the provider has a quota.
async fn quotas(ground: &Ground) -> BTreeSet<String> {
    let made = ground.made().await;
    let tenants = ground.tenants().await.into_values();
    let has = |id: &str| made.get(&id.replace('-', "")).is_some_and(|made| made.contains("quota"));
    tenants.filter(|tenant| has(&tenant.id)).map(|tenant| tenant.slug).collect()
}
