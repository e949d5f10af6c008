//! Audit and history prove each other: the whole journal, told anew from its entries alone, is what was said.

use tenantry_contracts::Fleet;
use tenantry_coordinator::{Difference, Retelling, Retold};
use tenantry_ports::Row;

use crate::evidence::{Broken, Evidence};
use crate::plan;

/// Every record that comes out otherwise than it was said.
pub(crate) fn check(evidence: &Evidence, fleet: &Fleet) -> Vec<Broken> {
    let plans = plan::plans();
    let mut broken = Vec::new();
    for lane in &evidence.lanes {
        let rows: Vec<&Row> = evidence.journal.iter().filter(|row| row.lane == lane.lane).collect();
        let mut telling = Retelling::new(fleet, &plans, lane);
        let mut retold: Vec<Retold> = Vec::new();
        let told = rows.iter().try_for_each(|row| {
            if let Some(id) = telling.lacks(row) {
                let earlier = |one: &&&Row| one.tenant == Some(id) && one.n < row.n;
                let history: Vec<Row> = rows.iter().filter(earlier).map(|row| (*row).clone()).collect();
                telling.wake(&history);
            }
            telling.hear((*row).clone()).map(|told| retold.extend(told))
        });
        match told.and_then(|()| telling.end(lane)) {
            Ok(told) => retold.extend(told),
            Err(unsound) => broken.push(unsound.to_string()),
        }
        for one in retold {
            match Difference::between(&one.told, one.stands.as_deref().unwrap_or_default()) {
                None => {}
                Some(difference) => broken.push(format!("{}/{}: {difference}", one.lane, one.n)),
            }
        }
    }
    broken
        .into_iter()
        .take(3)
        .map(|how| Broken { promise: "audit and history prove each other", how })
        .collect()
}
