//! What verdicts need to know, asked of the store and of the topics. Read-only.

use std::collections::BTreeSet;

use tenantry_contracts::RequestId;
use tenantry_contracts::event::EventKind;

use super::article::{Article, Subject};
use super::verdict::{self, Judged, Known};
use crate::frozen::entry;
use crate::frozen::house::House;
use crate::frozen::past::Past;

impl House {
    /// Looks up what was decided about the requests and operations in these letters: the answers on `tenant.events`.
    pub(super) async fn learn(&mut self, articles: &[Article]) -> anyhow::Result<()> {
        let wanted: BTreeSet<&RequestId> = articles.iter().filter_map(Article::request).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        self.decided = entry::decided(&self.options, |id| wanted.contains(id)).await?;
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
