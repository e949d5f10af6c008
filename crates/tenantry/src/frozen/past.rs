//! A tenant's past, folded for runs and verdicts: which questions were asked, which answers were heard, what people decided.

use std::collections::BTreeMap;

use tenantry_contracts::{Code, RequestId, SagaId, Token};
use tenantry_coordinator::{Cause, Entry};
use tenantry_ports::Row;
use tenantry_saga::{Registry, RowState, Tenant};

use crate::show::timeline::{self, Told, Unreadable};

/// A tenant and its history.
pub(crate) struct Past {
    /// As it is now.
    pub(crate) tenant: Tenant,
    /// Row by row.
    pub(crate) told: Vec<Told>,
    /// The answers that were heard. One row of the journal may ask several rows of the plan, with one token for all.
    heard: BTreeMap<(Token, String), Heard>,
    /// What people decided: the journal number of the row that took an operation up.
    taken_up: BTreeMap<RequestId, i64>,
}

/// How a question ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The journal number of the row.
    pub(crate) n: i64,
    /// Why not; `None` for a yes.
    pub(crate) failed: Option<Code>,
    /// Nobody answered: its time was up.
    pub(crate) silence: bool,
}

impl Past {
    /// Folds the rows of one tenant, in order from its first. `None` where there are none.
    pub(crate) fn fold(rows: &[Row], plans: &Registry) -> Result<Option<Self>, Unreadable> {
        let Some((tenant, told)) = timeline::tell(rows, plans)? else { return Ok(None) };
        let (mut heard, mut taken_up) = (BTreeMap::new(), BTreeMap::new());
        for (row, told) in rows.iter().zip(&told) {
            let entry: Entry<'_> = serde_json::from_slice(&row.entry).map_err(|_| Unreadable(row.n))?;
            let Some(change) = entry.change else { continue };
            if let (Some((token, _)), Some(name)) = (change.answered, &told.row) {
                let failed = change.failure.as_ref().map(|failure| failure.code);
                let silence = matches!(entry.cause, Cause::Timer);
                heard.insert((token, name.clone()), Heard { n: row.n, failed, silence });
            }
            if let Some(by) = &change.by {
                taken_up.insert(by.id.clone(), row.n);
            }
        }
        Ok(Some(Self { tenant, told, heard, taken_up }))
    }

    /// The answer to a row's question with this token.
    pub(crate) fn heard(&self, row: &str, token: Token) -> Option<Heard> {
        self.heard.get(&(token, row.to_owned())).copied()
    }

    /// The row that took this operation up.
    pub(crate) fn taken_up(&self, operation: &RequestId) -> Option<i64> {
        self.taken_up.get(operation).copied()
    }

    /// The tokens under which this row was asked in this saga, in order.
    pub(crate) fn tokens(&self, saga: SagaId, row: &str, verb: &str) -> Vec<Token> {
        let asked = |told: &&Told| {
            told.saga == Some(saga) && told.asks.iter().any(|asks| asks.row == row && asks.verb == verb)
        };
        self.told.iter().filter(asked).map(|told| Token(told.n)).collect()
    }

    /// How far a row of a saga is: in the running one, or in the last that ended.
    pub(crate) fn row(&self, plans: &Registry, saga: SagaId, row: &str) -> Option<(&RowState, Option<Code>)> {
        let running = self.tenant.saga.iter().chain(self.tenant.last.as_deref());
        let saga = running.into_iter().find(|have| have.id == saga)?;
        let at = plans.find(saga.kind, saga.version)?.index_of(row)?;
        let run = saga.rows.iter().find(|run| run.row == at)?;
        Some((&run.state, run.failure.as_ref().map(|failure| failure.code)))
    }
}
