//! Evidence about one tenant of two: exported, verified by both verifiers, tampered with, and exported again later.

use std::path::Path;

use serde_json::Value;
use tenantry_audit::Signer;
use tenantry_contracts::{Topic, audit};
use tenantry_tests::harness::{Topics, Up};

use super::log::{OFTEN, member, members, provision, public, run, signed, verify};

fn export(up: &Up, out: &Path, more: &[&str]) -> (i32, String) {
    let out = out.to_str().expect("a path");
    let mut args = vec!["evidence", "export", "-o", out, "--reason", "AUD-7"];
    args.extend(more);
    run(up, &args)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_verifies_what_was_exported_and_finds_what_was_changed() {
    let up = Up::start("", OFTEN);
    let topics = Topics::of(&up.running);
    provision(&topics, &["acme-one", "acme-two"]).await;
    signed(&up, &topics).await;
    let (key, first) = (public(&up), up.dir().join("first.tar"));

    let (exit, text) = export(&up, &first, &["acme-one", "--json"]);
    assert_eq!(exit, 0, "{text}");
    let told: Value = serde_json::from_str(&text).expect("one document");
    assert_eq!(told["left_out"], serde_json::json!([]), "{told}");
    let (exit, verdict) = verify(&first, &key, None);
    assert_eq!(exit, 0, "{verdict}");

    // The one tenant is in it, the other is not, and what lies beside the records is all there.
    let records = String::from_utf8(member(&first, "events/000001.ndjson")).expect("text");
    assert!(records.contains("acme-one") && !records.contains("acme-two"));
    let all = members(&first);
    for name in [
        "about.json",
        "history.ndjson",
        "state.json",
        "approvals.ndjson",
        "policy.json",
        "plan.txt",
        "plan.json",
        "provenance.json",
        "controls.json",
        "receipts/index.ndjson",
    ] {
        assert!(all.contains(&format!("attachments/{name}")), "no {name} in {all:?}");
    }
    assert!(
        all.iter().filter(|name| name.ends_with(".dsse.json")).count() >= 3,
        "receipts and manifest: {all:?}"
    );
    let whole = std::fs::read(&first).expect("a bundle");
    for personal in ["Lovelace", "admin@acme-one"] {
        let found = whole.windows(personal.len()).any(|bytes| bytes == personal.as_bytes());
        assert!(!found, "{personal} stands in the bundle");
    }
    let policy: Value = serde_json::from_slice(&member(&first, "attachments/policy.json")).expect("JSON");
    assert_eq!(policy["bundle"].as_str().map(str::len), Some(64), "the digest of the policies: {policy}");

    // The audit knew of it before the file was there.
    let deeds: Vec<_> = topics
        .read(vec![Topic::Audit])
        .await
        .iter()
        .filter_map(|record| audit::decode(record).ok())
        .filter(|event| event.kind.as_str() == "evidence.exported")
        .collect();
    assert_eq!(deeds.len(), 1);
    assert_eq!(deeds[0].commitment.as_deref(), told["sha256"].as_str());
    assert_eq!(deeds[0].reason.as_deref(), Some("AUD-7"));

    opened(&up, &topics).await;

    // Changed, with another key, cut off.
    let tampered = up.dir().join("tampered.tar");
    let needle = b"acme-one";
    let at = whole.windows(needle.len()).rposition(|bytes| bytes == needle).expect("the slug");
    for at in [at, whole.len() / 3, whole.len() / 2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&tampered, bytes).expect("a copy");
        let (exit, code) = verify(&tampered, &key, None);
        assert!(exit == 1 && !code.is_empty(), "byte {at}: {exit} {code}");
    }
    std::fs::write(&tampered, &whole[..whole.len() / 2]).expect("a copy");
    assert_eq!(verify(&tampered, &key, None), (2, "bundle_truncated".to_owned()));
    let stranger = up.dir().join("stranger.pem");
    let other = Signer::from_entropy("other", [9; 32]).expect("a key").public().to_pem();
    std::fs::write(&stranger, other).expect("a key");
    assert_eq!(verify(&first, &stranger, None), (3, "key_unknown".to_owned()));

    // Later, from the checkpoint that the reader has; a window; everything.
    let known = up.dir().join("known.note");
    std::fs::write(&known, member(&first, "checkpoints/last.note")).expect("a copy");
    provision(&topics, &["acme-three"]).await;
    signed(&up, &topics).await;
    let second = up.dir().join("second.tar");
    let (exit, text) = export(&up, &second, &["acme-three", "--known", known.to_str().expect("a path")]);
    assert_eq!(exit, 0, "{text}");
    let (exit, verdict) = verify(&second, &key, Some(&known));
    assert_eq!(exit, 0, "{verdict}");
    assert_eq!(member(&second, "checkpoints/first.note"), member(&first, "checkpoints/last.note"));
    let (window, all) = (up.dir().join("window.tar"), up.dir().join("all.tar"));
    let (exit, text) = export(&up, &window, &["acme-one", "--to", "2020-01-01T00:00:00Z"]);
    assert_eq!(exit, 0, "{text}");
    assert_eq!(verify(&window, &key, None).0, 0);
    assert_eq!(member(&window, "events/000001.ndjson").iter().filter(|byte| **byte == b'\n').count(), 1);
    let (exit, text) = export(&up, &all, &["--all"]);
    assert_eq!(exit, 0, "{text}");
    assert_eq!(verify(&all, &key, None).0, 0);
    let selection: Value = serde_json::from_slice(&member(&all, "selection.json")).expect("JSON");
    assert!(selection["chains"].as_array().expect("chains").len() >= 4, "{selection}");

    // No file without the audit's knowledge, and no file over another.
    let refused = up.dir().join("refused.tar");
    let (exit, text) = run(
        &up,
        &["evidence", "export", "acme-one", "-o", refused.to_str().expect("a path"), "--reason", " "],
    );
    assert!(exit != 0 && text.contains("reason_missing"), "{text}");
    assert!(!refused.exists());
    let (exit, text) = export(&up, &first, &["acme-one"]);
    assert!(exit == 2 && text.contains("file_exists"), "{text}");
    let left = std::fs::read_dir(up.dir()).expect("the folder").flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().ends_with(".part")));
}

/// Personal data is opened with the key, by somebody with a reason; one opening is checked without any key.
async fn opened(up: &Up, topics: &Topics) {
    let (exit, text) = run(up, &["evidence", "open", "acme-one"]);
    assert!(exit == 2 && text.contains("--reason"), "{text}");
    let (exit, text) = run(up, &["evidence", "open", "acme-one", "--reason", "AUD-7"]);
    assert_eq!(exit, 0, "{text}");
    let line = text.lines().find(|line| line.contains("\"admin.last_name\"")).expect("the field");
    assert!(line.contains("Lovelace"), "{line}");
    let audit = topics.read(vec![Topic::Audit]).await;
    let deeds = audit.iter().filter_map(|record| audit::decode(record).ok());
    assert_eq!(deeds.filter(|event| event.kind.as_str() == "evidence.opened").count(), 1);
    let file = up.dir().join("opening.json");
    for (text, right) in [(line.to_owned(), 0), (line.replace("Lovelace", "Byron"), 1)] {
        std::fs::write(&file, text).expect("an opening");
        let (exit, said) =
            run(up, &["evidence", "open", "acme-one", "--check", file.to_str().expect("a path")]);
        assert_eq!(exit, right, "{said}");
        assert!(!said.contains("Lovelace") && !said.contains("Byron"), "{said}");
    }
}
