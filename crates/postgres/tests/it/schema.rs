//! The schema and the program are of one version, or somebody is told.

use tenantry_postgres::{Error, check_schema, migrate};
use tenantry_testkit::postgres::Postgres;

use crate::fleet::{Fleet, connect};

#[tokio::test]
async fn an_empty_database_is_too_old_until_it_is_migrated_by_many_at_once() {
    let url = Postgres::shared().await.fresh_database("schema").await;
    let error = check_schema(&url).await.unwrap_err();
    assert!(matches!(error, Error::SchemaOlder { have: 0, .. }), "{error}");
    assert!(error.to_string().contains("tenantry migrate"), "{error}");
    let all: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { migrate(&url).await })
        })
        .collect();
    for one in all {
        one.await.unwrap().unwrap();
    }
    check_schema(&url).await.unwrap();
    migrate(&url).await.unwrap();
}

#[tokio::test]
async fn an_older_a_newer_and_an_altered_schema_are_refused_each_by_its_code() {
    let fleet = Fleet::new().await;
    let client = connect(&fleet.url).await;
    for (change, code, migrates) in [
        (
            "insert into _sqlx_migrations select 9999, 'later', now(), true, '\\x00', 1",
            "schema_newer",
            Some("schema_newer"),
        ),
        (
            "update _sqlx_migrations set checksum = '\\x00' where version = 1",
            "schema_altered",
            Some("schema_altered"),
        ),
        (
            "update _sqlx_migrations set success = false where version = 1",
            "schema_altered",
            Some("schema_altered"),
        ),
        ("delete from _sqlx_migrations where version = 2", "schema_older", None),
    ] {
        client.batch_execute("create table kept as select * from _sqlx_migrations").await.unwrap();
        client.batch_execute(change).await.unwrap();
        let error = check_schema(&fleet.url).await.unwrap_err().to_string();
        assert!(error.starts_with(code), "{change}: {error}");
        let migrated = migrate(&fleet.url).await.map_err(|error| error.to_string());
        match migrates {
            Some(code) => assert!(migrated.is_err_and(|error| error.starts_with(code)), "{change}"),
            None => migrated.unwrap(),
        }
        let back =
            "delete from _sqlx_migrations; insert into _sqlx_migrations select * from kept; drop table kept";
        client.batch_execute(back).await.unwrap();
        check_schema(&fleet.url).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_with_advice() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("postgres://nobody@127.0.0.1:{port}/nothing");
    for error in [
        check_schema(&url).await.unwrap_err().to_string(),
        migrate(&url).await.unwrap_err().to_string(),
        tenantry_postgres::PgStore::connect(&url).await.err().unwrap().to_string(),
        tenantry_postgres::Queries::connect(&url).await.unwrap_err().to_string(),
    ] {
        assert!(error.starts_with("database_unreachable: "), "{error}");
    }
}
