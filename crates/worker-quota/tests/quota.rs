//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::catalogue::{BUILT_IN, Catalogue};
use tenantry_contracts::steps::quota::{Input, Output};
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_quota::{POINTS, Quota, prepare};
use tokio_postgres::NoTls;

struct Quotas {
    pool: Pool,
    step: Quota,
}

impl Quotas {
    async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(8).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        Self { step: Quota::new(pool.clone(), Arc::new(Catalogue::built_in())), pool }
    }

    async fn run(&self, sql: &str) {
        self.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn history(&self) -> Vec<String> {
        let sql = "select format('%s -> %s', before->>'tier', after->>'tier') from worker_quota.history order by id";
        self.texts(sql).await
    }
}

fn of(plan: &str) -> Input {
    let template = Catalogue::built_in().newest(plan).unwrap().pinned();
    Input { template, seats: 250, storage_bytes: 500_000_000_000 }
}

impl World for Quotas {
    type Step = Quota;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Quota {
        &self.step
    }

    fn input(&self, _: &Tenant) -> Input {
        of("enterprise")
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!(
            "select 'record ' || digest || document from worker_quota.record where tenant = '{id}'
             union all select 'history ' || h::text from worker_quota.history h where tenant = '{id}' order by 1"
        ))
        .await
    }

    async fn plant(&self, tenant: &Tenant) {
        let id = tenant.id;
        self.run(&format!(
            "insert into worker_quota.record (tenant, owner, digest, document) values ('{id}', 'somebody', '', '7')"
        ))
        .await;
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.remains(tenant).await == ["record 7"]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Quotas::new("kit").await).await
}

#[tokio::test]
async fn an_enterprise_tenant_may_make_ten_million_requests_a_day() {
    let world = Quotas::new("tiers").await;
    for (plan, tier, requests_per_day) in [
        ("enterprise", "ENTERPRISE", Some(10_000_000)),
        ("professional", "PROFESSIONAL", None),
        ("starter", "STARTER", None),
    ] {
        let tenant = Tenant::fresh();
        let quota = world.step.execute(&tenant.cx(10), &of(plan)).await.unwrap();
        let data = Catalogue::built_in().newest(plan).unwrap().clone();
        assert_eq!(
            (quota.tier.as_str(), quota.requests_per_day),
            (data.tier.as_str(), data.quota.requests_per_day)
        );
        assert_eq!(quota.tier, tier);
        assert!(requests_per_day.is_none_or(|wanted| wanted == quota.requests_per_day));
        assert_eq!((quota.seats, quota.storage_bytes), (250, 500_000_000_000));
    }
}

#[tokio::test]
async fn a_change_of_the_tier_replaces_the_quota_and_keeps_what_was_before() {
    let world = Quotas::new("change").await;
    let tenant = Tenant::fresh();
    let first = world.step.execute(&tenant.cx(10), &of("starter")).await.unwrap();
    let second = world.step.execute(&tenant.cx(11), &of("enterprise")).await.unwrap();
    // A repeat is no change.
    assert_eq!(world.step.execute(&tenant.cx(12), &of("enterprise")).await.unwrap(), second);
    assert_eq!(world.history().await, ["STARTER -> ENTERPRISE"]);
    let rows = world.pool.get().await.unwrap();
    let rows = rows
        .query("select before::text, after::text, owner, tenant from worker_quota.history", &[])
        .await
        .unwrap();
    let quota = |at: usize| serde_json::from_str::<Output>(rows[0].get(at)).unwrap();
    assert_eq!((quota(0), quota(1)), (first, second));
    assert!(tenant.cx(1).owns(rows[0].get(2)));
    assert_eq!(rows[0].get::<_, uuid::Uuid>(3), tenant.id.0);
    world.step.execute(&tenant.cx(13), &of("starter")).await.unwrap();
    assert_eq!(world.history().await, ["STARTER -> ENTERPRISE", "ENTERPRISE -> STARTER"]);
    assert_eq!(world.texts("select document->>'tier' from worker_quota.record").await, ["STARTER"]);
}

#[tokio::test]
async fn nobody_changes_the_history_not_even_by_sql() {
    let world = Quotas::new("history").await;
    let tenant = Tenant::fresh();
    for (token, plan) in [(10, "starter"), (11, "enterprise")] {
        world.step.execute(&tenant.cx(token), &of(plan)).await.unwrap();
    }
    prepare(&world.pool).await.unwrap();
    for sql in [
        "update worker_quota.history set before = '1'",
        "delete from worker_quota.history",
        "truncate worker_quota.history",
    ] {
        assert!(world.pool.get().await.unwrap().batch_execute(sql).await.is_err(), "{sql}");
    }
    // It outlives the quota.
    world.step.compensate(&tenant.cx(20), &of("enterprise"), None).await.unwrap();
    assert_eq!(world.history().await, ["STARTER -> ENTERPRISE"]);
}

#[tokio::test]
async fn a_template_that_the_worker_does_not_have_is_refused_and_what_stands_is_answered_all_the_same() {
    let mut world = Quotas::new("moved").await;
    let tenant = Tenant::fresh();
    let made = world.step.execute(&tenant.cx(10), &of("enterprise")).await.unwrap();
    let starter = BUILT_IN.iter().find(|(name, _)| *name == "starter.json").unwrap();
    let catalogue = Catalogue::read([(starter.0.to_owned(), starter.1.to_owned())]).unwrap();
    world.step = Quota::new(world.pool.clone(), Arc::new(catalogue));
    assert_eq!(world.step.execute(&tenant.cx(11), &of("enterprise")).await.unwrap(), made);
    assert_eq!(world.step.foresee(&tenant.cx(11), &of("enterprise")).await.unwrap(), Some(made));
    let seen = world.step.observe(&tenant.cx(11), &of("enterprise")).await.unwrap();
    assert_eq!(seen, Observed::Ours { differences: vec![] });
    let other = Tenant::fresh();
    let foreseen = world.step.foresee(&other.cx(5), &of("enterprise")).await.unwrap_err();
    let refused = world.step.execute(&other.cx(10), &of("enterprise")).await.unwrap_err();
    assert_eq!(foreseen, refused);
    assert!(
        matches!(&refused, Trouble::No { code: Code::TemplateMoved, class: Class::Config, pointer: Some(at), .. }
            if at == "/template/digest"),
        "{refused:?}"
    );
    assert!(refused.to_string().contains("template enterprise 1.0.0 with digest "), "{refused}");
    assert_eq!(world.remains(&other).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_quota_that_a_foreign_hand_changed_is_seen() {
    let world = Quotas::new("changed").await;
    let tenant = Tenant::fresh();
    world.step.execute(&tenant.cx(10), &of("enterprise")).await.unwrap();
    world.run("update worker_quota.record set document = '{\"tier\":\"GOLD\"}'").await;
    let seen = world.step.observe(&tenant.cx(11), &of("enterprise")).await.unwrap();
    assert!(matches!(&seen, Observed::Ours { differences } if differences[0].path == "/record"), "{seen:?}");
}
