//! Connections over TLS, to a server with a certificate of the test's own.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tenantry_embedded_postgres::{Cluster, Options};
use tenantry_postgres::{Error, PgStore, Queries, check_schema, migrate};
use tenantry_testkit::postgres::reachable_dir;

use crate::fleet::connect;

/// Writes a file that the server's account owns.
fn write(path: &Path, text: &str, like: &Path) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let owner = std::fs::metadata(like).unwrap();
    chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

#[tokio::test]
async fn a_server_is_trusted_as_far_as_the_url_says() {
    let dir = reachable_dir("tenantry-test-tls-").unwrap();
    let cluster = Cluster::start(Options::new(dir.path())).await.unwrap();
    let data = cluster.data_dir().join("data");
    let (issuer, root) = authority("the fleet's own");
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    write(&data.join("server.crt"), &certificate.pem(), &data);
    write(&data.join("server.key"), &key.serialize_pem(), &data);
    let (root_file, other_file) = (dir.path().join("root.pem"), dir.path().join("other.pem"));
    std::fs::write(&root_file, root).unwrap();
    std::fs::write(&other_file, authority("somebody else").1).unwrap();

    cluster.create_database("secure").await.unwrap();
    let url = cluster.url("secure");
    assert!(!url.contains('?'), "the URL is to be extended: {url}");
    let with = |query: &str| format!("{url}?{query}");
    let encrypted = async |url: &str| -> bool {
        let sql = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        connect(url).await.query_one(sql, &[]).await.unwrap().get(0)
    };
    assert!(!encrypted(&url).await, "the server has no TLS yet, and `prefer` goes without");
    let refused = PgStore::connect(&with("sslmode=require")).await.err().unwrap();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused}");

    let owner = connect(&with("sslmode=disable")).await;
    owner.execute("alter system set ssl = on", &[]).await.unwrap();
    owner.execute("select pg_reload_conf()", &[]).await.unwrap();
    while owner.query_one("show ssl", &[]).await.unwrap().get::<_, String>(0) != "on" {
        tokio::task::yield_now().await;
    }
    assert!(!encrypted(&with("sslmode=disable")).await);
    assert!(encrypted(&url).await);
    assert!(encrypted(&with("sslmode=require")).await);
    let full = with(&format!("sslmode=verify-full&sslrootcert={}", root_file.display()));
    assert!(encrypted(&full).await);
    migrate(&full).await.unwrap();
    check_schema(&full).await.unwrap();
    PgStore::connect(&full).await.map(drop).unwrap();
    Queries::connect(&full).await.map(drop).unwrap();

    let other = format!("sslrootcert={}", other_file.display());
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = with(&format!("sslmode={mode}&{other}"));
        let refused = PgStore::connect(&url).await.err().unwrap();
        assert!(matches!(refused, Error::Unreachable(_)), "{mode}: {refused}");
    }
    let elsewhere = full.replace("127.0.0.1", "localhost");
    assert!(PgStore::connect(&elsewhere).await.is_err(), "the certificate names 127.0.0.1 alone");
    drop(owner);
    cluster.stop().await.unwrap();
}
