//! What a person sees who is called: the screen of `tenantry why`, as text and as a document.

use std::process::Command;

use serde_json::Value;
use tenantry_contracts::Code;
use tenantry_tests::harness::{Up, binary};

use crate::Night;

/// The lines of a tall terminal window.
const LINES: usize = 50;

pub(crate) struct Screen<'a>(&'a Up);

impl<'a> Screen<'a> {
    pub(crate) fn of(up: &'a Up) -> Self {
        Self(up)
    }

    #[track_caller]
    fn page(&self, args: &[&str]) -> String {
        let output = self.0.run(args);
        let (text, wrong) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}: {text}{wrong}");
        text.into_owned()
    }

    #[track_caller]
    fn document(&self, what: &str) -> Value {
        serde_json::from_str(&self.page(&["why", what, "--json"])).expect("a document")
    }

    /// One command names the state, whose turn it is, the row, the code, and a command that helps.
    #[track_caller]
    pub(crate) fn tells(&self, night: &Night) {
        let Night { slug, state, turn, code, row, offers } = night;
        let page = self.page(&["why", slug]);
        assert!(page.contains(state) && page.contains(row), "{slug}: {page}");
        assert!(page.lines().count() <= LINES, "{slug}: more than a screen:\n{page}");
        if let Some(code) = code {
            assert!(page.contains(code), "{slug}: {page}");
            assert!(page.contains(&format!("tenantry explain {code}")), "{slug}: {page}");
        }
        assert!(page.contains(offers), "{slug}: {page}");
        let why = &self.document(slug)["tenant"];
        assert_eq!(why["state"], *state, "{why:#}");
        assert_eq!(why["turn"], *turn, "{why:#}");
        let cause = &why["causes"][0];
        assert_eq!(cause["trouble"]["code"].as_str(), *code, "{why:#}");
        let named = cause["row"].as_str().or(why["waits"][0]["row"].as_str());
        assert_eq!(named, Some(*row), "{why:#}");
        let tried = why["tried"].as_array().expect("what was tried");
        assert!(tried.iter().any(|attempt| attempt["row"] == *row), "{why:#}");
        for personal in ["admin@", "Lovelace", "Name of"] {
            assert!(!page.contains(personal), "{slug}: {personal} stands on the screen: {page}");
        }
    }

    /// One mended thing is seen as one.
    #[track_caller]
    pub(crate) fn shares_a_cause(&self, one: &str, other: &str) {
        let shared = &self.document(one)["tenant"]["shared"];
        let slugs: Vec<_> = shared["tenants"]
            .as_array()
            .expect("who shares it")
            .iter()
            .filter_map(|shares| shares["tenant"]["slug"].as_str())
            .collect();
        assert_eq!(slugs, [other], "the same code at another row is another cause: {shared:#}");
        assert_eq!(shared["cut"], false);
        let cut = self.page(&["why", one, "--among", "1"]);
        assert!(cut.contains("there are more"), "{cut}");
    }

    /// By the tenant's id and by its saga's.
    #[track_caller]
    pub(crate) fn finds_by_every_name(&self, slug: &str) {
        let why = self.document(slug);
        for name in [&why["tenant"]["tenant"]["id"], &why["tenant"]["saga"]] {
            let found = self.document(name.as_str().expect("an id"));
            assert_eq!(found["tenant"]["tenant"]["slug"], slug);
        }
        let unknown = self.0.run(&["why", "nobody-at-all"]);
        assert_eq!(unknown.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("tenant_unknown"));
    }

    #[track_caller]
    pub(crate) fn says_that_nothing_is_wrong(&self, slug: &str) {
        let page = self.page(&["why", slug]);
        assert!(page.contains("ACTIVE") && page.contains("nothing is wrong"), "{page}");
        assert!(!page.contains("retry"), "{page}");
    }

    /// By its own place, and by that of the record in it.
    #[track_caller]
    pub(crate) fn explains_a_letter(&self, letter: &str) {
        let found = self.document(letter);
        let code = found["letter"]["code"].as_str().expect("a code").to_owned();
        assert!(Code::ALL.iter().any(|known| known.as_str() == code), "{found:#}");
        let was = found["letter"]["was"].as_str().expect("where it was").to_owned();
        assert_eq!(self.document(&was), found);
        let page = self.page(&["why", letter]);
        assert!(page.contains(&format!("tenantry explain {code}")), "{page}");
        assert!(!page.contains("junk"), "a letter's value is not shown: {page}");
    }

    /// The board for scripts: who waits for whom, and how the workers do.
    #[track_caller]
    pub(crate) fn shows_all_on_one_board(&self, nights: &[Night]) {
        let frame = self.page(&["top", "--once"]);
        let line = |words: &[&str]| {
            assert!(
                frame.lines().any(|line| words.iter().all(|word| line.contains(word))),
                "{words:?}: {frame}"
            );
        };
        for night in nights.iter().filter(|night| night.turn == "person") {
            let why = night.code.map_or(night.row.to_owned(), |code| format!("{}: {code}", night.row));
            line(&[night.slug, night.state, &why]);
        }
        line(&["AWAITING 1", "ACTIVE 1", "REJECTED 1"]);
        // What is asked now; and what ended, with how long it took and how often it failed.
        line(&["config", "closed", " 1 "]);
        line(&["database", "s ", " 3 ", "closed"]);
        line(&["LANES: ", "all served"]);
        assert!(!frame.contains('\u{1b}'), "a plain frame has no escape sequences");
        let live = self.0.run(&["top"]);
        assert!(String::from_utf8_lossy(&live.stderr).contains("terminal_missing"));
    }
}

/// Without any fleet.
#[track_caller]
pub(crate) fn explains_every_code() {
    let list = bare(&["explain"]);
    for code in Code::ALL {
        assert!(list.lines().any(|line| line.starts_with(code.as_str())), "{code}: {list}");
    }
    let page = bare(&["explain", "owned_by_other"]);
    assert!(page.contains("Cause") && page.contains("Look at") && page.contains("Do"), "{page}");
}

#[track_caller]
fn bare(args: &[&str]) -> String {
    let output = Command::new(binary()).args(args).output().expect("the program starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
