//! Worker `database`: a schema of the tenant's own in PostgreSQL, with a role of its own, migrated, seeded, and proved
//! isolated before anybody relies on it.
//!
//! Every name derives from the tenant id, every thing carries our owner tag, and every effect is one transaction whose
//! first statement raises the fence. So a late worker finds the fence, and a repeat finds what is there.

mod modules;
mod probe;
mod provider;
mod seed;

use deadpool_postgres::Pool;
use tenantry_contracts::steps::database::{Input, Output, PROVISION};
use tenantry_contracts::{Class, Code, StepName};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Observed, Resource, Step, Trouble};

pub use modules::{MODULES, Migration, Module};
pub use provider::Names;

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_database";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "database.before-ddl",
    "database.before-migration",
    "database.before-seed",
    "database.before-probe",
    "database.before-answer",
    "database.before-drop",
    "database.after-drop",
];

/// Step `database.provision`.
pub struct Database {
    provider: Provider,
    modules: &'static [Module],
}

/// Makes what the worker needs for itself in the tenants' database: its fence, and the canary that isolation probes
/// try to read. Can be repeated and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Provider::new(pool.clone(), SCHEMA).prepare(probe::CANARY).await
}

impl Database {
    /// The step on the tenants' database. The account behind `pool` must be able to create schemas and roles.
    pub fn new(pool: Pool) -> Self {
        Self::with_modules(pool, MODULES)
    }

    /// The same with other modules than the house's own.
    pub fn with_modules(pool: Pool, modules: &'static [Module]) -> Self {
        Self { provider: Provider::new(pool, SCHEMA), modules }
    }

    fn check(&self, input: &Input) -> Answer<(Vec<&'static Module>, &'static str)> {
        if input.isolation != "schema" {
            return Err(Trouble::no_at(
                Code::Misconfigured,
                Class::Config,
                "/isolation",
                "this worker isolates by `schema` only; correct the plan's template",
            ));
        }
        Ok((modules::chosen(self.modules, &input.modules)?, seed::role(input.admin_role.as_deref())?))
    }
}

impl Step for Database {
    const NAME: StepName = PROVISION;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("database", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let (chosen, role) = self.check(input)?;
        let names = Names::of(cx);
        let resource = self.resource(cx, input);

        cx.point("database.before-ddl").await?;
        provider::make(&self.provider, cx, &resource, &names, input.connections).await?;
        for (module, migration) in chosen.iter().flat_map(|module| module.files()) {
            cx.point("database.before-migration").await?;
            modules::apply(&self.provider, cx, &resource, &names, module, migration).await?;
        }
        cx.point("database.before-seed").await?;
        let admin_user = seed::plant(&self.provider, cx, &resource, &names, input, role).await?;
        cx.point("database.before-probe").await?;
        let probes = probe::run(&self.provider, cx, &resource, &names).await?;
        let database = provider::database(&self.provider, cx).await?;
        cx.point("database.before-answer").await?;
        Ok(Output {
            database,
            schema: names.schema.as_str().to_owned(),
            role: names.role.as_str().to_owned(),
            modules: chosen.iter().map(|module| module.reached()).collect(),
            admin_user: admin_user.to_string(),
            probes,
        })
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        cx.point("database.before-drop").await?;
        provider::remove(&self.provider, cx, &self.resource(cx, input), &Names::of(cx)).await?;
        cx.point("database.after-drop").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        let wanted = self.check(input).map(|(chosen, _)| chosen)?;
        provider::observe(&self.provider, cx, &Names::of(cx), &wanted, input.connections).await
    }
}
