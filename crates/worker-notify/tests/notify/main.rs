//! The step on real directories and on a real socket: the kit, and what only this step promises.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod smtp;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smtp::{Mood, Server};
use tempfile::TempDir;
use tenantry_contracts::steps::notify::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Cx, Observed, Point, Points, Step, Trouble};
use tenantry_worker_notify::{Notify, POINTS, Settings, Transport, prepare};

const EMAIL: &str = "ada.canary@example.com";
const NAME: &str = "Acme Canary Ünïon\r\nBcc: everybody@example.com";
const ADMINS: [&str; 2] = ["ops@platform.example", "sre@platform.example"];

/// A notifier that writes files, or one that talks to the server.
struct Mails {
    step: Notify,
    dir: TempDir,
    server: Option<Server>,
}

fn settings() -> Settings {
    Settings {
        from: "Tenantry <no-reply@platform.example>".to_owned(),
        base_url: "https://id.example.com".to_owned(),
        support_url: "https://support.example.com".to_owned(),
    }
}

fn admins() -> Vec<String> {
    ADMINS.map(str::to_owned).to_vec()
}

impl Mails {
    fn files() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let step = Notify::new(&out, Transport::Files(out.clone()), &admins(), settings()).unwrap();
        Self { step, dir, server: None }
    }

    async fn smtp() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start().await;
        let url = format!("smtp://127.0.0.1:{}", server.port);
        let step = Notify::new(dir.path().join("out"), Transport::Smtp(url), &admins(), settings()).unwrap();
        Self { step, dir, server: Some(server) }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn read(&self, message: &str) -> String {
        std::fs::read_to_string(self.out().join(format!("{message}.eml"))).unwrap()
    }
}

/// Every file below, with fences.
fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return vec![] };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn plain(tenant: &Tenant, name: &str) -> Input {
    Input {
        template: "provisioned".to_owned(),
        email: Some(tenant.seal("admin.email", EMAIL)),
        name: tenant.seal("name", name),
        display: "TEN-001".to_owned(),
        tier: "ENTERPRISE".to_owned(),
    }
}

/// Stops the question when it comes by this point for the nth time.
struct Stop(&'static str, usize, AtomicUsize);

impl Stop {
    fn at(name: &'static str, nth: usize) -> Arc<dyn Points> {
        Arc::new(Self(name, nth, AtomicUsize::new(0)))
    }
}

impl Points for Stop {
    fn at(&self, _: &Cx, name: &'static str) -> Point {
        if name == self.0 && self.2.fetch_add(1, Ordering::SeqCst) == self.1 {
            return Point::Trouble(Trouble::shaky("stopped by the test"));
        }
        Point::Pass
    }
}

fn refusal<T>(answer: Result<T, Trouble>) -> (Code, Class, String, String) {
    match answer.err().unwrap() {
        Trouble::No { code, class, pointer, message } => (code, class, pointer.unwrap_or_default(), message),
        other => panic!("{other}"),
    }
}

fn shaky<T>(answer: Result<T, Trouble>) -> String {
    match answer.err().unwrap() {
        Trouble::Shaky(why) => why,
        other => panic!("{other}"),
    }
}

impl World for Mails {
    type Step = Notify;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Notify {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        plain(tenant, NAME)
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        files(&self.out())
            .into_iter()
            .filter(|path| !path.parent().unwrap().ends_with(".notify-fence"))
            .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(&tenant.id.simple()))
            .map(|path| format!("{} {}", path.display(), std::fs::read_to_string(&path).unwrap()))
            .collect()
    }

    async fn plant(&self, tenant: &Tenant) {
        let path = planted(self, tenant);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "somebody else's").unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        std::fs::read_to_string(planted(self, tenant)).unwrap() == "somebody else's"
            && self.remains(tenant).await.len() == 1
    }
}

