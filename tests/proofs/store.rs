//! A person with a hand in the store: reads rows as they are, and writes them as they should not be.

use bytes::Bytes;
use tenantry_contracts::{Fact, TenantId, fact};
use tenantry_ports::Row;
use tenantry_postgres::Queries;
use tenantry_tests::harness::Running;
use tokio_postgres::{Client, NoTls};

pub(crate) struct Hand {
    pub(crate) queries: Queries,
    pub(crate) client: Client,
}

impl Hand {
    pub(crate) async fn of(running: &Running) -> Self {
        let queries = Queries::connect(&running.database_url).await.expect("the store");
        let (client, connection) =
            tokio_postgres::connect(&running.database_url, NoTls).await.expect("the store");
        tokio::spawn(connection);
        Self { queries, client }
    }

    /// What a question comes to.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.client.query_one(sql, &[]).await.expect("an answer").get(0)
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.number(&format!("select count(*) from {table}")).await
    }

    /// A tenant's rows, by its slug.
    pub(crate) async fn history(&self, slug: &str) -> (TenantId, Vec<Row>) {
        let sql = "select tenant::text from tenant where slug = $1 order by created desc limit 1";
        let id: String = self.client.query_one(sql, &[&slug]).await.expect("the tenant").get(0);
        let id = serde_json::from_value::<TenantId>(id.into()).expect("an id");
        (id, self.queries.history(id).await.expect("its history"))
    }

    /// Writes a row's entry and facts.
    pub(crate) async fn write(&self, row: &Row, entry: &[u8], facts: &[Fact]) {
        // A zero before a value says that it is stored as it is.
        let plain = |value: &[u8]| [&[0], value].concat();
        let sql = "update journal set entry = $3, facts = $4 where lane = $1 and n = $2";
        let (lane, entry, facts) = (i32::from(row.lane.0), plain(entry), plain(&fact::encode(facts)));
        let changed = self.client.execute(sql, &[&lane, &row.n, &entry, &facts]).await.expect("a row");
        assert_eq!(changed, 1);
    }

    /// Writes the digest with which the store says that a tenant's chain ends.
    pub(crate) async fn set_head(&self, id: TenantId, head: &str) {
        let sql = "update tenant set head_hash = decode($2, 'hex') where tenant = $1::text::uuid";
        self.client.execute(sql, &[&id.to_string(), &head]).await.expect("the tenant");
    }

    /// Writes a row as it was read.
    pub(crate) async fn write_back(&self, row: &Row) {
        self.write(row, &row.entry, &facts(row)).await;
    }
}

/// What a row says.
pub(crate) fn facts(row: &Row) -> Vec<Fact> {
    fact::decode(row.facts.clone()).expect("facts")
}

/// The same with another text in the audit record.
pub(crate) fn altered(row: &Row, from: &str, to: &str) -> Vec<Fact> {
    let mut facts = facts(row);
    let text = String::from_utf8(facts[0].value.to_vec()).expect("JSON");
    assert!(text.contains(from), "{from} in {text}");
    facts[0].value = Bytes::from(text.replacen(from, to, 1));
    facts
}
