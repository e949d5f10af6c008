//! The kit, and what a report says of a tenant that is well, less well, and not well at all.

use std::fs;

use tenantry_contracts::steps::verify::{Health, Input};
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, World};
use tenantry_step::{Step, Trouble};

use crate::world::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Fleet::new("schema").await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_answers_the_same_in_every_strategy() -> Result<(), Failure> {
    for isolation in ["pooled_rls", "database"] {
        let fleet = Fleet::new(isolation).await;
        kit::do_twice(&fleet).await?;
        kit::side_by_side(&fleet).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_was_made_well_is_ready_and_every_check_has_a_duration() {
    for isolation in ["schema", "pooled_rls", "database"] {
        let fleet = Fleet::new(isolation).await;
        let tenant = fleet.tenant().await;
        let neighbour = fleet.tenant().await;
        assert_eq!(fleet.step.foresee(&tenant.cx(9), &fleet.input(&tenant)).await.unwrap(), None);
        let report = fleet.verify(&tenant, 10).await.unwrap();
        assert_eq!((report.status, report.notices.len()), (Health::Ready, 0), "{isolation}: {report:?}");
        let names: Vec<_> = report.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "database.reachable",
                "database.schema",
                "database.role",
                "database.modules",
                "database.seed",
                "storage.bucket",
                "storage.quota",
                "secrets.keys",
                "config.record",
                "quota.record"
            ]
        );
        assert!(report.checks.iter().all(|check| check.status == Health::Ready), "{report:?}");
        let probes = |stem: &str| report.probes.iter().filter(|name| name.starts_with(stem)).count();
        assert!(probes("database.") >= 14, "{report:?}");
        assert_eq!((probes("storage."), probes("secrets.")), (5, 3), "{report:?}");
        assert_eq!(probes("tenants-database.") > 0, isolation == "database", "{report:?}");
        assert_eq!(fleet.step.foresee(&tenant.cx(11), &fleet.input(&tenant)).await.unwrap(), Some(report));
        assert_eq!(fleet.verify(&neighbour, 10).await.unwrap().status, Health::Ready);
    }
}

#[tokio::test]
async fn little_room_or_few_connections_degrade_a_tenant_and_say_so() {
    let fleet = Fleet::new("schema").await;
    let (full, narrow) = (fleet.tenant().await, fleet.tenant().await);
    fs::create_dir(fleet.bucket(&full).join("inbox")).unwrap();
    fs::write(fleet.bucket(&full).join("inbox/mail"), vec![0; 9001]).unwrap();
    let report = fleet.verify(&full, 10).await.unwrap();
    assert_eq!((report.status, report.notices.len()), (Health::Degraded, 1));
    assert_eq!(report.notices[0].code, Code::HealthDegraded);
    assert_eq!(report.notices[0].message, "storage.quota: 9001 of 10000 bytes are used");

    let role = fleet.input(&narrow).database.role;
    fleet.run(&format!("alter role {role} connection limit 1")).await;
    let report = fleet.verify(&narrow, 10).await.unwrap();
    assert_eq!(report.status, Health::Degraded);
    assert_eq!(report.notices[0].message, "database.role: the tenant's role may hold 1 connection at once");
}

#[tokio::test]
async fn each_broken_thing_fails_its_check_by_name_and_no_report_stands() {
    let fleet = Fleet::new("schema").await;
    for (check, break_it) in [
        ("database.reachable", None),
        ("database.schema", Some("drop schema {schema} cascade")),
        ("database.role", Some("alter role {role} nologin")),
        ("database.role", Some("comment on role {role} is 'theirs'")),
        (
            "database.modules",
            Some("delete from {schema}.schema_ledger where module = 'identity' and version > 1"),
        ),
        ("database.seed", Some("delete from {schema}.account")),
        ("database.seed", Some("revoke select on {schema}.tenant_config from {role}")),
        (
            "config.record",
            Some("update worker_config.record set document = '{\"output\":{\"digest\":\"0\"}}'"),
        ),
        ("config.record", Some("delete from worker_config.record")),
        ("quota.record", Some("update worker_quota.record set owner = 'theirs'")),
        ("storage.bucket", None),
        ("storage.quota", None),
        ("secrets.keys", None),
    ] {
        let tenant = fleet.tenant().await;
        let mut input = fleet.input(&tenant);
        match (check, break_it) {
            (_, Some(sql)) => {
                let Input { database, .. } = &input;
                let sql = sql.replace("{schema}", &database.schema).replace("{role}", &database.role);
                fleet.run(&sql).await;
            }
            ("database.reachable", _) => input.database.database = "d_nowhere".to_owned(),
            ("storage.bucket", _) => fs::remove_dir_all(fleet.bucket(&tenant)).unwrap(),
            ("storage.quota", _) => input.storage.quota_bytes += 1,
            _ => input.secrets.key = "another".to_owned(),
        }
        let no = fleet.step.execute(&tenant.cx(10), &input).await.unwrap_err();
        let Trouble::No { code, class, message, .. } = &no else { panic!("{check}: {no}") };
        assert_eq!((*code, *class), (Code::HealthFailed, Class::Config), "{check}: {no}");
        assert!(message.contains(&format!("{check}: ")), "{check}: {no}");
        assert_eq!(fleet.remains(&tenant).await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn keys_that_do_not_open_with_the_workers_master_key_fail() {
    for isolation in ["schema", "database"] {
        let fleet = Fleet::new(isolation).await;
        let tenant = fleet.tenant().await;
        let step = fleet.with_another_master_key();
        let no = step.execute(&tenant.cx(10), &fleet.input(&tenant)).await.unwrap_err();
        assert_eq!(no.to_string(), "health_failed: secrets.keys: the keys do not open with the master key");
    }
}
