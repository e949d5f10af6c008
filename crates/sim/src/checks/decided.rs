//! Decided once: every record of `tenant.requests` has exactly one durable decision, and one id makes one tenant.

use std::collections::BTreeMap;

use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{Lane, Origin, RequestId, Topic};

use super::{Book, report};
use crate::evidence::{Broken, Evidence};

const DECISIONS: [AuditKind; 6] = [
    AuditKind::Requested,
    AuditKind::Queued,
    AuditKind::RequestRejected,
    AuditKind::RequestDuplicate,
    AuditKind::RequestForwarded,
    AuditKind::Quarantined,
];
/// Beside these, whatever names the person behind it was taken up.
const OPERATED: [AuditKind; 3] =
    [AuditKind::OperationRefused, AuditKind::RequestDuplicate, AuditKind::Quarantined];

/// The header in which a forwarded record names where it was first heard.
const FORWARDED_FROM: &str = "tenantry_forwarded_from";

pub(super) fn check(evidence: &Evidence, book: &Book, broken: &mut Vec<Broken>) {
    let mut decisions: BTreeMap<&Origin, Vec<AuditKind>> = BTreeMap::new();
    let mut accepted: BTreeMap<&RequestId, u32> = BTreeMap::new();
    for page in &book.pages {
        let kind = page.audit.kind;
        let Some(cause) = &page.audit.cause else { continue };
        let decides = match Topic::parse(&cause.topic) {
            Some(Topic::Requests) => DECISIONS.contains(&kind),
            Some(Topic::Operations) => page.audit.actor.is_some() || OPERATED.contains(&kind),
            _ => false,
        };
        if decides {
            decisions.entry(cause).or_default().push(kind);
        }
        if let (AuditKind::Requested, Some(id)) = (kind, &page.audit.operation) {
            *accepted.entry(id).or_default() += 1;
        }
    }
    for (id, times) in accepted.into_iter().filter(|(_, times)| *times > 1) {
        report(broken, "one request id makes one tenant", format!("{id} made {times}"));
    }
    for ((topic, partition), records) in &evidence.logs {
        if !matches!(topic, Topic::Requests | Topic::Operations) {
            continue;
        }
        let lane = evidence.lanes.iter().find(|row| row.lane == Lane(*partition));
        let heard = lane.map_or(0, |row| match topic {
            Topic::Requests => row.requests.next,
            _ => row.operations.next,
        });
        if records.last().is_some_and(|last| last.offset + 1 != heard) {
            let how = format!("{topic}/{partition}: heard up to {heard} of {}", records.len());
            report(broken, "every record is heard", how);
        }
        // A forward that was sent twice counts once; its second copy is silent.
        let mut forwarded: BTreeMap<&str, usize> = BTreeMap::new();
        for record in records {
            let origin = record.origin();
            let times = decisions.get(&origin).map_or(0, Vec::len);
            let first = record.header(FORWARDED_FROM).filter(|_| *topic == Topic::Requests);
            let earlier = first.map(|first| {
                let count = forwarded.entry(first).or_default();
                *count += times;
                *count - times
            });
            let fine = times == 1 || (times == 0 && earlier.is_some_and(|earlier| earlier > 0));
            if !fine {
                let how = format!("{origin} was decided {times} times: {:?}", decisions.get(&origin));
                report(broken, "decided once", how);
            }
        }
    }
    for lane in &evidence.lanes {
        let results = evidence.logs.get(&(Topic::Results, lane.lane.0));
        let high = results.and_then(|records| records.last()).map_or(0, |last| last.offset + 1);
        if high != lane.results.next {
            let how = format!("tenant.results/{}: heard up to {} of {high}", lane.lane, lane.results.next);
            report(broken, "every record is heard", how);
        }
    }
}
