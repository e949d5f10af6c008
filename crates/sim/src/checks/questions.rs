//! A question is asked only where its row committed, and repeats with the same input.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::command::Command;
use tenantry_contracts::{Lane, TenantId, Topic};

use super::report;
use crate::evidence::{Broken, Evidence};

pub(super) fn check(evidence: &Evidence, broken: &mut Vec<Broken>) {
    let rows: BTreeSet<(Lane, i64, Option<TenantId>)> =
        evidence.journal.iter().map(|row| (row.lane, row.n, row.tenant)).collect();
    let mut asked: BTreeMap<String, bytes::Bytes> = BTreeMap::new();
    for ((topic, partition), records) in &evidence.logs {
        if !matches!(topic, Topic::Commands(_)) {
            continue;
        }
        for record in records {
            // What is no command is a test's own poison; it goes to the dead letters.
            let (Ok(command), Some(value)) = (Command::decode(record), record.value.clone()) else {
                continue;
            };
            let question = command.question;
            let id = question.id();
            if !rows.contains(&(Lane(*partition), question.token.0, Some(question.tenant))) {
                let how = format!("{id} at {} is in no journal row", record.origin());
                report(broken, "a question is asked only where its row committed", how);
            }
            if asked.entry(id.clone()).or_insert_with(|| value.clone()) != &value {
                let how = format!("{id} at {}", record.origin());
                report(broken, "a question repeats with the same input", how);
            }
        }
    }
}
