//! A store that was restored from a backup ends before what was published: the fleet notices, refuses, says what is missing,
//! and goes on only when two people say so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tenantry_audit::digest;
use tenantry_contracts::Topic;
use tenantry_contracts::audit::{AuditEvent, AuditKind, decode};
use tenantry_contracts::event::EventKind;
use tenantry_tests::harness::{Ground, Topics, Up, outcome, request};
use tokio::time::Instant;

use super::store::Hand;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_noticed_and_goes_on_only_by_a_verb() {
    restored(false).await;
}

/// A backup that is brought back on another PostgreSQL makes the numbers jump before anybody looks.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_restored_on_another_server_is_noticed_too() {
    restored(true).await;
}

async fn restored(elsewhere: bool) {
    let mut up = Up::start("", &["--lanes", "2"]);
    provision(&up, "kept-one").await;
    Ground::of(&up.running).await.quiet(PATIENCE).await;
    if elsewhere {
        let sql = "update lane set system_id = system_id + 1";
        Hand::of(&up.running).await.client.execute(sql, &[]).await.expect("the lanes");
    }
    up.stop();
    let (data, backup) = (up.dir().join("postgres/data"), up.dir().join("backup"));
    copy(&data, &backup);
    up.start_again();
    provision(&up, "lost-one").await;
    Ground::of(&up.running).await.quiet(PATIENCE).await;
    let before = published(&up).await;
    let lost = |event: &&AuditEvent| event.tenant.as_ref().is_some_and(|of| of.slug.as_str() == "lost-one");
    let missing: Vec<&AuditEvent> = before.iter().map(|(event, _)| event).filter(lost).collect();
    let lane = missing[0].lane;
    up.stop();
    std::fs::remove_dir_all(&data).expect("the store's files");
    copy(&backup, &data);

    up.start_again();
    let named = format!("lost-one {}: 1 to {}", missing[0].chain, missing.len());
    let log = up.log();
    for part in ["error: store_restored: the journal of lane", &named, "tenantry fleet accept-restore"] {
        assert!(log.contains(part), "{part} in\n{log}");
    }
    let (status, body) = readyz(up.running.http);
    assert!(status == 503 && body.contains("store_restored") && body.contains(&named), "{status} {body}");

    let say = |second: &[&str]| {
        let args = ["fleet", "accept-restore", "--actor", "ada", "--reason", "no newer backup"];
        let done = up.run(&[&args[..], second].concat());
        let said =
            String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
        (done.status.code(), said)
    };
    let (exit, said) = say(&["--second", "bob"]);
    assert!(exit == Some(0) && said.contains("nothing was sent") && said.contains(&named), "{exit:?} {said}");
    let (exit, said) = say(&["--yes"]);
    assert!(exit == Some(2) && said.contains("second_missing"), "{exit:?} {said}");
    let (exit, said) = say(&["--second", "ada", "--yes"]);
    assert!(exit == Some(2) && said.contains("second_is_actor"), "{exit:?} {said}");
    assert_eq!(readyz(up.running.http).0, 503, "nobody has decided yet");
    let (exit, said) = say(&["--second", "bob", "--yes"]);
    assert!(exit == Some(0) && said.contains(&format!("lane {lane}  taken up")), "{exit:?} {said}");
    ready(up.running.http).await;

    // What was never heard, by what the store knows, is heard again; and the fleet serves as before.
    let topics = Topics::of(&up.running);
    let fresh = (0..).map(|n| format!("fresh-{n}")).find(|slug| topics.home(slug) == lane.0).expect("a slug");
    provision(&up, &fresh).await;
    Ground::of(&up.running).await.quiet(PATIENCE).await;
    let after = published(&up).await;
    let new = &after[before.len()..];
    let highest = before.iter().filter(|(event, _)| event.lane == lane).map(|(event, _)| event.n).max();
    let token = before.iter().filter_map(|(event, _)| event.token).max();
    for (event, _) in new.iter().filter(|(event, _)| event.lane == lane) {
        assert!(Some(event.n) > highest, "{} was said before", event.n);
        assert!(event.token.is_none() || event.token > token, "a token of before: {event:?}");
    }
    let ids: std::collections::BTreeSet<_> =
        after.iter().map(|(event, _)| event).filter(lost).map(|event| event.chain.clone()).collect();
    assert_eq!(ids.len(), 2, "who was lost is made anew, as another tenant");

    let mut accepted = new.iter().filter(|(event, _)| event.kind == AuditKind::RestoreAccepted);
    let (event, _) = accepted.next().expect("the decision stands in the audit");
    assert!(accepted.next().is_none(), "once");
    let people = (event.actor.as_ref().map(|who| &*who.name), event.second.as_ref().map(|who| &*who.name));
    assert_eq!(people, (Some("ada"), Some("bob")));
    assert_eq!(event.reason.as_deref(), Some("no newer backup"));
    assert!(event.note.as_ref().is_some_and(|note| note.contains(&named)), "{event:?}");
    let own = before.iter().rfind(|(other, _)| other.chain == event.chain);
    let goes_on = own.is_none_or(|(last, value)| {
        let link: String = digest(value).iter().map(|byte| format!("{byte:02x}")).collect();
        (event.seq, &event.prev) == (last.seq + 1, &link)
    });
    assert!(goes_on, "the lane's own chain goes on from what was published");

    for args in [&["audit", "verify"][..], &["audit", "verify", "--with-history"]] {
        let verified = up.run(args);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    }
    let (exit, said) = say(&["--second", "bob"]);
    assert!(exit == Some(0) && said.contains("nothing is missing"), "{exit:?} {said}");
}

async fn provision(up: &Up, slug: &str) {
    let topics = Topics::of(&up.running);
    topics.publish(vec![topics.binary(slug, slug, &request(slug, &format!("Name of {slug}")))]).await;
    let answers = topics.outcomes(&[slug.to_owned()], PATIENCE).await;
    assert_eq!(outcome(&answers, slug), Some(EventKind::Provisioned));
}

/// The audit topic: events with their bytes, lane by lane.
async fn published(up: &Up) -> Vec<(AuditEvent, bytes::Bytes)> {
    let mut records = Topics::of(&up.running).read(vec![Topic::Audit]).await;
    records.sort_by_key(|record| record.at);
    let read = |record| (decode(&record).expect("an audit event"), record.value.expect("a value"));
    records.into_iter().map(read).collect()
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().expect("cp");
    assert!(done.success());
}

/// The status and the body of the probe.
fn readyz(at: SocketAddr) -> (u16, String) {
    let mut stream = TcpStream::connect(at).expect("the probes answer");
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    (text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default(), text)
}

async fn ready(at: SocketAddr) {
    let end = Instant::now() + PATIENCE;
    while readyz(at).0 != 200 {
        assert!(Instant::now() < end, "{}", readyz(at).1);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
