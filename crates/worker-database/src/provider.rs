//! The provider is PostgreSQL: the tenants' database, and for the strategy `database` others of the same server.
//!
//! What it needs is an account that can create schemas and roles (`createrole`, and `create` on the database), and
//! `createdb` where tenants get databases of their own; the operator gives it with `--tenants-url`. PostgreSQL is of
//! version 14 or later. What is there is recognised by the owner tag in its comment.

use deadpool_postgres::{ClientWrapper, Object, Transaction};
use tenantry_contracts::steps::database::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{Databases, PgIdent, Provider};
use tenantry_step::{Answer, Cx, Differences, Observed, Resource, Trouble};
use tokio_postgres::types::Type;

use crate::Module;
use crate::modules::Ledger;
use crate::strategy::Strategy;

/// What belongs to one tenant, by name.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// `d_<tenant id>` where the tenant has a database of its own.
    pub database: Option<PgIdent>,
    /// `t_<tenant id>`, or the shared schema.
    pub schema: PgIdent,
    /// `r_<tenant id>`.
    pub role: PgIdent,
}

impl Names {
    /// Makes the rest of the transaction work inside the tenant's schema, on the tenant's rows.
    pub(crate) async fn enter(&self, tx: &Transaction<'_>, cx: &Cx) -> Answer<()> {
        let sql = format!("set local search_path = {}; set local app.tenant = '{}'", self.schema, cx.tenant);
        Ok(tx.batch_execute(&sql).await?)
    }
}

/// One question: whose, by which strategy, and what is wanted.
pub(crate) struct Job<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) resource: Resource,
    pub(crate) input: &'a Input,
    pub(crate) strategy: Strategy,
    pub(crate) names: Names,
    /// The modules that are wanted; none for an undo.
    pub(crate) modules: Vec<&'static Module>,
    /// All modules that there are.
    pub(crate) known: &'static [Module],
    pub(crate) provider: &'a Provider,
    pub(crate) databases: &'a Databases,
}

impl Job<'_> {
    /// A connection to the tenants' database.
    pub(crate) async fn connect(&self) -> Answer<Object> {
        self.provider.connect(self.cx).await
    }

    /// Begins an effect in the database that `client` is connected to, with the fence that stands there.
    pub(crate) async fn begin<'a>(&self, client: &'a mut ClientWrapper) -> Answer<Transaction<'a>> {
        self.provider.begin(client, self.cx, &self.resource).await
    }
}

/// Where a tenant's tables lie, and the way there.
pub(crate) struct Place<'a> {
    job: &'a Job<'a>,
    /// What the names of the shared schema's roles begin with, where tables are shared.
    stem: Option<PgIdent>,
    client: Option<Object>,
}

impl<'a> Place<'a> {
    /// The place of the job's tenant; `stem` where tables are shared.
    pub(crate) fn new(job: &'a Job<'a>, stem: Option<PgIdent>) -> Self {
        Self { job, stem, client: None }
    }

    /// Begins an effect on the tenant's tables. In a database of the tenant's own there is a second fence, so that a
    /// question that passed the first and then froze does nothing when it thaws.
    pub(crate) async fn begin(&mut self) -> Answer<Transaction<'_>> {
        let job = self.job;
        let client =
            match &job.names.database {
                Some(database) => {
                    job.provider.raise(job.cx, &job.resource).await?;
                    match self.client.take().filter(|client| !client.is_closed()) {
                        Some(client) => client,
                        // An undo that came later removed it: this question hears so from the fence when it is repeated.
                        None => job.databases.connect(job.cx, database).await?.ok_or_else(|| {
                            Trouble::shaky("the tenant's database is gone or lets nobody in")
                        })?,
                    }
                }
                None => {
                    self.rest();
                    job.connect().await?
                }
            };
        let tx = job.begin(self.client.insert(client)).await?;
        job.names.enter(&tx, job.cx).await?;
        Ok(tx)
    }

    /// Gives a connection to the tenants' database back until the next effect.
    pub(crate) fn rest(&mut self) {
        if self.job.names.database.is_none() {
            self.client = None;
        }
    }

    /// Who is granted what a module's migrations grant to `:"role"`.
    pub(crate) fn grantee(&self, module: &Module) -> PgIdent {
        match &self.stem {
            Some(stem) => crate::strategy::group(stem, module),
            None => self.job.names.role.clone(),
        }
    }
}

