//! The ground truth: what PostgreSQL itself says is there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::up::Running;

/// Connections to both databases.
pub struct Ground {
    store: Client,
    tenants: Client,
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
        Self { store: connect(&running.database_url).await, tenants: connect(&running.tenants_url).await }
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

    /// Every schema and role in the tenants' database that is named after a tenant, by the tenant's id without hyphens.
    pub async fn made(&self) -> BTreeMap<String, BTreeSet<String>> {
        let sql = "select 'schema', nspname::text from pg_namespace where nspname ~ '^t_[0-9a-f]{32}$'
                   union all select 'role', rolname::text from pg_roles where rolname ~ '^[tr]_[0-9a-f]{32}$'";
        let mut made: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in self.tenants.query(sql, &[]).await.expect("the catalogues") {
            let (kind, name): (String, String) = (row.get(0), row.get(1));
            made.entry(name[2..].to_owned()).or_default().insert(kind);
        }
        made
    }

    /// ACTIVE has everything, what was undone or refused has nothing, and nobody else has anything.
    pub async fn is_all_or_nothing(&self) {
        let tenants = self.tenants().await;
        let made = self.made().await;
        let by_id: BTreeMap<String, &TenantNow> =
            tenants.values().map(|tenant| (tenant.id.replace('-', ""), tenant)).collect();
        let whole = BTreeSet::from(["schema".to_owned(), "role".to_owned()]);
        for (id, tenant) in &by_id {
            match tenant.state.as_str() {
                "ACTIVE" => assert_eq!(made.get(id), Some(&whole), "{tenant:?}"),
                "ROLLED_BACK" | "REJECTED" => assert_eq!(made.get(id), None, "{tenant:?} left something"),
                _ => {}
            }
        }
        for id in made.keys() {
            assert!(by_id.contains_key(id), "something is there for a tenant that nobody knows: {id}");
        }
    }

    /// Waits until every lane has heard everything that stands on its topics, and has said everything it committed.
    pub async fn quiet(&self, patience: Duration) {
        let end = tokio::time::Instant::now() + patience;
        let mut last = None;
        loop {
            let sql = "select coalesce(sum(n), 0)::bigint, coalesce(sum(requests_next + results_next + operations_next), 0)::bigint,
                       coalesce(bool_and(n = spoken), true), (select count(*) from tenant where not at_rest) from lane";
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
        let mut places = Vec::new();
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
