//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::steps::identity::{Input, Output};
use tenantry_contracts::{Class, Code, Environment};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Cx, Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_identity::{Identity, POINTS, prepare};
use tokio_postgres::NoTls;

struct Records {
    pool: Pool,
    step: Identity,
}

impl Records {
    async fn new(prefix: &str) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(16).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        Self { step: Identity::new(pool.clone()), pool }
    }

    async fn run(&self, sql: &str) {
        self.pool.get().await.unwrap().batch_execute(sql).await.unwrap();
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn create(&self, cx: &Cx) -> Output {
        self.step.execute(cx, &input()).await.unwrap()
    }
}

fn input() -> Input {
    Input { template: "enterprise".to_owned(), region: "eu-central-1".to_owned(), residency: "EU".to_owned() }
}

fn is_conflict<T>(answer: &Result<T, Trouble>) -> bool {
    matches!(answer, Err(Trouble::No { code: Code::OwnedByOther, class: Class::Conflict, .. }))
}

impl World for Records {
    type Step = Identity;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Identity {
        &self.step
    }

    fn input(&self, _: &Tenant) -> Input {
        input()
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!(
            "select t::text from worker_identity.tenant t where tenant = '{id}' or slug = '{slug}'
             union all select p::text from worker_identity.partition p where tenant = '{id}' order by 1",
            slug = tenant.slug
        ))
        .await
    }

    async fn plant(&self, tenant: &Tenant) {
        let id = tenant.id;
        self.run(&format!(
            "insert into worker_identity.tenant
             values ('{id}', -{number}, 'somebody', 'prod', '{slug}', 'theirs-{id}', '{slug}-prod', '', '', '')",
            number = tenant.id.0.as_u128() >> 70,
            slug = tenant.slug
        ))
        .await;
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let rows = self.remains(tenant).await;
        rows.len() == 1 && rows[0].contains("somebody")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Records::new("kit").await).await
}

#[tokio::test]
async fn a_tenant_gets_a_number_a_namespace_and_three_partitions() {
    let world = Records::new("made").await;
    let tenant = Tenant::fresh();
    let made = world.create(&tenant.cx(10)).await;
    let id = tenant.id;
    assert_eq!(made.display, "TEN-001");
    assert_eq!(made.namespace.id, format!("ns_{id}"));
    assert_eq!(made.namespace.slug, format!("{}-prod", tenant.slug));
    assert_eq!(made.namespace.environment, Environment::default());
    let told: Vec<_> =
        made.partitions.iter().map(|p| (p.id.as_str(), p.name.as_str(), p.kind.as_str())).collect();
    let wanted = ["primary", "analytics", "audit"].map(|kind| (format!("part_{id}_{kind}"), kind));
    assert_eq!(told, wanted.each_ref().map(|(id, kind)| (id.as_str(), *kind, *kind)));
    let rows = world.texts("select id from worker_identity.partition order by at, id").await;
    assert_eq!(rows.len(), 3);
}

#[tokio::test]
async fn a_replay_keeps_the_number_and_three_rows_and_puts_back_a_lost_partition() {
    let world = Records::new("replay").await;
    let tenant = Tenant::fresh();
    let made = world.create(&tenant.cx(10)).await;
    world.run("delete from worker_identity.partition where kind = 'audit'").await;
    let seen = world.step.observe(&tenant.cx(11), &input()).await.unwrap();
    assert!(
        matches!(&seen, Observed::Ours { differences } if differences[0].path == "/partitions/audit"),
        "{seen:?}"
    );
    assert_eq!(world.step.foresee(&tenant.cx(11), &input()).await.unwrap().as_ref(), Some(&made));
    for token in [10, 11, 12] {
        assert_eq!(world.create(&tenant.cx(token)).await, made);
    }
    assert_eq!(world.texts("select kind from worker_identity.partition order by 1").await.len(), 3);
    assert_eq!(world.texts("select number::text from worker_identity.tenant").await, ["1"]);
}

