//! The three ways to keep tenants apart. The input says which, and nothing else changes it.
//!
//! | strategy | tables lie in | made and removed by |
//! |---|---|---|
//! | `schema` | a schema `t_<id>` of the tenants' database | one transaction |
//! | `database` | a schema `t_<id>` of a database `d_<id>` | statements of one session that holds the tenant's lock |
//! | `pooled_rls` | the schema `pooled`, with the rows of others | one transaction |
//!
//! Each tenant has a role `r_<id>` in all of them, and each has the same migrations, seed and probes. The migrations
//! call `current_tenant()`, whose rows the role may touch; each strategy defines it in its own way.

mod database;
mod pooled;
mod role;
mod schema;

use deadpool_postgres::Transaction;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::PgIdent;
use tenantry_step::{Answer, Cx, Trouble};

use crate::Module;
use crate::provider::{Found, Job, Names, Place};

pub(crate) use database::INTENTS;
pub(crate) use pooled::group;

/// How a tenant is kept apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    /// A schema of its own.
    Schema,
    /// A database of its own.
    Database,
    /// Rows of its own in shared tables.
    Pooled,
}

impl Strategy {
    /// The strategy of this name.
    ///
    /// # Errors
    /// `misconfigured` where there is none.
    pub(crate) fn read(isolation: &str) -> Answer<Self> {
        match isolation {
            "schema" => Ok(Self::Schema),
            "database" => Ok(Self::Database),
            "pooled_rls" => Ok(Self::Pooled),
            _ => Err(Trouble::no_at(
                Code::Misconfigured,
                Class::Config,
                "/isolation",
                "the strategies are `schema`, `database` and `pooled_rls`; correct the plan's template",
            )),
        }
    }

    /// The names of the question's tenant.
    pub(crate) fn names(self, cx: &Cx) -> Names {
        Names {
            database: (self == Self::Database).then(|| PgIdent::of_tenant("d", cx.tenant)),
            schema: match self {
                Self::Pooled => pooled::schema(),
                Self::Schema | Self::Database => PgIdent::of_tenant("t", cx.tenant),
            },
            role: PgIdent::of_tenant("r", cx.tenant),
        }
    }

    /// What holds the tenant's tables, in a word.
    pub(crate) fn home(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Database => "database",
            Self::Pooled => "rows",
        }
    }

    /// What stands under the tenant's names. `tx` is in the tenants' database.
    pub(crate) async fn find(self, tx: &Transaction<'_>, job: &Job<'_>) -> Answer<Found> {
        match self {
            Self::Schema => schema::find(tx, job).await,
            Self::Database => database::find(tx, job).await,
            Self::Pooled => pooled::find(tx, job).await,
        }
    }

    /// The tenant's role and the place of its tables, with a ledger of migrations.
    pub(crate) async fn make<'a>(self, job: &'a Job<'a>) -> Answer<Place<'a>> {
        match self {
            Self::Schema => schema::make(job).await,
            Self::Database => database::make(job).await,
            Self::Pooled => pooled::make(job).await,
        }
    }

    /// Removes everything of the tenant's that is ours. The fence stays, so that no late question brings it back.
    pub(crate) async fn remove(self, job: &Job<'_>) -> Answer<()> {
        match self {
            Self::Schema => schema::remove(job).await,
            Self::Database => database::remove(job).await,
            Self::Pooled => pooled::remove(job).await,
        }
    }

    /// Whether the tenant has this module, if it is applied where the tenant's tables lie.
    pub(crate) async fn gives(
        self,
        tx: &Transaction<'_>,
        job: &Job<'_>,
        found: &Found,
        module: &Module,
    ) -> Answer<bool> {
        match self {
            Self::Schema | Self::Database => Ok(true),
            Self::Pooled => pooled::gives(tx, job, found, module).await,
        }
    }
}
