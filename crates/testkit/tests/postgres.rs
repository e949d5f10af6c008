//! The shared PostgreSQL: separate databases, and nothing left when the test process has ended.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tenantry_testkit::postgres::{Postgres, reachable_dir};
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn each_test_has_a_database_of_its_own() {
    let mut urls = Vec::new();
    for _ in 0..3 {
        let url = Postgres::shared().await.fresh_database("own").await;
        // The same table again: it would be there already if two of them were one.
        connect(&url).await.batch_execute("create table t (n int)").await.unwrap();
        urls.push(url);
    }
    urls.dedup();
    assert_eq!(urls.len(), 3);
}

#[test]
fn the_server_is_one_for_all_runtimes_of_a_process() {
    let pid = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let shared = Postgres::shared().await;
            let url = shared.fresh_database("runtime").await;
            assert_eq!(connect(&url).await.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
            shared.cluster().pid()
        })
    };
    assert_eq!(pid(), pid());
}

/// The variable that makes a second run of the test below the process that ends; its value is a file to write to.
const ENDING: &str = "TENANTRY_TEST_ENDING_PROCESS";

#[tokio::test]
async fn a_killed_test_process_leaves_no_server_and_no_folder() {
    if let Some(file) = std::env::var_os(ENDING) {
        let shared = Postgres::shared().await;
        let said = format!("{} {}", shared.cluster().pid(), shared.cluster().data_dir().display());
        std::fs::write(PathBuf::from(&file).with_extension("new"), said).unwrap();
        std::fs::rename(PathBuf::from(&file).with_extension("new"), file).unwrap();
        tokio::time::sleep(Duration::from_secs(120)).await;
        return;
    }
    let dir = reachable_dir("tenantry-test-").unwrap();
    let file = dir.path().join("said");
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_test_process_leaves_no_server_and_no_folder"])
        .env(ENDING, &file)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the process has its server", || file.exists()).await;
    let said = std::fs::read_to_string(&file).unwrap();
    let (pid, folder) = said.split_once(' ').unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());
    process.kill().unwrap();
    process.wait().unwrap();
    wait_for("the folder is gone", || !PathBuf::from(folder).exists()).await;
    let stat = format!("/proc/{pid}/cwd");
    wait_for("the server is gone", || {
        nix::sys::signal::kill(pid, None).is_err() || std::fs::read_link(&stat).is_err()
    })
    .await;
}

async fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(100);
    while !done() {
        assert!(Instant::now() < end, "{what}: not after 100 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
