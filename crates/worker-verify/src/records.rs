//! The records of the workers `config` and `quota`, which stand in their own tables of the tenants' database.

use tenantry_contracts::steps::{config, quota};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx};
use tokio_postgres::types::Type;

use crate::SCHEMA;
use crate::provider::Outside;
use crate::report::State;

/// The configuration in force is the one that was answered.
pub(crate) async fn config(outside: &Outside, cx: &Cx, made: &config::Output) -> Answer<State> {
    let sql = "select owner, coalesce(document -> 'output' ->> 'digest', '') from worker_config.record where tenant = $1";
    record(outside, cx, sql, &made.digest, "the configuration in force has another digest").await
}

/// The quota assigned is the one that was answered.
pub(crate) async fn quota(outside: &Outside, cx: &Cx, made: &quota::Output) -> Answer<State> {
    let sql = "select owner, coalesce(document ->> 'tier', '') from worker_quota.record where tenant = $1";
    record(outside, cx, sql, &made.tier, "the quota assigned is of another tier").await
}

async fn record(outside: &Outside, cx: &Cx, sql: &str, want: &str, else_why: &str) -> Answer<State> {
    let mut client = outside.connect(cx).await?;
    let tx = Provider::new(outside.pool.clone(), SCHEMA).look(&mut client, cx).await?;
    Ok(match tx.query_typed_opt(sql, &[(&cx.tenant.0, Type::UUID)]).await? {
        Some(row) if cx.owns(row.get(0)) => State::when(row.get::<_, &str>(1) == want, else_why),
        _ => State::Failed("there is no record with an owner tag of ours".to_owned()),
    })
}
