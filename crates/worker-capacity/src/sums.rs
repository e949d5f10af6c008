//! Whether it fits, and what to say: the arithmetic of pools, without PostgreSQL.

use tenantry_contracts::steps::Notice;
use tenantry_contracts::steps::capacity::Part;
use tenantry_contracts::steps::validate::Requirements;
use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Trouble};

/// How full a pool is.
pub(crate) struct Level {
    pub(crate) region: String,
    pub(crate) pool: String,
    pub(crate) total: i64,
    pub(crate) threshold_percent: i16,
    pub(crate) used: i64,
}

/// What the requirements ask of each pool, in the order in which it is told.
pub(crate) fn wanted(requirements: &Requirements) -> Vec<Part> {
    let part = |pool: &str, amount: u64| Part { pool: pool.to_owned(), amount };
    vec![
        part("database", requirements.database_connections.into()),
        part("storage", requirements.storage_bytes),
        part("compute", requirements.compute_millis.into()),
        part("network", requirements.network_segments.into()),
    ]
}

/// How much of a pool these parts take.
pub(crate) fn amount(parts: &[Part], pool: &str) -> u64 {
    parts.iter().find(|part| part.pool == pool).map_or(0, |part| part.amount)
}

/// Whether the region's pools can give what is wanted in place of `held`, which the tenant has of them already; and
/// which of them come to their threshold by it.
///
/// # Errors
/// `capacity_insufficient`, with exactly the pools that are short. What grows by nothing is never short, also where a
/// total was lowered under what is used.
pub(crate) fn fit(region: &str, levels: &[Level], wanted: &[Part], held: &[Part]) -> Answer<Vec<Notice>> {
    let (mut short, mut needs, mut notices) = (Vec::new(), Vec::new(), Vec::new());
    for Part { pool, amount: want } in wanted {
        let Some(level) = levels.iter().find(|level| level.region == region && level.pool == *pool) else {
            let message =
                format!("region {region} has no pool {pool}; start the worker anew, which makes it");
            return Err(Trouble::no(Code::Misconfigured, Class::Config, message));
        };
        let held = amount(held, pool);
        // Wider than either side, so that no sum overflows.
        let (total, before) = (i128::from(level.total), i128::from(level.used));
        let after = before - i128::from(held) + i128::from(*want);
        if *want > held && after > total {
            let left = (total - before + i128::from(held)).max(0);
            short.push(pool.as_str());
            needs.push(format!("{pool} needs {want} of {left} left"));
        }
        let threshold = total * i128::from(level.threshold_percent);
        if before * 100 < threshold && after * 100 >= threshold {
            let message = format!(
                "pool {pool} of region {region} is {}% used (threshold {}%)",
                after * 100 / total.max(1),
                level.threshold_percent
            );
            notices.push(Notice { code: Code::CapacityLow, message });
        }
    }
    if short.is_empty() {
        return Ok(notices);
    }
    let message =
        format!("Insufficient resources: {} (region {region}: {})", short.join(", "), needs.join(", "));
    Err(Trouble::no_at(Code::CapacityInsufficient, Class::Capacity, "/requirements", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(pool: &str, total: i64, used: i64) -> Level {
        Level { region: "mars-1".to_owned(), pool: pool.to_owned(), total, threshold_percent: 80, used }
    }

    fn part(pool: &str, amount: u64) -> Part {
        Part { pool: pool.to_owned(), amount }
    }

    fn said(used: i64, want: u64, held: u64) -> Vec<String> {
        let fits =
            fit("mars-1", &[level("storage", 100, used)], &[part("storage", want)], &[part("storage", held)]);
        fits.unwrap().into_iter().map(|notice| notice.message).collect()
    }

    #[test]
    fn exactly_the_short_pools_are_named_with_what_is_left() {
        let levels = [level("storage", 100, 100), level("compute", 100, 90), level("network", 100, 120)];
        let wanted = [part("storage", 1), part("compute", 10), part("network", u64::MAX)];
        let no = fit("mars-1", &levels, &wanted, &[]).unwrap_err();
        assert_eq!(
            no.to_string(),
            "capacity_insufficient at /requirements: Insufficient resources: storage, network (region mars-1: \
             storage needs 1 of 0 left, network needs 18446744073709551615 of 0 left)"
        );
        assert!(matches!(no, Trouble::No { class: Class::Capacity, .. }));
    }

    #[test]
    fn a_threshold_is_told_by_the_reservation_that_reaches_it_and_by_no_other() {
        assert_eq!(said(0, 79, 0), Vec::<String>::new());
        assert_eq!(said(79, 1, 0), ["pool storage of region mars-1 is 80% used (threshold 80%)"]);
        assert_eq!(said(80, 10, 0), Vec::<String>::new());
        assert_eq!(said(70, 30, 10).len(), 1);
        assert_eq!(said(90, 5, 50), Vec::<String>::new());
        assert_eq!(fit("mars-1", &[level("storage", 0, 0)], &[part("storage", 0)], &[]).unwrap(), []);
    }

    #[test]
    fn what_does_not_grow_fits_also_where_the_total_was_lowered() {
        let levels = [level("storage", 10, 50)];
        assert!(fit("mars-1", &levels, &[part("storage", 20)], &[part("storage", 20)]).is_ok());
        assert!(fit("mars-1", &levels, &[part("storage", 21)], &[part("storage", 20)]).is_err());
    }
}
