//! Questions about ranges of the journal that are in files, or could be.

use tenantry_contracts::{Lane, State, Time};

use super::records::{fixed, lane};
use crate::{Error, Queries};

/// A range of a lane's journal that is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archived {
    /// What is in it.
    pub range: Range,
    /// SHA-256 of the file's bytes.
    pub sha256: [u8; 32],
    /// The file's name, without a folder.
    pub file: String,
    /// When it was recorded.
    pub at: Time,
    /// Since when all its rows are in the store again; `None` where some may be gone.
    pub restored: Option<Time>,
}

/// A range of a lane's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The lane.
    pub lane: Lane,
    /// The first number; there may be no row of that number.
    pub from: i64,
    /// The last number, which is that of the last row.
    pub to: i64,
    /// How many rows there are.
    pub rows: i64,
    /// When its oldest row was written.
    pub oldest: Time,
    /// When its newest row was written.
    pub newest: Time,
}

struct ArchivedRecord {
    lane: i32,
    from_n: i64,
    to_n: i64,
    rows: i64,
    sha256: Vec<u8>,
    file: String,
    oldest: i64,
    newest: i64,
    at: i64,
    restored: Option<i64>,
}

impl TryFrom<ArchivedRecord> for Archived {
    type Error = Error;

    fn try_from(row: ArchivedRecord) -> Result<Self, Error> {
        Ok(Self {
            range: Range {
                lane: lane(row.lane)?,
                from: row.from_n,
                to: row.to_n,
                rows: row.rows,
                oldest: Time(row.oldest),
                newest: Time(row.newest),
            },
            sha256: fixed("archived.sha256", &row.sha256)?,
            file: row.file,
            at: Time(row.at),
            restored: row.restored.map(Time),
        })
    }
}

/// The states of tenants whose rows nothing in the store needs any more.
pub(crate) fn over() -> Vec<String> {
    State::ALL.iter().filter(|state| state.is_final()).map(|state| state.as_str().to_owned()).collect()
}

impl Queries {
    /// The ranges that are in files, by lane and number.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn archived(&self) -> Result<Vec<Archived>, Error> {
        let records = sqlx::query_as!(
            ArchivedRecord,
            "select lane, from_n, to_n, rows, sha256, file, oldest, newest, at, restored
            from archived order by lane, from_n"
        )
        .fetch_all(&self.pool)
        .await?;
        super::all(records)
    }

    /// The rows of a lane from number `from` on that may go into a file: spoken, shown by every tenant's own row, none of
    /// them or of those before written after `before`; at most `most` rows. `None` where there are none.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn archivable(
        &self,
        lane: Lane,
        from: i64,
        before: Time,
        most: u32,
    ) -> Result<Option<Range>, Error> {
        let found = sqlx::query!(
            r#"with page as (
                select j.n, j.at from lane l join journal j on j.lane = l.lane
                where l.lane = $1 and j.n >= $2 and j.n <= least(l.spoken, l.settled)
                order by j.n limit $4
            ), young as (
                select min(n) as n from page where at > $3
            )
            select max(page.n) as "to_n", count(*) as "rows!", min(page.at) as oldest, max(page.at) as newest
            from page, young where young.n is null or page.n < young.n"#,
            i32::from(lane.0),
            from,
            before.0,
            i64::from(most)
        )
        .fetch_one(&self.pool)
        .await?;
        let (Some(to), Some(oldest), Some(newest)) = (found.to_n, found.oldest, found.newest) else {
            return Ok(None);
        };
        Ok(Some(Range { lane, from, to, rows: found.rows, oldest: Time(oldest), newest: Time(newest) }))
    }

    /// How many rows of a range nothing in the store would need any more if everything up to number `upto` were in files:
    /// those of the lane's own chain, and those of tenants that are over, rest, and end by then.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn removable(&self, range: &Range, upto: i64) -> Result<i64, Error> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from journal j
            where j.lane = $1 and j.n >= $2 and j.n <= $3 and (j.tenant is null or exists (
                select from tenant t where t.tenant = j.tenant and t.lane = j.lane
                    and t.state = any($5) and t.at_rest and t.head_n <= $4
            ))"#,
            i32::from(range.lane.0),
            range.from,
            range.to,
            upto,
            &over()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count)
    }

    /// How many rows of a range are in the store. Reads the whole range in the index.
    ///
    /// # Errors
    /// Where the store cannot be asked.
    pub async fn remaining(&self, range: &Range) -> Result<i64, Error> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from journal where lane = $1 and n >= $2 and n <= $3"#,
            i32::from(range.lane.0),
            range.from,
            range.to
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(count)
    }
}