/// Where a thing that is not ours is in the way: the first mail, or the note of what was sent.
fn planted(world: &Mails, tenant: &Tenant) -> PathBuf {
    let id = tenant.id.simple();
    match &world.server {
        None => world.out().join(format!("notify-{id}-10-0.eml")),
        Some(_) => world.out().join(format!(".notify/{id}.provisioned.json")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_with_files() -> Result<(), Failure> {
    kit::all(&Mails::files()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit_with_a_mail_server() -> Result<(), Failure> {
    kit::all(&Mails::smtp().await).await
}

#[tokio::test]
async fn contact_and_admins_get_these_mails() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &plain(&tenant, "Acme Intel")).await.unwrap();
    let id = tenant.id.simple();
    let ids = [0, 1, 2].map(|at| format!("notify-{id}-10-{at}"));
    assert_eq!(output.messages, ids);

    let head = |to: &str, subject: &str, id: &str| {
        format!(
            "From: Tenantry <no-reply@platform.example>\r\nTo: {to}\r\nSubject: {subject}\r\n\
             Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <{id}@tenantry>\r\n\
             Auto-Submitted: auto-generated\r\n\
             X-Tenantry-Owner: tenantry tenant={} fleet=kit token=10\r\nMIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n",
            tenant.id
        )
    };
    let contact = head(EMAIL, "Acme Intel is ready", &ids[0])
        + "Acme Intel was set up on the plan ENTERPRISE.\r\n\
           Its number is TEN-001; please give it when you write to us.\r\n\
           \r\n\
           Sign in: https://id.example.com\r\n\
           \r\n\
           The link with which the first administrator claims the account came in a\r\n\
           mail of its own.\r\n\
           \r\n\
           Help: https://support.example.com\r\n";
    assert_eq!(world.read(&ids[0]), contact);
    let slug = &tenant.slug;
    let environment = tenantry_contracts::Environment::default();
    for (at, to) in ADMINS.iter().enumerate() {
        let admin = head(to, "Tenant TEN-001 is ready", &ids[at + 1])
            + &format!(
                "Acme Intel was provisioned on the plan ENTERPRISE.\r\n\
                 \r\n\
                 Number: TEN-001\r\n\
                 Slug: {slug}\r\n\
                 Environment: {environment}\r\n\
                 What happened: tenantry tenant timeline {slug}\r\n\
                 \r\n\
                 Help: https://support.example.com\r\n"
            );
        assert_eq!(world.read(&ids[at + 1]), admin);
    }
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.out()), 0o700);
    assert_eq!(mode(&world.out().join(format!("{}.eml", ids[0]))), 0o600);
}

#[tokio::test]
async fn a_name_of_several_lines_stays_a_name() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    for message in &output.messages {
        let mail = world.read(message);
        let head = mail.split("\r\n\r\n").next().unwrap();
        assert!(head.lines().all(|line| !line.starts_with("Bcc")), "{head}");
        assert_eq!(mail.matches("\r\n").count(), mail.matches('\n').count(), "no bare line feed");
    }
}

#[tokio::test]
async fn an_address_that_could_smuggle_headers_is_refused_and_not_repeated() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    for bad in [
        "ada",
        "@b",
        "a@",
        "a@b@c",
        "a b@c.example",
        "a@b.example\r\nBcc: x@y.example",
        "a@b.example>,<x@y.example",
    ] {
        let input = Input { email: Some(tenant.seal("admin.email", bad)), ..world.input(&tenant) };
        let (code, class, at, message) = refusal(world.step.execute(&tenant.cx(10), &input).await);
        assert_eq!((code, class, at.as_str()), (Code::EmailInvalid, Class::Validation, "/email"), "{bad}");
        assert!(!message.contains(bad));
        assert_eq!(refusal(world.step.foresee(&tenant.cx(10), &input).await).0, Code::EmailInvalid);
    }
    assert!(files(&world.out()).is_empty());
}

#[tokio::test]
async fn addresses_and_names_stand_in_the_mails_and_nowhere_else() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    assert!(world.read(&output.messages[0]).contains(EMAIL));
    let mut rest = serde_json::to_string(&output).unwrap();
    let mails = files(&world.out());
    for other in mails.iter().filter(|path| path.extension().is_none_or(|ending| ending != "eml")) {
        rest += &std::fs::read_to_string(other).unwrap();
    }
    assert!(rest.contains(&output.messages[0]));
    for clear in [EMAIL, "Canary", ADMINS[0]] {
        assert!(!rest.contains(clear), "{rest}");
    }
}

#[tokio::test]
async fn each_recipient_gets_one_message_even_when_asked_again_and_after_it_was_picked_up() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    for message in &output.messages {
        std::fs::remove_file(world.out().join(format!("{message}.eml"))).unwrap();
    }
    assert_eq!(world.step.execute(&tenant.cx(11), &input).await.unwrap(), output);
    assert!(files(&world.out()).iter().all(|path| path.extension().is_none_or(|ending| ending != "eml")));
    let seen = world.step.observe(&tenant.cx(12), &input).await.unwrap();
    assert_eq!(seen, Observed::Ours { differences: vec![] }, "picked up is as it should be");
    assert_eq!(world.step.foresee(&tenant.cx(12), &input).await.unwrap(), Some(output));
}

