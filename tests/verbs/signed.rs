//! A fleet that demands signatures: whose verbs are taken up, and what the audit says of who it was.

use std::path::Path;

use serde_json::{Value, json};
use tenantry_contracts::audit::AuditKind;
use tenantry_tests::harness::{Up, binary};

use super::crew::Crew;

const FAULTS: &str = "database.before-seed=no:class:config:slug:held-*";

/// Makes a key with the program, and gives the path of its file and its line in the operators file.
fn key(folder: &Path, account: &str) -> (String, String) {
    let file = folder.join(format!("{account}.pem")).to_str().expect("a path").to_owned();
    let args = ["keys", "new", "--out", &file, "--account", account, "--json"];
    let output = std::process::Command::new(binary()).args(args).output().expect("the program starts");
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (file, shown["line"].as_str().expect("a line").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_is_verified_and_what_is_not_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let [(ada, ada_line), (bob, bob_line), (eve, _)] =
        ["ada", "bob", "eve"].map(|who| key(folder.path(), who));
    let operators = folder.path().join("operators.json");
    let file = json!({"demand_signatures": true, "keys": {"ada": ada_line, "bob": bob_line}});
    std::fs::write(&operators, file.to_string()).expect("the operators file");
    let crew = Crew::of(Up::start(FAULTS, &["--operators", operators.to_str().expect("a path")])).await;
    crew.ask(&["held-one"], |_| {}).await;
    crew.rests("held-one", "HELD").await;

    // Not signed, signed by a stranger, signed with another's key: refused, each with its code.
    crew.refused("signature_missing", &["hold", "held-one", "--reason", "r"]);
    let forged = ["hold", "held-one", "--reason", "r", "--sign-with", &eve];
    crew.refused("signature_invalid", &forged);
    let stranger = [&["tenant"], &forged[..], &["--yes", "--actor", "eve"]].concat();
    assert!(crew.says(3, &stranger).contains("signature_invalid"));
    let refused = crew.audit(None, AuditKind::OperationRefused).await;
    assert_eq!(refused.len(), 3, "refusals stand in the audit too");

    // Signed: the audit knows who it was.
    crew.does(&["hold", "held-one", "--reason", "matter 7", "--sign-with", &ada]);
    let (_, people) = crew.behind("held-one", AuditKind::HoldPlaced).await;
    assert_eq!(people, [("ada".to_owned(), true)]);

    two_people(&crew, folder.path(), [&ada, &bob, &eve]).await;

    // A verb about the fleet is signed once for each lane.
    let paused =
        crew.json(0, &["fleet", "pause", "--reason", "r", "--actor", "bob", "--sign-with", &bob, "--yes"]);
    assert_eq!(paused.as_array().map(Vec::len), Some(crew.up.running.lanes.into()), "{paused:#}");
    let told = crew.audit(None, AuditKind::FleetPaused).await;
    assert!(
        !told.is_empty() && told.iter().all(|event| event.actor.as_ref().is_some_and(|bob| bob.verified))
    );
    crew.audit_verifies();
}

/// Two people read and sign one draft; a third cannot, and what was changed is worthless.
async fn two_people(crew: &Crew, folder: &Path, [ada, bob, eve]: [&str; 3]) {
    let path = folder.join("release.json");
    let draft = path.to_str().expect("a path");
    let before = crew.operations().await;
    let release = ["tenant", "release", "held-one", "--reason", "matter 7 is closed", "--actor", "ada"];
    let drafted = [&release[..], &["--second", "bob", "--sign-with", ada, "--draft", draft]].concat();
    crew.says(0, &drafted);
    assert!(crew.says(2, &drafted).contains("file_exists"));
    let shown = crew.says(0, &["operation", "show", draft]);
    for part in ["lifts the legal hold", "ada (signed", "bob (has not signed)", "matter 7 is closed"] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
    let alone = crew.says(3, &["operation", "send", draft, "--yes"]);
    assert!(alone.contains("signature_missing at /second/name"), "{alone}");

    let sign = |key: &str, account: &str, exit: i32| {
        crew.says(exit, &["operation", "sign", draft, "--key", key, "--account", account])
    };
    assert!(sign(eve, "eve", 2).contains("signer_not_named"));
    assert!(sign(ada, "bob", 1).contains("signature_differs"), "one key is one person");
    assert!(sign(eve, "ada", 1).contains("signature_differs"), "she signed with another one");
    sign(bob, "bob", 0);
    let digest = |shown: &Value| shown[0]["digest"].clone();
    let signed = crew.json(0, &["operation", "show", draft]);
    assert_eq!(signed[0]["operation"]["signatures"].as_array().map(Vec::len), Some(2), "{signed:#}");

    // Changed afterwards, neither signature holds.
    let text = std::fs::read_to_string(&path).expect("the draft");
    let (forged, fresh) = (folder.join("forged.json"), "another id");
    let id = signed[0]["operation"]["id"]["id"].as_str().expect("an id");
    let other = text.replace("matter 7 is closed", "because I say so").replace(id, fresh);
    std::fs::write(&forged, other).expect("a file");
    let forged = forged.to_str().expect("a path");
    assert_ne!(digest(&crew.json(0, &["operation", "show", forged])), digest(&signed));
    assert!(crew.says(3, &["operation", "send", forged, "--yes"]).contains("signature_invalid"));

    let preview = crew.says(0, &["operation", "send", draft]);
    assert!(preview.contains("Nothing was sent"), "{preview}");
    assert_eq!(crew.operations().await, before + 2, "only what was sent to be refused");
    // Its id was refused before it was signed by both: said again, it is another operation under the same id.
    let again = crew.says(3, &["operation", "send", draft, "--yes"]);
    assert!(again.contains("request_id_reused"), "{again}");
    let second = folder.join("again.json");
    let second = second.to_str().expect("a path");
    let drafted = [&release[..], &["--second", "bob", "--sign-with", ada, "--draft", second]].concat();
    crew.says(0, &drafted);
    crew.says(0, &["operation", "sign", second, "--key", bob, "--account", "bob"]);
    crew.says(0, &["operation", "send", second, "--yes"]);
    let (_, people) = crew.behind("held-one", AuditKind::HoldReleased).await;
    assert_eq!(people, [("ada".to_owned(), true), ("bob".to_owned(), true)]);
    // The same file once more is the same operation.
    let once = crew.json(0, &["operation", "send", second, "--yes"]);
    assert_eq!(once["answer"]["event"], "request-duplicate", "{once:#}");
}

#[test]
fn an_operators_file_that_is_not_sound_stops_the_fleet_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let operators = folder.path().join("operators.json");
    std::fs::write(&operators, r#"{"keys": {"ada": "not a key"}}"#).expect("a file");
    let mut command = std::process::Command::new(binary());
    command.args(["up", "--data-dir"]).arg(folder.path().join("data")).arg("--operators").arg(&operators);
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("operators_invalid") && text.contains("/keys/ada"), "{text}");
}
