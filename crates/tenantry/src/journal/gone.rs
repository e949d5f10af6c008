//! Tenants whose rows were archived: whoever asks for their history is told where it is.

use tenantry_ports::{Row, TenantRow};
use tenantry_postgres::{Archived, Queries};

use super::read::whole;
use crate::out::{Refused, failed};

/// How many files are named.
const NAMED: usize = 8;

/// All rows of a tenant, in order.
///
/// # Errors
/// `journal_archived` where some of them are not in the store any more; where the store cannot be asked.
pub(crate) async fn history(store: &Queries, row: &TenantRow) -> anyhow::Result<Vec<Row>> {
    let rows = store.history(row.tenant).await?;
    if !whole(&rows)
        && let Some(refused) = archived(row, rows.first(), &store.archived().await?)
    {
        return Err(refused.into());
    }
    Ok(rows)
}

/// Which files have what is missing: up to the row before the first that is there, and not before the tenant was heard.
fn archived(row: &TenantRow, first: Option<&Row>, ranges: &[Archived]) -> Option<Refused> {
    let last = first.map_or(row.head_n, |first| first.prev_n);
    let files: Vec<&str> = ranges
        .iter()
        .filter(|archived| archived.range.lane == row.lane && archived.restored.is_none())
        .filter(|archived| archived.range.from <= last && archived.range.newest >= row.created)
        .map(|archived| archived.file.as_str())
        .collect();
    if files.is_empty() {
        return None;
    }
    let (named, more) = files.split_at(files.len().min(NAMED));
    let more = match more.len() {
        0 => String::new(),
        more => format!(" and {more} more (`tenantry journal ls`: lane {}, up to {last})", row.lane),
    };
    let text = format!(
        "{} ({}) is {}, and its history was archived in {}{more}; with the owner's URL put it back: tenantry journal restore {}",
        row.slug,
        row.tenant,
        row.state,
        named.join(", "),
        named.join(" ")
    );
    Some(failed("journal_archived", text))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tenantry_contracts::{Environment, Lane, Sealed, Slug, State, TenantId, Time};
    use tenantry_postgres::Range;

    use super::*;

    fn tenant(created: i64, head_n: i64) -> TenantRow {
        TenantRow {
            tenant: TenantId::new(Time(created), [1; 10]),
            lane: Lane(0),
            environment: Environment::default(),
            slug: Slug::parse("acme").unwrap(),
            name: Sealed::read(String::new()),
            plan: "starter".into(),
            state: State::Purged,
            since: Time(0),
            head_n,
            head_seq: 6,
            head_hash: [6; 32],
            at_rest: true,
            holds_slug: false,
            created: Time(created),
        }
    }

    fn range(lane: u16, from: i64, to: i64, restored: Option<Time>) -> Archived {
        // A row a second.
        let (oldest, newest) = (Time(from * 1000), Time(to * 1000));
        let range = Range { lane: Lane(lane), from, to, rows: to - from + 1, oldest, newest };
        Archived { range, sha256: [0; 32], file: format!("{lane}-{from}"), at: newest, restored }
    }

    fn told(created: i64, head_n: i64, first: Option<i64>, ranges: &[Archived]) -> Option<String> {
        let tenant = tenant(created, head_n);
        let first = first.map(|prev_n| Row {
            lane: Lane(0),
            n: head_n,
            tenant: Some(tenant.tenant),
            seq: 6,
            prev_n,
            at: Time(0),
            entry: Bytes::new(),
            facts: Bytes::new(),
        });
        archived(&tenant, first.as_ref(), ranges).map(|refused| refused.to_string())
    }

    #[test]
    fn the_files_between_its_first_row_and_its_last_are_named() {
        let ranges =
            [range(0, 1, 10, None), range(0, 11, 20, None), range(0, 21, 30, None), range(1, 1, 99, None)];
        let told = |created, head, first| told(created, head, first, &ranges).unwrap();
        let all = told(5_000, 25, None);
        assert!(all.starts_with("journal_archived: acme (") && all.contains("PURGED"), "{all}");
        assert!(all.ends_with("tenantry journal restore 0-1 0-11 0-21"), "{all}");
        assert!(told(15_000, 25, None).ends_with("restore 0-11 0-21"));
        assert!(told(15_000, 18, None).ends_with("restore 0-11"));
        assert!(told(5_000, 40, Some(12)).ends_with("restore 0-1 0-11"), "its last rows are there");
    }

    #[test]
    fn where_nothing_of_it_is_archived_something_else_is_wrong() {
        assert_eq!(told(5_000, 25, None, &[]), None);
        assert_eq!(told(5_000, 25, None, &[range(1, 1, 30, None), range(0, 1, 30, Some(Time(1)))]), None);
    }

    #[test]
    fn not_every_file_of_a_long_life_is_named() {
        let ranges: Vec<_> = (0..20).map(|i| range(0, i * 10 + 1, i * 10 + 10, None)).collect();
        let told = told(0, 200, None, &ranges).unwrap();
        assert!(told.contains("and 12 more (`tenantry journal ls`: lane 0, up to 200)"), "{told}");
    }
}
