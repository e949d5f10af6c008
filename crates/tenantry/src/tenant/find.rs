//! Finding one tenant in the store.

use clap::Args;
use tenantry_contracts::Environment;
use tenantry_contracts::operation::Stopped;
use tenantry_ports::{LaneRow, TenantRow};
use tenantry_postgres::Queries;
use tenantry_saga::{Registry, Rules, Tenant, plans};

use crate::journal::gone;
use crate::out::{Refused, failed};
use crate::settings::Find;
use crate::show::timeline::{self, Told};
use crate::show::which::Which;

/// Which tenant.
#[derive(Clone, Debug, Args)]
pub(crate) struct One {
    /// Its slug, or its id
    #[arg(value_name = "SLUG|ID")]
    pub(crate) which: Which,
    /// The environment in which the slug is looked for
    #[arg(short, long, env = "TENANTRY_ENVIRONMENT", value_parser = environment, default_value = "prod")]
    pub(crate) environment: Environment,
}

/// A tenant with its history, folded.
pub(crate) struct Found {
    pub(crate) tenant: Tenant,
    pub(crate) told: Vec<Told>,
    pub(crate) plans: Registry,
    /// The lane's pauses in all.
    pub(crate) paused_ms: i64,
    /// The workers that its lane asks nothing of.
    pub(crate) stopped: Stopped,
}

/// Reads an environment.
pub(crate) fn environment(text: &str) -> Result<Environment, String> {
    Environment::parse(text).map_err(|refusal| refusal.message)
}

/// Connects to the store that `find` names.
pub(crate) async fn store(find: &Find) -> anyhow::Result<Queries> {
    Ok(Queries::connect(find.store()?.expose()).await?)
}

impl One {
    /// The tenant's row: the one that holds the slug, else the newest that had it.
    pub(crate) async fn row(&self, store: &Queries) -> anyhow::Result<TenantRow> {
        let found = match &self.which {
            Which::Id(id) => store.tenant(*id).await?,
            Which::Slug(slug) => store.find(&self.environment, slug).await?.into_iter().next(),
        };
        Ok(found.ok_or_else(|| self.unknown())?)
    }

    /// The tenant, folded from its journal.
    pub(crate) async fn fold(&self, store: &Queries) -> anyhow::Result<Found> {
        let row = self.row(store).await?;
        let history = gone::history(store, &row).await?;
        let plans = plans::all(Rules::default());
        let told = timeline::tell(&history, &plans).map_err(|error| {
            failed(
                "journal_unreadable",
                format!("lane {}: {error}; use the version of tenantry that the fleet runs", row.lane),
            )
        })?;
        let (tenant, told) = told.ok_or_else(|| self.unknown())?;
        let lanes: Vec<LaneRow> = store.lanes().await?;
        let lane = lanes.into_iter().find(|lane| lane.lane == row.lane);
        let (paused_ms, stopped) = lane.map(|lane| (lane.paused_ms, lane.stopped)).unwrap_or_default();
        Ok(Found { tenant, told, plans, paused_ms, stopped })
    }

    fn unknown(&self) -> Refused {
        let place = match &self.which {
            Which::Id(_) => String::new(),
            Which::Slug(_) => format!(" in environment {}", self.environment),
        };
        failed(
            "tenant_unknown",
            format!("there is no tenant {}{place}; look at `tenantry tenant ls`", self.which),
        )
    }
}
