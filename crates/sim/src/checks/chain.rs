//! The audit is gapless and provable: first occurrences on the topic, chain by chain, over the exact bytes.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use tenantry_contracts::audit::{AuditEvent, GENESIS_TAG};
use tenantry_contracts::{Record, Topic};

use super::{Book, report};
use crate::evidence::{Broken, Evidence};

/// SHA-256.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

struct Link<'a> {
    seq: i64,
    digest: [u8; 32],
    seen: BTreeMap<i64, &'a Record>,
    place: u16,
}

pub(super) fn check(evidence: &Evidence, book: &Book, broken: &mut Vec<Broken>) {
    journal(evidence, book, broken);
    let mut chains: BTreeMap<String, Link<'_>> = BTreeMap::new();
    for ((_, partition), records) in evidence.logs.iter().filter(|((topic, _), _)| *topic == Topic::Audit) {
        for record in records {
            let Some(value) = &record.value else {
                report(broken, "audit readable", format!("{} has no value", record.origin()));
                continue;
            };
            let Ok(event) = serde_json::from_slice::<AuditEvent>(value) else {
                report(broken, "audit readable", format!("{} does not decode", record.origin()));
                continue;
            };
            if record.key.as_deref() != Some(event.chain.as_bytes()) {
                report(broken, "audit keyed by its chain", format!("{}", record.origin()));
            }
            let link = chains.entry(event.chain.clone()).or_insert_with(|| Link {
                seq: 0,
                digest: digest(format!("{GENESIS_TAG}\n{}", event.chain).as_bytes()),
                seen: BTreeMap::new(),
                place: *partition,
            });
            if link.place != *partition {
                report(broken, "a chain stays in its partition", format!("{} {}", event.chain, event.seq));
            }
            if let Some(first) = link.seen.get(&event.seq) {
                if first.value != record.value || first.headers != record.headers {
                    let how = format!("{} {} at {}", event.chain, event.seq, record.origin());
                    report(broken, "repeats are byte for byte the same", how);
                }
                continue;
            }
            if event.seq != link.seq + 1 {
                let how =
                    format!("{}: {} after {}, at {}", event.chain, event.seq, link.seq, record.origin());
                report(broken, "first occurrences in order, without a gap", how);
            } else if event.prev != hex::encode(link.digest) {
                let how = format!("{} {} at {}", event.chain, event.seq, record.origin());
                report(broken, "each audit record commits to the one before", how);
            }
            link.seen.insert(event.seq, record);
            (link.seq, link.digest) = (event.seq, digest(value));
        }
    }
}

/// The same in the journal, where seq counts and `prev_n` leads back.
fn journal(evidence: &Evidence, book: &Book, broken: &mut Vec<Broken>) {
    let mut heads: BTreeMap<&str, (i64, i64, [u8; 32])> = BTreeMap::new();
    for page in &book.pages {
        let row = &evidence.journal[page.row];
        let chain = page.audit.chain.as_str();
        let genesis = || (0, 0, digest(format!("{GENESIS_TAG}\n{chain}").as_bytes()));
        let (seq, n, head) = heads.get(chain).copied().unwrap_or_else(genesis);
        let whose = || format!("{chain}: seq {} at {}/{} after seq {seq} at {n}", row.seq, row.lane, row.n);
        if row.seq != seq + 1 {
            report(broken, "the journal counts without a gap", whose());
        }
        if row.tenant.is_some() && row.prev_n != n {
            report(broken, "each row names the tenant's row before", whose());
        }
        if page.audit.prev != hex::encode(head) {
            report(broken, "the journal's chain holds", whose());
        }
        let value = page.facts.iter().find(|fact| fact.topic == Topic::Audit);
        let head = value.map_or(head, |fact| digest(&fact.value));
        heads.insert(chain, (row.seq, row.n, head));
    }
    for lane in &evidence.lanes {
        let chain = lane.lane.chain();
        if let Some((seq, _, head)) = heads.get(chain.as_str())
            && (*seq, *head) != (lane.chain_seq, lane.chain_head)
        {
            report(broken, "the lane's row knows the head of its chain", format!("lane {}", lane.lane));
        }
    }
}
