//! The step on a real PostgreSQL: the kit, and what only this step promises.
#![allow(missing_docs, clippy::unwrap_used)]

mod plans;

use std::sync::Arc;

use deadpool_postgres::{Manager, Pool, Runtime};
use tenantry_contracts::catalogue::Catalogue;
use tenantry_contracts::steps::validate::Input;
use tenantry_contracts::{Class, Code, Environment};
use tenantry_step::kit::{self, Failure, NOW, Tenant, World};
use tenantry_step::{Observed, Step, Trouble};
use tenantry_testkit::postgres::Postgres;
use tenantry_worker_validate::{POINTS, Validate, prepare};
use tokio_postgres::NoTls;

const CUSTOMISATION: &str = r##"{"branding":{"primaryColor":"#00aaff"},"settings":{"locale":"de-DE"}}"##;

pub(crate) struct Claims {
    pool: Pool,
    pub(crate) step: Validate,
}

impl Claims {
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::with(prefix, Catalogue::built_in()).await
    }

    pub(crate) async fn with(prefix: &str, catalogue: Catalogue) -> Self {
        let url = Postgres::shared().await.fresh_database(prefix).await;
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).max_size(16).runtime(Runtime::Tokio1).build().unwrap();
        prepare(&pool).await.unwrap();
        Self { step: Validate::new(pool.clone(), Arc::new(catalogue)), pool }
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.pool.get().await.unwrap().query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// An input with a name of the tenant's own and nothing else.
pub(crate) fn named(tenant: &Tenant, name: &str) -> Input {
    Input {
        name: tenant.seal("name", name),
        plan: "ENTERPRISE".to_owned(),
        template: None,
        residency: Some("US".to_owned()),
        region: Some("us-east-1".to_owned()),
        domain: None,
        modules: vec![],
        seats: Some(250),
        storage_bytes: Some(500_000_000_000),
        encryption: None,
        features: vec![],
        integrations: vec![],
        customisation: None,
        valid_until: None,
    }
}

impl World for Claims {
    type Step = Validate;
    const POINTS: &'static [&'static str] = POINTS;

    fn step(&self) -> &Validate {
        &self.step
    }

    fn input(&self, tenant: &Tenant) -> Input {
        Input {
            domain: Some(format!("{}.example.com", tenant.slug)),
            features: vec!["SSO".to_owned(), "Data Lake".to_owned()],
            integrations: vec!["slack".to_owned()],
            customisation: Some(tenant.seal("customisation", CUSTOMISATION)),
            ..named(tenant, &format!("The {}", tenant.slug))
        }
    }

    async fn remains(&self, tenant: &Tenant) -> Vec<String> {
        let id = tenant.id;
        self.texts(&format!(
            "select kind || ' generation ' || generation from worker_validate.claim where tenant = '{id}' order by 1"
        ))
        .await
    }

    async fn plant(&self, tenant: &Tenant) {
        // Another tenant has the name already. Its id is known from the victim's, so that it can be found again.
        let mut other = tenant.clone();
        other.id.0 = uuid::Uuid::from_u128(!tenant.id.0.as_u128());
        let name = format!("THE  {}", tenant.slug);
        self.step.execute(&other.cx(5), &named(&other, &name)).await.unwrap();
    }

    async fn planted_stands(&self, tenant: &Tenant) -> bool {
        let mut other = tenant.clone();
        other.id.0 = uuid::Uuid::from_u128(!tenant.id.0.as_u128());
        self.remains(&other).await == ["name generation 1"] && self.remains(tenant).await.is_empty()
    }
}

