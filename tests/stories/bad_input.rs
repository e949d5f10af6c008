//! Bad input: each gets its code, nothing stalls, nothing is lost.

use std::time::Duration;

use bytes::Bytes;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::operation::{Operation, OperationVerb, Scope};
use tenantry_contracts::{Code, Letter, RequestId, Time, Topic};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Ground, Topics, Up, request};

struct Case {
    what: &'static str,
    record: Outgoing,
    code: Code,
    quarantined: bool,
}

fn cases(topics: &Topics) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |what: &'static str, value: Vec<u8>, code: Code, quarantined: bool| {
        let mut record = topics.binary(what, "bad-input", &serde_json::Value::Null);
        record.value = Some(Bytes::from(value));
        cases.push(Case { what, record, code, quarantined });
    };
    let with = |slug: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let mut body = request(slug, "Bad Input");
        change(&mut body);
        serde_json::to_vec(&body).expect("JSON")
    };
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    add("not-json", b"{ not json".to_vec(), Code::NotJson, true);
    add("no-object", b"[1, 2, 3]".to_vec(), Code::FieldInvalid, false);
    add("wrong-schema", with("bad-input", &|body| body["seats"] = "many".into()), Code::FieldInvalid, false);
    add(
        "unknown-member",
        with("bad-input", &|body| body["colour"] = "blue".into()),
        Code::FieldUnknown,
        false,
    );
    add("nul", br#"{"name": "Bad\u0000Input", "slug": "bad-input"}"#.to_vec(), Code::NulCharacter, true);
    add(
        "two-megabytes",
        with("bad-input", &|body| body["name"] = "x".repeat(2 << 20).into()),
        Code::TooLarge,
        false,
    );
    add("depth-10000", deep.into_bytes(), Code::TooDeep, true);
    add(
        "hyphens",
        with("bad-input", &|body| body["slug"] = "bad\u{2011}input".into()),
        Code::SlugInvalid,
        false,
    );
    add(
        "cyrillic",
        with("bad-input", &|body| body["slug"] = "b\u{0430}d-input".into()),
        Code::SlugInvalid,
        false,
    );
    add("gold", with("bad-gold", &|body| body["plan"] = "gold".into()), Code::PlanUnknown, false);
    add(
        "outside-residency",
        with("bad-region", &|body| body["region"] = "us-east-1".into()),
        Code::RegionOutsideResidency,
        false,
    );
    let mut newer = topics.binary("newer-version", "bad-input", &request("bad-input", "Bad Input"));
    for (name, value) in &mut newer.headers {
        if name == "ce_type" {
            *value = Bytes::from_static(b"tenant.requested.v9");
        }
    }
    cases.push(Case { what: "newer-version", record: newer, code: Code::VersionUnknown, quarantined: true });
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_record_gets_its_code_and_delays_nobody() {
    let mut up = Up::start("", &[]);
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    let cases = cases(&topics);
    // Good ones stand between and behind the bad ones, on the same partitions.
    let mut records = Vec::new();
    let mut good = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let id = format!("good-{n}");
        let slug = format!("good-input-{n}");
        records.push(case.record.clone());
        records.push(topics.binary(&id, &slug, &request(&slug, &format!("Good Input {n}"))));
        good.push(id);
    }
    topics.publish(records).await;
    let answers = topics.outcomes(&good, Duration::from_secs(90)).await;
    for id in &good {
        assert!(
            answers[id].iter().any(|event| event.event == EventKind::Provisioned),
            "{id}: {:?}",
            answers[id]
        );
    }
    ground.quiet(Duration::from_secs(60)).await;
    let answers = topics.answers().await;
    let letters = topics.read(vec![Topic::Quarantine]).await;
    for case in &cases {
        let answered = answers.values().flatten().find(|event| {
            let here = event.request.as_ref().is_some_and(|id| id.id == case.what);
            let refusal = event.refusal.as_ref().is_some_and(|refusal| refusal.code == case.code);
            refusal && (here || case.quarantined)
        });
        assert!(answered.is_some(), "{} is not answered with {}", case.what, case.code);
        if case.quarantined {
            let letter = letters.iter().find(|letter| letter.value == case.record.value);
            let letter =
                letter.unwrap_or_else(|| panic!("{} is not in the quarantine with its raw bytes", case.what));
            assert_eq!(letter.header("dlq_code"), Some(case.code.as_str()), "{}", case.what);
            let letter = Letter::read(letter).expect("a letter of the fleet");
            assert_eq!(letter.record.topic, Topic::Requests, "{}", case.what);
            assert_eq!(letter.group, format!("{}.coordinator", up.running.fleet), "{}", case.what);
        }
    }
    // Results and operations that make no sense lie in the quarantine too, and nobody stalls.
    let junk = |topic: Topic| Outgoing {
        place: Place { topic, partition: 1 },
        key: None,
        headers: Vec::new(),
        value: Some(Bytes::from_static(b"\xff\xfe junk")),
        tag: 0,
    };
    let command = Topic::Commands(tenantry_contracts::WorkerName::new("database"));
    let last = topics.binary("after-all", "after-all", &request("after-all", "After All"));
    let bad = vec![junk(Topic::Results), junk(Topic::Operations), junk(command.clone()), forgotten()];
    topics.publish([bad, vec![last]].concat()).await;
    let answers = topics.outcomes(&["after-all".into()], Duration::from_secs(60)).await;
    assert!(answers["after-all"].iter().any(|event| event.event == EventKind::Provisioned));
    ground.quiet(Duration::from_secs(60)).await;
    let old = &topics.answers().await["long-ago"];
    assert_eq!(old[0].refusal.as_ref().map(|refusal| refusal.code), Some(Code::RequestTooOld));
    let letters = topics.read(vec![Topic::DeadLetters(Box::new(command))]).await;
    assert_eq!(letters.len(), 1, "a command that cannot be read is a dead letter of its topic");
    assert_eq!(letters[0].value.as_deref(), Some(b"\xff\xfe junk".as_slice()));
    up.stop();
}

/// What a person said so long ago that nobody can know whether it was done: the whole lane is to stop.
fn forgotten() -> Outgoing {
    let id = RequestId { source: "/people".to_owned(), id: "long-ago".to_owned() };
    let operation =
        Operation::new(id, OperationVerb::Pause(Scope::Fleet), None, "ada", "a deploy of last year");
    let (headers, value) = operation.encode(Time(1_600_000_000_000)).expect("JSON");
    let place = Place { topic: Topic::Operations, partition: 1 };
    let key = Some(Bytes::copy_from_slice(operation.key().as_bytes()));
    Outgoing { place, key, headers, value: Some(value), tag: 0 }
}
