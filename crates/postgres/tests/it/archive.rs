//! What goes from the journal, what stays, and what comes back.

use bytes::Bytes;
use tenantry_contracts::{Lane, State, Time};
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{LaneRow, LaneWrite, Row, Store, TenantRow};
use tenantry_postgres::{Archive, Archived, Error, PgStore, Queries, Range};

use crate::fleet::{Fleet, NOW, add, must, tenant, write};

/// A lane with tenants, and the archive.
struct Ground {
    fleet: Fleet,
    store: PgStore,
    queries: Queries,
    lane: LaneRow,
}

impl Ground {
    async fn new() -> Self {
        let fleet = Fleet::new().await;
        let (store, queries) = (fleet.store().await, Queries::connect(&fleet.url).await.unwrap());
        let lane = store.raise(fleet.lane()).await.unwrap();
        store.load(&lane).await.unwrap();
        Self { fleet, store, queries, lane }
    }

    fn number(&self) -> Lane {
        self.lane.lane
    }

    /// Two rows of a new tenant, which is then in this state and rests or not.
    async fn tenant(&mut self, which: u8, state: State, at_rest: bool) -> TenantRow {
        let mut made = tenant(self.number(), which);
        (made.state, made.at_rest) = (state, at_rest);
        let rows = |write: &mut LaneWrite, made: &mut TenantRow| {
            add(write, made);
            add(write, made);
        };
        self.write(&mut made, rows).await;
        made
    }

    /// Writes what `change` adds, with the tenant's own row; all of it is spoken.
    async fn write(&mut self, made: &mut TenantRow, change: impl Fn(&mut LaneWrite, &mut TenantRow)) {
        let mut batch = write(&self.lane);
        change(&mut batch, made);
        batch.tenants = vec![made.clone()];
        batch.lane.spoken = batch.lane.n;
        must(&self.store, &mut self.lane, batch).await;
    }

    /// A row of the lane's own chain.
    async fn note(&mut self) {
        let mut batch = write(&self.lane);
        batch.lane.n += 1;
        batch.lane.chain_seq += 1;
        batch.lane.spoken = batch.lane.n;
        batch.rows.push(Row {
            lane: self.number(),
            n: batch.lane.n,
            tenant: None,
            seq: batch.lane.chain_seq,
            prev_n: 0,
            at: NOW,
            entry: Bytes::from_static(b"{\"note\":1}"),
            facts: Bytes::from_static(b"\0\xfe"),
        });
        must(&self.store, &mut self.lane, batch).await;
    }

    /// The next range, recorded.
    async fn record(&self, archive: &mut Archive, most: u32) -> Archived {
        let known = self.queries.archived().await.unwrap();
        let from = known.last().map_or(1, |archived| archived.range.to + 1);
        let range = self.queries.archivable(self.number(), from, NOW, most).await.unwrap().unwrap();
        let range = Range { from, ..range };
        let file = format!("file-{from}");
        let archived = Archived { range, sha256: [7; 32], file, at: NOW, restored: None };
        archive.record(&archived).await.unwrap();
        archived
    }

    async fn rows(&self) -> Vec<Row> {
        self.queries.journal_scan(self.number(), 0, 1000).await.unwrap()
    }

    async fn numbers(&self) -> Vec<i64> {
        self.rows().await.iter().map(|row| row.n).collect()
    }

    async fn archive(&self) -> Archive {
        Archive::open(&self.fleet.login("tenantry_archivist").await).await.unwrap()
    }
}

/// Deletes all that may go of a range; says how many rows of how many slices.
async fn delete(archive: &mut Archive, range: &Range, most: u32) -> (i64, usize) {
    let (mut after, mut gone, mut slices) = (0, 0, 0);
    while let Some(slice) = archive.delete(range, after, most).await.unwrap() {
        assert!(slice.to > after);
        (after, gone, slices) = (slice.to, gone + slice.gone, slices + 1);
    }
    (gone, slices)
}

