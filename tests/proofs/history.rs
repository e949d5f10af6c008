//! `audit verify --with-history`: whoever alters the journal, its records or both is found, also where every chain of
//! hashes is sound.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tenantry_audit::digest;
use tenantry_contracts::TenantId;
use tenantry_contracts::event::EventKind;
use tenantry_ports::Row;
use tenantry_testkit::postgres::reachable_dir;
use tenantry_tests::harness::{Ground, Topics, Up, outcome, request};

use super::store::{Hand, altered, facts};
use super::{archive, consumers};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn audit_and_history_prove_each_other() {
    let folder = reachable_dir("tenantry-templates").expect("a folder");
    let templates = templates(folder.path());
    let mut up = Up::start(
        "database.before-answer=no:slug:broken-*; credentials.before-mint=no:slug:late-*:class:config",
        &["--templates", &templates],
    );
    let topics = Topics::of(&up.running);
    let ground = Ground::of(&up.running).await;
    everything_happens(&up, &topics).await;
    ground.quiet(PATIENCE).await;

    let (exit, sound) = verify(&up, &["--with-history"]);
    assert_eq!((exit, &sound["verdict"]), (0, &Value::from("ok")), "{sound:#}");
    assert!(sound["history"]["rows"].as_u64() > Some(100), "{sound:#}");
    assert_eq!(sound["history"]["rows"], sound["history"]["on_topic"], "{sound:#}");
    for kind in
        ["tenant.rolled-back", "tenant.held", "tenant.gate.decided", "operator.refused", "request.rejected"]
    {
        assert!(sound["found"]["kinds"][kind].as_u64() > Some(0), "{kind} never happened: {sound:#}");
    }

    let hand = Hand::of(&up.running).await;
    a_row_is_missing(&up, &hand).await;
    an_entry_is_another(&up, &hand).await;
    a_chain_is_linked_anew(&up, &hand).await;
    a_receipt_speaks_of_another_record(&up, &hand).await;
    let (exit, sound) = verify(&up, &["--with-history"]);
    assert_eq!(exit, 0, "everything was put back: {sound:#}");

    consumers::read_the_real_topic(&topics).await;
    archive::the_journal_is_archived_without_losing_a_proof(&mut up, &hand, &topics).await;
}

/// Successes, a repeat, refusals, a rollback, a gate, and what people did.
async fn everything_happens(up: &Up, topics: &Topics) {
    let body = |slug: &str| request(slug, &format!("Name of {slug}"));
    let mut gated = body("gated-one");
    gated["plan"] = "professional".into();
    let mut refused = body("no-plan");
    refused["plan"] = "gold".into();
    let mut elsewhere = topics.binary("elsewhere", "elsewhere", &body("elsewhere"));
    elsewhere.place.partition = (elsewhere.place.partition + 1) % up.running.lanes;
    topics
        .publish(vec![
            topics.binary("sound", "sound-one", &body("sound-one")),
            topics.binary("sound", "sound-one", &body("sound-one")),
            topics.binary("taken", "sound-one", &body("sound-one")),
            topics.binary("broken", "broken-one", &body("broken-one")),
            topics.binary("late", "late-one", &body("late-one")),
            topics.binary("gated", "gated-one", &gated),
            topics.binary("refused", "no-plan", &refused),
            elsewhere,
        ])
        .await;
    let ids: Vec<String> =
        ["sound", "taken", "broken", "late", "gated", "refused", "elsewhere"].map(str::to_owned).into();
    let answers = topics.outcomes(&ids, PATIENCE).await;
    assert_eq!(outcome(&answers, "broken"), Some(EventKind::RolledBack));
    assert_eq!(outcome(&answers, "late"), Some(EventKind::AttentionNeeded));
    let run = |args: &[&str], exit: i32| {
        let done = up.run(args);
        assert_eq!(done.status.code(), Some(exit), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run(&["tenant", "cancel", "late-one", "--reason", "too late for that", "--yes"], 3);
    run(&["tenant", "retry", "late-one", "--reason", "the mail server is back", "--yes"], 0);
    run(
        &[
            "tenant",
            "approve",
            "gated-one",
            "--actor",
            "security_admin@platform.com",
            "--reason",
            "seen",
            "--yes",
        ],
        0,
    );
}

/// The fleet's own templates, one of them with a gate.
fn templates(folder: &Path) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/templates");
    for name in ["starter", "professional", "enterprise"] {
        let text = std::fs::read_to_string(from.join(format!("{name}.json"))).expect("a template");
        let mut template: Value = serde_json::from_str(&text).expect("JSON");
        if name == "professional" {
            template["approvals"] = serde_json::json!(["security"]);
        }
        std::fs::write(folder.join(format!("{name}.json")), template.to_string()).expect("a template");
    }
    folder.to_str().expect("a path").to_owned()
}

/// Verifies: the exit code and the document.
fn verify(up: &Up, args: &[&str]) -> (i32, Value) {
    let all: Vec<&str> = ["audit", "verify", "--json"].into_iter().chain(args.iter().copied()).collect();
    let output = up.run(&all);
    let text = String::from_utf8_lossy(&output.stderr);
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().expect("an exit"), found)
}

