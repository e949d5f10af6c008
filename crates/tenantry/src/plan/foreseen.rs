//! What a dry run found, as a value: printed, digested, compared.

use serde::Serialize;
use sha2::{Digest, Sha256};
use tenantry_contracts::Json;
use tenantry_contracts::event::Assumed;

use crate::show::code::Outcome;
use crate::show::trouble::Trouble;

/// What a request would do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Foreseen {
    /// Hexadecimal SHA-256 of everything below but the estimate and what was assumed: equal where a request would meet
    /// the same.
    pub(crate) digest: String,
    /// SHA-256 of the document.
    pub(crate) document: String,
    pub(crate) slug: String,
    pub(crate) environment: String,
    /// The plan of the saga by name and digest.
    pub(crate) plan: String,
    /// The template by name, version and digest.
    pub(crate) template: Option<String>,
    /// The failure preset.
    pub(crate) preset: Option<String>,
    pub(crate) rows: Vec<Row>,
    /// Why it would be refused, where it would.
    pub(crate) refusal: Option<Trouble>,
    pub(crate) assumed: Vec<Assumed>,
    /// How long requests of this plan took, where some did.
    pub(crate) estimate: Option<Estimate>,
}

/// What a row would do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) row: &'static str,
    pub(crate) will: Will,
    /// What the step would answer, where it can be told.
    pub(crate) output: Option<Json>,
    /// What is in the way, or would be.
    pub(crate) trouble: Option<Trouble>,
    /// What differs from what is there already.
    pub(crate) differences: Vec<String>,
    /// Who decides at a gate.
    pub(crate) role: Option<&'static str>,
}

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Will {
    /// Makes what is not there.
    Create,
    /// Finds its own, as it should be.
    Adopt,
    /// Finds its own, and changes it.
    Change,
    /// Refuses.
    Refuse,
    /// Finds something that is not ours.
    Conflict,
    /// Asks a person.
    Ask,
    /// Can be told only when the rows before it have run.
    Later,
}

/// How long it takes, from the fleet's own history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Estimate {
    /// Half took no longer.
    pub(crate) p50_ms: i64,
    /// Nine of ten took no longer.
    pub(crate) p90_ms: i64,
    /// How many it was made from.
    pub(crate) of: usize,
}

impl Estimate {
    /// From durations in milliseconds.
    pub(crate) fn of(mut took: Vec<i64>) -> Option<Self> {
        took.sort_unstable();
        let at =
            |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1))).copied();
        Some(Self { p50_ms: at(50)?, p90_ms: at(90)?, of: took.len() })
    }
}

impl Foreseen {
    /// With its digest.
    pub(crate) fn sealed(mut self) -> Self {
        let bare = (
            (&self.document, &self.slug, &self.environment),
            (&self.plan, &self.template, &self.preset),
            (&self.rows, &self.refusal),
        );
        self.digest = hex::encode(Sha256::digest(serde_json::to_vec(&bare).unwrap_or_default()));
        self
    }

    /// How it would end.
    pub(crate) fn outcome(&self) -> Outcome {
        let held = |row: &Row| row.will == Will::Conflict;
        if self.refusal.is_some() || self.rows.iter().any(|row| row.will == Will::Refuse) {
            Outcome::Rejected
        } else if self.rows.iter().any(held) {
            Outcome::Parked
        } else {
            Outcome::Done
        }
    }

    /// The first row that differs from another dry run's, and how; for those who hold an old digest.
    pub(crate) fn refused(&self) -> Option<&Trouble> {
        self.refusal.as_ref().or_else(|| self.rows.iter().find_map(|row| row.trouble.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_needs_history() {
        assert_eq!(Estimate::of(Vec::new()), None);
        assert_eq!(Estimate::of(vec![7]), Some(Estimate { p50_ms: 7, p90_ms: 7, of: 1 }));
        let hundred = Estimate::of((1..=100).rev().collect()).unwrap();
        assert_eq!((hundred.p50_ms, hundred.p90_ms), (51, 91));
    }
}
