//! The cluster on the real server of this machine: kept data, crashes, left-over servers, and who may look at what.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenantry_embedded_postgres::{Cluster, Error, Options};
use tokio_postgres::{Client, NoTls};

/// A folder that every account can enter.
fn place() -> TempDir {
    let dir = tempfile::Builder::new().prefix("tenantry-pg-").tempdir_in("/tmp").unwrap();
    // By a call of its own, so that no umask takes from it.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

fn options(dir: &Path) -> Options {
    Options { fsync: false, ..Options::new(dir.join("pg")) }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn count(cluster: &Cluster) -> i64 {
    connect(&cluster.url("shop")).await.query_one("select count(*) from t", &[]).await.unwrap().get(0)
}

async fn fill(cluster: &Cluster) {
    cluster.create_database("shop").await.unwrap();
    connect(&cluster.url("shop"))
        .await
        .batch_execute("create table t as select generate_series(1, 100) n")
        .await
        .unwrap();
}

fn runs(pid: u32) -> bool {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(pid, None).is_ok()
}

#[tokio::test]
async fn what_was_written_is_there_after_stop_and_start() {
    let dir = place();
    let cluster = Cluster::start(Options::new(dir.path().join("pg"))).await.unwrap();
    fill(&cluster).await;
    cluster.create_database("shop").await.unwrap();
    let (pid, url) = (cluster.pid(), cluster.url("shop"));
    assert_eq!(cluster.data_dir(), dir.path().canonicalize().unwrap().join("pg"));
    cluster.stop().await.unwrap();
    assert!(!runs(pid));
    let cluster = Cluster::start(Options::new(dir.path().join("pg"))).await.unwrap();
    assert_eq!(count(&cluster).await, 100);
    assert_eq!(cluster.url("shop"), url, "port and password are kept");
    let major: u32 = cluster.version().split('.').next().unwrap().parse().unwrap();
    assert!(major >= 15);
}

#[tokio::test]
async fn a_killed_server_recovers_at_the_next_start() {
    let dir = place();
    let mut cluster = Cluster::start(Options::new(dir.path().join("pg"))).await.unwrap();
    fill(&cluster).await;
    for round in 1..=3 {
        // A statement is running while the server dies, so that its helper outlives it for a moment.
        let busy = connect(&cluster.url("shop")).await;
        tokio::spawn(async move { busy.batch_execute("select pg_sleep(60)").await });
        connect(&cluster.url("shop")).await.batch_execute("insert into t values (0)").await.unwrap();
        cluster.kill();
        assert!(!runs(cluster.pid()));
        cluster = Cluster::start(Options::new(dir.path().join("pg"))).await.unwrap();
        assert_eq!(count(&cluster).await, 100 + round);
    }
}

#[tokio::test]
async fn a_stale_pid_file_whose_number_belongs_to_another_process_does_not_stop_the_start() {
    let dir = place();
    let mut cluster = Cluster::start(options(dir.path())).await.unwrap();
    let owner = std::fs::metadata(cluster.data_dir().join("data")).unwrap();
    let file = cluster.data_dir().join("data/postmaster.pid");
    cluster.kill();
    let mut other = Command::new("sleep");
    if nix::unistd::geteuid().is_root() {
        other.uid(owner.uid()).gid(owner.gid());
    }
    let mut other = other.arg("300").spawn().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let rest = text.split_once('\n').unwrap().1;
    std::fs::write(&file, format!("{}\n{rest}", other.id())).unwrap();
    let again = Cluster::start(options(dir.path())).await;
    let untouched = other.try_wait().unwrap().is_none();
    other.kill().unwrap();
    other.wait().unwrap();
    again.unwrap();
    assert!(untouched);
}

/// The variable that makes a second run of the test below the owner that is going to be killed.
const OWNER: &str = "TENANTRY_TEST_OWNED_CLUSTER";

#[tokio::test]
async fn a_server_whose_owner_was_killed_is_taken_over_and_can_be_stopped() {
    if let Some(dir) = std::env::var_os(OWNER) {
        let cluster = Cluster::start(options(Path::new(&dir))).await.unwrap();
        fill(&cluster).await;
        std::fs::write(Path::new(&dir).join("ready"), cluster.pid().to_string()).unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        return;
    }
    let dir = place();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_server_whose_owner_was_killed_is_taken_over_and_can_be_stopped"])
        .env(OWNER, dir.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(100);
    let ready = dir.path().join("ready");
    while !ready.exists() {
        assert!(Instant::now() < end && owner.try_wait().unwrap().is_none(), "the owner did not come up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let refused = Cluster::start(options(dir.path())).await.unwrap_err();
    assert_eq!(refused.code(), "postgres_in_use", "while the owner lives nobody else may have it");
    owner.kill().unwrap();
    owner.wait().unwrap();

    let cluster = Cluster::start(options(dir.path())).await.unwrap();
    let pid = cluster.pid();
    assert_eq!(std::fs::read_to_string(&ready).unwrap(), pid.to_string(), "the same server goes on");
    assert_eq!(count(&cluster).await, 100);
    cluster.stop().await.unwrap();
    assert!(!cluster_file(&dir, "data/postmaster.pid").exists());
}

#[tokio::test]
async fn a_left_over_server_that_is_less_durable_than_asked_for_is_restarted() {
    let dir = place();
    let weak = Cluster::start(options(dir.path())).await.unwrap();
    let pid = weak.pid();
    // The owner goes without stopping it: the lock is free, the server runs.
    let file = cluster_file(&dir, "lock");
    std::mem::forget(weak);
    std::fs::remove_file(file).unwrap();
    let strong = Cluster::start(Options::new(dir.path().join("pg"))).await.unwrap();
    assert_ne!(strong.pid(), pid);
    let fsync: String =
        connect(&strong.url("postgres")).await.query_one("show fsync", &[]).await.unwrap().get(0);
    assert_eq!(fsync, "on");
}

#[tokio::test]
async fn nobody_gets_in_without_the_password_and_secrets_are_closed_to_others() {
    let dir = place();
    let cluster = Cluster::start(options(dir.path())).await.unwrap();
    let url = cluster.url("postgres");
    let (head, tail) = (url.split_once("tenantry:").unwrap().0, url.split_once('@').unwrap().1);
    for wrong in [
        format!("{head}tenantry:wrong@{tail}"),
        format!("{head}tenantry@{tail}"),
        format!("{head}postgres@{tail}"),
    ] {
        assert!(tokio_postgres::connect(&wrong, NoTls).await.is_err(), "{wrong} got in");
    }
    for (name, mode) in [("password", 0o600), ("data", 0o700), ("log", 0o700)] {
        assert_eq!(std::fs::metadata(cluster_file(&dir, name)).unwrap().mode() & 0o777, mode, "{name}");
    }
    assert!(!cluster_file(&dir, "initdb.password").exists());
    let said = format!("{cluster:?}");
    let password = url.split_once("tenantry:").unwrap().1.split_once('@').unwrap().0;
    assert!(!said.contains(password));
}

#[tokio::test]
async fn a_database_may_have_any_name_that_postgresql_can_hold() {
    let dir = place();
    let cluster = Cluster::start(options(dir.path())).await.unwrap();
    for name in ["plain", "with \"quotes\" and / ? #", "naïve"] {
        cluster.create_database(name).await.unwrap();
        let client = connect(&cluster.url(name)).await;
        assert_eq!(
            client.query_one("select current_database()", &[]).await.unwrap().get::<_, String>(0),
            name
        );
    }
    let long = "x".repeat(64);
    assert_eq!(cluster.create_database(&long).await.unwrap_err().code(), "postgres_database_name");
}

#[tokio::test]
async fn two_starts_at_once_make_one_cluster_and_one_refusal() {
    let dir = place();
    let (one, two) = tokio::join!(Cluster::start(options(dir.path())), Cluster::start(options(dir.path())));
    let refused = [one.err(), two.err()].into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(refused.iter().map(Error::code).collect::<Vec<_>>(), ["postgres_in_use"]);
}

#[tokio::test]
async fn a_dropped_cluster_leaves_no_server_and_clean_data() {
    let dir = place();
    let cluster = Cluster::start(options(dir.path())).await.unwrap();
    let pid = cluster.pid();
    drop(cluster);
    assert!(!runs(pid));
    assert!(!cluster_file(&dir, "data/postmaster.pid").exists(), "it was shut down, not killed");
}

#[tokio::test]
async fn a_folder_that_the_servers_account_cannot_enter_is_refused_with_another_place() {
    if !nix::unistd::geteuid().is_root() {
        // An ordinary user runs the server as itself, so every folder that it can make is reachable.
        let dir = tempfile::tempdir().unwrap();
        Cluster::start(options(dir.path())).await.unwrap();
        return;
    }
    let closed = std::fs::Permissions::from_mode(0o700);
    let home = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
    let refused = Cluster::start(options(home.path())).await.unwrap_err();
    assert_eq!(refused.code(), "postgres_unreachable_for_account");
    assert!(refused.to_string().contains("/var/lib/tenantry"), "{refused}");
}

#[tokio::test]
async fn somebody_elses_cluster_is_not_touched() {
    let dir = place();
    std::fs::create_dir(dir.path().join("pg")).unwrap();
    std::fs::write(dir.path().join("pg/PG_VERSION"), "15\n").unwrap();
    assert_eq!(Cluster::start(options(dir.path())).await.unwrap_err().code(), "postgres_foreign_data");
}

#[tokio::test]
async fn a_setting_that_the_server_refuses_is_shown_with_its_log() {
    let dir = place();
    let cluster = Cluster::start(options(dir.path())).await.unwrap();
    let conf = cluster_file(&dir, "data/postgresql.auto.conf");
    cluster.stop().await.unwrap();
    std::fs::write(conf, "no_such_setting = 1\n").unwrap();
    let error = Cluster::start(options(dir.path())).await.unwrap_err();
    assert_eq!(error.code(), "postgres_start");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

fn cluster_file(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join("pg").join(name)
}
