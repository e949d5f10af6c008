//! What the checker may look at: raw logs, rows, and what the providers themselves say. No type of the fleet's runtime.

use std::collections::BTreeMap;

use tenantry_contracts::{Record, TenantId, Time, Token, Topic};
use tenantry_ports::{LaneRow, RequestRow, Row, TenantRow};

/// Everything that is left of a run, collected when it is at rest.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Each partition's records in order, from the first one kept.
    pub logs: BTreeMap<(Topic, u16), Vec<Record>>,
    /// The lanes.
    pub lanes: Vec<LaneRow>,
    /// The journal in order of lane and number.
    pub journal: Vec<Row>,
    /// The tenants.
    pub tenants: Vec<TenantRow>,
    /// The request ids that were decided.
    pub requests: Vec<RequestRow>,
    /// What the providers carried out, in order.
    pub effects: Vec<Effect>,
    /// What is there now.
    pub living: Vec<Living>,
    /// What an ACTIVE tenant must have, each exactly once: the stems of resource names (the part before the first `/`).
    pub expected: Vec<String>,
    /// Those among them whose provider checks the fencing number itself.
    pub fenced: Vec<String>,
    /// The names of the steps whose effect cannot be found again: their first answer stands.
    pub once: Vec<String>,
    /// Texts that may stand in clear nowhere but in what upstream itself wrote.
    pub canaries: Vec<String>,
}

/// One call that a provider carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// When.
    pub at: Time,
    /// On what: `<stem>/<rest>`.
    pub resource: String,
    /// For whom.
    pub tenant: TenantId,
    /// Under which fencing number.
    pub token: Token,
    /// What was done.
    pub what: What,
    /// The thing's id; zero where there is none.
    pub id: u64,
}

/// What a call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It made a thing.
    Made,
    /// The thing was there already.
    Found,
    /// It removed a thing.
    Removed,
    /// There was nothing to remove.
    Absent,
    /// It sent something that nobody can take back.
    Sent,
}

/// A thing that is there, with its owner tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Living {
    /// Its name: `<stem>/<rest>`.
    pub resource: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Under which fencing number it was made or last found.
    pub token: Token,
    /// Its id.
    pub id: u64,
}

impl Living {
    /// The part of the name before the first slash.
    pub fn stem(&self) -> &str {
        stem(&self.resource)
    }
}

/// The part of a resource's name before the first slash.
pub fn stem(resource: &str) -> &str {
    resource.split_once('/').map_or(resource, |(stem, _)| stem)
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one, in a few words.
    pub promise: &'static str,
    /// How.
    pub how: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.promise, self.how)
    }
}
