//! What a journal row says in its own words: what was heard, and what it changed.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use tenantry_audit::Head;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{Origin, Refusal, RequestId, TenantId, fact};
use tenantry_ports::Row;
use tenantry_saga::{By, Change, Tenant};

/// The format of entries. A fold reads every format that ever was.
pub(crate) const FORMAT: u16 = 1;

/// The JSON of a journal row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// The format.
    #[serde(rename = "v")]
    pub format: u16,
    /// What was heard.
    #[serde(rename = "c")]
    pub cause: Cause,
    /// SHA-256 of the value that was heard, hexadecimal; empty for a due timer.
    #[serde(default, rename = "h", skip_serializing_if = "str::is_empty")]
    pub digest: Cow<'a, str>,
    /// The lane's pauses in all at that time, in milliseconds.
    #[serde(default, rename = "p", skip_serializing_if = "is_zero")]
    pub paused_ms: i64,
    /// What it changed, for rows of a tenant. The input in normal form is part of it.
    #[serde(default, rename = "x", skip_serializing_if = "Option::is_none")]
    pub change: Option<Cow<'a, Change>>,
    /// What it says, for rows of the lane's own chain.
    #[serde(default, rename = "z", skip_serializing_if = "Option::is_none")]
    pub note: Option<Cow<'a, Note>>,
}

impl Entry<'_> {
    /// What happened. `None` for a row that says nothing, which none does.
    pub(crate) fn what(&self) -> Option<AuditKind> {
        self.change.as_ref().map(|change| change.what).or_else(|| self.note.as_ref().map(|note| note.what))
    }
}

fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

/// What caused a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A record.
    #[serde(rename = "r")]
    Record(Origin),
    /// A due time of the tenant, or the lane's own doing.
    #[serde(rename = "t")]
    Timer,
}

/// A row of the lane's own chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub what: AuditKind,
    /// The request or operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The tenant it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The person behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Box<By>>,
    /// The digest of what it speaks of, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl Note {
    pub(crate) fn new(what: AuditKind) -> Self {
        Self { what, request: None, tenant: None, refusal: None, by: None, commitment: None, words: None }
    }
}

/// Folds the rows of one tenant, in order from its first: the tenant, and the head of its chain with the journal number
/// of its last row. `None` where the rows are not a tenant's history.
pub fn fold(rows: &[Row]) -> Option<(Tenant, Head, i64)> {
    let mut folded: Option<Tenant> = None;
    let mut last: Option<&Row> = None;
    for row in rows {
        let entry: Entry<'_> = serde_json::from_slice(&row.entry).ok()?;
        let change = entry.change?;
        match &mut folded {
            Some(tenant) => tenant.apply(row.n, row.at, entry.paused_ms, &change),
            None => folded = Tenant::begin(row.n, row.at, entry.paused_ms, &change),
        }
        last = Some(row);
    }
    let last = last?;
    let facts = fact::decode(last.facts.clone())?;
    let digest = tenantry_audit::digest(&facts.first()?.value);
    Some((folded?, Head { seq: last.seq, digest }, last.n))
}
