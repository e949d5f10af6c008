//! The ground truth: what PostgreSQL itself says is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::up::{Places, Running};

/// Connections to both databases.
pub struct Ground {
    store_url: String,
    store: Client,
    tenants: Client,
    places: Places,
}

/// A tenant as the store lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TenantNow {
    /// Its id.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// Its state.
    pub state: String,
    /// How many journal rows it has.
    pub rows: i64,
}

impl Ground {
    /// Connects; waits while the server recovers.
    pub async fn of(running: &Running) -> Self {
        Self {
            store_url: running.database_url.clone(),
            store: connect(&running.database_url).await,
            tenants: connect(&running.tenants_url).await,
            places: running.places.clone(),
        }
    }

    /// All tenants, by id.
    pub async fn tenants(&self) -> BTreeMap<String, TenantNow> {
        let sql = "select t.tenant::text, t.slug, t.state, (select count(*) from journal j where j.tenant = t.tenant) from tenant t";
        let rows = self.store.query(sql, &[]).await.expect("the tenants");
        let now = |row: &tokio_postgres::Row| TenantNow {
            id: row.get(0),
            slug: row.get(1),
            state: row.get(2),
            rows: row.get(3),
        };
        rows.iter().map(now).map(|tenant| (tenant.id.clone(), tenant)).collect()
    }

    /// Everything that is there of each tenant, by the tenant's id without hyphens: in PostgreSQL's own catalogues, in
    /// the workers' tables, in their folders.
    pub async fn made(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut note = |id: &str, what: &str| {
            made.entry(id.to_owned()).or_default().insert(what.to_owned());
        };
        let catalogues = "
            select 'schema', substr(nspname, 3) from pg_namespace where nspname ~ '^t_[0-9a-f]{32}$'
            union all select 'role', substr(rolname, 3) from pg_roles where rolname ~ '^[tr]_[0-9a-f]{32}$'
            union all select 'database', substr(datname, 3) from pg_database where datname ~ '^d_[0-9a-f]{32}$'
            union all select 'claim', replace(tenant::text, '-', '') from worker_validate.claim where tenant is not null
            union all select 'reservation', replace(tenant::text, '-', '') from worker_capacity.reservation
            union all select 'identity', replace(tenant::text, '-', '') from worker_identity.tenant
            union all select 'quota', replace(tenant::text, '-', '') from worker_quota.record
            union all select 'config', replace(tenant::text, '-', '') from worker_config.record
            union all select 'report', replace(tenant::text, '-', '') from worker_verify.record
            union all select 'receipts', replace(tenant::text, '-', '') from worker_receipt.record
            union all select 'decision', replace(tenant::text, '-', '') from worker_policy.record";
        for row in self.tenants.query(catalogues, &[]).await.expect("the catalogues") {
            note(row.get(1), row.get(0));
        }
        // <storage>/<region>/t-<tenant>, <secrets>/<tenant>.keys
        for region in entries(&self.places.storage) {
            for bucket in entries(&region) {
                if let Some(id) = name(&bucket).strip_prefix("t-") {
                    note(&id.replace('-', ""), "storage");
                }
            }
        }
        for file in entries(&self.places.secrets) {
            if let Some(id) = name(&file).strip_suffix(".keys") {
                note(&id.replace('-', ""), "keys");
            }
        }
        made
    }

    /// ACTIVE has everything, what was undone or refused has nothing, and nobody else has anything.
    pub async fn is_all_or_nothing(&self) {
        const WHOLE: [&str; 11] = [
            "claim",
            "config",
            "decision",
            "identity",
            "keys",
            "quota",
            "receipts",
            "report",
            "reservation",
            "role",
            "storage",
        ];
        let tenants = self.tenants().await;
        let made = self.made().await;
        let by_id: BTreeMap<String, &TenantNow> =
            tenants.values().map(|tenant| (tenant.id.replace('-', ""), tenant)).collect();
        for (id, tenant) in &by_id {
            let have: Vec<&str> = made.get(id).into_iter().flatten().map(String::as_str).collect();
            match tenant.state.as_str() {
                "ACTIVE" => {
                    // A tenant of the pooled kind has neither schema nor database of its own.
                    let have: Vec<_> =
                        have.into_iter().filter(|what| !["schema", "database"].contains(what)).collect();
                    assert_eq!(have, WHOLE, "{tenant:?}");
                }
                "ROLLED_BACK" | "REJECTED" => assert_eq!(have, [""; 0], "{tenant:?} left something"),
                _ => {}
            }
        }
        for id in made.keys() {
            assert!(by_id.contains_key(id), "something is there for a tenant that nobody knows: {id}");
        }
    }