#[tokio::test]
async fn a_stop_between_two_recipients_sends_nothing_twice() {
    let world = Mails::smtp().await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let stopped = tenant.cx_at(10, Stop::at("notify.before-send", 1));
    shaky(world.step.execute(&stopped, &input).await);
    let Observed::Ours { differences } = world.step.observe(&tenant.cx(10), &input).await.unwrap() else {
        panic!("what was begun is ours");
    };
    let open: Vec<_> = differences
        .iter()
        .map(|one| (one.path.as_str(), serde_json::to_string(&one.have).unwrap()))
        .collect();
    assert_eq!(open, [("/messages/1", "\"sending\"".to_owned()), ("/messages/2", "\"nothing\"".to_owned())]);
    let output = world.step.execute(&tenant.cx(11), &input).await.unwrap();
    let got: Vec<_> = world.server().got().into_iter().map(|got| got.to).collect();
    assert_eq!(got, [EMAIL, ADMINS[0], ADMINS[1]]);
    let id = tenant.id.simple();
    let tokens = [(10, 0), (10, 1), (11, 2)].map(|(token, at)| format!("notify-{id}-{token}-{at}"));
    assert_eq!(output.messages, tokens, "a message that may be out keeps its id");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_message_leaves_it_open_and_it_comes_again_under_the_same_id() {
    let world = Mails::smtp().await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    world.server().set(Mood::Drop);
    shaky(world.step.execute(&tenant.cx(10), &input).await);
    world.server().set(Mood::Kind);
    world.step.execute(&tenant.cx(11), &input).await.unwrap();
    let got = world.server().got();
    let ids: Vec<_> = got
        .iter()
        .filter(|got| got.to == EMAIL)
        .map(|got| got.data.lines().find(|line| line.starts_with("Message-ID: ")).unwrap().to_owned())
        .collect();
    assert_eq!(ids, vec![format!("Message-ID: <notify-{}-10-0@tenantry>", tenant.id.simple()); 2]);
    assert_eq!(got.len(), 4, "the others came once");
}

#[tokio::test]
async fn a_recipient_who_is_refused_for_good_is_a_no_and_the_others_hear() {
    let world = Mails::smtp().await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    world.server().set(Mood::Refuse("ada.canary", 550));
    let (code, class, at, message) = refusal(world.step.execute(&tenant.cx(10), &input).await);
    assert_eq!((code, class, at.as_str()), (Code::MailRefused, Class::Business, "/email"));
    assert!(message.contains("550") && !message.contains("canary"), "{message}");
    let got = || world.server().got().into_iter().map(|got| got.to).collect::<Vec<_>>();
    assert_eq!(got(), ADMINS);

    world.server().set(Mood::Kind);
    world.step.execute(&tenant.cx(11), &input).await.unwrap();
    assert_eq!(got(), [ADMINS[0], ADMINS[1], EMAIL]);

    world.server().set(Mood::Refuse("sre@", 553));
    let other = Tenant::fresh();
    let (code, _, at, message) = refusal(world.step.execute(&other.cx(10), &world.input(&other)).await);
    assert_eq!((code, at.as_str()), (Code::MailRefused, ""));
    assert!(message.starts_with("admin 2: ") && !message.contains("sre@"), "{message}");
}

#[tokio::test]
async fn a_server_that_refuses_for_now_or_is_not_there_is_asked_again() {
    let world = Mails::smtp().await;
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    world.server().set(Mood::Refuse("ada.canary", 451));
    let why = shaky(world.step.execute(&tenant.cx(10), &input).await);
    assert!(why.contains("451") && !why.contains("canary"), "{why}");

    // A port that was free a moment ago and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = Transport::Smtp(format!("smtp://127.0.0.1:{port}"));
    let alone = Notify::new(world.dir.path().join("alone"), url, &[], settings()).unwrap();
    shaky(alone.execute(&tenant.cx(10), &input).await);
}

#[tokio::test]
async fn the_url_can_hold_a_login() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start().await;
    let url = format!("smtp://fleet:s%40cret@127.0.0.1:{}", server.port);
    let step = Notify::new(dir.path(), Transport::Smtp(url), &[], settings()).unwrap();
    let tenant = Tenant::fresh();
    step.execute(&tenant.cx(10), &plain(&tenant, "Acme")).await.unwrap();
    // base64 of \0fleet\0s@cret
    assert_eq!(server.logins(), ["AUTH PLAIN AGZsZWV0AHNAY3JldA=="]);
    assert_eq!(server.got().len(), 1);
}

