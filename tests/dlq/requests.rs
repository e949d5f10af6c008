//! Letters of requests: raw bytes that go back, and documents that a person corrects.

use std::time::Duration;

use bytes::Bytes;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::letter::{self, Aside};
use tenantry_contracts::{Code, Record, Refusal, Time, Topic};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Ground, Topics, Up, request};

use super::night::{self, PATIENCE};

/// The letter that an older build would have written about a request that this one can read.
fn of_an_older_build(asked: &Outgoing, offset: i64) -> Outgoing {
    let record = Record {
        topic: asked.place.topic.clone(),
        partition: asked.place.partition,
        offset,
        at: Time(1_000),
        key: asked.key.clone(),
        headers: asked.headers.clone(),
        value: asked.value.clone(),
    };
    let refusal = Refusal::new(Code::VersionUnknown, "this topic carries tenant.requested.v0");
    let aside =
        Aside { group: "local.coordinator", build: "0.0.1", class: letter::POISON, refusal: &refusal };
    Outgoing {
        place: Place { topic: Topic::Quarantine, partition: 0 },
        headers: letter::headers(&record, &aside),
        ..asked.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_requests_go_back_once_and_corrected_ones_are_new_requests() {
    let mut up = Up::start("", &[]);
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;

    // Two that this build can read, one of them published by its owner meanwhile; and one that nobody can read.
    let [back, known] = ["goes-back", "is-known"]
        .map(|slug| topics.binary(slug, slug, &request(slug, &format!("Name of {slug}"))));
    let mut broken = topics.binary("is-broken", "is-broken", &request("is-broken", "Name of Broken"));
    broken.value = Some(Bytes::from_static(br#"{"name": "Ada Lovelace", "slug": "is-broken""#));
    topics
        .publish(vec![
            known.clone(),
            broken,
            of_an_older_build(&back, 1_000),
            of_an_older_build(&known, 1_001),
        ])
        .await;
    topics.outcomes(&["is-known".into()], PATIENCE).await;
    ground.quiet(Duration::from_secs(60)).await;

    let (exit, listing) = night::json(&up, &["quarantine", "ls", "--group", "letter"]);
    assert_eq!(exit, 0);
    let letters = listing["letters"].as_array().expect("letters");
    let verdict = |code: &str, key: &str| {
        let found = letters.iter().find(|letter| letter["code"] == code && letter["tenant"] == key);
        let letter = found.unwrap_or_else(|| panic!("no {code} of {key}: {listing}"));
        (letter["verdict"].as_str().expect("a verdict"), letter["letter"].as_str().expect("an id").to_owned())
    };
    assert_eq!(verdict("version_unknown", "goes-back").0, "replay");
    assert_eq!(verdict("version_unknown", "is-known").0, "already-applied");
    let (needs, unreadable) = verdict("not_json", "is-broken");
    assert_eq!(needs, "needs-edit");

    // What nobody can read is shown to nobody, until somebody asks.
    let (_, page) = night::text(&up, &["quarantine", "show", &unreadable]);
    assert!(page.contains("read again now\n  not_json") && !page.contains("Lovelace"), "{page}");
    let (_, page) = night::text(&up, &["quarantine", "show", &unreadable, "--reveal"]);
    assert!(page.contains("Lovelace"), "{page}");

    // The raw bytes go back to where they were, once, with who sent them.
    let file = up.dir().join("m.json");
    let manifest = file.to_str().expect("a path");
    let (exit, planned) = night::text(&up, &["plan", "--filter", "topic=tenant.requests", "-o", manifest]);
    assert_eq!(exit, 0, "{planned}");
    let replay = ["replay", "--manifest", manifest, "--reason", "INC-7", "--yes", "--actor", "ada"];
    for run in 0..2 {
        let (exit, report) = night::json(&up, &replay);
        assert_eq!((exit, &report["planned"], &report["done"]), (0, &1.into(), &1.into()), "{report}");
        assert_eq!((&report["not_acted_on"], &report["nothing_to_do"]), (&2.into(), &(run == 1).into()));
    }
    let answers = topics.outcomes(&["goes-back".into()], PATIENCE).await;
    assert!(answers["goes-back"].iter().any(|event| event.event == EventKind::Provisioned));
    let requests = topics.read(vec![Topic::Requests]).await;
    let sent: Vec<_> = requests.iter().filter(|record| record.value == back.value).collect();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].partition, &sent[0].key), (back.place.partition, &back.key));
    assert_eq!(sent[0].headers[..back.headers.len()], back.headers, "its own headers, byte for byte");
    assert_eq!(sent[0].header("replay_operator"), Some("ada"));
    assert_eq!(sent[0].header("replay_count"), Some("1"));

    // A person corrects the other one: a new request, and the letter stays.
    let corrected = up.dir().join("corrected.json");
    let write = |text: &str| std::fs::write(&corrected, text).expect("a file");
    let path = corrected.to_str().expect("a path");
    let edit = ["edit", &unreadable, "--file", path, "--reason", "INC-8", "--actor", "ada"];
    write(r#"{"name": "Name of Broken", "slug": "is-broken", "colour": "blue"}"#);
    let (exit, refused) = night::text(&up, &edit);
    assert!(exit == 3 && refused.contains("field_unknown at /colour"), "{refused}");
    write(&request("is-broken", "Name of Broken").to_string());
    let (exit, preview) = night::text(&up, &edit);
    assert!(exit == 0 && preview.contains("Nothing was published"), "{preview}");
    // Twice is once: the id follows from the letter and the corrected document.
    for _ in 0..2 {
        let (exit, said) = night::text(&up, &[&edit[..], &["--yes"]].concat());
        assert!(exit == 0 && said.contains("published as tenantry-dlq/ada#"), "{said}");
    }
    let deeds = night::deeds(&topics, AuditKind::DlqEdited).await;
    let [deed] = &deeds[..] else { panic!("the same correction is one deed: {deeds:#?}") };
    let note = deed.note.as_deref().expect("words");
    assert!(note.starts_with(&unreadable) && note.contains("became request tenantry-dlq/ada#"), "{note}");
    assert_eq!(deed.reason.as_deref(), Some("INC-8"));
    night::state(&ground, &["is-broken".to_owned()], "ACTIVE").await;
    ground.quiet(Duration::from_secs(60)).await;
    let requests = topics.read(vec![Topic::Requests]).await;
    let edited: Vec<_> =
        requests.iter().filter(|record| record.header("replay_edited") == Some("true")).collect();
    assert_eq!(edited.len(), 2);
    assert_eq!(edited[0].header("ce_id"), edited[1].header("ce_id"));
    assert_eq!(edited[0].header("replay_of"), Some(unreadable.as_str()));
    let duplicates = topics.answers().await;
    let answers = &duplicates[edited[0].header("ce_id").expect("an id")];
    let count = |kind| answers.iter().filter(|event| event.event == kind).count();
    assert_eq!((count(EventKind::RequestAccepted), count(EventKind::RequestDuplicate)), (1, 1));

    // What is not worth keeping is given up: first the audit has it, then it is gone for everybody but retention.
    let old = up.dir().join("old.json");
    let old = old.to_str().expect("a path");
    let (exit, planned) = night::text(&up, &["plan", "--filter", "code=version_unknown", "-o", old]);
    assert_eq!(exit, 0, "{planned}");
    let expire = ["expire", "--manifest", old, "--reason", "INC-9", "--actor", "ada"];
    let (exit, preview) = night::text(&up, &expire);
    assert!(exit == 0 && preview.contains("2 letters would be given up"), "{preview}");
    let (exit, refused) = night::text(&up, &[&expire[..], &["--four-eyes-above", "1", "--yes"]].concat());
    assert!(exit == 2 && refused.contains("second_missing"), "{refused}");
    let (exit, refused) = night::text(&up, &["expire", "--manifest", old, "--yes"]);
    assert!(exit == 2 && refused.contains("reason_missing"), "{refused}");
    let (_, listing) = night::json(&up, &["quarantine", "ls"]);
    assert_eq!((listing["letters"].as_array().map(Vec::len), &listing["expired"]), (Some(3), &0.into()));
    for (expired, already) in [(2, 0), (0, 2)] {
        let (exit, report) = night::json(&up, &[&expire[..], &["--yes"]].concat());
        assert_eq!((exit, &report["expired"], &report["already"]), (0, &expired.into(), &already.into()));
    }
    let deeds = night::deeds(&topics, AuditKind::DlqExpired).await;
    let [deed] = &deeds[..] else { panic!("given up once: {deeds:#?}") };
    assert!(deed.note.as_deref().is_some_and(|note| note.starts_with("2 of 2 letters")), "{deed:#?}");
    let (_, listing) = night::json(&up, &["quarantine", "ls"]);
    assert_eq!((listing["letters"].as_array().map(Vec::len), &listing["expired"]), (Some(1), &2.into()));
    let (exit, none) = night::text(&up, &["plan", "--filter", "code=version_unknown"]);
    assert!(exit == 1 && none.contains("no_letters"), "{none}");
    let (_, gone) = night::text(&up, &["quarantine", "show", &verdict("version_unknown", "goes-back").1]);
    assert!(gone.contains("letter_expired"), "{gone}");

    // Only requests are corrected.
    let (exit, refused) =
        night::text(&up, &["edit", "tenant.operations/0/0", "--file", path, "--reason", "x"]);
    assert!(exit != 0 && refused.contains("letter_unknown"), "{refused}");
    up.stop();
}
