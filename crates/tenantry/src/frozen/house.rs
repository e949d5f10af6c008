//! A fleet, looked at from outside: its topics, and its store. Read-only.

use std::collections::BTreeMap;

use bytes::Bytes;
use tenantry_contracts::event::EventKind;
use tenantry_contracts::operation::Operation;
use tenantry_contracts::{Fleet, RequestId, TenantId, Time, Topic};
use tenantry_kafka::Options;
use tenantry_ports::{Clock, Outgoing, Place};
use tenantry_postgres::Queries;
use tenantry_saga::{Registry, Rules, plans};

use super::past::Past;
use crate::clock::SystemClock;
use crate::deed;
use crate::journal::read::whole;
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

    /// An operation as a record, where it is heard.
    pub(crate) fn record(&self, operation: &Operation) -> anyhow::Result<Outgoing> {
        let (headers, value) = operation.encode(self.now())?;
        let partition = deed::home(operation.target.as_ref(), self.lanes);
        Ok(Outgoing {
            place: Place { topic: Topic::Operations, partition },
            key: Some(Bytes::copy_from_slice(operation.key().as_bytes())),
            headers,
            value: Some(value),
            tag: 0,
        })
    }

    /// A tenant, folded from its journal; `None` where the store has no history of it, or none from its beginning: then
    /// it is unknown, or it is over and was archived, and nothing waits for an answer.
    pub(crate) async fn past(&self, tenant: TenantId) -> anyhow::Result<Option<Past>> {
        let rows = self.store.history(tenant).await?;
        if !whole(&rows) {
            return Ok(None);
        }
        Past::fold(&rows, &self.plans).map_err(|error| {
            let text = format!("tenant {tenant}: {error}; use the version of tenantry that the fleet runs");
            failed("journal_unreadable", text).into()
        })
    }
}
