//! The ledger and the keys: tables in memory that can be down.

use std::collections::BTreeMap;

use bytes::Bytes;
use tenantry_contracts::{DataKey, TenantId, Token};
use tenantry_ports::{Fence, Keys, Ledger, Mark, Marked, Remembered, StoreError};

use super::{World, breathe};

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) down: bool,
    pub(crate) fences: BTreeMap<String, Token>,
    pub(crate) answers: BTreeMap<String, Bytes>,
    pub(crate) keys: BTreeMap<TenantId, [u8; 32]>,
}

#[derive(Clone)]
pub(crate) struct SimLedger(pub(crate) World);

impl SimLedger {
    /// A call takes two breaths, and fails where the store is down at its end.
    async fn call<T>(&self, what: String, does: impl FnOnce(&mut Tables) -> T) -> Result<T, StoreError> {
        breathe().await;
        breathe().await;
        let mut state = self.0.state();
        if state.store.down {
            return Err(StoreError("connection refused".into()));
        }
        let done = does(&mut state.store);
        state.journal.push(what);
        Ok(done)
    }
}

impl Ledger for SimLedger {
    async fn fences(&self, resources: Vec<String>) -> Result<Vec<Option<Fence>>, StoreError> {
        let what = format!("read {}", resources.join(" "));
        self.call(what, |tables| {
            let fence = |name: &String| tables.fences.get(name).map(|token| Fence { token: *token });
            resources.iter().map(fence).collect()
        })
        .await
    }

    async fn mark(&self, marks: Vec<Mark>) -> Result<Vec<Marked>, StoreError> {
        let names: Vec<_> = marks.iter().map(|mark| format!("{}={}", mark.resource, mark.token)).collect();
        self.call(format!("marked {}", names.join(" ")), |tables| {
            let mark = |mark: &Mark| {
                let stands = tables.fences.entry(mark.resource.clone()).or_insert(mark.token);
                if *stands > mark.token {
                    return Marked::Superseded;
                }
                *stands = mark.token;
                Marked::Stands
            };
            marks.iter().map(mark).collect()
        })
        .await
    }

    async fn answers(&self, questions: Vec<String>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let what = format!("looked up {}", questions.join(" "));
        self.call(what, |tables| questions.iter().map(|id| tables.answers.get(id).cloned()).collect()).await
    }

    async fn remember(&self, answers: Vec<(String, Bytes)>) -> Result<Vec<Remembered>, StoreError> {
        let ids: Vec<_> = answers.iter().map(|(id, _)| id.clone()).collect();
        self.call(format!("remembered {}", ids.join(" ")), |tables| {
            let remember = |(id, answer): &(String, Bytes)| match tables.answers.get(id) {
                Some(earlier) => Remembered::Earlier(earlier.clone()),
                None => {
                    tables.answers.insert(id.clone(), answer.clone());
                    Remembered::First
                }
            };
            answers.iter().map(remember).collect()
        })
        .await
    }
}

impl Keys for SimLedger {
    async fn key(&self, tenant: TenantId) -> Result<Option<DataKey>, StoreError> {
        self.call(format!("key {tenant}"), |tables| tables.keys.get(&tenant).copied().map(DataKey::new)).await
    }
}
