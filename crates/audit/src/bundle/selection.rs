//! What was selected: which chains, and of each from which record to which.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tenantry_contracts::Time;
use tenantry_contracts::time::rfc3339;

use super::records::Event;
use super::{Refused, refused};
use crate::Heads;

/// The version of the form of a bundle.
pub(super) const FORMAT: u16 = 1;

/// Where a window begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Bound {
    /// At this place of the chain, counted from one.
    Seq(i64),
    /// At this time by the fleet's clock, in the order of the chain.
    #[serde(with = "rfc3339")]
    Time(Time),
}

/// The statement of what was selected. It stands in the bundle, and its reader sees whether the records are all of it:
/// a slice begins with the chain or with a record before the window, and ends where the log says that the chain ends or
/// with a record after the window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    format: u16,
    /// Every chain that the log has at the last checkpoint.
    pub all: bool,
    /// Where the window begins, itself included; `None` for the beginning of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Bound>,
    /// Where the window ends: a seq is included, a time is not; `None` for the end of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Bound>,
    /// What of each chain is in the bundle.
    pub chains: Vec<Slice>,
}

/// A piece of a chain without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The chain.
    pub chain: String,
    /// The first record in the bundle.
    pub first: i64,
    /// The last record in the bundle.
    pub last: i64,
    /// The digest of the record before the first one, hexadecimal; of the first record of a chain the genesis digest.
    pub prev: String,
}

/// Makes a [`Selection`] in one pass over the leaves of the log, and says which leaves it needs.
#[derive(Debug)]
pub struct Selector {
    from: Option<Bound>,
    to: Option<Bound>,
    /// The chains that are wanted; `None` for all.
    wanted: Option<BTreeSet<String>>,
    found: BTreeMap<String, Found>,
}

/// What was found of a chain.
#[derive(Debug)]
struct Found {
    slice: Slice,
    leaves: Vec<u64>,
    /// The window has begun, and ended.
    begun: bool,
    ended: bool,
}

impl Selector {
    /// Of these chains, or of all, everything in a window.
    pub fn new(chains: Option<BTreeSet<String>>, from: Option<Bound>, to: Option<Bound>) -> Self {
        Self { from, to, wanted: chains, found: BTreeMap::new() }
    }

    /// The next leaf of the log, in ascending order.
    ///
    /// # Errors
    /// `record_unreadable`: the value is no audit event.
    pub fn see(&mut self, index: u64, value: &[u8]) -> Result<(), Refused> {
        let Some(event) = Event::read(value) else {
            return Err(refused("record_unreadable", format!("leaf {index} of the log is no audit event")));
        };
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.contains(&event.chain)) {
            return Ok(());
        }
        let before = self.from.is_some_and(|from| match from {
            Bound::Seq(seq) => event.seq < seq,
            Bound::Time(time) => event.at < time.to_string(),
        });
        let last = self.to.is_some_and(|to| match to {
            Bound::Seq(seq) => event.seq >= seq,
            Bound::Time(time) => event.at >= time.to_string(),
        });
        let fresh = || Found {
            slice: Slice {
                chain: event.chain.clone(),
                first: event.seq,
                last: event.seq,
                prev: event.prev.clone(),
            },
            leaves: Vec::new(),
            begun: false,
            ended: false,
        };
        let found = self.found.entry(event.chain.clone()).or_insert_with(fresh);
        if found.ended {
            return Ok(());
        }
        // Of the records before the window the last one is kept: it shows that nothing lies between. Where the window
        // begins at a seq, that says it by itself.
        if !found.begun && (before || matches!(self.from, Some(Bound::Seq(_)))) {
            *found = fresh();
        }
        found.slice.last = event.seq;
        found.leaves.push(index);
        (found.begun, found.ended) = (found.begun || !before, last);
        Ok(())
    }

    /// The selection, and the leaves that it needs, ascending. `heads` are those of the checkpoint up to whose size
    /// the leaves were seen.
    ///
    /// # Errors
    /// `chain_unknown`: a chain that is wanted is not in the log.
    pub fn finish(self, heads: &Heads) -> Result<(Selection, Vec<u64>), Refused> {
        let named: Vec<String> = match &self.wanted {
            Some(wanted) => wanted.iter().cloned().collect(),
            None => heads.iter().map(|(chain, _)| chain.to_owned()).collect(),
        };
        if let Some(chain) = named.iter().find(|chain| !self.found.contains_key(*chain)) {
            return Err(refused("chain_unknown", format!("the log has no record of chain {chain}")));
        }
        let mut leaves: Vec<u64> = self.found.values().flat_map(|found| &found.leaves).copied().collect();
        leaves.sort_unstable();
        let chains = self.found.into_values().map(|found| found.slice).collect();
        let selection =
            Selection { format: FORMAT, all: self.wanted.is_none(), from: self.from, to: self.to, chains };
        Ok((selection, leaves))
    }
}

impl Selection {
    /// Chains that stand in it twice, or are of another version, make no selection.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let selection: Self = serde_json::from_slice(bytes).ok()?;
        let names: BTreeSet<&str> = selection.chains.iter().map(|slice| slice.chain.as_str()).collect();
        let sound = |slice: &Slice| 1 <= slice.first && slice.first <= slice.last;
        let whole = names.len() == selection.chains.len() && selection.chains.iter().all(sound);
        (whole && selection.format == FORMAT).then_some(selection)
    }
}
