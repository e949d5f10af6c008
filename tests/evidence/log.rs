//! What a stranger sees of the log: the checkpoints on their topic, the witness file, and the two verifiers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tenantry_audit::{Checkpoint, PublicKey, Published, Rotation, Said};
use tenantry_contracts::Topic;
use tenantry_tests::harness::{Topics, Up, binary, request};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// The arguments of a fleet that signs often.
pub(crate) const OFTEN: &[&str] = &["--checkpoint-every-ms", "300", "--checkpoint-records", "7"];

/// The public key of the fleet's signer.
pub(crate) fn public(up: &Up) -> PathBuf {
    up.dir().join("signer/public.pem")
}

/// Every checkpoint on the topic, checked as whoever trusts this key checks them.
pub(crate) async fn checkpoints(topics: &Topics, key: &Path, origin: &str) -> Vec<Checkpoint> {
    let key = std::fs::read_to_string(key).expect("a public key");
    let key = PublicKey::read(&key).and_then(|key| key.named(origin)).expect("a public key");
    let notes = topics.read(vec![Topic::Checkpoints]).await;
    let notes: Vec<Vec<u8>> = notes.into_iter().map(|note| note.value.expect("a note").to_vec()).collect();
    let rotations = notes.iter().filter(|note| Rotation::is(note)).cloned().collect();
    let mut row = Published::new(origin, &[key], rotations).expect("keys that took over from each other");
    let mut all = Vec::new();
    for note in &notes {
        match row.hear(note).expect("a row of checkpoints without a break") {
            Said::Checkpoint(checkpoint) => all.push(checkpoint),
            Said::Rotation | Said::Again => {}
        }
    }
    all
}

/// The name of the log of a fleet.
pub(crate) fn origin(up: &Up) -> String {
    format!("tenantry/audit/{}", up.running.fleet)
}

/// Waits until everything that stands on the audit topic is signed, and a further checkpoint was made.
pub(crate) async fn signed(up: &Up, topics: &Topics) -> Vec<Checkpoint> {
    let ends = |records: &[tenantry_contracts::Record]| {
        let mut ends = std::collections::BTreeMap::new();
        for record in records {
            ends.insert(i32::from(record.partition), record.offset + 1);
        }
        ends
    };
    let there = ends(&topics.read(vec![Topic::Audit]).await);
    let all = |all: &[Checkpoint]| {
        let read: std::collections::BTreeMap<i32, i64> =
            all.last().map(|last| last.read.iter().copied().collect()).unwrap_or_default();
        there.iter().all(|(partition, end)| read.get(partition).is_some_and(|read| read >= end))
    };
    until("everything is signed", async || {
        let found = checkpoints(topics, &public(up), &origin(up)).await;
        all(&found).then_some(found)
    })
    .await
}

/// Waits until something is there.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Provisions tenants.
pub(crate) async fn provision(topics: &Topics, slugs: &[&str]) {
    let records =
        slugs.iter().map(|slug| topics.binary(slug, slug, &request(slug, &format!("The {slug}")))).collect();
    topics.publish(records).await;
    let ids: Vec<String> = slugs.iter().map(|slug| (*slug).to_owned()).collect();
    topics.outcomes(&ids, PATIENCE).await;
}

/// Runs a command, and says its exit and what it printed.
pub(crate) fn run(up: &Up, args: &[&str]) -> (i32, String) {
    told(up.run(args))
}

fn told(output: std::process::Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// What both verifiers say of a bundle: they must agree on the exit, and on the code and the place of what they find.
pub(crate) fn verify(bundle: &Path, key: &Path, known: Option<&Path>) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/verify/verify.py");
    let with = |command: &mut Command| {
        command.arg(bundle).arg("--key").arg(key).env("NO_COLOR", "1");
        if let Some(known) = known {
            command.arg("--known").arg(known);
        }
        told(command.output().expect("the verifier starts"))
    };
    let ours = with(Command::new(binary()).arg("verify").arg("--json"));
    let theirs = with(Command::new("python3").arg(script));
    assert_eq!(ours.0, theirs.0, "ours: {}\ntheirs: {}", ours.1, theirs.1);
    if let Ok(verdict) = serde_json::from_str::<Value>(&ours.1)
        && let Some(code) = verdict["finding"]["code"].as_str()
    {
        assert!(theirs.1.contains(code), "ours: {}\ntheirs: {}", ours.1, theirs.1);
        return (ours.0, code.to_owned());
    }
    ours
}

/// The names of a bundle's members.
pub(crate) fn members(bundle: &Path) -> Vec<String> {
    let listed = told(Command::new("tar").arg("-tf").arg(bundle).output().expect("tar"));
    assert_eq!(listed.0, 0, "{}", listed.1);
    listed.1.lines().map(str::to_owned).collect()
}

/// The content of a member.
pub(crate) fn member(bundle: &Path, name: &str) -> Vec<u8> {
    let output = Command::new("tar").arg("-xOf").arg(bundle).arg(name).output().expect("tar");
    assert!(output.status.success(), "{name}");
    output.stdout
}

/// What `/readyz` says of the signer: whether it is well, and in words.
pub(crate) fn signer(up: &Up) -> (bool, String) {
    let mut stream = TcpStream::connect(up.running.http).expect("the probes");
    stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").expect("a request");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("an answer");
    let body = page.split("\r\n\r\n").nth(1).expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    let checks = body["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == "signer").expect("the signer is a check");
    (check["ok"] == true, check["why"].as_str().unwrap_or_default().to_owned())
}
