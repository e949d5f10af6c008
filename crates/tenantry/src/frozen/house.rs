//! A fleet, looked at from outside: its topics, and its store. Read-only.

use std::collections::BTreeMap;

use tenantry_contracts::event::EventKind;
use tenantry_contracts::{Fleet, RequestId, TenantId, Time};
use tenantry_kafka::Options;
use tenantry_ports::Clock;
use tenantry_postgres::Queries;
use tenantry_saga::{Registry, Rules, plans};

use super::past::Past;
use crate::clock::SystemClock;
use crate::out::failed;
use crate::settings::Find;

/// A fleet, looked at from outside.
pub(crate) struct House {
    pub(crate) options: Options,
    pub(crate) fleet: Fleet,
    pub(crate) lanes: u16,
    pub(crate) plans: Registry,
    pub(crate) store: Queries,
    /// What was decided about the ids that were looked up.
    pub(crate) decided: BTreeMap<RequestId, EventKind>,
    clock: SystemClock,
}

impl House {
    /// Finds the fleet and its store.
    pub(crate) async fn open(find: &Find) -> anyhow::Result<Self> {
        let options = find.bus()?;
        let lanes = crate::watch::lanes(&options).await?;
        Ok(Self {
            lanes,
            options,
            fleet: find.fleet()?,
            plans: plans::all(Rules::default()),
            clock: SystemClock::from_env()?,
            store: Queries::connect(find.store()?.expose()).await?,
            decided: BTreeMap::new(),
        })
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// A tenant, folded from its journal.
    pub(crate) async fn past(&self, tenant: TenantId) -> anyhow::Result<Option<Past>> {
        let rows = self.store.history(tenant).await?;
        Past::fold(&rows, &self.plans).map_err(|error| {
            let text = format!("tenant {tenant}: {error}; use the version of tenantry that the fleet runs");
            failed("journal_unreadable", text).into()
        })
    }
}
