//! Worker `database`: a place of the tenant's own in PostgreSQL, with a role of its own, migrated, seeded, and proved
//! isolated before anybody relies on it.
//!
//! The place is a schema, a database, or rows in shared tables: the input says which. Every name derives from the
//! tenant id, every thing carries our owner tag, and every effect raises the fence first. So a late worker finds the
//! fence, and a repeat finds what is there.

mod modules;
mod probe;
mod provider;
mod seed;
mod strategy;

use deadpool_postgres::Pool;
use tenantry_contracts::StepName;
use tenantry_contracts::steps::database::{Input, Output, PROVISION};
use tenantry_step::postgres::{Databases, Provider};
use tenantry_step::{Answer, Cx, Observed, Resource, Step};

pub use modules::{MODULES, Migration, Module};

use provider::Job;
use strategy::Strategy;

/// The worker's own schema in the tenants' database, and in each database of a tenant's own.
const SCHEMA: &str = "worker_database";

/// Where a test, a drill or the demo can break this step, in the order of the work. Those of [`OWN_DATABASE`] are
/// passed by the strategy `database` only.
pub const POINTS: &[&str] = &[
    "database.before-ddl",
    OWN_DATABASE[0],
    OWN_DATABASE[1],
    "database.before-migration",
    "database.before-seed",
    "database.before-probe",
    "database.before-answer",
    "database.before-drop",
    OWN_DATABASE[2],
    "database.after-drop",
];

/// The points between the statements that no transaction can hold together.
pub const OWN_DATABASE: [&str; 3] =
    ["database.before-create", "database.before-tag", "database.before-forget"];

/// Step `database.provision`.
pub struct Database {
    provider: Provider,
    databases: Databases,
    modules: &'static [Module],
}

/// Makes what the worker needs for itself in the tenants' database: its fence, the list of the databases that it made,
/// and the canary that isolation probes try to read. Can be repeated and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    let more = [strategy::INTENTS, probe::CANARY].concat();
    Provider::new(pool.clone(), SCHEMA).prepare(&more).await
}

impl Database {
    /// The step on the tenants' database; `databases` is the way into others of its server. The account behind both
    /// must be able to create schemas and roles, and databases where a plan's template asks for them.
    pub fn new(pool: Pool, databases: Databases) -> Self {
        Self::with_modules(pool, databases, MODULES)
    }

    /// The same with other modules than the house's own.
    pub fn with_modules(pool: Pool, databases: Databases, modules: &'static [Module]) -> Self {
        Self { provider: Provider::new(pool, SCHEMA), databases, modules }
    }

    /// The question with what is wanted, and the administrator's role.
    fn wanted<'a>(&'a self, cx: &'a Cx, input: &'a Input) -> Answer<(Job<'a>, &'static str)> {
        let job = self.job(cx, input)?;
        let modules = modules::chosen(self.modules, &input.modules)?;
        Ok((Job { modules, ..job }, seed::role(input.admin_role.as_deref())?))
    }

    fn job<'a>(&'a self, cx: &'a Cx, input: &'a Input) -> Answer<Job<'a>> {
        let strategy = Strategy::read(&input.isolation)?;
        Ok(Job {
            cx,
            resource: self.resource(cx, input),
            input,
            strategy,
            names: strategy.names(cx),
            modules: vec![],
            known: self.modules,
            provider: &self.provider,
            databases: &self.databases,
        })
    }
}

async fn output(job: &Job<'_>, probes: Vec<String>) -> Answer<Output> {
    Ok(Output {
        database: provider::database(job).await?,
        schema: job.names.schema.as_str().to_owned(),
        role: job.names.role.as_str().to_owned(),
        modules: job.modules.iter().map(|module| module.reached()).collect(),
        admin_user: seed::admin(job.cx.tenant).to_string(),
        probes,
    })
}

impl Step for Database {
    const NAME: StepName = PROVISION;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("database", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let (job, role) = self.wanted(cx, input)?;
        cx.point("database.before-ddl").await?;
        let mut place = job.strategy.make(&job).await?;
        for (module, migration) in job.modules.iter().flat_map(|module| module.files()) {
            cx.point("database.before-migration").await?;
            modules::apply(&mut place, module, migration).await?;
            place.rest();
        }
        cx.point("database.before-seed").await?;
        seed::plant(&job, &mut place, role).await?;
        place.rest();
        cx.point("database.before-probe").await?;
        let probes = probe::run(&job, &mut place).await?;
        place.rest();
        let output = output(&job, probes).await?;
        cx.point("database.before-answer").await?;
        Ok(output)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, made: Option<&Output>) -> Answer<()> {
        cx.point("database.before-drop").await?;
        match self.job(cx, input) {
            Ok(job) => job.strategy.remove(&job).await?,
            // Refused before anything was made.
            Err(_) if made.is_none() => {}
            Err(no) => return Err(no),
        }
        cx.point("database.after-drop").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        provider::observe(&self.wanted(cx, input)?.0).await
    }

    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let (job, _) = self.wanted(cx, input)?;
        provider::foresee(&job).await?;
        seed::email(cx, input)?;
        output(&job, probe::of(job.strategy)).await.map(Some)
    }
}
