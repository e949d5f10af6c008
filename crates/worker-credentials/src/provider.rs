//! The provider is PostgreSQL, with which the operator's `--tenants-url` connects: the digest of the link's secret
//! stands beside the administrator's account, in the tenant's own schema.

use deadpool_postgres::Transaction;
use tenantry_contracts::steps::credentials::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{PgIdent, Provider};
use tenantry_step::{Answer, Cx, Resource, Trouble};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::mail::Mail;

/// The account that is claimed, in a schema that is the tenant's by its owner tag.
struct Account {
    schema: PgIdent,
    id: Uuid,
}

fn missing(what: &str) -> Trouble {
    Trouble::no(Code::Misconfigured, Class::Config, format!("{what}; the step `database.provision` makes it"))
}

impl Account {
    fn of(input: &Input) -> Answer<Self> {
        let schema =
            PgIdent::read(&input.schema).ok_or_else(|| missing("the schema's name is none of ours"))?;
        let id =
            Uuid::parse_str(&input.admin_user).map_err(|_| missing("the account's id is none of ours"))?;
        Ok(Self { schema, id })
    }

    /// Makes the rest of the transaction work inside the tenant's schema. `false` where there is no such schema.
    async fn enter(&self, tx: &Transaction<'_>, cx: &Cx) -> Answer<bool> {
        let sql =
            "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1";
        let Some(row) = tx.query_typed_opt(sql, &[(&self.schema.as_str(), Type::TEXT)]).await? else {
            return Ok(false);
        };
        if !cx.owns(row.get(0)) {
            let message = "the schema has no owner tag of this tenant";
            return Err(Trouble::no(Code::OwnedByOther, Class::Conflict, message));
        }
        let sql = format!("set local search_path = {}; set local app.tenant = '{}'", self.schema, cx.tenant);
        tx.batch_execute(&sql).await?;
        Ok(true)
    }
}

/// Replaces the digest and the end of its validity: an earlier link is dead from here on.
pub(crate) async fn replace(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    input: &Input,
    mail: &Mail,
) -> Answer<()> {
    let account = Account::of(input)?;
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    if !account.enter(&tx, cx).await? {
        return Err(missing("the tenant's schema is not there"));
    }
    let sql = "update account set claim_hash = $3, claim_expires = to_timestamp($4::float8 / 1000)
               where tenant_id = $1 and id = $2";
    let expires = mail.expires.0;
    let keys: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
        (&cx.tenant.0, Type::UUID),
        (&account.id, Type::UUID),
        (&mail.hash, Type::BYTEA),
        (&expires, Type::INT8),
    ];
    if tx.execute_typed(sql, &keys).await? != 1 {
        return Err(missing("the administrator's account is not there"));
    }
    Ok(tx.commit().await?)
}

/// Takes the digest away, if there still is a schema. The fence stays.
pub(crate) async fn revoke(provider: &Provider, cx: &Cx, resource: &Resource, input: &Input) -> Answer<()> {
    let account = Account::of(input)?;
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    if account.enter(&tx, cx).await? {
        let sql =
            "update account set claim_hash = null, claim_expires = null where tenant_id = $1 and id = $2";
        tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID), (&account.id, Type::UUID)]).await?;
    }
    Ok(tx.commit().await?)
}

/// Whether a link is open for the account.
pub(crate) async fn claim_stands(provider: &Provider, cx: &Cx, input: &Input) -> Answer<bool> {
    let account = Account::of(input)?;
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    if !account.enter(&tx, cx).await? {
        return Ok(false);
    }
    let sql = "select claim_hash is not null from account where tenant_id = $1 and id = $2";
    let row = tx.query_typed_opt(sql, &[(&cx.tenant.0, Type::UUID), (&account.id, Type::UUID)]).await?;
    Ok(row.is_some_and(|row| row.get(0)))
}
