//! Each role may do its work and nothing else.

use tenantry_ports::conformance::store;
use tenantry_postgres::{Queries, TenantFilter, check_schema};

use crate::fleet::{Fleet, connect};

#[tokio::test]
async fn coordinators_and_workers_need_no_more_than_their_roles() {
    let mut fleet = Fleet::new().await;
    fleet.coordinator = fleet.login("tenantry_coordinator").await;
    fleet.worker = fleet.login("tenantry_worker").await;
    store::all(&fleet).await;
    check_schema(&fleet.coordinator).await.unwrap();
    check_schema(&fleet.worker).await.unwrap();
}

#[tokio::test]
async fn what_a_role_must_not_do_is_denied() {
    let fleet = Fleet::new().await;
    let denied: [(&str, &[&str]); 4] = [
        (
            "tenantry_coordinator",
            &[
                "update journal set facts = ''",
                "delete from journal",
                "truncate journal",
                "delete from tenant",
                "delete from lane",
                "update request set tenant = null",
                "update tenant_key set wrapped = ''",
                "insert into fence values ('a', 1)",
                "select from answer",
                "create table mine (x int)",
                "select from archived",
                "insert into archived values (0, 1, 2, 2, '', '', 0, 0, 0, null)",
            ],
        ),
        (
            "tenantry_worker",
            &[
                "select from journal",
                "select from tenant",
                "select from lane",
                "select from request",
                "insert into tenant_key values (gen_random_uuid(), '')",
                "delete from fence",
                "update answer set answer = ''",
                "delete from answer",
                "delete from journal",
                "select from archived",
            ],
        ),
        (
            "tenantry_reader",
            &[
                "select from tenant_key",
                "select from answer",
                "update lane set n = 0",
                "insert into fence values ('a', 1)",
                "delete from journal",
                "insert into archived values (0, 1, 2, 2, '', '', 0, 0, 0, null)",
                "update archived set restored = null",
            ],
        ),
        (
            "tenantry_archivist",
            &[
                "insert into journal values (0, 1, null, 1, 0, 0, '', '')",
                "update journal set facts = ''",
                "truncate journal",
                "delete from archived",
                "update archived set sha256 = ''",
                "update lane set n = 0",
                "delete from tenant",
                "update tenant set state = 'PURGED'",
                "select from request",
                "select from tenant_key",
                "select from answer",
                "select from fence",
                "create table mine (x int)",
            ],
        ),
    ];
    for (role, statements) in denied {
        let client = connect(&fleet.login(role).await).await;
        for statement in statements {
            let error = client.batch_execute(statement).await.expect_err(statement);
            assert_eq!(error.code().map(|code| code.code()), Some("42501"), "{role}: {statement}: {error}");
        }
    }
}

#[tokio::test]
async fn a_reader_can_ask_everything_that_people_ask() {
    let fleet = Fleet::new().await;
    let url = fleet.login("tenantry_reader").await;
    check_schema(&url).await.unwrap();
    let queries = Queries::connect(&url).await.unwrap();
    let nobody = crate::fleet::tenant(tenantry_contracts::Lane(0), 1);
    assert_eq!(queries.tenants(&TenantFilter::default()).await.unwrap(), []);
    assert_eq!(queries.find(&nobody.environment, &nobody.slug).await.unwrap(), []);
    assert_eq!(queries.tenant(nobody.tenant).await.unwrap(), None);
    assert_eq!(queries.history(nobody.tenant).await.unwrap(), []);
    assert_eq!(queries.journal_scan(nobody.lane, 0, 10).await.unwrap(), []);
    assert_eq!(queries.lanes().await.unwrap(), []);
    assert_eq!(queries.counts().await.unwrap(), []);
    assert_eq!(queries.archived().await.unwrap(), []);
    assert_eq!(queries.archivable(nobody.lane, 1, nobody.created, 10).await.unwrap(), None);
}
