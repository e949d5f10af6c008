//! The rows of a range against their own chains: each record follows on the one before it, and stands in the row that it
//! names. A chain that began before the range goes on from what its first record here says of the one before.

use tenantry_audit::{Chains, Head, Heard, Took};
use tenantry_contracts::audit::{AuditEvent, AuditKind};
use tenantry_contracts::fact;
use tenantry_ports::Row;

use crate::audit::{first_audit, place};

/// The chains of a range so far.
#[derive(Default)]
pub(super) struct Links(Chains);

impl Links {
    /// Takes the next row.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn take(&mut self, row: &Row) -> Result<(), String> {
        let audit = fact::decode(row.facts.clone()).and_then(first_audit).ok_or("it has no audit record")?;
        let event: AuditEvent =
            serde_json::from_slice(&audit.value).map_err(|_| "its audit record does not read")?;
        let chain = row.tenant.map_or_else(|| row.lane.chain(), |tenant| tenant.to_string());
        if (&event.chain, event.seq, event.lane, event.n) != (&chain, row.seq, row.lane, row.n) {
            return Err(format!(
                "its audit record is {}/{} of row {}/{}",
                event.chain, event.seq, event.lane, event.n
            ));
        }
        // After an accepted restore a lane's chain goes on from what was published, which the journal does not have.
        if self.0.heads().get(&chain).is_none() && event.seq > 1 || event.kind == AuditKind::RestoreAccepted {
            let prev = hex::decode(&event.prev).ok().and_then(|prev| prev.try_into().ok());
            let digest = prev.ok_or("its link to the record before does not read")?;
            self.0.resume(&chain, Head { seq: event.seq - 1, digest });
        }
        let at = place(row.lane, row.n);
        match self.0.take(Heard { key: Some(&audit.key), value: Some(&audit.value), at: &at }) {
            Ok(Took::Leaf(_)) => Ok(()),
            Ok(Took::Repeat | Took::Older(_)) => Err("its place in the chain is taken".to_owned()),
            Err(problem) => Err(format!("{}: {}", problem.breach.as_str(), problem.message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tenantry_contracts::{Fact, Lane, Time, Topic};

    use super::*;

    /// Rows of a lane's chain from this place on.
    fn rows(first: i64, kinds: &[AuditKind]) -> Vec<Row> {
        let mut head = Head { seq: first - 1, digest: [5; 32] };
        let row = |kind: &AuditKind| {
            let n = head.seq + 1;
            let event = AuditEvent {
                chain: "lane-0".to_owned(),
                seq: n,
                prev: head.prev(),
                ..AuditEvent::new(*kind, Time(n), Lane(0), n)
            };
            let value = Bytes::from(serde_json::to_vec(&event).unwrap());
            head = head.after(&value);
            let key = Bytes::from_static(b"lane-0");
            let facts = fact::encode(&[Fact { topic: Topic::Audit, key, headers: Vec::new(), value }]);
            let entry = Bytes::from_static(b"{}");
            Row { lane: Lane(0), n, tenant: None, seq: n, prev_n: 0, at: Time(n), entry, facts }
        };
        kinds.iter().map(row).collect()
    }

    fn found(rows: &[Row]) -> Result<(), String> {
        let mut links = Links::default();
        rows.iter().try_for_each(|row| links.take(row))
    }

    const THREE: [AuditKind; 3] = [AuditKind::LanePaused; 3];

    #[test]
    fn a_chain_goes_on_from_what_its_first_record_here_says() {
        assert_eq!(found(&rows(7, &THREE)), Ok(()));
        // A first record commits to nothing but its chain.
        assert!(found(&rows(1, &THREE)).unwrap_err().starts_with("audit_altered"));
    }

    #[test]
    fn a_row_that_does_not_follow_or_speaks_of_another_is_named() {
        let other = |change: &dyn Fn(&mut Vec<Row>)| {
            let mut rows = rows(7, &THREE);
            change(&mut rows);
            found(&rows).unwrap_err()
        };
        assert!(other(&|rows| drop(rows.remove(1))).starts_with("audit_missing"));
        assert!(other(&|rows| rows[1] = self::rows(8, &THREE)[0].clone()).starts_with("audit_altered"));
        assert!(other(&|rows| rows.push(rows[2].clone())).contains("is taken"));
        assert!(other(&|rows| rows[1].n += 1).contains("lane-0/8 of row 0/8"));
        assert!(other(&|rows| rows[1].seq += 1).contains("lane-0/8 of row 0/8"));
        assert!(other(&|rows| rows[1].facts = Bytes::new()).contains("no audit record"));
    }

    #[test]
    fn after_an_accepted_restore_the_lane_s_chain_goes_on_from_what_was_published() {
        let mut all = rows(7, &THREE);
        all.extend(rows(20, &[AuditKind::RestoreAccepted, AuditKind::LanePaused]));
        assert_eq!(found(&all), Ok(()));
        all.extend(rows(30, &THREE));
        assert!(found(&all).unwrap_err().starts_with("audit_missing"));
    }
}