pub(crate) fn refusal(answer: Result<impl Sized, Trouble>) -> (Code, Class, String) {
    match answer.err().unwrap() {
        Trouble::No { code, class, pointer, .. } => (code, class, pointer.unwrap_or_default()),
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_passes_the_kit() -> Result<(), Failure> {
    kit::all(&Claims::new("kit").await).await
}

#[tokio::test]
async fn a_sound_request_gets_template_place_modules_and_needs() {
    let world = Claims::new("sound").await;
    let tenant = Tenant::fresh();
    let output = world.step.execute(&tenant.cx(10), &world.input(&tenant)).await.unwrap();
    assert_eq!(
        (output.template.name.as_str(), output.template.isolation.as_str(), output.template.digest.len()),
        ("enterprise", "database", 64)
    );
    assert_eq!((output.region.as_str(), output.residency.as_str()), ("us-east-1", "US"));
    assert_eq!(output.modules, ["multitenancy", "identity", "auditing"]);
    assert_eq!((output.template.tier.as_str(), output.template.version.as_str()), ("ENTERPRISE", "1.0.0"));
    assert_eq!(output.encryption, "enhanced");
    assert_eq!((output.requirements.seats, output.requirements.storage_bytes), (250, 500_000_000_000));
    let claims: Vec<_> = output.claims.iter().map(|claim| (claim.kind.as_str(), claim.generation)).collect();
    assert_eq!(claims, [("name", 1), ("domain", 1)]);
}

#[tokio::test]
async fn an_unsound_request_is_refused_with_its_code_and_place_and_claims_nothing() {
    let world = Claims::new("unsound").await;
    let tenant = Tenant::fresh();
    let sound = || world.input(&tenant);
    let text = |text: &str| Some(text.to_owned());
    for (input, code, at) in [
        (Input { plan: "gold".to_owned(), ..sound() }, Code::PlanUnknown, "/plan"),
        (Input { region: text("eu-west-1"), ..sound() }, Code::RegionOutsideResidency, "/region"),
        (Input { region: text("mars-1"), ..sound() }, Code::RegionUnknown, "/region"),
        (Input { residency: text("MARS"), ..sound() }, Code::ResidencyUnknown, "/residency"),
        (Input { modules: vec!["crm".to_owned()], ..sound() }, Code::ModuleUnknown, "/modules/0"),
        (Input { encryption: text("rot13"), ..sound() }, Code::FieldInvalid, "/encryption"),
        (Input { domain: text("localhost"), ..sound() }, Code::DomainInvalid, "/domain"),
        (Input { valid_until: Some(NOW), ..sound() }, Code::ValidityEnded, "/valid_until"),
        (Input { name: tenant.seal("name", "аcme"), ..sound() }, Code::NameInvalid, "/name"),
        (Input { name: tenant.seal("name", "ac\u{202e}me"), ..sound() }, Code::NameInvalid, "/name"),
    ] {
        refused_alike(&world, &tenant, &input, (code, Class::Validation, at)).await;
        assert_eq!(world.step.observe(&tenant.cx(11), &input).await.unwrap(), Observed::Absent, "{code}");
    }
    let later = Input { valid_until: Some(NOW.plus(1)), ..sound() };
    assert!(world.step.execute(&tenant.cx(10), &later).await.is_ok());
}

/// Execute and foresee refuse alike, and nothing is claimed. Answers the message.
pub(crate) async fn refused_alike(
    world: &Claims,
    tenant: &Tenant,
    input: &Input,
    want: (Code, Class, &str),
) -> String {
    let foreseen = world.step.foresee(&tenant.cx(9), input).await.unwrap_err();
    let no = world.step.execute(&tenant.cx(10), input).await.unwrap_err();
    assert_eq!(foreseen, no);
    assert_eq!(refusal(Err::<(), _>(no.clone())), (want.0, want.1, want.2.to_owned()), "{no}");
    assert_eq!(world.remains(tenant).await, Vec::<String>::new(), "{no}");
    let Trouble::No { message, .. } = no else { unreachable!("it is a no") };
    message
}

#[tokio::test]
async fn claims_are_foreseen_as_they_will_be() {
    let world = Claims::new("foresee").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let input = |tenant: &Tenant| named(tenant, "Pace Labs");
    let foreseen = |tenant: Tenant| {
        let world = &world;
        async move { world.step.foresee(&tenant.cx(5), &input(&tenant)).await.map(|told| told.unwrap().claims) }
    };
    assert_eq!(foreseen(one.clone()).await.unwrap()[0].generation, 1);
    let made = world.step.execute(&one.cx(10), &input(&one)).await.unwrap();
    assert_eq!(foreseen(one.clone()).await.unwrap(), made.claims);
    let refused = (Code::NameTaken, Class::Business, "/name".to_owned());
    assert_eq!(refusal(foreseen(two.clone()).await), refused);
    world.step.compensate(&one.cx(20), &input(&one), None).await.unwrap();
    assert_eq!(foreseen(two.clone()).await.unwrap()[0].generation, 2);
}

#[tokio::test]
async fn a_name_that_looks_like_a_living_tenants_is_taken_until_that_one_is_undone() {
    let world = Claims::new("taken").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    world.step.execute(&one.cx(10), &named(&one, "Pace Labs")).await.unwrap();
    for name in ["pace  labs", "Расе Labs", "PACE LABS"] {
        let refused = refusal(world.step.execute(&two.cx(10), &named(&two, name)).await);
        assert_eq!(refused, (Code::NameTaken, Class::Business, "/name".to_owned()), "{name}");
    }
    world.step.compensate(&one.cx(20), &named(&one, "Pace Labs"), None).await.unwrap();
    let output = world.step.execute(&two.cx(11), &named(&two, "PACE LABS")).await.unwrap();
    assert_eq!(output.claims[0].generation, 2, "the name was claimed before");
    // The late undo of the first tenant must not take the name from the second.
    world.step.compensate(&one.cx(21), &named(&one, "Pace Labs"), None).await.unwrap();
    assert_eq!(world.remains(&two).await, ["name generation 2"]);
}

#[tokio::test]
async fn a_taken_domain_leaves_the_name_unclaimed() {
    let world = Claims::new("domain").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    let input = |tenant: &Tenant, name: &str| Input {
        domain: Some("Acme.example.com".to_owned()),
        ..named(tenant, name)
    };
    world.step.execute(&one.cx(10), &input(&one, "One")).await.unwrap();
    let refused = refusal(world.step.execute(&two.cx(10), &input(&two, "Two")).await);
    assert_eq!(refused, (Code::DomainTaken, Class::Business, "/domain".to_owned()));
    assert_eq!(world.remains(&two).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_changed_name_lets_go_of_the_one_before() {
    let world = Claims::new("changed").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    world.step.execute(&one.cx(10), &named(&one, "Before")).await.unwrap();
    world.step.execute(&one.cx(11), &named(&one, "After")).await.unwrap();
    let seen = world.step.observe(&one.cx(12), &named(&one, "Before")).await.unwrap();
    assert!(matches!(&seen, Observed::Ours { differences } if differences.len() == 2), "{seen:?}");
    world.step.execute(&two.cx(10), &named(&two, "Before")).await.unwrap();
}

#[tokio::test]
async fn a_name_can_be_held_once_in_each_environment() {
    let world = Claims::new("environments").await;
    let (one, two) = (Tenant::fresh(), Tenant::fresh());
    world.step.execute(&one.cx(10), &named(&one, "Acme")).await.unwrap();
    let mut staging = two.cx(10);
    staging.environment = Environment::parse("staging").unwrap();
    world.step.execute(&staging, &named(&two, "Acme")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tenants_that_want_one_name_at_once_one_gets_it() {
    let world = Claims::new("race").await;
    let tenants: Vec<_> = (0..20).map(|_| Tenant::fresh()).collect();
    let input =
        |tenant: &Tenant| Input { domain: Some("one.example.com".to_owned()), ..named(tenant, "The One") };
    let answers =
        tenants.iter().map(async |tenant| world.step.execute(&tenant.cx(10), &input(tenant)).await.is_ok());
    let mut won = 0;
    for answer in futures::future::join_all(answers).await {
        won += usize::from(answer);
    }
    assert_eq!(won, 1);
    assert_eq!(
        world.texts("select kind from worker_validate.claim where tenant is not null order by 1").await.len(),
        2
    );
}

#[tokio::test]
async fn no_name_stands_in_clear() {
    let world = Claims::new("canary").await;
    let tenant = Tenant::fresh();
    let input = Input { domain: Some("canary.example.com".to_owned()), ..named(&tenant, "Canary Labs") };
    world.step.execute(&tenant.cx(10), &input).await.unwrap();
    let rows = world.texts("select c::text from worker_validate.claim c").await;
    let fence = world.texts("select f::text from worker_validate.fence f").await;
    assert_eq!((rows.len(), fence.len()), (2, 1));
    let everything = [rows, fence].concat().join("\n").to_lowercase();
    for clear in ["canary", &hex::encode("canary"), &hex::encode("Canary")] {
        assert!(!everything.contains(clear), "{everything}");
    }
}