    /// One digest over every row of every table of both databases, the catalogues of what is made in them, and every
    /// file in the workers' folders: equal where nothing was written. Lane rows are left out: owners touch them.
    pub async fn digest(&self) -> String {
        let mut parts = Vec::new();
        for client in [&self.store, &self.tenants] {
            let tables = "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                          where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
                            and c.relname <> 'lane' order by 1";
            for table in client.query(tables, &[]).await.expect("the tables") {
                let table: String = table.get(0);
                let sql = format!(
                    "select coalesce(md5(string_agg(r::text, ',' order by r::text)), '') from {table} r"
                );
                let digest: String = client.query_one(&sql, &[]).await.expect("a table can be read").get(0);
                parts.push(format!("{table} {digest}"));
            }
        }
        let made = "select 'sequence', schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, '') from pg_sequences
                    union all select 'database', datname::text from pg_database union all select 'role', rolname::text from pg_roles
                    union all select 'schema', nspname::text from pg_namespace where nspname not like 'pg_%' order by 1, 2";
        for row in self.tenants.query(made, &[]).await.expect("the catalogues") {
            parts.push(format!("{} {}", row.get::<_, String>(0), row.get::<_, String>(1)));
        }
        let Places { outbox, storage, secrets, receipts } = &self.places;
        for root in [outbox, storage, secrets, receipts] {
            files(root, &mut parts);
        }
        parts.join("\n")
    }

    /// Waits until every lane has heard everything that stands on its topics, and has said everything it committed.
    pub async fn quiet(&self, patience: Duration) {
        let end = tokio::time::Instant::now() + patience;
        let mut last = None;
        loop {
            // Numbers jump by 2^32 where the server is another one than before: no rows are between.
            let sql = "select coalesce(sum(n), 0)::bigint, coalesce(sum(requests_next + results_next + operations_next), 0)::bigint,
                       coalesce(bool_and((n - spoken) % 4294967296 = 0), true), (select count(*) from tenant where not at_rest) from lane";
            let row = self.store.query_one(sql, &[]).await.expect("the lanes");
            let (n, heard, said, awake): (i64, i64, bool, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            if said && awake == 0 && last == Some((n, heard)) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < end,
                "not quiet: n {n}, heard {heard}, all said {said}, {awake} tenants awake"
            );
            last = Some((n, heard));
            // A lane writes how far it has spoken every five seconds when it is idle.
            tokio::time::sleep(Duration::from_millis(5500)).await;
        }
    }

    /// How many rows the lanes' own chains have.
    pub async fn lane_rows(&self) -> i64 {
        self.store
            .query_one("select count(*) from journal where tenant is null", &[])
            .await
            .expect("the journal")
            .get(0)
    }

    /// Whether a text stands in clear in any column of any table of both databases.
    pub async fn holds(&self, text: &str) -> Vec<String> {
        let mut places = self.journal_holds(text).await;
        for client in [&self.store, &self.tenants] {
            let tables = "select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
                          where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema')";
            for table in client.query(tables, &[]).await.expect("the tables") {
                let table: String = table.get(0);
                // Bytes as they are: a text inside a bytea column shows as its hexadecimal digits.
                let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
                let sql = format!("select count(*) from {table} r where r::text like $1 or r::text like $2");
                let found: i64 = client
                    .query_one(&sql, &[&format!("%{text}%"), &format!("%{hex}%")])
                    .await
                    .expect("a table can be read")
                    .get(0);
                if found > 0 {
                    places.push(table);
                }
            }
        }
        places
    }
}

impl Ground {
    /// The journal's rows that hold a text once they are read: they are stored shortened.
    async fn journal_holds(&self, text: &str) -> Vec<String> {
        let queries = tenantry_postgres::Queries::connect(&self.store_url).await.expect("the store");
        let mut places = Vec::new();
        for lane in queries.lanes().await.expect("the lanes") {
            let mut next = 0;
            loop {
                let rows = queries.journal_scan(lane.lane, next, 500).await.expect("the journal");
                let Some(last) = rows.last() else { break };
                next = last.n + 1;
                let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
                let found = rows.iter().filter(|row| holds(&row.entry) || holds(&row.facts));
                places.extend(found.map(|row| format!("journal {} {}", row.lane, row.n)));
            }
        }
        places
    }
}

async fn connect(url: &str) -> Client {
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match tokio_postgres::connect(url, NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return client;
            }
            Err(error) => {
                assert!(tokio::time::Instant::now() < end, "PostgreSQL is not to be reached: {error}")
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every file below a folder, with its content.
fn files(folder: &Path, parts: &mut Vec<String>) {
    let mut found = entries(folder);
    found.sort();
    for path in found {
        if path.is_dir() {
            parts.push(path.display().to_string());
            files(&path, parts);
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            parts.push(format!("{} {bytes:?}", path.display()));
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
