//! No hot statement is planned twice, none scans a table, and none costs more because the tables are large.

use serde_json::Value;
use tenantry_contracts::{Lane, RequestId};
use tenantry_ports::conformance::store::StoreWorld;
use tenantry_ports::{Need, Store};
use tenantry_postgres::{PgKeys, PgLedger, PgStore, connect};
use tokio_postgres::Client;

use crate::fleet::{Fleet, add, must, tenant, write};

const TENANT: &str = "00000000-0000-7000-8000-000000000001";

/// A session as the pools make them.
async fn hot(fleet: &Fleet) -> Client {
    let (mut config, tls) = connect::plain(&fleet.url).unwrap();
    let (client, connection) = config.options(connect::HOT).connect(tls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn statements() -> Vec<(&'static str, &'static str)> {
    let mut all = PgStore::hot_statements();
    all.extend(PgLedger::hot_statements());
    all.extend(PgKeys::hot_statements());
    all
}

/// Arguments that touch a handful of rows, however large the tables are.
async fn arguments(client: &Client, name: &str) -> String {
    let lane = client.query_one("select epoch, n from lane where lane = 1", &[]).await.unwrap();
    let (epoch, n): (i64, i64) = (lane.get(0), lane.get(1));
    let zeros = |len: usize| "00".repeat(len);
    match name {
        "commit" => {
            let (id, hash) =
                (format!("'{{\"\\\\x{}\"}}'", zeros(16)), format!("'{{\"\\\\x{}\"}}'", zeros(32)));
            let next = n + 1;
            let new = "00000000-0000-7000-9000-000000000001";
            [
                format!("'{{1}}', '{{{epoch}}}', '{{{n}}}', '{{{next}}}', '{{0}}', '{{{n}}}', '{{1}}', {id}"),
                format!("'{{1}}', {id}, '{{1}}', {id}, '{{1}}', '{{0}}', '{{1}}', {hash}, '{{NULL}}'"),
                format!("'{{1}}', '{{{next}}}', '{{{new}}}', '{{1}}', '{{0}}', '{{1}}', {id}, {id}"),
                format!("'{{{new},{TENANT}}}', '{{1,1}}', '{{prod,prod}}', '{{new,acme}}', '{{x,x}}', '{{p,p}}'"),
                format!("'{{ACTIVE,ACTIVE}}', '{{1,1}}', '{{{next},3}}', '{{1,3}}', array[{hash}, {hash}]::bytea[]"),
                "'{f,f}', '{t,t}', '{1,1}', '{t,f}'".to_owned(),
                format!("'{{1}}', '{{source}}', '{{new}}', {hash}, '{{{new}}}', '{{t/0/1}}', '{{1}}'"),
                format!("'{{1}}', '{{{new}}}', {id}, '{{1}}', '{{{TENANT}}}'"),
            ]
            .join(", ")
            .replace(&format!("array[{hash}, {hash}]::bytea[]"), &hash.replace("\"}", &format!("\",\"\\\\x{}\"}}", zeros(32))))
        }
        "raise" => format!("1, '\\x{}', '\\x{}'", zeros(16), zeros(32)),
        "awake" | "back" | "ahead" | "still" => "1".to_owned(),
        "unspoken" => format!("1, {}", n - 3),
        "requests" => "'{source}', '{r1}'".to_owned(),
        "slugs" => "'{prod}', '{acme}'".to_owned(),
        "tenants" | "history" | "keys" => format!("'{{{TENANT}}}'"),
        "fences" => "'{r1}'".to_owned(),
        "mark" => "'{r1}', '{9}'".to_owned(),
        "answers" => "'{q1}'".to_owned(),
        "remember" => "'{new}', '{\"\\\\x00\"}'".to_owned(),
        other => panic!("the test knows no arguments for the statement {other}"),
    }
}

/// Runs a prepared statement and takes it back: its plan, as it ran.
async fn explain(client: &Client, name: &str) -> Value {
    let arguments = arguments(client, name).await;
    client.batch_execute("begin").await.unwrap();
    let sql = format!("explain (analyze, buffers, format json) execute {name}({arguments})");
    let messages = client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{name}: {error:?}: {sql}"));
    client.batch_execute("rollback").await.unwrap();
    let text = messages.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    serde_json::from_str::<Value>(text.unwrap()).unwrap()[0]["Plan"].clone()
}

/// Every node of a plan.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten().flat_map(nodes);
    std::iter::once(plan).chain(below).collect()
}

/// Pages looked at, counted by every node for itself and what is below it: good for comparing a plan with itself.
fn pages(plan: &Value) -> i64 {
    let of = |node: &Value| {
        ["Shared Hit Blocks", "Shared Read Blocks"].iter().filter_map(|key| node[*key].as_i64()).sum::<i64>()
    };
    nodes(plan).into_iter().map(of).sum()
}

fn forbidden(plan: &Value) -> Vec<String> {
    let words = ["Seq Scan", "Hash Join", "Merge Join", "Bitmap Heap Scan"];
    let all = nodes(plan).into_iter().filter_map(|node| node["Node Type"].as_str());
    all.filter(|kind| words.contains(kind)).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_plans_made_on_empty_tables_go_by_index_and_look_at_no_more_pages_on_full_ones() {
    let fleet = Fleet::new().await;
    let client = hot(&fleet).await;
    for (name, sql) in statements() {
        client.batch_execute(&format!("prepare {name} as {sql}")).await.unwrap();
    }
    client.batch_execute(SMALL).await.unwrap();
    let mut small = Vec::new();
    for (name, _) in statements() {
        let plan = explain(&client, name).await;
        assert_eq!(forbidden(&plan), Vec::<String>::new(), "{name}: {plan:#}");
        small.push(pages(&plan));
    }
    client.batch_execute(LARGE).await.unwrap();
    for analyze in [false, true] {
        if analyze {
            client.batch_execute("analyze").await.unwrap();
        }
        for ((name, _), small) in statements().into_iter().zip(&small) {
            let plan = explain(&client, name).await;
            assert_eq!(forbidden(&plan), Vec::<String>::new(), "{name}, analyzed: {analyze}: {plan:#}");
            // An index that is a few levels higher is allowed, a walk over the table (thousands of pages) is not.
            let large = pages(&plan);
            assert!(
                large <= 4 * small + 60,
                "{name}, analyzed: {analyze}: {small} pages, then {large}: {plan:#}"
            );
        }
    }
}

/// One tenant that runs, with three rows; one of everything else.
const SMALL: &str = "
insert into lane select 1, 1, 3, 0, 3, 0, '', 0, '', 0, '', 0, null, 0, 0, 0, '', 1, 1;
insert into journal select 1, n, '00000000-0000-7000-8000-000000000001', n, n - 1, 0, 'e', 'f' from generate_series(1, 3) n;
insert into tenant values ('00000000-0000-7000-8000-000000000001', 1, 'prod', 'acme', 'x', 'p', 'ACTIVE', 0, 3, 3, '',
    false, true, 0);
insert into request values ('source', 'r1', '', null, 't/0/1', 0);
insert into tenant_key values ('00000000-0000-7000-8000-000000000001', 'k');
insert into fence values ('r1', 1);
insert into answer values ('q1', 'a');";

/// Sixty thousand finished tenants with two rows each, in the same lane and in another one.
const LARGE: &str = "
insert into journal select 1 + i % 2, 3 + i, md5((i / 4)::text)::uuid, 1, 0, 0, repeat('e', 100)::bytea, 'f'
    from generate_series(1, 120000) i;
insert into tenant select md5(i::text)::uuid, 1 + i % 2, 'prod', 'slug' || i, 'x', 'p', 'ACTIVE', 0, 3 + i, 1, '', true,
    i % 3 > 0, 0 from generate_series(1, 60000) i;
insert into request select 'source', md5(i::text), '', null, 't/0/1', 0 from generate_series(1, 60000) i;
insert into tenant_key select md5(i::text)::uuid, 'k' from generate_series(1, 60000) i;
insert into fence select md5(i::text), i from generate_series(1, 60000) i;
insert into answer select md5(i::text), 'a' from generate_series(1, 60000) i;
update lane set n = 120003, settled = 120003, spoken = 120000;";

#[tokio::test]
async fn the_stores_own_sessions_plan_each_statement_once_however_often_it_runs() {
    let fleet = Fleet::new().await;
    let store = fleet.store().await;
    const TIMES: i64 = 12;
    for _ in 0..TIMES {
        let mut row = store.raise(Lane(0)).await.unwrap();
        let loaded = store.load(&row).await.unwrap();
        let which = loaded.unspoken.len() as u8 + 1;
        let (mut batch, mut made) = (write(&row), tenant(Lane(0), which));
        add(&mut batch, &mut made);
        batch.tenants.push(made.clone());
        must(&store, &mut row, batch).await;
        let need = Need {
            requests: vec![RequestId { source: "s".to_owned(), id: "i".to_owned() }],
            slugs: vec![(made.environment.clone(), made.slug.clone())],
            tenants: vec![made.tenant],
        };
        store.read(need).await.unwrap();
    }
    let planned = store.planned().await.unwrap();
    for (name, sql) in PgStore::hot_statements() {
        let of: Vec<_> = planned.iter().filter(|(statement, ..)| statement == sql).collect();
        let [(_, generic, custom)] = of[..] else { panic!("{name} was prepared {} times", of.len()) };
        assert_eq!((*generic, *custom), (TIMES, 0), "{name}: runs by the one plan, and plans of their own");
    }
}

#[test]
fn nothing_of_this_crate_opens_a_transaction_from_the_client() {
    let mut files = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        seen += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        for word in [".transaction(", ".begin(", "\"begin", "select!", "timeout("] {
            let found = text.lines().find(|line| line.contains(word) && !line.contains("_timeout("));
            assert_eq!(found, None, "{word} in {}", path.display());
        }
    }
    assert!(seen > 10, "only {seen} files were looked at");
}
