//! [`Archive`]: takes rows from the journal that a file holds as well, and puts them back.
//!
//! One session at a time has it, by an advisory lock that ends with the session. Everything here is one statement that
//! commits by itself, so whoever is killed leaves nothing half done, and the next one goes on.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tenantry_contracts::{Lane, Time};
use tenantry_ports::Row;

use crate::Error;
use crate::pack::pack;
use crate::queries::{Archived, Range, over};

/// What the advisory lock is taken on: "tenantry" and "archive", shortened. It belongs to this database.
const LOCK: (i32, i32) = (0x7465_6e61, 0x6172_6368);

/// The right to archive and to restore, while it lives.
#[derive(Debug)]
pub struct Archive {
    session: PgConnection,
}

/// What became of one slice of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where it ends; the next one begins after it.
    pub to: i64,
    /// How many rows are gone with it.
    pub gone: i64,
}

impl Archive {
    /// Connects and takes the lock. Role `tenantry_archivist` is enough for all but [`Archive::put_back`] and
    /// [`Archive::restored`].
    ///
    /// # Errors
    /// [`Error::Busy`] where somebody has the lock; where the server cannot be reached.
    pub async fn open(url: &str) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::Url(error.to_string()))?
            .application_name("tenantry archive")
            .options([("statement_timeout", "5min"), ("lock_timeout", "10s")]);
        let mut session = options.connect().await.map_err(|error| Error::Unreachable(error.to_string()))?;
        let have = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1, $2) as "have!""#, LOCK.0, LOCK.1)
            .fetch_one(&mut session)
            .await?;
        if have { Ok(Self { session }) } else { Err(Error::Busy) }
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// Where the server cannot be told; then the lock ends with the session.
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.session.close().await?)
    }

    /// Records that a range is in a file. It must begin where the last one of its lane ends, and be spoken and settled.
    ///
    /// # Errors
    /// [`Error::Strange`] where it does not; where the store cannot be reached.
    pub async fn record(&mut self, archived: &Archived) -> Result<(), Error> {
        let Range { lane, from, to, rows, oldest, newest } = archived.range;
        let done = sqlx::query!(
            "insert into archived (lane, from_n, to_n, rows, sha256, file, oldest, newest, at)
            select l.lane, $2, $3, $4, $5, $6, $7, $8, $9 from lane l
            where l.lane = $1 and $3 <= least(l.spoken, l.settled)
                and $2 = (select coalesce(max(a.to_n), 0) + 1 from archived a where a.lane = l.lane)",
            i32::from(lane.0),
            from,
            to,
            rows,
            &archived.sha256,
            &archived.file,
            oldest.0,
            newest.0,
            archived.at.0
        )
        .execute(&mut self.session)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(Error::Strange(format!("archived ends elsewhere than before {from} in lane {lane}")))
    }

    /// Deletes what nothing in the store needs any more of the next `most` rows after number `after`, not beyond the
    /// end of this range: rows of the lane's own chain, and rows of tenants that are over, rest, and end before the last
    /// recorded range ends. `None` where no row is left to look at, or the range is not recorded, or was put back.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    pub async fn delete(&mut self, range: &Range, after: i64, most: u32) -> Result<Option<Slice>, Error> {
        let found = sqlx::query!(
            r#"with slice as (
                select j.n, j.tenant from journal j
                where j.lane = $1 and j.n > $4 and j.n <= $3 and exists (
                    select from archived where lane = $1 and from_n = $2 and to_n = $3 and restored is null
                )
                order by j.n limit $6
            ), gone as (
                delete from journal j using slice s
                where j.lane = $1 and j.n = s.n and (s.tenant is null or exists (
                    select from tenant t where t.tenant = s.tenant and t.lane = $1 and t.state = any($5) and t.at_rest
                        and t.head_n <= (select max(to_n) from archived where lane = $1)
                ))
                returning j.n
            )
            select max(s.n) as "to_n", (select count(*) from gone) as "gone!" from slice s"#,
            i32::from(range.lane.0),
            range.from,
            range.to,
            after.max(range.from - 1),
            &over(),
            i64::from(most)
        )
        .fetch_one(&mut self.session)
        .await?;
        Ok(found.to_n.map(|to| Slice { to, gone: found.gone }))
    }

    /// Ranges of a lane that were put back no later than this are as before: their rows may go again.
    ///
    /// # Errors
    /// Where the store cannot be reached.
    pub async fn again(&mut self, lane: Lane, before: Time) -> Result<(), Error> {
        sqlx::query!(
            "update archived set restored = null where lane = $1 and restored <= $2",
            i32::from(lane.0),
            before.0
        )
        .execute(&mut self.session)
        .await?;
        Ok(())
    }

    /// Puts rows back as they were; those that are there stay. Returns how many were not. The owner's right.
    ///
    /// # Errors
    /// [`Error::Denied`] where the role may not; where the store cannot be reached.
    pub async fn put_back(&mut self, rows: &[Row]) -> Result<u64, Error> {
        let packed: Vec<_> = rows.iter().map(|row| pack(&row.entry, &row.facts)).collect();
        let (entries, facts): (Vec<_>, Vec<_>) = packed.into_iter().unzip();
        let lanes: Vec<i32> = rows.iter().map(|row| i32::from(row.lane.0)).collect();
        let ns: Vec<i64> = rows.iter().map(|row| row.n).collect();
        let tenants: Vec<Option<uuid::Uuid>> = rows.iter().map(|row| row.tenant.map(|id| id.0)).collect();
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let prevs: Vec<i64> = rows.iter().map(|row| row.prev_n).collect();
        let ats: Vec<i64> = rows.iter().map(|row| row.at.0).collect();
        let done = sqlx::query!(
            "insert into journal (lane, n, tenant, seq, prev_n, at, entry, facts)
            select * from unnest($1::int4[], $2::int8[], $3::uuid[], $4::int8[], $5::int8[], $6::int8[], $7::bytea[], $8::bytea[])
            on conflict (lane, n) do nothing",
            &lanes,
            &ns,
            &tenants as &[Option<uuid::Uuid>],
            &seqs,
            &prevs,
            &ats,
            &entries,
            &facts
        )
        .execute(&mut self.session)
        .await?;
        Ok(done.rows_affected())
    }

    /// Records that all rows of the range that begins here are in the store again. The owner's right, and the end of
    /// putting back.
    ///
    /// # Errors
    /// [`Error::Denied`] where the role may not; [`Error::Strange`] where rows are missing; where the store cannot be
    /// reached.
    pub async fn restored(&mut self, range: &Range, at: Time) -> Result<(), Error> {
        let done = sqlx::query!(
            "update archived a set restored = $3 where a.lane = $1 and a.from_n = $2 and a.rows =
                (select count(*) from journal j where j.lane = a.lane and j.n >= a.from_n and j.n <= a.to_n)",
            i32::from(range.lane.0),
            range.from,
            at.0
        )
        .execute(&mut self.session)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(Error::Strange(format!("journal has not all rows from {} on in lane {}", range.from, range.lane)))
    }
}
