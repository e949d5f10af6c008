//! The main job, and what can go wrong on purpose.

use std::time::Duration;

use bytes::Bytes;
use tenantry::fleet::Worker;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::{Code, Topic};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Answers, Ground, Topics, Up, outcome, request};

const PATIENCE: Duration = Duration::from_secs(60);

fn kinds(answers: &Answers, id: &str) -> Vec<EventKind> {
    answers.get(id).map(|events| events.iter().map(|event| event.event).collect()).unwrap_or_default()
}

fn code(answers: &Answers, id: &str) -> Option<Code> {
    answers.get(id)?.iter().find_map(|event| event.refusal.as_ref()).map(|refusal| refusal.code)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_requests_on_one_fleet() {
    let mut up = Up::start(
        "database.before-answer=no:slug:broken-*; credentials.before-mint=no:slug:late-*:class:config",
        &[],
    );
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;

    a_request_becomes_a_tenant(&up, &topics, &ground).await;
    a_hundred_copies_make_one_tenant(&topics, &ground).await;
    of_two_requests_for_one_slug_one_wins(&topics).await;
    a_wrong_key_or_partition_changes_nothing(&topics).await;
    what_fails_for_good_is_undone(&topics, &ground).await;
    after_the_pivot_a_person_decides(&up, &topics).await;
    nothing_stands_in_clear(&up, &topics, &ground).await;
    a_replay_changes_no_tenant(&topics, &ground).await;
    ground.is_all_or_nothing().await;

    let verified = up.run(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let took = up.stop();
    assert!(took < Duration::from_secs(12), "a clean stop takes at most ten seconds, this one took {took:?}");
}

async fn a_request_becomes_a_tenant(up: &Up, topics: &Topics, ground: &Ground) {
    let record = topics.binary("story-1", "acme-intel", &request("acme-intel", "Acme Intel"));
    topics.publish(vec![record]).await;
    let answers = topics.outcomes(&["story-1".into()], PATIENCE).await;
    assert_eq!(kinds(&answers, "story-1"), [EventKind::RequestAccepted, EventKind::Provisioned]);
    let id = answers["story-1"][1].tenant.as_ref().expect("the tenant").id;
    assert!(ground.made().await.contains_key(&id.simple()));
    let shown = up.run(&["tenant", "show", "acme-intel", "--json"]);
    assert!(
        String::from_utf8_lossy(&shown.stdout).contains("ACTIVE"),
        "{}",
        String::from_utf8_lossy(&shown.stderr)
    );
    let mails = std::fs::read_dir(&up.running.places.outbox).expect("the outbox").count();
    assert!(mails >= 1, "the claim link is delivered as a mail file");
}

async fn a_hundred_copies_make_one_tenant(topics: &Topics, ground: &Ground) {
    let record = topics.binary("copies", "hundredfold", &request("hundredfold", "Hundredfold"));
    topics.publish(vec![record; 100]).await;
    let mut answers = topics.outcomes(&["copies".into()], PATIENCE).await;
    for _ in 0..50 {
        if answers["copies"].len() == 101 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        answers = topics.answers().await;
    }
    let tenant = answers["copies"][0].tenant.as_ref().expect("the tenant").id;
    let duplicates: Vec<_> =
        answers["copies"].iter().filter(|event| event.event == EventKind::RequestDuplicate).collect();
    assert_eq!(duplicates.len(), 99);
    assert!(
        duplicates.iter().all(|event| event.tenant.as_ref().is_some_and(|of| of.id == tenant)),
        "each points to the tenant"
    );
    assert_eq!(ground.tenants().await.values().filter(|tenant| tenant.slug == "hundredfold").count(), 1);
}

async fn of_two_requests_for_one_slug_one_wins(topics: &Topics) {
    let one = topics.binary("rival-1", "contested", &request("contested", "Contested One"));
    let two = topics.binary("rival-2", "contested", &request("contested", "Contested Two"));
    topics.publish(vec![one, two]).await;
    let answers = topics.outcomes(&["rival-1".into(), "rival-2".into()], PATIENCE).await;
    let outcomes = [outcome(&answers, "rival-1"), outcome(&answers, "rival-2")];
    assert!(outcomes.contains(&Some(EventKind::Provisioned)), "{outcomes:?}");
    assert!(outcomes.contains(&Some(EventKind::RequestRejected)), "{outcomes:?}");
    let codes = [code(&answers, "rival-1"), code(&answers, "rival-2")];
    assert!(codes.contains(&Some(Code::SlugTaken)), "{codes:?}");
}

async fn a_wrong_key_or_partition_changes_nothing(topics: &Topics) {
    let body = |slug: &str| request(slug, &format!("Name of {slug}"));
    let mut wrong_key = topics.binary("misplaced-1", "wrong-key", &body("wrong-key"));
    wrong_key.key = Some(Bytes::from_static(b"somebody-else"));
    let mut no_key = topics.binary("misplaced-2", "no-key", &body("no-key"));
    no_key.key = None;
    let mut elsewhere = topics.binary("misplaced-3", "elsewhere", &body("elsewhere"));
    elsewhere.place.partition = (elsewhere.place.partition + 1) % 4;
    topics.publish(vec![wrong_key, no_key, elsewhere]).await;
    let ids: Vec<String> = (1..=3).map(|n| format!("misplaced-{n}")).collect();
    let answers = topics.outcomes(&ids, PATIENCE).await;
    for id in &ids {
        assert_eq!(kinds(&answers, id), [EventKind::RequestAccepted, EventKind::Provisioned], "{id}");
    }
}

async fn what_fails_for_good_is_undone(topics: &Topics, ground: &Ground) {
    topics.publish(vec![topics.binary("broken", "broken-one", &request("broken-one", "Broken One"))]).await;
    let answers = topics.outcomes(&["broken".into()], PATIENCE).await;
    assert_eq!(outcome(&answers, "broken"), Some(EventKind::RolledBack));
    assert_eq!(code(&answers, "broken"), Some(Code::FaultInjected));
    let id = answers["broken"][0].tenant.as_ref().expect("the tenant").id;
    assert!(!ground.made().await.contains_key(&id.simple()), "nothing is left of it");
    // The slug and the name are free again.
    topics.publish(vec![topics.binary("reborn", "reborn-one", &request("reborn-one", "Broken One"))]).await;
    let answers = topics.outcomes(&["reborn".into()], PATIENCE).await;
    assert_eq!(outcome(&answers, "reborn"), Some(EventKind::Provisioned), "{:?}", code(&answers, "reborn"));
}

async fn after_the_pivot_a_person_decides(up: &Up, topics: &Topics) {
    topics.publish(vec![topics.binary("late", "late-one", &request("late-one", "Late One"))]).await;
    let answers = topics.outcomes(&["late".into()], PATIENCE).await;
    assert_eq!(
        outcome(&answers, "late"),
        Some(EventKind::AttentionNeeded),
        "after the pivot nothing is undone"
    );
    let cancelled = up.run(&["tenant", "cancel", "late-one", "--reason", "too late for that", "--yes"]);
    assert!(!cancelled.status.success(), "past the pivot a cancel is refused");
    let retried = up.run(&["tenant", "retry", "late-one", "--reason", "the mail server is back", "--yes"]);
    assert!(retried.status.success(), "{}", String::from_utf8_lossy(&retried.stderr));
}

async fn nothing_stands_in_clear(up: &Up, topics: &Topics, ground: &Ground) {
    let canaries = ["admin@acme-intel.example.com", "Lovelace"];
    let ours = vec![Topic::Events, Topic::Audit, Topic::Results, Topic::Operations, Topic::Quarantine];
    let commands = Worker::ALL.map(|worker| Topic::Commands(worker.name()));
    let records = topics.read(ours.into_iter().chain(commands).collect()).await;
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for record in records {
        let at = record.origin().to_string();
        let headers = record.headers.iter().flat_map(|(_, value)| value.to_vec());
        texts.push((at, record.value.unwrap_or_default().iter().copied().chain(headers).collect()));
    }
    texts.push(("log".into(), up.log().into_bytes()));
    // The claim link of the mail: a secret that may stand nowhere else.
    let mail = std::fs::read_dir(&up.running.places.outbox).expect("the outbox").flatten().find(|entry| {
        // Beside it lies the word to the contact, which has no link to claim.
        entry.path().is_file() && !entry.file_name().to_string_lossy().starts_with("notify-")
    });
    let mail = std::fs::read_to_string(mail.expect("a mail").path()).expect("a mail can be read");
    let link = mail.split_whitespace().find(|word| word.starts_with("https://")).expect("a link in the mail");
    let secret = link
        .rsplit(['/', '=', '#'])
        .next()
        .expect("a token in the link")
        .trim_end_matches(['.', '>'])
        .to_owned();
    assert!(secret.len() >= 20, "a token that cannot be guessed: {secret}");
    for canary in canaries.iter().copied().chain([secret.as_str()]) {
        for (at, bytes) in &texts {
            assert!(
                !bytes.windows(canary.len()).any(|window| window == canary.as_bytes()),
                "{canary} stands in clear at {at}"
            );
        }
        assert_eq!(
            ground.holds(canary).await,
            Vec::<String>::new(),
            "{canary} stands in clear in PostgreSQL"
        );
    }
}

async fn a_replay_changes_no_tenant(topics: &Topics, ground: &Ground) {
    ground.quiet(PATIENCE).await;
    let (before, lanes) = (ground.tenants().await, ground.lane_rows().await);
    let commands = Worker::ALL.map(|worker| Topic::Commands(worker.name()));
    let all = [Topic::Requests, Topic::Operations, Topic::Results].into_iter().chain(commands).collect();
    let replayed = topics.replay(all).await;
    assert!(replayed > 100);
    ground.quiet(PATIENCE).await;
    assert_eq!(
        ground.tenants().await,
        before,
        "a replay of everything changes no tenant and adds no row to one"
    );
    assert!(ground.lane_rows().await > lanes, "it is noted in the lanes' own chains");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_an_id_is_known_by_its_digest() {
    let mut up = Up::start("", &[]);
    let topics = Topics::of(&up.running);
    // Seed 003's document, verbatim in form: no slug, no plan, no envelope, no key.
    let body = r#"{ "name": "Acme Corp", "domain": "acme.inosec.com", "contact_email": "admin@acme.com" }"#;
    let plain = Outgoing {
        place: Place { topic: Topic::Requests, partition: 0 },
        key: None,
        headers: Vec::new(),
        value: Some(Bytes::from_static(body.as_bytes())),
        tag: 0,
    };
    topics.publish(vec![plain.clone(), plain]).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    let events = loop {
        let answers = topics.answers().await;
        let events: Vec<_> = answers.into_values().flatten().collect();
        if events.iter().any(|event| event.event == EventKind::Provisioned) && events.len() >= 3 {
            break events;
        }
        assert!(tokio::time::Instant::now() < end, "{events:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let accepted = events.iter().find(|event| event.event == EventKind::RequestAccepted).expect("accepted");
    let assumed: Vec<_> =
        accepted.assumed.iter().map(|assumed| (assumed.field.as_str(), assumed.value.as_str())).collect();
    assert!(assumed.contains(&("/slug", "acme-corp")), "{assumed:?}");
    assert!(assumed.iter().any(|(field, _)| *field == "/plan"), "{assumed:?}");
    assert_eq!(events.iter().filter(|event| event.event == EventKind::RequestDuplicate).count(), 1);
    up.stop();
}
