//! The provider is PostgreSQL: one record for each tenant in the tenants' database, with which the operator's
//! `--tenants-url` connects, and the history of what was replaced.

use tenantry_contracts::steps::quota::{Input, Output};
use tenantry_contracts::{Class, Code};
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Resource, Trouble};
use tokio_postgres::types::Type;

/// Nothing but new rows: PostgreSQL itself refuses to change or remove one.
pub(crate) const HISTORY: &str = "
    create table if not exists worker_quota.history (
        id bigint generated always as identity primary key,
        tenant uuid not null,
        owner text not null,
        before json not null,
        after json not null,
        at timestamptz not null default now()
    );
    create index if not exists history_by_tenant on worker_quota.history (tenant, id);
    create or replace function worker_quota.refuse() returns trigger language plpgsql as
        $$ begin raise exception 'the history of quotas is only ever added to'; end $$;
    do $$ begin
        if not exists (select from pg_trigger where tgrelid = 'worker_quota.history'::regclass and tgname = 'add_only')
        then
            create trigger add_only before update or delete or truncate on worker_quota.history
                for each statement execute function worker_quota.refuse();
        end if;
    end $$;";

/// Assigns what `quota` says, unless the same input was answered before. A value that changes goes into the history.
pub(crate) async fn assign(
    shelf: &Shelf,
    cx: &Cx,
    resource: &Resource,
    input: &Input,
    quota: impl FnOnce() -> Answer<Output>,
) -> Answer<Output> {
    let mut client = shelf.connect(cx).await?;
    let place = shelf.begin(&mut client, cx, resource).await?;
    if let Some(quota) = place.standing(input)? {
        place.leave().await?;
        return Ok(quota);
    }
    let quota = quota()?;
    if place.is_ours() {
        let after = serde_json::to_string(&quota)
            .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "the quota has no JSON form"))?;
        let sql = "insert into worker_quota.history (tenant, owner, before, after)
                   select tenant, $2, document, $3::text::json from worker_quota.record
                   where tenant = $1 and document::text <> $3";
        let keys: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&cx.tenant.0, Type::UUID), (&cx.owner_tag(), Type::TEXT), (&after, Type::TEXT)];
        place.tx().execute_typed(sql, &keys).await?;
    }
    cx.point("quota.before-write").await?;
    place.put(input, &quota).await?;
    Ok(quota)
}