/// What stands under one of the tenant's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Absent,
    /// Ours, and neither made nor removed to the end.
    Half,
    Ours,
    Foreign,
}

impl Thing {
    /// By the comment on it; `None` where nothing is there.
    pub(crate) fn by(cx: &Cx, tag: Option<&str>) -> Self {
        match tag {
            None => Self::Absent,
            Some(tag) if cx.owns(tag) => Self::Ours,
            Some(_) => Self::Foreign,
        }
    }
}

/// What stands under the tenant's names.
pub(crate) struct Found {
    /// What holds the tables: the schema, the database, or the tenant's rows in the shared schema.
    pub(crate) home: Thing,
    pub(crate) role: Thing,
    /// The beginning of the names of the shared schema's roles, where there is such a schema.
    pub(crate) stem: Option<PgIdent>,
}

impl Found {
    /// The first thing that stands there and is not ours.
    fn foreign(&self, strategy: Strategy) -> Option<&'static str> {
        match (self.home, self.role) {
            (Thing::Foreign, _) => Some(strategy.home()),
            (_, Thing::Foreign) => Some("role"),
            _ => None,
        }
    }

    pub(crate) fn ours_only(self, job: &Job<'_>) -> Answer<Self> {
        match self.foreign(job.strategy) {
            None => Ok(self),
            Some(what) => Err(Trouble::no(
                Code::OwnedByOther,
                Class::Conflict,
                format!("the {what} of this tenant's name in PostgreSQL has no owner tag of ours"),
            )),
        }
    }
}

/// The name of the database that the tenant's tables lie in.
pub(crate) async fn database(job: &Job<'_>) -> Answer<String> {
    match &job.names.database {
        Some(database) => Ok(database.as_str().to_owned()),
        None => {
            let client = job.connect().await?;
            Ok(client.query_typed_one("select current_database()::text", &[]).await?.get(0))
        }
    }
}

/// The final no that `execute` would answer for what stands there now.
pub(crate) async fn foresee(job: &Job<'_>) -> Answer<()> {
    let mut client = job.connect().await?;
    let tx = job.provider.look(&mut client, job.cx).await?;
    let found = job.strategy.find(&tx, job).await?.ours_only(job)?;
    ledger(job, &tx, &found).await?.unedited(&job.modules)
}

/// What is there, against what is wanted.
pub(crate) async fn observe(job: &Job<'_>) -> Answer<Observed> {
    let mut client = job.connect().await?;
    let tx = job.provider.look(&mut client, job.cx).await?;
    let found = job.strategy.find(&tx, job).await?;
    if let Some(what) = found.foreign(job.strategy) {
        return Ok(Observed::Foreign { hint: format!("the {what} has no owner tag of ours") });
    }
    if found.home == Thing::Absent && found.role == Thing::Absent {
        return Ok(Observed::Absent);
    }
    let mut differences = Differences::default();
    differences.note(&format!("/{}", job.strategy.home()), &true, &(found.home == Thing::Ours));
    differences.note("/role", &true, &(found.role == Thing::Ours));
    if found.role == Thing::Ours {
        let sql = "select rolconnlimit from pg_roles where rolname = $1";
        let limit: i32 = tx.query_typed_one(sql, &[(&job.names.role.as_str(), Type::TEXT)]).await?.get(0);
        differences.note("/connections", &i64::from(job.input.connections), &i64::from(limit));
    }
    let ledger = ledger(job, &tx, &found).await?;
    for module in &job.modules {
        let given = job.strategy.gives(&tx, job, &found, module).await?;
        let have = if given { ledger.reached(module) } else { 0 };
        differences.note(&format!("/modules/{}", module.name), &i64::from(module.reached().version), &have);
    }
    Ok(differences.ours())
}

/// What was applied to the tables that the tenant uses.
async fn ledger(job: &Job<'_>, tx: &Transaction<'_>, found: &Found) -> Answer<Ledger> {
    let Some(database) = &job.names.database else {
        return Ledger::read(tx, &job.names.schema).await;
    };
    if found.home != Thing::Ours {
        return Ok(Ledger::default());
    }
    let Some(mut client) = job.databases.connect(job.cx, database).await? else {
        return Ok(Ledger::default());
    };
    let tx = job.provider.look(&mut client, job.cx).await?;
    Ledger::read(&tx, &job.names.schema).await
}