#[tokio::test]
async fn rows_of_the_lane_and_of_tenants_that_are_over_go_and_all_others_stay() {
    let mut ground = Ground::new().await;
    let mut stays = Vec::new();
    ground.note().await;
    let mut which = 0;
    for state in State::ALL {
        for at_rest in [true, false] {
            which += 1;
            let made = ground.tenant(which, state, at_rest).await;
            if !(state.is_final() && at_rest) {
                stays.extend([made.head_n - 1, made.head_n]);
            }
        }
    }
    ground.note().await;
    // Over, but its last row is not in the range.
    let mut late = ground.tenant(100, State::Purging, true).await;
    let end = ground.lane.n;
    late.state = State::Purged;
    ground.write(&mut late, add).await;
    stays.extend([late.head_n - 2, late.head_n - 1, late.head_n]);

    let mut archive = ground.archive().await;
    let most = u32::try_from(end).unwrap();
    let archived = ground.record(&mut archive, most).await;
    assert_eq!((archived.range.to, archived.range.rows), (end, end));
    let removable = ground.queries.removable(&archived.range, end).await.unwrap();
    assert_eq!(removable, 2 + 3 * 2);
    assert_eq!(delete(&mut archive, &archived.range, 10).await, (removable, 7));
    assert_eq!(ground.numbers().await, stays);
    assert_eq!(ground.queries.remaining(&archived.range).await.unwrap(), end - removable);
    assert_eq!(delete(&mut archive, &archived.range, 1000).await, (0, 1), "once more changes nothing");

    // A take-over folds what is under way from its first row, as before.
    let loaded = ground.store.load(&ground.store.raise(ground.number()).await.unwrap()).await.unwrap();
    assert_eq!(loaded.tenants.len(), 16);
    assert!(loaded.tenants.iter().all(|(row, rows)| rows.len() == 2 && rows[1].n == row.head_n));
    assert_eq!(ground.queries.history(late.tenant).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_tenant_that_ends_later_goes_later_with_its_rows_of_every_range() {
    let mut ground = Ground::new().await;
    let mut long = ground.tenant(1, State::Active, true).await;
    let mut archive = ground.archive().await;
    let first = ground.record(&mut archive, 100).await;
    assert_eq!(delete(&mut archive, &first.range, 100).await.0, 0);
    long.state = State::Purged;
    ground.write(&mut long, add).await;
    assert_eq!(delete(&mut archive, &first.range, 100).await.0, 0, "its end is in no file yet");
    let second = ground.record(&mut archive, 100).await;
    assert_eq!((second.range.from, second.range.to), (3, 3));
    assert_eq!(delete(&mut archive, &first.range, 100).await.0, 2);
    assert_eq!(delete(&mut archive, &second.range, 100).await.0, 1);
    assert_eq!(ground.numbers().await, [0; 0]);
    assert_eq!(ground.queries.history(long.tenant).await.unwrap(), []);
    // What the lane reads to decide about it finds the tenant, and no history.
    let need = tenantry_ports::Need { tenants: vec![long.tenant], ..Default::default() };
    let found = ground.store.read(need).await.unwrap().tenants;
    assert_eq!(found[&long.tenant], (long, Vec::new()));
}

#[tokio::test]
async fn only_what_is_old_spoken_and_shown_can_be_archived_and_pages_lie_end_to_end() {
    let mut ground = Ground::new().await;
    let lane = ground.number();
    assert_eq!(ground.queries.archivable(lane, 1, NOW, 100).await.unwrap(), None);
    for which in 1..=4 {
        ground.tenant(which, State::Active, true).await;
    }
    let (queries, client) = (&ground.queries, ground.fleet.client().await);
    let to = async |from, before, most| {
        let range = queries.archivable(lane, from, before, most).await.unwrap();
        range.map(|range| (range.to, range.rows))
    };
    assert_eq!(to(1, NOW, 100).await, Some((8, 8)));
    assert_eq!(to(1, NOW, 3).await, Some((3, 3)));
    assert_eq!(to(4, NOW, 3).await, Some((6, 3)));
    assert_eq!(to(9, NOW, 3).await, None);
    assert_eq!(to(1, NOW.plus(-1), 100).await, None);
    // A young row keeps those after it, however old they claim to be.
    client.execute("update journal set at = at + 5 where n = 4", &[]).await.unwrap();
    assert_eq!(to(1, NOW, 100).await, Some((3, 3)));
    assert_eq!(to(4, NOW, 100).await, None);
    for column in ["spoken", "settled"] {
        client.execute(&format!("update lane set {column} = 2"), &[]).await.unwrap();
        assert_eq!(to(1, NOW, 100).await, Some((2, 2)), "{column}");
        client.execute(&format!("update lane set {column} = n"), &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_range_is_recorded_only_at_the_end_of_the_one_before_and_nothing_else_is_deleted() {
    let mut ground = Ground::new().await;
    for which in 1..=3 {
        ground.tenant(which, State::RolledBack, true).await;
    }
    let mut archive = ground.archive().await;
    let lane = ground.number();
    let range = |from, to| Range { lane, from, to, rows: to - from + 1, oldest: NOW, newest: NOW };
    let archived = |from, to| Archived {
        range: range(from, to),
        sha256: [1; 32],
        file: "f".to_owned(),
        at: NOW,
        restored: None,
    };
    assert_eq!(archive.delete(&range(1, 6), 0, 100).await.unwrap(), None, "it is not recorded");
    for (from, to) in [(2, 4), (0, 4), (1, 7)] {
        let error = archive.record(&archived(from, to)).await.unwrap_err();
        assert!(matches!(error, Error::Strange(_)), "{from} to {to}: {error}");
    }
    archive.record(&archived(1, 4)).await.unwrap();
    for (from, to) in [(1, 4), (4, 6), (6, 6)] {
        assert!(archive.record(&archived(from, to)).await.is_err(), "{from} to {to}");
    }
    assert_eq!(archive.delete(&range(1, 6), 0, 100).await.unwrap(), None, "another one is recorded");
    assert_eq!(delete(&mut archive, &range(1, 4), 100).await.0, 4);
    assert_eq!(ground.numbers().await, [5, 6]);
    archive.record(&archived(5, 6)).await.unwrap();
    assert_eq!(ground.queries.archived().await.unwrap(), [archived(1, 4), archived(5, 6)]);
}

#[tokio::test]
async fn rows_come_back_byte_for_byte_and_stay_until_their_time_is_over_again() {
    let mut ground = Ground::new().await;
    ground.note().await;
    let gone = ground.tenant(1, State::Rejected, true).await;
    ground.tenant(2, State::Active, true).await;
    let before = ground.rows().await;
    let mut archive = ground.archive().await;
    let archived = ground.record(&mut archive, 100).await;
    assert_eq!(delete(&mut archive, &archived.range, 100).await.0, 3);
    archive.close().await.unwrap();

    let mut owner = Archive::open(&ground.fleet.url).await.unwrap();
    assert_eq!(owner.put_back(&before[..2]).await.unwrap(), 2);
    let error = owner.restored(&archived.range, NOW).await.unwrap_err();
    assert!(matches!(error, Error::Strange(_)), "a row is missing: {error}");
    assert_eq!(owner.put_back(&before).await.unwrap(), 1, "those that are there are left");
    assert_eq!(ground.rows().await, before);
    assert_eq!(ground.queries.history(gone.tenant).await.unwrap(), before[1..3]);
    owner.restored(&archived.range, NOW).await.unwrap();
    owner.close().await.unwrap();

    let mut archive = ground.archive_again().await;
    assert_eq!(archive.delete(&archived.range, 0, 100).await.unwrap(), None, "a person wants them");
    archive.again(ground.number(), Time(NOW.0 - 1)).await.unwrap();
    assert_eq!(archive.delete(&archived.range, 0, 100).await.unwrap(), None);
    archive.again(ground.number(), NOW).await.unwrap();
    assert_eq!(delete(&mut archive, &archived.range, 100).await.0, 3);
}

impl Ground {
    /// The lock of a session that was closed is free as soon as the server has noticed.
    async fn archive_again(&self) -> Archive {
        let client = self.fleet.client().await;
        let database: String = client.query_one("select current_database()", &[]).await.unwrap().get(0);
        let host = self.fleet.url.split_once('@').unwrap().1;
        let url = format!("postgres://{database}_archivist:x@{host}");
        loop {
            match Archive::open(&url).await {
                Ok(archive) => return archive,
                Err(error) => assert!(matches!(error, Error::Busy), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn of_two_at_once_the_second_is_refused_until_the_first_is_gone() {
    let ground = Ground::new().await;
    let first = ground.archive().await;
    let error = Archive::open(&ground.fleet.url).await.unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    assert!(error.to_string().starts_with("journal_busy: "), "{error}");
    drop(first);
    ground.archive_again().await.close().await.unwrap();
}

#[tokio::test]
async fn whoever_dies_between_two_slices_leaves_a_state_from_which_the_next_goes_on() {
    let mut ground = Ground::new().await;
    for which in 1..=5 {
        ground.tenant(which, State::RolledBack, true).await;
    }
    let stays = ground.tenant(6, State::Held, true).await;
    let mut archive = ground.archive().await;
    let archived = ground.record(&mut archive, 100).await;
    let slice = archive.delete(&archived.range, 0, 3).await.unwrap().unwrap();
    assert_eq!((slice.to, slice.gone), (3, 3));
    drop(archive);
    assert_eq!(ground.numbers().await.first(), Some(&4));
    let mut archive = ground.archive_again().await;
    assert_eq!(delete(&mut archive, &archived.range, 3).await.0, 7);
    assert_eq!(ground.numbers().await, [stays.head_n - 1, stays.head_n]);
}

#[tokio::test]
async fn whoever_archives_may_put_nothing_back() {
    let mut ground = Ground::new().await;
    ground.tenant(1, State::Rejected, true).await;
    let rows = ground.rows().await;
    let mut archive = ground.archive().await;
    let archived = ground.record(&mut archive, 100).await;
    delete(&mut archive, &archived.range, 100).await;
    let error = archive.put_back(&rows).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)), "{error}");
    assert!(error.to_string().starts_with("database_denied: permission denied for table journal"), "{error}");
}
