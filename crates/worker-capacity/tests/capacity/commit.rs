//! What was reserved becomes the tenant's own, and a reservation again by the undo.

use tenantry_contracts::steps::capacity::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::kit::{self, Failure, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_worker_capacity::{COMMIT_POINTS, Commit};

use crate::world::{Capacity, input, refusal, storing};

const PLENTY: [u64; 4] = [1000, 10_000, 100_000, 2000];

struct Committing(Capacity);

impl World for Committing {
    type Step = Commit;
    const POINTS: &'static [&'static str] = COMMIT_POINTS;

    fn step(&self) -> &Commit {
        &self.0.commit
    }

    fn input(&self, _: &Tenant) -> Input {
        input()
    }

    async fn before(&self, tenant: &Tenant) {
        self.0.reserve.execute(&tenant.cx(1), &input()).await.unwrap();
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        let sql = format!(
            "select 'committed ' || owner from worker_capacity.reservation where tenant = '{id}' and committed"
        );
        self.0.texts(&sql).await
    }

    async fn plant(&self, tenant: &Tenant) {
        self.0.plant(tenant).await;
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        self.0.planted_stands(tenant).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Committing(Capacity::new("commit", PLENTY).await)).await
}

#[tokio::test]
async fn committed_capacity_stays_used_until_the_reservation_itself_is_undone() {
    let world = Capacity::new("own", PLENTY).await;
    let tenant = Tenant::fresh();
    let reserved = world.reserve.execute(&tenant.cx(10), &input()).await.unwrap();
    let foreseen = world.commit.foresee(&tenant.cx(10), &input()).await.unwrap().unwrap();
    assert_eq!(world.levels().await[1], "storage 10+0/10000");
    let committed = world.commit.execute(&tenant.cx(11), &input()).await.unwrap();
    assert_eq!((&committed.parts, &foreseen), (&reserved.parts, &committed));
    assert_eq!(world.levels().await[1], "storage 0+10/10000");
    // The same needs again: what is the tenant's own stays so.
    assert_eq!(world.reserve.execute(&tenant.cx(12), &input()).await.unwrap(), reserved);
    assert_eq!(world.levels().await[1], "storage 0+10/10000");
    // Other needs: they are reserved, and have to be committed anew.
    world.reserve.execute(&tenant.cx(13), &storing(30)).await.unwrap();
    assert_eq!(world.levels().await[1], "storage 30+0/10000");
    world.commit.execute(&tenant.cx(14), &storing(30)).await.unwrap();
    world.commit.compensate(&tenant.cx(20), &storing(30), None).await.unwrap();
    assert_eq!(world.levels().await[1], "storage 30+0/10000");
    world.commit.execute(&tenant.cx(21), &storing(30)).await.unwrap();
    world.reserve.compensate(&tenant.cx(22), &storing(30), None).await.unwrap();
    assert_eq!(world.levels().await[1], "storage 0+0/10000");
    world.commit.compensate(&tenant.cx(23), &storing(30), None).await.unwrap();
    assert_eq!(world.commit.observe(&tenant.cx(24), &input()).await.unwrap(), Observed::Absent);
}

#[tokio::test]
async fn without_a_reservation_or_with_another_one_there_is_nothing_to_commit() {
    let world = Capacity::new("nothing", PLENTY).await;
    let tenant = Tenant::fresh();
    assert_eq!(world.commit.foresee(&tenant.cx(5), &input()).await.unwrap(), None);
    let (code, class, message) = refusal(world.commit.execute(&tenant.cx(10), &input()).await);
    assert_eq!((code, class), (Code::Bug, Class::Bug));
    assert!(message.contains("nothing is reserved for this tenant"), "{message}");
    world.reserve.execute(&tenant.cx(11), &storing(30)).await.unwrap();
    let (code, _, message) = refusal(world.commit.execute(&tenant.cx(12), &input()).await);
    assert_eq!(code, Code::Bug);
    assert!(message.contains("is not what is to be committed"), "{message}");
    assert_eq!(world.levels().await[1], "storage 30+0/10000");
}

#[tokio::test]
async fn both_steps_stand_behind_one_fence() {
    let world = Capacity::new("fence", PLENTY).await;
    let tenant = Tenant::fresh();
    world.reserve.execute(&tenant.cx(10), &input()).await.unwrap();
    world.reserve.compensate(&tenant.cx(20), &input(), None).await.unwrap();
    let late = world.commit.execute(&tenant.cx(11), &input()).await;
    assert_eq!(late, Err(Trouble::Superseded));
    world.reserve.execute(&tenant.cx(30), &input()).await.unwrap();
    world.commit.execute(&tenant.cx(31), &input()).await.unwrap();
    assert_eq!(world.reserve.compensate(&tenant.cx(30), &input(), None).await, Err(Trouble::Superseded));
    assert_eq!(world.levels().await[1], "storage 0+10/10000");
}
