//! The journal archived by ranges: what nothing needs any more goes from the store, and every proof stays.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tenantry_contracts::event::EventKind;
use tenantry_postgres::Archive;
use tenantry_testkit::postgres::reachable_dir;
use tenantry_tests::harness::{Topics, Up, outcome, request};

use super::store::{Hand, facts};

const PATIENCE: Duration = Duration::from_secs(60);
/// More than one file for each lane.
const ROWS: &str = "40";

/// An archive of a fleet's journal, and who may write it.
struct Shelf<'a> {
    up: &'a Up,
    hand: &'a Hand,
    folder: &'a Path,
    /// The URL of a member of `tenantry_archivist`.
    archivist: String,
}

/// On a fleet that rests. `broken-one` was rolled back, `sound-one` and others are in service; `professional` has a gate.
pub(crate) async fn the_journal_is_archived_without_losing_a_proof(
    up: &mut Up,
    hand: &Hand,
    topics: &Topics,
) {
    let folder = reachable_dir("tenantry-archive").expect("a folder");
    let shelf = Shelf::of(up, hand, folder.path()).await;
    let mut gated = request("gated-two", "Name of gated-two");
    gated["plan"] = "professional".into();
    topics.publish(vec![topics.binary("gated-two", "gated-two", &gated)]).await;
    shelf.until("select count(*) from tenant where slug = 'gated-two' and state = 'AWAITING'", 1).await;
    // It rested, and is woken once more: its history is then in more than one file.
    let forget = ["tenant", "forget", "broken-one", "--reason", "asked to", "--second", "ada@platform.com"];
    shelf.ok(&[&forget[..], &["--yes"]].concat());
    shelf.settled().await;

    let before = shelf.verdicts(&[]);
    let story = shelf.ok(&["tenant", "show", "broken-one", "--json"]);
    let all = hand.count("journal").await;
    shelf.only_says_what_it_would_do(all).await;
    shelf.goes_on_where_it_was_killed(all).await;
    shelf.has_what_the_store_needs().await;
    assert_eq!(shelf.verdicts(&["--archive", shelf.path()]), before, "the very same verdicts");
    shelf.names_what_is_not_as_it_was().await;
    shelf.says_where_a_history_is();
    shelf.takes_a_tenant_that_ends_later(topics).await;
    shelf.puts_back(&story).await;

    // Another owner takes the lanes over, from what is left.
    let path = folder.path().to_owned();
    drop(shelf);
    up.stop();
    up.start_again();
    let topics = Topics::of(&up.running);
    // Under a name that an archived tenant had.
    topics.publish(vec![topics.binary("later", "gated-two", &request("gated-two", "Later One"))]).await;
    let answers = topics.outcomes(&["later".to_owned()], PATIENCE).await;
    assert_eq!(outcome(&answers, "later"), Some(EventKind::Provisioned));
    let shown = up.run(&["tenant", "show", "gated-two"]);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let done = up.run(&["audit", "verify", "--with-history", "--archive", path.to_str().expect("a path")]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

impl<'a> Shelf<'a> {
    async fn of(up: &'a Up, hand: &'a Hand, folder: &'a Path) -> Self {
        let role = "create role the_archivist login password 'x' in role tenantry_archivist";
        hand.client.batch_execute(role).await.expect("a login");
        let host = up.running.database_url.split_once('@').expect("an account").1;
        Self { up, hand, folder, archivist: format!("postgres://the_archivist:x@{host}") }
    }

    fn path(&self) -> &str {
        self.folder.to_str().expect("a path")
    }

    /// Runs a command: its exit and what it said on both outputs.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let done = self.up.run(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().expect("an exit"), text(&done.stdout) + &text(&done.stderr))
    }

    fn ok(&self, args: &[&str]) -> Value {
        let (exit, said) = self.run(args);
        assert_eq!(exit, 0, "{args:?}: {said}");
        serde_json::from_str(&said).unwrap_or(Value::String(said))
    }

    /// Runs a command that must fail with this code.
    fn refused(&self, args: &[&str], code: &str) -> String {
        let (exit, said) = self.run(args);
        assert!(exit == 1 && said.contains(&format!("error: {code}: ")), "{args:?}: {exit} {said}");
        said
    }

    /// Archives, as who may do that and nothing else.
    fn archive(&self, more: &[&str]) -> (i32, String) {
        self.archive_older("0s", more)
    }

    fn archive_older(&self, age: &str, more: &[&str]) -> (i32, String) {
        let to = ["journal", "archive", "--to", self.path(), "--older-than", age, "--rows-per-file", ROWS];
        let url = ["--database-url", &self.archivist];
        self.run(&[&to[..], &url, more].concat())
    }

    /// What the chains of the journal come to, and its history.
    fn verdicts(&self, more: &[&str]) -> [Value; 2] {
        let journal = ["audit", "verify", "--json", "--from", "journal"];
        let history = ["audit", "verify", "--json", "--from", "journal", "--with-history"];
        [&journal[..], &history].map(|args| self.ok(&[args, more].concat()))
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder).expect("the folder").flatten();
        let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    }

    async fn until(&self, sql: &str, wanted: i64) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.hand.number(sql).await != wanted {
            assert!(tokio::time::Instant::now() < end, "{sql} is not {wanted}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Everything is spoken, and shown by the tenants' own rows.
    async fn settled(&self) {
        self.until("select count(*) from lane where least(spoken, settled) < n", 0).await;
    }

    async fn only_says_what_it_would_do(&self, all: i64) {
        let (exit, said) = self.archive(&[]);
        assert_eq!(exit, 0, "{said}");
        assert!(said.contains("would go into journal-0-1-") && said.contains("--yes"), "{said}");
        assert_eq!((self.files().len(), self.hand.count("archived").await), (0, 0));
        let (exit, said) = self.archive_older("1d", &[]);
        assert!(exit == 0 && !said.contains("would go into"), "nothing is a day old: {said}");
        let (exit, said) = self.archive(&["--lane", "9"]);
        assert!(exit == 2 && said.contains("lane_unknown"), "{said}");
        assert_eq!(self.hand.count("journal").await, all);
    }

    /// After a file, after its record, and while another run is at it.
    async fn goes_on_where_it_was_killed(&self, all: i64) {
        let run = async |sql: &str| self.hand.client.batch_execute(sql).await.expect("the owner may");
        run("revoke insert on archived from tenantry_archivist").await;
        let (exit, said) = self.archive(&["--yes"]);
        assert!(exit == 1 && said.contains("database_denied"), "{said}");
        assert_eq!((self.files().len(), self.hand.count("archived").await), (1, 0));
        let first = std::fs::read(&self.files()[0]).expect("a file");
        run("grant insert on archived to tenantry_archivist; revoke delete on journal from tenantry_archivist").await;
        let (exit, said) = self.archive(&["--yes"]);
        assert!(exit == 1 && said.contains("database_denied"), "{said}");
        assert_eq!(std::fs::read(&self.files()[0]).expect("a file"), first, "it was taken as it was");
        assert!(self.hand.count("archived").await > 0);
        assert_eq!(self.hand.count("journal").await, all, "nothing is deleted before all is recorded");
        run("grant delete on journal to tenantry_archivist").await;

        let other = Archive::open(&self.up.running.database_url).await.expect("the lock");
        let (exit, said) = self.archive(&["--yes"]);
        assert!(exit == 1 && said.contains("journal_busy"), "{said}");
        other.close().await.expect("the lock");

        let (exit, said) = self.archive(&["--yes"]);
        assert_eq!(exit, 0, "{said}");
        assert!(self.hand.count("journal").await < all);
        assert_eq!(self.files().len() as i64, self.hand.count("archived").await);
        assert!(self.files().len() > usize::from(self.up.running.lanes), "{:?}", self.files());
        let (exit, again) = self.archive(&["--yes", "--json"]);
        let again: Value = serde_json::from_str(&again).expect("JSON");
        let nothing =
            |lane: &Value| lane["deleted"] == 0 && lane["files"].as_array().is_some_and(Vec::is_empty);
        assert!(exit == 0 && again.as_array().expect("lanes").iter().all(nothing), "{again:#}");
    }

    async fn has_what_the_store_needs(&self) {
        let over = "select count(*) from journal j left join tenant t on t.tenant = j.tenant
            where t.tenant is null or t.state in ('REJECTED', 'ROLLED_BACK', 'PURGED')";
        assert_eq!(self.hand.number(over).await, 0);
        for slug in ["sound-one", "late-one", "gated-one", "gated-two"] {
            self.ok(&["tenant", "show", slug, "--json"]);
        }
        let listed = self.ok(&["journal", "ls", "--json", "--count"]);
        let listed = listed.as_array().expect("ranges");
        assert_eq!(listed.len(), self.files().len());
        let sum = |name: &str| listed.iter().filter_map(|range| range[name].as_i64()).sum::<i64>();
        assert!(sum("in_store") < sum("rows"), "{listed:?}");
        assert_eq!(sum("in_store"), self.hand.count("journal").await);
        let (_, said) = self.run(&["journal", "ls"]);
        assert!(said.contains("IN STORE") && said.contains("journal-0-1-"), "{said}");
    }

    /// No folder, no file, another file, another row.
    async fn names_what_is_not_as_it_was(&self) {
        let verify = ["audit", "verify", "--from", "journal"];
        let said = self.refused(&verify, "journal_archived");
        assert!(
            said.contains("rows 1 to ") && said.contains("of lane 0") && said.contains("--archive"),
            "{said}"
        );
        self.refused(&[&verify[..], &["--with-history"]].concat(), "journal_archived");
        self.ok(&["audit", "verify"]);

        let with = [&verify[..], &["--archive", self.path()]].concat();
        let (file, aside) = (&self.files()[0], self.folder.with_extension("aside"));
        let bytes = std::fs::read(file).expect("a file");
        std::fs::rename(file, &aside).expect("a file");
        self.refused(&with, "archive_missing");
        let mut other = bytes.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        std::fs::write(file, &other).expect("a file");
        let said = self.refused(&with, "archive_altered");
        assert!(said.contains(file.file_name().and_then(|name| name.to_str()).expect("a name")), "{said}");
        std::fs::rename(&aside, file).expect("a file");

        let (_, rows) = self.hand.history("sound-one").await;
        let entry = String::from_utf8(rows[1].entry.to_vec()).expect("JSON") + " ";
        self.hand.write(&rows[1], entry.as_bytes(), &facts(&rows[1])).await;
        let said = self.refused(&with, "journal_differs");
        assert!(said.contains(&format!("row {} of lane {}", rows[1].n, rows[1].lane)), "{said}");
        self.hand.write_back(&rows[1]).await;
        self.ok(&with);
    }

    fn says_where_a_history_is(&self) {
        for verb in [
            &["tenant", "show", "broken-one"][..],
            &["tenant", "timeline", "broken-one"],
            &["tenant", "receipts", "broken-one"],
            &["tenant", "forget", "broken-one", "--reason", "asked to", "--second", "other@platform.com"],
            &["why", "broken-one"],
            &["evidence", "open", "broken-one", "--reason", "asked to"],
        ] {
            let said = self.refused(verb, "journal_archived");
            assert!(said.contains("tenantry journal restore journal-"), "{said}");
        }
        let (_, listed) = self.run(&["tenant", "ls"]);
        assert!(listed.contains("broken-one"), "{listed}");
        let (exit, board) = self.run(&["top", "--once"]);
        assert_eq!(exit, 0, "{board}");
    }

    async fn takes_a_tenant_that_ends_later(&self, topics: &Topics) {
        let rows =
            "select count(*) from journal j join tenant t on t.tenant = j.tenant where t.slug = 'gated-two'";
        assert!(self.hand.number(rows).await > 0);
        let (exit, said) = self.run(&["tenant", "cancel", "gated-two", "--reason", "not wanted", "--yes"]);
        assert_eq!(exit, 0, "{said}");
        self.until("select count(*) from tenant where slug = 'gated-two' and state = 'ROLLED_BACK'", 1).await;
        let next = topics.binary("next", "next-one", &request("next-one", "Next One"));
        topics.publish(vec![next]).await;
        let answers = topics.outcomes(&["next".to_owned()], PATIENCE).await;
        assert_eq!(outcome(&answers, "next"), Some(EventKind::Provisioned));
        // What somebody means to do with it later.
        let draft = self.folder.with_extension("draft");
        let draft = draft.to_str().expect("a path");
        let forget =
            ["tenant", "forget", "gated-two", "--reason", "asked to", "--second", "ada@platform.com"];
        self.ok(&[&forget[..], &["--draft", draft]].concat());
        self.settled().await;
        let before = self.hand.number(rows).await;

        // Its first rows are in a file of the run before, which must be there when they go.
        let aside = self.folder.with_extension("later");
        std::fs::create_dir(&aside).expect("a folder");
        let files = self.files();
        let moved = |file: &Path| aside.join(file.file_name().expect("a name"));
        files.iter().for_each(|file| std::fs::rename(file, moved(file)).expect("a file"));
        let (exit, said) = self.archive(&["--yes"]);
        assert!(exit == 0 && said.contains("is not in the folder"), "{said}");
        let left = self.hand.number(rows).await;
        assert!(0 < left && left < before, "{left} of {before}");
        files.iter().for_each(|file| std::fs::rename(moved(file), file).expect("a file"));
        std::fs::remove_dir(&aside).expect("a folder");
        let (exit, said) = self.archive(&["--yes"]);
        assert_eq!(exit, 0, "{said}");
        assert_eq!(self.hand.number(rows).await, 0);
        self.refused(&["tenant", "show", "gated-two"], "journal_archived");
        let (exit, said) = self.run(&["operation", "send", draft, "--yes"]);
        assert!(exit == 3 && said.contains("journal restore"), "the lane says why: {exit} {said}");
        std::fs::remove_file(draft).expect("the draft");
        self.verdicts(&["--archive", self.path()]);
    }

    async fn puts_back(&self, story: &Value) {
        let said = self.refused(&["tenant", "show", "broken-one"], "journal_archived");
        let named = said.rsplit("journal restore ").next().expect("files").split_whitespace();
        let named: Vec<String> = named.map(|name| format!("{}/{name}", self.path())).collect();
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let restore = [&["journal", "restore"][..], &named].concat();
        let (exit, said) = self.run(&[&restore[..], &["--database-url", &self.archivist]].concat());
        assert!(exit == 1 && said.contains("database_denied"), "{said}");
        self.ok(&restore);
        let show = ["tenant", "show", "broken-one", "--json"];
        assert_eq!(self.ok(&show), *story, "as it was told before");
        self.ok(&restore);
        self.verdicts(&["--archive", self.path()]);
        let (exit, said) = self.archive_older("1h", &["--yes"]);
        assert_eq!(exit, 0, "{said}");
        assert_eq!(self.ok(&show), *story, "it was put back a moment ago, and stays");
        let (exit, said) = self.archive(&["--yes"]);
        assert_eq!(exit, 0, "{said}");
        self.refused(&show, "journal_archived");
    }
}