async fn a_row_is_missing(up: &Up, hand: &Hand) {
    let (id, rows) = hand.history("sound-one").await;
    let row = &rows[3];
    let (lane, n) = (i32::from(row.lane.0), row.n);
    let run = async |sql: &str| hand.client.execute(sql, &[&lane, &n]).await.expect("the journal");
    run("create table kept as select * from journal where lane = $1 and n = $2").await;
    assert_eq!(run("delete from journal where lane = $1 and n = $2").await, 1);
    let (exit, found) = verify(up, &["--with-history"]);
    assert_eq!(exit, 2, "{found:#}");
    let problem = &found["problem"];
    assert_eq!(problem["code"], "audit_missing", "{found:#}");
    assert_eq!((problem["chain"].as_str(), problem["seq"].as_i64()), (Some(&*id.to_string()), Some(row.seq)));
    assert_eq!(
        (problem["at"]["topic"].as_str(), problem["at"]["offset"].as_i64()),
        (Some("journal"), Some(n))
    );
    run("insert into journal select * from kept where lane = $1 and n = $2").await;
    hand.client.batch_execute("drop table kept").await.expect("the table");
}

async fn an_entry_is_another(up: &Up, hand: &Hand) {
    let (id, rows) = hand.history("sound-one").await;
    let row = rows.iter().find(|row| row.entry.windows(10).any(|part| part == b"\"s\":\"ACTIV"));
    let row = row.expect("the row in which it became ACTIVE");
    let entry = String::from_utf8(row.entry.to_vec())
        .expect("JSON")
        .replace("\"s\":\"ACTIVE\"", "\"s\":\"SUSPENDED\"");
    hand.write(row, entry.as_bytes(), &facts(row)).await;
    let (exit, found) = verify(up, &[]);
    assert_eq!(exit, 0, "the chains alone see nothing of it: {found:#}");
    let (exit, found) = verify(up, &["--with-history"]);
    assert_eq!((exit, found["problem"]["code"].as_str()), (1, Some("audit_altered")), "{found:#}");
    let differs = &found["history"]["differs"];
    assert_eq!(differs["tenant"], id.to_string(), "{found:#}");
    assert_eq!((differs["n"].as_i64(), differs["seq"].as_i64()), (Some(row.n), Some(row.seq)));
    assert_eq!(differs["lane"].as_u64(), Some(u64::from(row.lane.0)));
    assert_eq!(
        (&differs["member"], &differs["told"], &differs["stands"]),
        (&"state".into(), &"SUSPENDED".into(), &"ACTIVE".into())
    );
    hand.write_back(row).await;
}

/// Whoever can write the store alters a record and links everything after it anew.
async fn a_chain_is_linked_anew(up: &Up, hand: &Hand) {
    let (id, rows) = hand.history("late-one").await;
    let (old, new) = ("the mail server is back", "nobody knows why exactly");
    let says = |row: &Row| String::from_utf8_lossy(&facts(row)[0].value).contains(old);
    let at = rows.iter().position(says).expect("the row of the person's verb");
    relink(hand, id, &rows, at, (old, new)).await;
    let (exit, found) = verify(up, &["--from", "journal"]);
    assert_eq!(exit, 0, "every chain of hashes is sound: {found:#}");
    for more in [&["--from", "journal", "--with-history"][..], &["--with-history"]] {
        let (exit, found) = verify(up, more);
        assert_eq!(exit, 1, "{found:#}");
        let differs = &found["history"]["differs"];
        let place = (differs["tenant"].as_str(), differs["seq"].as_i64());
        assert_eq!(place, (Some(&*id.to_string()), Some(rows[at].seq)));
        let (member, told, stands) = (&differs["member"], &differs["told"], &differs["stands"]);
        assert_eq!((member, told, stands), (&"reason".into(), &old.into(), &new.into()));
    }
    put_back(hand, id, &rows).await;
}

/// Receipts are bound to the audit: they say of rows what the audit commits to, and the audit commits to them.
async fn a_receipt_speaks_of_another_record(up: &Up, hand: &Hand) {
    let receipts = || {
        let done = up.run(&["tenant", "receipts", "sound-one"]);
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (exit, said) = receipts();
    assert!(exit == Some(0) && said.contains("bound to 11 audit records"), "{said}");
    let (id, rows) = hand.history("sound-one").await;
    let event = |row: &Row| serde_json::from_slice::<Value>(&facts(row)[0].value).expect("JSON");
    let quota = |row: &Row| {
        (&event(row)["row"], &event(row)["type"]) == (&"quota".into(), &"tenant.step.succeeded".into())
    };
    let at = rows.iter().position(quota).expect("the row of the quota");
    let old = event(&rows[at])["commitment"].as_str().expect("a commitment").to_owned();
    let new = "0".repeat(64);
    relink(hand, id, &rows, at, (&old, &new)).await;
    let (exit, said) = receipts();
    let words = format!("of row quota it says {old}, and the audit {new}");
    assert!(exit == Some(1) && said.matches(&words).count() == 2, "{said}");
    put_back(hand, id, &rows).await;
}

/// Alters the record of one row, links all after it anew, and writes the tenant's head.
async fn relink(hand: &Hand, id: TenantId, rows: &[Row], at: usize, (old, new): (&str, &str)) {
    let mut links: Option<(String, String)> = None;
    for row in &rows[at..] {
        let now = match &links {
            None => altered(row, old, new),
            Some((old, new)) => altered(row, old, new),
        };
        hand.write(row, &row.entry, &now).await;
        let link = |value: &[u8]| hex(&digest(value));
        links = Some((link(&facts(row)[0].value), link(&now[0].value)));
    }
    hand.set_head(id, &links.expect("rows").1).await;
}

async fn put_back(hand: &Hand, id: TenantId, rows: &[Row]) {
    for row in rows {
        hand.write_back(row).await;
    }
    hand.set_head(id, &hex(&digest(&facts(rows.last().expect("rows"))[0].value))).await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
