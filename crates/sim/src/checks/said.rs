//! State and message are one: a fact is on Kafka if and only if its row committed.

use std::collections::BTreeMap;

use tenantry_contracts::{Headers, Record, Topic};

use super::{Book, report};
use crate::evidence::{Broken, Evidence};

/// What a fact is told by: its topic, its partition and its exact bytes.
type Said<'a> = (&'a Topic, u16, Option<&'a [u8]>, &'a Headers, &'a [u8]);

pub(super) fn check(evidence: &Evidence, book: &Book, broken: &mut Vec<Broken>) {
    let mut expected: BTreeMap<Said<'_>, (i64, bool)> = BTreeMap::new();
    for page in &book.pages {
        let row = &evidence.journal[page.row];
        for fact in &page.facts {
            let said: Said<'_> = (&fact.topic, row.lane.0, Some(&fact.key), &fact.headers, &fact.value);
            expected.entry(said).or_insert((row.n, false));
        }
    }
    for ((topic, partition), records) in &evidence.logs {
        if !matches!(topic, Topic::Audit | Topic::Events) {
            continue;
        }
        // By key: the last number said first. Order is promised for each tenant, not across them.
        let mut last: BTreeMap<Option<&[u8]>, i64> = BTreeMap::new();
        for record in records {
            let said: Said<'_> = said(topic, *partition, record);
            let Some((n, seen)) = expected.get_mut(&said) else {
                report(
                    broken,
                    "what is said was committed",
                    format!("{} is in no journal row", record.origin()),
                );
                continue;
            };
            if std::mem::replace(seen, true) {
                continue;
            }
            let before = last.insert(said.2, *n).unwrap_or(0);
            if before > *n {
                let how = format!("{}: row {n} after row {before}", record.origin());
                report(broken, "facts are said in the order of their rows", how);
            }
        }
    }
    for ((topic, lane, ..), (n, seen)) in &expected {
        if !seen {
            report(broken, "what was committed is said", format!("{topic}: row {lane}/{n} was never said"));
        }
    }
    for lane in &evidence.lanes {
        if lane.spoken > lane.n {
            report(broken, "nothing is spoken before it is written", format!("lane {}", lane.lane));
        }
    }
}

fn said<'a>(topic: &'a Topic, partition: u16, record: &'a Record) -> Said<'a> {
    let value = record.value.as_deref().unwrap_or_default();
    (topic, partition, record.key.as_deref(), &record.headers, value)
}
