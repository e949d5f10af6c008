//! The portable build, fetched over the network into a cache and run.
#![allow(missing_docs, clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use tenantry_embedded_postgres::{Cluster, Options};
use tokio_postgres::NoTls;

#[tokio::test]
async fn a_portable_build_is_fetched_once_and_runs_and_keeps_to_its_version() {
    let dir = tempfile::Builder::new().prefix("tenantry-pg-").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = Options::new(dir.path().join("pg"));
    options.cache_dir = Some(dir.path().join("cache"));
    options.prefer_portable = true;
    let cluster = Cluster::start(options.clone()).await.unwrap();
    assert!(cluster.version().starts_with("18."), "{}", cluster.version());
    cluster.create_database("shop").await.unwrap();
    let (client, connection) = tokio_postgres::connect(&cluster.url("shop"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("create table t as select now() as at").await.unwrap();
    cluster.stop().await.unwrap();

    // Without the wish for it: whatever is installed, these data can only be read by their own version, from the cache.
    options.prefer_portable = false;
    let fetched = std::fs::read_dir(dir.path().join("cache")).unwrap().count();
    let cluster = Cluster::start(options).await.unwrap();
    assert!(cluster.version().starts_with("18."), "{}", cluster.version());
    assert_eq!(std::fs::read_dir(dir.path().join("cache")).unwrap().count(), fetched);
}
