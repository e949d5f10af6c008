//! The provider is PostgreSQL, with which the operator's `--tenants-url` connects: the digest of the link's secret
//! stands beside the administrator's account, where the step `database.provision` made it: in a schema of the tenant's
//! own, in the shared schema, or in a database of the tenant's own.
//!
//! The fence stands in the tenants' database. In a database of the tenant's own stands a second one, raised in the
//! effect's own transaction: a late question that passed the first and then froze finds the second.

use deadpool_postgres::{Object, Transaction};
use tenantry_contracts::steps::credentials::Input;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::{PgIdent, Provider};
use tenantry_step::{Answer, Cx, Resource, Trouble};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::Credentials;
use crate::mail::Mail;

/// The shared schema, and how the comment on it begins.
const SHARED: (&str, &str) = ("pooled", "tenantry pooled tenants");

/// The claim on an account, in tables that are the tenant's.
pub(crate) struct Claim<'a> {
    step: &'a Credentials,
    cx: &'a Cx,
    database: PgIdent,
    schema: PgIdent,
    account: Uuid,
}

fn missing(what: &str) -> Trouble {
    Trouble::no(Code::Misconfigured, Class::Config, format!("{what}; the step `database.provision` makes it"))
}

fn foreign(what: &str) -> Trouble {
    Trouble::no(Code::OwnedByOther, Class::Conflict, format!("the {what} has no owner tag of this tenant"))
}

impl<'a> Claim<'a> {
    pub(crate) fn of(step: &'a Credentials, cx: &'a Cx, input: &Input) -> Answer<Self> {
        let name = |text, message| PgIdent::read(text).ok_or_else(|| missing(message));
        Ok(Self {
            step,
            cx,
            database: name(&input.database, "the database's name is none of ours")?,
            schema: name(&input.schema, "the schema's name is none of ours")?,
            account: Uuid::parse_str(&input.admin_user)
                .map_err(|_| missing("the account's id is none of ours"))?,
        })
    }

    fn provider(&self) -> &Provider {
        &self.step.provider
    }

    /// A connection to the database that the tenant's tables lie in, and whether that is another than the one of the
    /// first fence. `None` where it is gone.
    async fn connect(&self) -> Answer<Option<(Object, bool)>> {
        let client = self.provider().connect(self.cx).await?;
        let sql = "select datname = current_database(), coalesce(shobj_description(oid, 'pg_database'), '')
                   from pg_database where datname = $1";
        match client.query_typed_opt(sql, &[(&self.database.as_str(), Type::TEXT)]).await? {
            None => Ok(None),
            Some(row) if row.get(0) => Ok(Some((client, false))),
            Some(row) if self.cx.owns(row.get(1)) => {
                drop(client);
                let client = self.step.databases.connect(self.cx, &self.database).await?;
                Ok(client.map(|client| (client, true)))
            }
            Some(_) => Err(foreign("database")),
        }
    }

    /// A connection for an effect, which begins with the fence that stands there; every other fence is raised.
    async fn open(&self, resource: &Resource) -> Answer<Option<Object>> {
        match self.connect().await? {
            Some((client, false)) => Ok(Some(client)),
            Some((mut client, true)) => {
                self.provider().raise(self.cx, resource).await?;
                self.provider().prepare_in(&mut client, "").await?;
                Ok(Some(client))
            }
            None => {
                self.provider().raise(self.cx, resource).await?;
                Ok(None)
            }
        }
    }

    /// Makes the rest of the transaction work inside the tenant's schema. `false` where there is no such schema.
    async fn enter(&self, tx: &Transaction<'_>) -> Answer<bool> {
        let sql =
            "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1";
        let Some(row) = tx.query_typed_opt(sql, &[(&self.schema.as_str(), Type::TEXT)]).await? else {
            return Ok(false);
        };
        let tag: &str = row.get(0);
        // In the shared schema rows are the tenant's by their key, which every statement here names.
        let shared = self.schema.as_str() == SHARED.0 && tag.starts_with(SHARED.1);
        if !shared && !self.cx.owns(tag) {
            return Err(foreign("schema"));
        }
        let sql =
            format!("set local search_path = {}; set local app.tenant = '{}'", self.schema, self.cx.tenant);
        tx.batch_execute(&sql).await?;
        Ok(true)
    }

    /// Replaces the digest and the end of its validity: an earlier link is dead from here on.
    pub(crate) async fn replace(&self, resource: &Resource, mail: &Mail) -> Answer<()> {
        let Some(mut client) = self.open(resource).await? else {
            return Err(missing("the tenant's database is not there"));
        };
        let tx = self.provider().begin(&mut client, self.cx, resource).await?;
        if !self.enter(&tx).await? {
            return Err(missing("the tenant's schema is not there"));
        }
        let sql = "update account set claim_hash = $3, claim_expires = to_timestamp($4::float8 / 1000)
                   where tenant_id = $1 and id = $2";
        let expires = mail.expires.0;
        let keys: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
            (&self.cx.tenant.0, Type::UUID),
            (&self.account, Type::UUID),
            (&mail.hash, Type::BYTEA),
            (&expires, Type::INT8),
        ];
        if tx.execute_typed(sql, &keys).await? != 1 {
            return Err(missing("the administrator's account is not there"));
        }
        Ok(tx.commit().await?)
    }

    /// Takes the digest away, if there still are tables. The fences stay.
    pub(crate) async fn revoke(&self, resource: &Resource) -> Answer<()> {
        let Some(mut client) = self.open(resource).await? else {
            return Ok(());
        };
        let tx = self.provider().begin(&mut client, self.cx, resource).await?;
        if self.enter(&tx).await? {
            let sql =
                "update account set claim_hash = null, claim_expires = null where tenant_id = $1 and id = $2";
            tx.execute_typed(sql, &[(&self.cx.tenant.0, Type::UUID), (&self.account, Type::UUID)]).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Whether a link is open for the account.
    pub(crate) async fn stands(&self) -> Answer<bool> {
        let Some((mut client, _)) = self.connect().await? else {
            return Ok(false);
        };
        let tx = self.provider().look(&mut client, self.cx).await?;
        if !self.enter(&tx).await? {
            return Ok(false);
        }
        let sql = "select claim_hash is not null from account where tenant_id = $1 and id = $2";
        let keys = [
            (&self.cx.tenant.0 as &(dyn tokio_postgres::types::ToSql + Sync), Type::UUID),
            (&self.account, Type::UUID),
        ];
        Ok(tx.query_typed_opt(sql, &keys).await?.is_some_and(|row| row.get(0)))
    }
}