#[tokio::test]
async fn an_undo_takes_back_only_what_is_ours_from_an_outbox_that_is_shared() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    let input = world.input(&tenant);
    let output = world.step.execute(&tenant.cx(10), &input).await.unwrap();
    // The worker `credentials` writes its mails into the same directory.
    let other = world.out().join(format!("{}-10.eml", tenant.id.simple()));
    std::fs::write(&other, "a claim link").unwrap();
    std::fs::write(world.out().join(format!("{}.eml", output.messages[1])), "put in its place").unwrap();
    world.step.compensate(&tenant.cx(20), &input, Some(&output)).await.unwrap();
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "a claim link");
    assert_eq!(world.read(&output.messages[1]), "put in its place");
    assert_eq!(world.remains(&tenant).await.len(), 2);
    assert!(!world.out().join(".fence").exists(), "the fences have a folder of their own");
}

#[tokio::test]
async fn with_nobody_to_tell_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let step = Notify::new(&out, Transport::Files(out.clone()), &[], settings()).unwrap();
    let tenant = Tenant::fresh();
    let input = Input { email: None, ..plain(&tenant, "Acme") };
    let output = step.execute(&tenant.cx(10), &input).await.unwrap();
    assert!(output.messages.is_empty() && files(&out).is_empty());
    assert_eq!(step.foresee(&tenant.cx(10), &input).await.unwrap(), Some(output));
    assert_eq!(step.observe(&tenant.cx(11), &input).await.unwrap(), Observed::Absent);
}

#[tokio::test]
async fn without_a_contact_the_admins_alone_hear_and_each_once() {
    let dir = tempfile::tempdir().unwrap();
    let twice = [ADMINS[0], ADMINS[0]].map(str::to_owned);
    let step = Notify::new(dir.path(), Transport::Files(dir.path().join("out")), &twice, settings()).unwrap();
    let tenant = Tenant::fresh();
    let input = Input { email: None, ..plain(&tenant, "Acme") };
    let output = step.execute(&tenant.cx(10), &input).await.unwrap();
    assert_eq!(output.messages, [format!("notify-{}-10-1", tenant.id.simple())]);
    let mails = files(&dir.path().join("out"));
    assert_eq!(mails.len(), 1, "{mails:?}");
}

#[tokio::test]
async fn a_template_that_is_not_known_is_refused_and_leads_to_no_file() {
    let world = Mails::files();
    let tenant = Tenant::fresh();
    let input = Input { template: "../../etc/passwd".to_owned(), ..world.input(&tenant) };
    let (code, class, at, _) = refusal(world.step.execute(&tenant.cx(10), &input).await);
    assert_eq!((code, class, at.as_str()), (Code::Misconfigured, Class::Config, "/template"));
    world.step.compensate(&tenant.cx(20), &input, None).await.unwrap();
    assert_eq!(world.step.observe(&tenant.cx(21), &input).await.unwrap(), Observed::Absent);
}

#[tokio::test]
async fn what_is_configured_wrong_is_said_at_the_start_without_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let out = || Transport::Files(dir.path().join("out"));
    let wrong = |url: &str| {
        let no = Notify::new(dir.path(), Transport::Smtp(url.to_owned()), &[], settings());
        refusal(no)
    };
    for url in ["http://user:s3cret@mail.example", "s3cret", "smtp://user:s3cret@"] {
        let (code, class, _, message) = wrong(url);
        assert_eq!((code, class), (Code::Misconfigured, Class::Config), "{url}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    let sender = Settings { from: "nobody".to_owned(), ..settings() };
    assert_eq!(refusal(Notify::new(dir.path(), out(), &[], sender)).0, Code::Misconfigured);
    let (code, _, _, message) = refusal(Notify::new(dir.path(), out(), &["ops".to_owned()], settings()));
    assert!(code == Code::Misconfigured && message.starts_with("admin 1 "), "{message}");

    prepare(dir.path().join("new/out")).await.unwrap();
    assert!(dir.path().join("new/out").is_dir() && files(dir.path()).is_empty());
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(refusal(prepare(file.join("below")).await).0, Code::Misconfigured);
    let step = Notify::new(&file, out(), &[], settings()).unwrap();
    let tenant = Tenant::fresh();
    let (code, class, ..) = refusal(step.execute(&tenant.cx(10), &plain(&tenant, "Acme")).await);
    assert_eq!((code, class), (Code::Misconfigured, Class::Config));
}
