//! The records of a bundle: each slice of a chain without gaps, linked, from where it should begin to where it should end.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use tenantry_contracts::audit::FORMAT;

use super::finding::{Finding, Kind};
use super::selection::{Bound, Selection};
use crate::{Head, digest, genesis};

/// What is read of an audit event. The rest is the reader's.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    pub(super) format: u64,
    pub(super) chain: String,
    pub(super) seq: i64,
    pub(super) prev: String,
    pub(super) at: String,
}

impl Event {
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_str(std::str::from_utf8(value).ok()?).ok()
    }
}

/// Where a record stands in the bundle.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) member: Arc<str>,
    pub(super) line: u64,
}

impl Line {
    pub(super) fn finding(&self, kind: Kind) -> Finding {
        Finding::at(kind, &self.member).line(self.line)
    }
}

/// What is known of a slice so far.
#[derive(Debug)]
struct Seen {
    first: i64,
    last: i64,
    /// The seq that comes next, and what it must say of the one before.
    next: i64,
    prev: String,
    first_at: String,
    last_at: String,
    /// Where the last record stands.
    line: Option<Line>,
    /// The last record whose bytes its successor does not speak of.
    altered: Option<(i64, Option<Line>)>,
}

/// Checks records in the order of the log.
#[derive(Debug)]
pub(super) struct Records<'a> {
    selection: &'a Selection,
    slices: HashMap<&'a str, Seen>,
    finding: Option<Finding>,
    /// The finding is a gap: this record of this chain is missing so far.
    gap: Option<(String, i64)>,
}

impl<'a> Records<'a> {
    pub(super) fn new(selection: &'a Selection) -> Self {
        let slices = selection.chains.iter().map(|slice| {
            let genesis = hex::encode(genesis(&slice.chain));
            let begins_wrong = slice.first == 1 && slice.prev != genesis;
            let seen = Seen {
                first: slice.first,
                last: slice.last,
                next: slice.first,
                prev: slice.prev.clone(),
                first_at: String::new(),
                last_at: String::new(),
                line: None,
                altered: begins_wrong.then_some((1, None)),
            };
            (slice.chain.as_str(), seen)
        });
        Self { selection, slices: slices.collect(), finding: None, gap: None }
    }

    /// What was found so far that needs no more to be certain. A gap can still turn out to be a wrong order.
    pub(super) fn finding(&self) -> Option<&Finding> {
        self.finding.as_ref()
    }

    /// Takes the next record.
    pub(super) fn hear(&mut self, value: &[u8], line: &Line) {
        if self.finding.is_none() {
            if let Err(finding) = self.check(value, line) {
                self.finding = Some(finding);
            }
        } else if let Some((chain, seq)) = &self.gap
            && let Some(event) = Event::read(value)
            && (&event.chain, &event.seq) == (chain, seq)
        {
            self.finding = Some(line.finding(Kind::RecordOutOfOrder).chain(chain, Some(*seq)));
            self.gap = None;
        }
    }

    fn check(&mut self, value: &[u8], line: &Line) -> Result<(), Finding> {
        let event = Event::read(value).ok_or_else(|| line.finding(Kind::RecordUnreadable))?;
        let at = |kind| Err(line.finding(kind).chain(&event.chain, Some(event.seq)));
        if event.format != u64::from(FORMAT) {
            return at(Kind::RecordFormatUnknown);
        }
        let Some(seen) = self.slices.get_mut(event.chain.as_str()) else {
            return at(Kind::RecordUnselected);
        };
        if event.seq < seen.first || event.seq > seen.last {
            return at(Kind::RecordUnselected);
        }
        if event.seq < seen.next {
            return at(Kind::RecordDoubled);
        }
        if event.seq > seen.next {
            self.gap = Some((event.chain.clone(), seen.next));
            return Err(line.finding(Kind::RecordMissing).chain(&event.chain, Some(seen.next)));
        }
        if event.prev != seen.prev {
            // Which of the two was altered, the records after them show: the last break is the true one.
            let first = event.seq == seen.first;
            let before = if first { Some(line.clone()) } else { seen.line.take() };
            seen.altered = Some((event.seq - i64::from(!first), before));
        }
        if event.seq == seen.first {
            seen.first_at.clone_from(&event.at);
        }
        seen.next += 1;
        seen.prev = hex::encode(digest(value));
        seen.last_at = event.at;
        seen.line = Some(line.clone());
        Ok(())
    }

    /// What is wrong over all records; `heads` say where the log's chains end.
    pub(super) fn finish(self, heads: &HashMap<String, Head>) -> Option<Finding> {
        if self.finding.is_some() {
            return self.finding;
        }
        self.selection.chains.iter().find_map(|slice| {
            let seen = self.slices.get(slice.chain.as_str())?;
            seen.finish(&slice.chain, self.selection, heads.get(&slice.chain).copied())
        })
    }
}

impl Seen {
    fn finish(&self, chain: &str, selection: &Selection, head: Option<Head>) -> Option<Finding> {
        if self.next <= self.last {
            return Some(Finding::new(Kind::RecordMissing).chain(chain, Some(self.next)));
        }
        if let Some((seq, line)) = &self.altered {
            return Some(at(line.as_ref(), Kind::RecordAltered).chain(chain, Some(*seq)));
        }
        let from = selection.from.is_some_and(|from| match from {
            Bound::Seq(seq) => self.first <= seq,
            Bound::Time(time) => self.first_at < time.to_string(),
        });
        let to = selection.to.is_some_and(|to| match to {
            Bound::Seq(seq) => self.last >= seq,
            Bound::Time(time) => self.last_at >= time.to_string(),
        });
        if self.first > 1 && !from {
            return Some(Finding::new(Kind::SelectionIncomplete).chain(chain, Some(self.first - 1)));
        }
        // Where the heads cannot be read, that is the finding.
        let head = head?;
        if self.last > head.seq || (self.last == head.seq && self.prev != head.prev()) {
            return Some(at(self.line.as_ref(), Kind::ChainForked).chain(chain, Some(self.last)));
        }
        let ends = self.last == head.seq || to;
        (!ends).then(|| Finding::new(Kind::SelectionIncomplete).chain(chain, Some(self.last + 1)))
    }
}

fn at(line: Option<&Line>, kind: Kind) -> Finding {
    line.map_or_else(|| Finding::new(kind), |line| line.finding(kind))
}
