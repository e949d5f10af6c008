//! What verdicts need to know, asked of the store and of the topics. Read-only.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::{Fleet, RequestId, TenantId, Time, Topic};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::Clock;
use tenantry_postgres::Queries;
use tenantry_saga::{Registry, Rules, plans};

use super::article::{Article, Subject};
use super::past::Past;
use super::verdict::{self, Judged, Known};
use crate::clock::SystemClock;
use crate::out::{self, failed};
use crate::settings::Find;

/// A fleet, looked at from outside.
pub(super) struct House {
    pub(super) options: Options,
    pub(super) fleet: Fleet,
    pub(super) lanes: u16,
    pub(super) plans: Registry,
    clock: SystemClock,
    store: Queries,
    decided: BTreeMap<RequestId, EventKind>,
}

impl House {
    /// Finds the fleet and its store.
    pub(super) async fn open(find: &Find) -> anyhow::Result<Self> {
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

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    /// A tenant, folded from its journal.
    pub(super) async fn past(&self, tenant: TenantId) -> anyhow::Result<Option<Past>> {
        let rows = self.store.history(tenant).await?;
        Past::fold(&rows, &self.plans).map_err(|error| {
            let text = format!("tenant {tenant}: {error}; use the version of tenantry that the fleet runs");
            failed("journal_unreadable", text).into()
        })
    }

    /// Looks up what was decided about the requests and operations in these letters: the answers on `tenant.events`.
    pub(super) async fn learn(&mut self, articles: &[Article]) -> anyhow::Result<()> {
        let wanted: BTreeSet<&RequestId> = articles.iter().filter_map(Article::request).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let places = Reader::places(&self.options, vec![Topic::Events]).await.map_err(out::bus)?;
        let mut reader = Reader::open(&self.options, places, Start::Earliest).await.map_err(out::bus)?;
        while let Read::Records(records) = reader.read().await.map_err(out::bus)? {
            for record in records {
                let Ok(event) = Event::decode(&record) else { continue };
                if let Some(id) = event.request.filter(|id| wanted.contains(id)) {
                    self.decided.entry(id).or_insert(event.event);
                }
            }
        }
        Ok(())
    }

    /// The first decision about an id, of those that were looked up.
    pub(super) fn decided(&self, id: &RequestId) -> Option<EventKind> {
        self.decided.get(id).copied()
    }

    /// What answers this letter now.
    pub(super) async fn judge(&self, article: &Article) -> anyhow::Result<(Judged, Option<Past>)> {
        let asks = matches!(article.subject, Subject::Command(..) | Subject::Answer(_));
        let past = match article.tenant().filter(|_| asks) {
            Some(tenant) => self.past(tenant).await?,
            None => None,
        };
        let known = self.known(past.as_ref(), article.request().and_then(|id| self.decided(id)));
        Ok((verdict::of(article, &known), past))
    }

    pub(super) fn known<'a>(&'a self, past: Option<&'a Past>, decided: Option<EventKind>) -> Known<'a> {
        Known { plans: &self.plans, fleet: &self.fleet, now: self.now(), past, decided }
    }
}
