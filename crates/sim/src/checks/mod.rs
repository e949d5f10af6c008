//! The invariant checker: reads raw logs, rows and providers, and nothing of the code that made them.
//!
//! Everything here is a function over [`Evidence`], so that the seeded world and tests on real servers share it.

mod chain;
mod decided;
mod effects;
mod ends;
mod letters;
mod questions;
mod said;

use tenantry_contracts::audit::AuditEvent;
use tenantry_contracts::{Fact, Topic, fact};

use crate::evidence::{Broken, Evidence};

pub use chain::digest;
pub use ends::{deeds, outcomes};

/// Everything that must hold when the fleet is at rest: all that was broken.
pub fn check(evidence: &Evidence) -> Vec<Broken> {
    let mut broken = Vec::new();
    let book = match Book::read(evidence) {
        Ok(book) => book,
        Err(one) => return vec![one],
    };
    chain::check(evidence, &book, &mut broken);
    said::check(evidence, &book, &mut broken);
    decided::check(evidence, &book, &mut broken);
    ends::check(evidence, &book, &mut broken);
    effects::check(evidence, &mut broken);
    questions::check(evidence, &mut broken);
    letters::check(evidence, &book, &mut broken);
    broken
}

/// The journal, read: each row with its facts and its one audit event.
pub(crate) struct Book {
    pub(crate) pages: Vec<Page>,
}

pub(crate) struct Page {
    /// Index into [`Evidence::journal`].
    pub(crate) row: usize,
    pub(crate) facts: Vec<Fact>,
    pub(crate) audit: AuditEvent,
}

impl Book {
    fn read(evidence: &Evidence) -> Result<Self, Broken> {
        let mut pages = Vec::with_capacity(evidence.journal.len());
        for (at, row) in evidence.journal.iter().enumerate() {
            let whose = format!("journal row {}/{}", row.lane, row.n);
            let broken = |how: String| Broken { promise: "one row is one audit event", how };
            let facts = fact::decode(row.facts.clone())
                .ok_or_else(|| broken(format!("{whose} has facts that do not decode")))?;
            let mut audits = facts.iter().filter(|fact| fact.topic == Topic::Audit);
            let (Some(first), None) = (audits.next(), audits.next()) else {
                return Err(broken(format!("{whose} has not exactly one audit event")));
            };
            let audit: AuditEvent = serde_json::from_slice(&first.value).map_err(|error| {
                broken(format!("{whose} has an audit event that does not decode: {error}"))
            })?;
            let agrees = audit.lane == row.lane
                && audit.n == row.n
                && audit.seq == row.seq
                && audit.chain == row.tenant.map_or_else(|| row.lane.chain(), |tenant| tenant.to_string());
            if !agrees {
                return Err(broken(format!("{whose} and its audit event disagree about where they stand")));
            }
            pages.push(Page { row: at, facts, audit });
        }
        Ok(Self { pages })
    }
}

/// Says what was broken, with at most a few examples of each kind.
pub(crate) fn report(broken: &mut Vec<Broken>, promise: &'static str, how: String) {
    const EXAMPLES: usize = 3;
    if broken.iter().filter(|one| one.promise == promise).count() < EXAMPLES {
        broken.push(Broken { promise, how });
    }
}
