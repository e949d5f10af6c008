//! Letters of three causes; one cause is mended, and exactly its letters are replayed, through a kill in the middle.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tenantry_contracts::audit::AuditKind;
use tenantry_tests::harness::{Ground, Topics, Up};

use super::night::{self, Cause, FAULTS};

/// How much is done in this story.
struct Size {
    /// How many letters each cause has.
    letters: [usize; 3],
    /// The replayer is killed once so many were begun.
    kill_at: usize,
    rate: &'static str,
}

const CAUSES: [Cause; 3] = [Cause::Unreadable, Cause::UnknownStep, Cause::WrongInput];
/// The cause that is mended.
const MENDED: usize = 1;

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_planned_letters_are_answered_once_through_a_kill_in_the_middle() {
    story(&Size { letters: [20, 20, 20], kill_at: 8, rate: "5/s" }).await;
}

/// The same at the size of a bad night: minutes. `TENANTRY_SLOW=1 cargo test -p tenantry-tests --test dlq slow_`.
#[tokio::test(flavor = "multi_thread")]
async fn slow_two_hundred_of_five_hundred_letters_are_answered_once_through_a_kill_at_the_hundred_and_twentieth()
 {
    if std::env::var_os("TENANTRY_SLOW").is_some() {
        story(&Size { letters: [150, 200, 150], kill_at: 120, rate: "10/s" }).await;
    }
}

fn group<'a>(listing: &'a Value, name: &str) -> &'a Value {
    let groups = listing["groups"].as_array().expect("groups");
    let found = groups.iter().find(|group| group["group"] == name);
    found.unwrap_or_else(|| panic!("no group {name}: {listing}"))
}

