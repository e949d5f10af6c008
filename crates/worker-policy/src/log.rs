//! The log of all decisions, in the tenants' database: what was asked, what the policies saw, what they said. It is
//! only ever added to, denials too, and no undo removes anything from it.

use deadpool_postgres::Transaction;
use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Cx, Trouble};
use tokio_postgres::types::{ToSql, Type};

use crate::decision::{Question, Verdict};

pub(crate) const TABLE: &str = "
    create table if not exists worker_policy.decision_log (
        decision text primary key,
        tenant uuid not null,
        at timestamptz not null,
        allow boolean not null,
        query text not null,
        bundle text not null,
        input_digest text not null,
        input json not null,
        reasons json not null,
        engine text not null
    );
    create index if not exists decision_log_by_tenant on worker_policy.decision_log (tenant, at);
    create index if not exists decision_log_by_time on worker_policy.decision_log (at);
    create or replace function worker_policy.keep() returns trigger language plpgsql as $$
        begin raise exception 'the decision log is only ever added to' using errcode = 'restrict_violation'; end
    $$;
    create or replace trigger keep before update or delete or truncate on worker_policy.decision_log
        for each statement execute function worker_policy.keep();";

/// Adds a decision. The same decision again adds nothing.
pub(crate) async fn append(
    tx: &Transaction<'_>,
    cx: &Cx,
    question: &Question,
    verdict: &Verdict,
) -> Answer<()> {
    let sql = "insert into worker_policy.decision_log
                   (decision, tenant, at, allow, query, bundle, input_digest, input, reasons, engine)
               values ($1, $2, to_timestamp($3::int8 / 1000.0), $4, $5, $6, $7, $8::text::json, $9::text::json, $10)
               on conflict (decision) do nothing";
    let reasons = serde_json::to_string(&verdict.reasons)
        .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "the reasons have no JSON form"))?;
    let values: [(&(dyn ToSql + Sync), Type); 10] = [
        (&verdict.id(question), Type::TEXT),
        (&cx.tenant.0, Type::UUID),
        (&cx.now.0, Type::INT8),
        (&verdict.allow, Type::BOOL),
        (&question.query(), Type::TEXT),
        (&verdict.bundle, Type::TEXT),
        (&question.digest(), Type::TEXT),
        (&question.text()?, Type::TEXT),
        (&reasons, Type::TEXT),
        (&verdict.engine, Type::TEXT),
    ];
    tx.execute_typed(sql, &values).await?;
    Ok(())
}
