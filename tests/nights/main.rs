//! The ten usual nights: ten tenants that rest for ten reasons on one fleet, and for each of them one command that names
//! the cause and what would help.

mod screen;

use std::time::Duration;

use tenantry::drill::nights as drill;
use tenantry::drill::stage::{self, Stage};
use tenantry::settings::Home;
use tenantry_contracts::{Topic, WorkerName};
use tenantry_ports::{Outgoing, Place};
use tenantry_tests::harness::{Topics, Up, binary, request};

use screen::Screen;

const PATIENCE: Duration = Duration::from_secs(90);

/// A night: the tenant, where it comes to rest, whose turn it is, the code at the row, and what the screen must offer.
struct Night {
    slug: &'static str,
    state: &'static str,
    turn: &'static str,
    code: Option<&'static str>,
    row: &'static str,
    offers: &'static str,
}

const fn night(
    slug: &'static str,
    (state, turn): (&'static str, &'static str),
    code: Option<&'static str>,
    row: &'static str,
    offers: &'static str,
) -> Night {
    Night { slug, state, turn, code, row, offers }
}

const HELD: (&str, &str) = ("HELD", "person");

const NIGHTS: [Night; 10] = [
    night("night-config-1", HELD, Some("fault_injected"), "database", "tenantry tenant retry night-config-1"),
    night("night-full", HELD, Some("capacity_insufficient"), "capacity", "tenantry tenant retry night-full"),
    night(
        "night-gate",
        ("AWAITING", "person"),
        None,
        "approval.security",
        "approve night-gate --gate approval.security",
    ),
    night(
        "night-no",
        ("BLOCKED", "person"),
        Some("gate_rejected"),
        "approval.security",
        "tenantry tenant retry night-no",
    ),
    night("night-leak", HELD, Some("isolation_broken"), "verify", "tenantry tenant retry night-leak"),
    night("night-late", HELD, Some("fault_injected"), "credentials", "tenantry tenant retry night-late"),
    night(
        "night-stuck",
        ("STUCK", "person"),
        Some("fault_injected"),
        "storage",
        "tenantry tenant retry night-stuck",
    ),
    night("night-foreign", HELD, Some("owned_by_other"), "database", "tenantry tenant retry night-foreign"),
    night("night-shaky", ("PROVISIONING", "fleet"), None, "config", "tenantry explain no_answer"),
    night("night-policy", ("REJECTED", "nobody"), Some("policy_denied"), "policy", "tenantry plan -f"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_of_each_of_ten_stuck_tenants_is_found_with_one_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = stage::settings(folder.path(), false).expect("the settings of a drill");
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    let faults: Vec<_> =
        drill::NIGHTS.iter().map(|night| night.faults).filter(|rule| !rule.is_empty()).collect();
    let mut up = Up::start(&faults.join("; "), &settings);
    let topics = Topics::of(&up.running);
    let well = "night-well";
    topics.publish(vec![topics.binary(well, well, &request(well, "Name of night-well"))]).await;
    topics.outcomes(&[well.to_owned()], PATIENCE).await;
    let running = Home::running(up.dir()).expect("it is ours to read").expect("a fleet that runs");
    let stage = Stage::of(&running).await.expect("its store");
    stage.trouble(&drill::NIGHTS.iter().collect::<Vec<_>>()).await.expect("the trouble of ten nights");

    let screen = Screen::of(&up);
    for night in &NIGHTS {
        screen.tells(night);
    }
    screen.shares_a_cause("night-config-1", "night-config-2");
    screen.finds_by_every_name("night-late");
    screen.says_that_nothing_is_wrong("night-well");
    screen.explains_a_letter(&letter(&topics).await);
    screen.shows_all_on_one_board(&NIGHTS);
    screen::explains_every_code();
    up.stop();
}

/// Each night can be practised, and its solution ends it.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_the_ten_nights_is_over_when_its_solution_was_played() {
    let folder = tenantry_testkit::postgres::reachable_dir("tenantry-drill").expect("a folder");
    let mut drill = tokio::process::Command::new(binary());
    drill.args(["drill", "all", "--solve", "--folder"]).arg(folder.path()).env("NO_COLOR", "1");
    let ended = tokio::time::timeout(4 * PATIENCE, drill.output()).await.expect("it ends in time");
    let ended = ended.expect("the program starts");
    let told =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{told}");
    // Long lines are wrapped.
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for night in &drill::NIGHTS {
        assert!(told.contains(&format!("page: {}", night.page)), "{}: {told}", night.name);
        assert!(told.contains(&format!("{} is over", night.name)), "{}: {told}", night.name);
    }
}

/// A command that no worker can read, and the letter that becomes of it.
async fn letter(topics: &Topics) -> String {
    let commands = Topic::Commands(WorkerName::new("quota"));
    let junk = Outgoing {
        place: Place { topic: commands.clone(), partition: 0 },
        key: None,
        headers: Vec::new(),
        value: Some(bytes::Bytes::from_static(b"\xff\xfe junk")),
        tag: 0,
    };
    topics.publish(vec![junk]).await;
    let letters = Topic::DeadLetters(Box::new(commands));
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(letter) = topics.read(vec![letters.clone()]).await.first() {
            return letter.origin().to_string();
        }
        assert!(tokio::time::Instant::now() < end, "the junk is no letter");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