async fn story(size: &Size) {
    let each = size.letters[MENDED];
    let mut up = Up::start(FAULTS, &[]);
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    for (cause, letters) in CAUSES.into_iter().zip(size.letters) {
        night::hold(&topics, &ground, cause, &night::slugs(cause, 0, letters)).await;
    }
    ground.quiet(Duration::from_secs(60)).await;

    // What the person sees first.
    let (exit, listing) = night::json(&up, &["ls"]);
    assert_eq!(exit, 0);
    for (cause, letters) in CAUSES.into_iter().zip(size.letters) {
        let group = group(&listing, cause.code());
        let counts = (&group["letters"], &group["open"]);
        assert_eq!(counts, (&letters.into(), &letters.into()), "{cause:?}: {group}");
    }
    let whole: usize = size.letters.iter().sum();
    let (_, by_tenant) = night::json(&up, &["ls", "--group", "tenant", "--topic", "tenant.commands.quota"]);
    assert_eq!(by_tenant["groups"].as_array().map(Vec::len), Some(whole));

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
    let mended = CAUSES[MENDED];
    let filter = format!("code={},worker=quota", mended.code());
    let (exit, planned) = night::text(&up, &["plan", "--filter", &filter, "-o", manifest]);
    assert_eq!(exit, 0, "{planned}");
    assert!(planned.contains(&format!("{each}  ask-afresh")), "{planned}");
    let late = night::slugs(mended, each, 3);
    night::hold(&topics, &ground, mended, &late).await;
    ground.quiet(Duration::from_secs(60)).await;
    let asked = night::tokens(&topics).await;

    let (exit, preview) = night::text(&up, &["replay", "--manifest", manifest, "--reason", "INC-1"]);
    assert!(exit == 0 && preview.contains("Nothing was done"), "{preview}");
    assert_eq!(night::tokens(&topics).await, asked, "a preview asks nothing");
    let alone = ["replay", "--manifest", manifest, "--reason", "INC-1", "--four-eyes-above", "5", "--yes"];
    let (exit, refused) = night::text(&up, &alone);
    assert!(exit == 2 && refused.contains("second_missing"), "{refused}");
    let (exit, refused) = night::text(&up, &[&alone[..], &["--actor", "ada", "--second", "Ada"]].concat());
    assert!(exit == 2 && refused.contains("second_is_actor"), "{refused}");

    // The replayer is killed in the middle of its work.
    let run = |rate, reason, actor| {
        let head = ["replay", "--manifest", manifest, "--rate", rate, "--reason", reason];
        [&head[..], &["--yes", "--actor", actor, "--second", "eve"]].concat()
    };
    let progress = up.dir().join("m.json.progress");
    let first = [&["dlq"], &run(size.rate, "INC-1", "ada")[..]].concat();
    let before = night::killed(&up, &first, &progress, size.kill_at).await;
    assert!((size.kill_at..each).contains(&before), "{before} letters were begun: not in the middle");

    // Run again, with other words: it goes on where it was, and the first words stand.
    let again = run("20/s", "INC-2", "bob");
    let (exit, report) = night::json(&up, &again);
    assert_eq!(exit, 0, "{report}");
    let all = each as u64;
    assert_eq!(night::sums(&report), [all, all, 0, 0, 0, 0], "{report}");
    assert_eq!((&report["reason"], &report["actor"]["name"]), (&"INC-1".into(), &"ada".into()));
    let healed = night::slugs(mended, 0, each);
    night::state(&ground, &healed, "ACTIVE").await;
    ground.quiet(Duration::from_secs(60)).await;

    // Exactly so many effects: one question more for each of these tenants and for no other, one quota each.
    let healed: BTreeSet<_> = healed.into_iter().collect();
    let effects = asked_more(&topics, &asked, &healed).await;
    assert_eq!(effects, each);
    let quotas = quotas(&ground).await;
    for (slug, state) in night::states(&ground).await {
        let is_healed = healed.contains(&slug) || slug.starts_with("good-");
        assert_eq!(state, if is_healed { "ACTIVE" } else { "HELD" }, "{slug}");
        assert_eq!(quotas.contains(&slug), is_healed, "{slug}");
    }

    // One entry of the audit for each run, also for the one that was killed; together they have every letter once.
    let deeds = night::deeds(&topics, AuditKind::DlqReplayed).await;
    let notes: Vec<_> = deeds.iter().filter_map(|deed| deed.note.as_deref()).collect();
    assert_eq!(notes.len(), 2, "{notes:#?}");
    assert!(notes[0].starts_with("run 1 by ada: ") && notes[0].ends_with("could say so"), "{notes:#?}");
    assert!(notes[1].starts_with("run 2 by bob: ") && notes[1].ends_with("left 0; finished"), "{notes:#?}");
    assert_eq!(notes.iter().map(|note| night::part(note, "done ")).sum::<usize>(), each, "{notes:#?}");
    let plan: Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("the manifest")).expect("JSON");
    for deed in &deeds {
        assert_eq!(deed.commitment.as_deref(), plan["digest"].as_str());
        assert_eq!(deed.second.as_ref().map(|second| second.name.as_str()), Some("eve"));
    }

    // A second replay, and one from a machine that knows of no first, have no effect.
    let (exit, second) = night::json(&up, &again);
    assert_eq!((exit, night::sums(&second)), (0, [all, all, 0, 0, 0, 0]));
    assert_eq!(second["nothing_to_do"], true);
    std::fs::rename(&progress, up.dir().join("elsewhere")).expect("the progress moves away");
    let (exit, elsewhere) = night::json(&up, &again);
    assert_eq!((exit, night::sums(&elsewhere)), (0, [all, 0, all, 0, 0, 0]), "{elsewhere}");
    assert_eq!(asked_more(&topics, &asked, &healed).await, each);
    let deeds = night::deeds(&topics, AuditKind::DlqReplayed).await;
    let last: Vec<_> = deeds.iter().skip(2).filter_map(|deed| deed.note.as_deref()).collect();
    assert_eq!(last.iter().map(|note| night::part(note, "done ")).collect::<Vec<_>>(), [0, 0], "{last:#?}");

    // What is left to do shows, the late ones with it; what was answered is marked.
    let (_, listing) = night::json(&up, &["ls"]);
    let group = group(&listing, mended.code());
    let counts = (&group["letters"], &group["open"], &group["answered"]);
    assert_eq!(counts, (&(each + 3).into(), &3.into(), &each.into()), "{group}");
    let (exit, report) = night::json(&up, &["expire", "--report"]);
    assert_eq!((exit, &report["topics"][0]["letters"]), (0, &(whole + 3).into()), "{report}");
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
