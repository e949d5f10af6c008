//! The provider is PostgreSQL: one record for each tenant in the tenants' database, with which the operator's
//! `--tenants-url` connects, and a line for every version that was ever in force.

use serde::{Deserialize, Serialize};
use tenantry_contracts::Sealed;
use tenantry_contracts::steps::config::{Input, Output};
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Resource};
use tokio_postgres::types::{ToSql, Type};

/// Every version by its digest. It outlives the record, and nobody changes a line of it.
pub(crate) const HISTORY: &str = "
    create table if not exists worker_config.history (
        id bigint generated always as identity primary key,
        tenant uuid not null,
        digest text not null,
        at timestamptz not null default now(),
        owner text not null
    );
    create index if not exists history_by_tenant on worker_config.history (tenant, id);
    create or replace function worker_config.stands() returns trigger language plpgsql
        as $$ begin raise exception 'the history is only added to' using errcode = '42501'; end $$;
    create or replace trigger stands before update or delete or truncate on worker_config.history
        for each statement execute function worker_config.stands();";

/// What the record holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What the step answers.
    pub(crate) output: Output,
    /// The tenant's own words, sealed as field `customisation`. The digest covers them in clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) customisation: Option<Sealed>,
}

/// Writes record and history, unless the record stands; answers what stands then.
pub(crate) async fn keep(
    shelf: &Shelf,
    cx: &Cx,
    resource: &Resource,
    input: &Input,
    kept: Kept,
) -> Answer<Output> {
    let mut client = shelf.connect(cx).await?;
    let place = shelf.begin(&mut client, cx, resource).await?;
    if let Some(Kept { output, .. }) = place.standing(input)? {
        return Ok(output);
    }
    let line = "insert into worker_config.history (tenant, digest, owner) values ($1, $2, $3)";
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&cx.tenant.0, Type::UUID), (&kept.output.digest, Type::TEXT), (&cx.owner_tag(), Type::TEXT)];
    place.tx().execute_typed(line, &values).await?;
    place.put(input, &kept).await?;
    Ok(kept.output)
}

/// What [`keep`] would answer now.
pub(crate) async fn foresee(shelf: &Shelf, cx: &Cx, input: &Input, kept: Kept) -> Answer<Output> {
    let mut client = shelf.connect(cx).await?;
    let standing = shelf.look(&mut client, cx).await?.standing::<Kept>(input)?;
    Ok(standing.unwrap_or(kept).output)
}
