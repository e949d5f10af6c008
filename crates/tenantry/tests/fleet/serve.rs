//! `tenantry serve`: parts in processes of their own, on a broker and databases that were given.

use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::Signal;
use tenantry_embedded_broker::Broker;
use tenantry_embedded_postgres::Cluster;

use crate::process::{Folder, Running, program, said};

#[test]
fn parts_refuse_to_run_until_schema_and_topics_are_there_and_then_do_the_work_together() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (broker, cluster) = runtime.block_on(async {
        let mut options = tenantry_embedded_postgres::Options::new(folder.path().join("postgres"));
        options.fsync = false;
        let cluster = Cluster::start(options).await.unwrap();
        cluster.create_database("tenantry").await.unwrap();
        cluster.create_database("tenants").await.unwrap();
        let broker = tenantry_embedded_broker::Options::new(folder.path().join("broker"));
        (Broker::start(broker).await.unwrap(), cluster)
    });
    let key = folder.path().join("key");
    std::fs::write(&key, "07".repeat(32)).unwrap();
    let (brokers, store, tenants) =
        (broker.address().to_string(), cluster.url("tenantry"), cluster.url("tenants"));
    let (receipt_key, outbox) = (folder.path().join("receipt.key"), folder.path().join("outbox"));
    std::fs::write(&receipt_key, tenantry_worker_receipt::Signer::generate([7; 32]).0).unwrap();
    let env = [
        ("TENANTRY_BROKERS", brokers.as_str()),
        ("TENANTRY_DATABASE_URL", store.as_str()),
        ("TENANTRY_TENANTS_URL", tenants.as_str()),
        ("TENANTRY_MASTER_KEY_FILE", key.to_str().unwrap()),
        ("TENANTRY_RECEIPT_KEY_FILE", receipt_key.to_str().unwrap()),
        ("TENANTRY_DATA_DIR", folder.path().to_str().unwrap()),
        ("TENANTRY_OUTBOX", outbox.to_str().unwrap()),
    ];
    let run = |args: &[&str]| said(program(args).envs(env).output().unwrap());

    let (code, _, errors) = run(&["serve", "all", "--http", "0"]);
    assert_eq!(code, 1);
    assert!(errors.contains("schema_older") && errors.contains("tenantry migrate"), "{errors}");
    assert_eq!(run(&["migrate"]).0, 0);
    assert_eq!(run(&["migrate", "--check"]).0, 0);

    let (code, _, errors) = run(&["serve", "coordinator", "--http", "0"]);
    assert_eq!(code, 1);
    assert!(errors.contains("topics_differ") && errors.contains("topics apply"), "{errors}");
    assert_eq!(run(&["topics", "check"]).0, 1);
    let (code, made, errors) = run(&["topics", "apply", "--replication", "1", "--lanes", "2", "--json"]);
    assert_eq!(code, 0, "{errors}");
    assert!(made.contains("tenant.commands.database"), "{made}");
    assert_eq!(run(&["topics", "check"]).0, 0);

    let coordinator = Running::serve(&["coordinator", "--member", "coordinator-0"], &env);
    assert_eq!(coordinator.told["lanes"], 2);
    let checks = Running::serve(&["worker", "policy,validate,verify"], &env);
    let makes = "capacity,identity,database,storage,secrets,quota,config,credentials,receipt,notify";
    let makes = Running::serve(&["worker", makes, "--member", "makes-0"], &env);

    let mut request = program(&["request", "-f", "-", "--watch"]);
    let mut request = request.envs(env).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let document = br#"{"name": "Acme", "admin": {"email": "ada@acme.example"}}"#;
    request.stdin.take().unwrap().write_all(document).unwrap();
    let (code, shown, _) = said(request.wait_with_output().unwrap());
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("ACTIVE"), "{shown}");
    assert_eq!(
        std::fs::read_dir(&outbox)
            .unwrap()
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|e| e == "eml"))
            .count(),
        2,
        "the claim link, and the word that it is done"
    );

    for part in [coordinator, checks, makes] {
        part.signal(Signal::SIGINT);
        assert_eq!(part.end().code(), Some(0));
    }
    runtime.block_on(async {
        broker.stop().await;
        cluster.stop().await.unwrap();
    });
}