#[tokio::test]
async fn a_changed_template_changes_the_record_and_keeps_the_number() {
    let world = Records::new("changed").await;
    let tenant = Tenant::fresh();
    let made = world.create(&tenant.cx(10)).await;
    let other = Input { template: "starter".to_owned(), ..input() };
    let seen = world.step.observe(&tenant.cx(11), &other).await.unwrap();
    assert!(
        matches!(&seen, Observed::Ours { differences } if differences[0].path == "/template"),
        "{seen:?}"
    );
    assert_eq!(world.step.execute(&tenant.cx(11), &other).await.unwrap(), made);
    assert_eq!(world.texts("select template from worker_identity.tenant").await, ["starter"]);
}

#[tokio::test]
async fn two_environments_of_one_slug_live_side_by_side() {
    let world = Records::new("environments").await;
    let (one, mut two) = (Tenant::fresh(), Tenant::fresh());
    two.slug = one.slug.clone();
    let mut staging = two.cx(10);
    staging.environment = Environment::parse("staging").unwrap();
    let (prod, made) = (world.create(&one.cx(10)).await, world.create(&staging).await);
    assert_eq!(
        (prod.namespace.slug, made.namespace.slug),
        (format!("{}-prod", one.slug), format!("{}-staging", one.slug))
    );
    assert_ne!((&prod.namespace.id, &prod.display), (&made.namespace.id, &made.display));
    let mut undo = two.cx(20);
    undo.environment = staging.environment;
    world.step.compensate(&undo, &input(), None).await.unwrap();
    assert_eq!(world.texts("select environment from worker_identity.tenant").await, ["prod"]);
}

#[tokio::test]
async fn a_namespace_that_another_tenant_holds_is_a_conflict_until_that_one_is_gone() {
    let world = Records::new("held").await;
    let (one, mut two) = (Tenant::fresh(), Tenant::fresh());
    two.slug = one.slug.clone();
    world.create(&one.cx(10)).await;
    let foreseen = world.step.foresee(&two.cx(5), &input()).await;
    let refused = world.step.execute(&two.cx(10), &input()).await;
    assert!(is_conflict(&foreseen) && is_conflict(&refused), "{foreseen:?} {refused:?}");
    let no = refused.unwrap_err().to_string();
    assert!(!no.contains(&one.id.to_string()), "whose it is, is nobody's business: {no}");
    let seen = world.step.observe(&two.cx(11), &input()).await.unwrap();
    assert!(matches!(seen, Observed::Foreign { .. }), "{seen:?}");
    world.step.compensate(&two.cx(20), &input(), None).await.unwrap();
    world.step.compensate(&one.cx(20), &input(), None).await.unwrap();
    let made = world.create(&two.cx(30)).await;
    assert_ne!(made.display, "TEN-001", "a number is never given again");
    assert_eq!(world.texts("select tenant::text from worker_identity.tenant").await, [two.id.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_tenants_at_once_get_ten_numbers_and_of_ten_that_want_one_slug_one_gets_it() {
    let world = Arc::new(Records::new("at_once").await);
    let shared = Tenant::fresh().slug;
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let (world, mut tenant) = (Arc::clone(&world), Tenant::fresh());
            if n % 2 == 0 {
                tenant.slug = shared.clone();
            }
            tokio::spawn(async move {
                prepare(&world.pool).await.unwrap();
                (n, world.step.execute(&tenant.cx(10), &input()).await)
            })
        })
        .collect();
    let (mut numbers, mut refused) = (BTreeSet::new(), 0);
    for task in tasks {
        match task.await.unwrap() {
            (_, Ok(made)) => drop(numbers.insert(made.display)),
            (n, answer) => {
                assert!(n % 2 == 0 && is_conflict(&answer), "{answer:?}");
                refused += 1;
            }
        }
    }
    assert_eq!((numbers.len(), refused), (11, 9));
    assert_eq!(world.texts("select kind from worker_identity.partition").await.len(), 33);
}
