//! Poison is isolated: each letter once by its origin and with its raw bytes. Nothing personal stands in clear.

use std::collections::BTreeMap;

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{Record, Topic};

use super::{Book, report};
use crate::evidence::{Broken, Evidence};

/// The header in which a letter names where it was first heard.
const ORIGIN: &str = "dlq_letter_id";

pub(super) fn check(evidence: &Evidence, book: &Book, broken: &mut Vec<Broken>) {
    let mut letters: BTreeMap<String, &Record> = BTreeMap::new();
    for ((topic, _), records) in &evidence.logs {
        if !matches!(topic, Topic::Quarantine | Topic::DeadLetters(_)) {
            continue;
        }
        for record in records {
            let Some(origin) = record.header(ORIGIN).map(str::to_owned) else {
                report(broken, "a letter names its origin", format!("{} does not", record.origin()));
                continue;
            };
            let raw = original(evidence, &origin);
            if raw.is_none_or(|raw| raw.value != record.value) {
                report(broken, "a letter holds the raw bytes", format!("{} of {origin}", record.origin()));
            }
            letters.insert(origin, record);
        }
    }
    for page in &book.pages {
        if !matches!(page.audit.kind, AuditKind::Quarantined) {
            continue;
        }
        let Some(cause) = &page.audit.cause else { continue };
        if !letters.contains_key(&cause.to_string()) {
            report(broken, "what is quarantined lies in the quarantine", format!("{cause} does not"));
        }
    }
    canaries(evidence, broken);
}

fn original<'a>(evidence: &'a Evidence, origin: &str) -> Option<&'a Record> {
    let mut parts = origin.rsplitn(3, '/');
    let (offset, partition, topic) = (parts.next()?, parts.next()?, parts.next()?);
    let place = (Topic::parse(topic)?, partition.parse().ok()?);
    let offset: i64 = offset.parse().ok()?;
    evidence.logs.get(&place)?.iter().find(|record| record.offset == offset)
}

fn canaries(evidence: &Evidence, broken: &mut Vec<Broken>) {
    for canary in &evidence.canaries {
        let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|part| part == canary.as_bytes());
        for ((topic, _), records) in &evidence.logs {
            // Upstream's own record, and the letters that keep it as it was.
            if matches!(topic, Topic::Requests | Topic::Quarantine) {
                continue;
            }
            let found = records.iter().find(|record| {
                let value = record.value.as_deref().unwrap_or_default();
                holds(value) || record.headers.iter().any(|(_, value)| holds(value))
            });
            if let Some(record) = found {
                report(broken, "nothing personal in clear", format!("{} holds {canary}", record.origin()));
            }
        }
        if let Some(row) = evidence.journal.iter().find(|row| holds(&row.entry) || holds(&row.facts)) {
            report(
                broken,
                "nothing personal in clear",
                format!("journal row {}/{}: {canary}", row.lane, row.n),
            );
        }
    }
}
