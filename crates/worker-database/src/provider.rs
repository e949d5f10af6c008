//! The provider is PostgreSQL: the tenants' database, where this worker makes one schema and one role for each tenant.
//!
//! What it needs is an account that can create schemas and roles (`createrole`, and `create` on the database); the
//! operator gives it with `--tenants-url`. What is there is recognised by the owner tag in its comment.

use deadpool_postgres::Transaction;
use postgres_protocol::password::scram_sha_256;
use sha2::{Digest, Sha256};
use tenantry_contracts::{Class, Code, Json};
use tenantry_step::postgres::{PgIdent, Provider, literal};
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Trouble};
use tokio_postgres::types::Type;

use crate::Module;

/// What belongs to one tenant, by name.
#[derive(Clone, Debug)]
pub struct Names {
    /// `t_<tenant id>`.
    pub schema: PgIdent,
    /// `r_<tenant id>`.
    pub role: PgIdent,
}

impl Names {
    /// The names of the question's tenant.
    pub fn of(cx: &Cx) -> Self {
        Self { schema: PgIdent::of_tenant("t", cx.tenant), role: PgIdent::of_tenant("r", cx.tenant) }
    }

    /// Makes the rest of the transaction work inside the tenant's schema, on the tenant's rows.
    pub(crate) async fn enter(&self, tx: &Transaction<'_>, cx: &Cx) -> Answer<()> {
        let sql = format!("set local search_path = {}; set local app.tenant = '{}'", self.schema, cx.tenant);
        Ok(tx.batch_execute(&sql).await?)
    }
}

/// What stands under the tenant's names: `None` where nothing does, else the comment on it.
struct Found {
    schema: Option<String>,
    role: Option<String>,
}

impl Found {
    async fn by(tx: &Transaction<'_>, names: &Names) -> Answer<Self> {
        let sql = "select
            (select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1),
            (select coalesce(shobj_description(oid, 'pg_authid'), '') from pg_roles where rolname = $2)";
        let keys = [names.schema.as_str(), names.role.as_str()];
        let row = tx.query_typed_one(sql, &[(&keys[0], Type::TEXT), (&keys[1], Type::TEXT)]).await?;
        Ok(Self { schema: row.get(0), role: row.get(1) })
    }

    /// The first thing that stands there and is not ours.
    fn foreign(&self, cx: &Cx) -> Option<&'static str> {
        let foreign = |tag: &Option<String>| tag.as_ref().is_some_and(|tag| !cx.owns(tag));
        foreign(&self.schema).then_some("schema").or(foreign(&self.role).then_some("role"))
    }

    fn ours_only(self, cx: &Cx) -> Answer<Self> {
        match self.foreign(cx) {
            None => Ok(self),
            Some(what) => Err(Trouble::no(
                Code::OwnedByOther,
                Class::Conflict,
                format!("the {what} of this tenant's name in PostgreSQL has no owner tag of ours"),
            )),
        }
    }
}

/// Schema and role with their tags, and the ledger of migrations: everything or nothing.
pub(crate) async fn make(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    names: &Names,
    connections: u32,
) -> Answer<()> {
    let Names { schema, role } = names;
    let tag = literal(&cx.owner_tag());
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let found = Found::by(&tx, names).await?.ours_only(cx)?;
    let mut sql = String::new();
    if found.role.is_none() {
        let verifier = literal(&verifier(cx).await?);
        sql += &format!(
            "create role {role} login noinherit connection limit {connections} password {verifier};
             comment on role {role} is {tag};
             grant {role} to current_user;
             alter role {role} set search_path = {schema};"
        );
    } else {
        sql += &format!("alter role {role} connection limit {connections};");
    }
    if found.schema.is_none() {
        sql += &format!(
            "create schema {schema};
             comment on schema {schema} is {tag};
             create table {schema}.schema_ledger (
                 module text not null,
                 version bigint not null,
                 digest bytea not null,
                 at timestamptz not null default now(),
                 primary key (module, version)
             );"
        );
    }
    sql += &format!("grant usage on schema {schema} to {role};");
    tx.batch_execute(&sql).await?;
    Ok(tx.commit().await?)
}

/// A SCRAM verifier for a password that is forgotten here: it was never sent, and whoever needs to log in sets another.
async fn verifier(cx: &Cx) -> Answer<String> {
    let password = Sha256::new()
        .chain_update(b"tenantry/1\nrole password\n")
        .chain_update(cx.tenant.0.as_bytes())
        .chain_update(cx.entropy)
        .finalize();
    // Thousands of rounds of hashing would hold up the other questions of this thread.
    tokio::task::spawn_blocking(move || scram_sha_256(hex::encode(password).as_bytes()))
        .await
        .map_err(|_| Trouble::shaky("the process is ending"))
}

/// Drops schema and role if they are ours. The fence stays, so that no late question brings them back.
pub(crate) async fn remove(provider: &Provider, cx: &Cx, resource: &Resource, names: &Names) -> Answer<()> {
    let Names { schema, role } = names;
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    let found = Found::by(&tx, names).await?.ours_only(cx)?;
    let mut sql = String::new();
    if found.schema.is_some() {
        leaned_on(&tx, schema).await?;
        sql += &format!("drop schema {schema} cascade;");
    }
    if found.role.is_some() {
        sql += &format!("drop owned by {role}; drop role {role};");
    }
    tx.batch_execute(&sql).await.map_err(|error| match error.code() {
        // The role owns something in another database of this server.
        Some(state) if state.code() == "2BP01" => Trouble::no(
            Code::OwnedByOther,
            Class::Conflict,
            "the tenant's role still owns things in another database",
        ),
        _ => error.into(),
    })?;
    Ok(tx.commit().await?)
}

/// `cascade` would also drop what others built on the tenant's tables: their views and foreign keys.
async fn leaned_on(tx: &Transaction<'_>, schema: &PgIdent) -> Answer<()> {
    let sql = "select exists (
            select from pg_depend d
            join pg_class ours on d.refclassid = 'pg_class'::regclass and d.refobjid = ours.oid
            join pg_rewrite rule on d.classid = 'pg_rewrite'::regclass and d.objid = rule.oid
            join pg_class view on view.oid = rule.ev_class
            where ours.relnamespace = n.oid and view.relnamespace <> n.oid
        ) or exists (
            select from pg_constraint fk
            join pg_class ours on fk.confrelid = ours.oid
            where ours.relnamespace = n.oid and fk.connamespace <> n.oid
        ) from pg_namespace n where nspname = $1";
    if tx.query_typed_one(sql, &[(&schema.as_str(), Type::TEXT)]).await?.get(0) {
        let message =
            "something outside the tenant's schema is built on its tables and would be dropped with them";
        return Err(Trouble::no(Code::OwnedByOther, Class::Conflict, message));
    }
    Ok(())
}

/// The name of the database that the tenants live in.
pub(crate) async fn database(provider: &Provider, cx: &Cx) -> Answer<String> {
    let client = provider.connect(cx).await?;
    Ok(client.query_typed_one("select current_database()::text", &[]).await?.get(0))
}

/// What is there, against the modules and connections that are wanted.
pub(crate) async fn observe(
    provider: &Provider,
    cx: &Cx,
    names: &Names,
    wanted: &[&'static Module],
    connections: u32,
) -> Answer<Observed> {
    let mut client = provider.connect(cx).await?;
    let tx = provider.look(&mut client, cx).await?;
    let found = Found::by(&tx, names).await?;
    if let Some(what) = found.foreign(cx) {
        return Ok(Observed::Foreign { hint: format!("the {what} has no owner tag of ours") });
    }
    if found.schema.is_none() && found.role.is_none() {
        return Ok(Observed::Absent);
    }
    let mut differences = Differences::default();
    differences.note("/schema", &true, &found.schema.is_some());
    differences.note("/role", &true, &found.role.is_some());
    if found.role.is_some() {
        let sql = "select rolconnlimit from pg_roles where rolname = $1";
        let limit: i32 = tx.query_typed_one(sql, &[(&names.role.as_str(), Type::TEXT)]).await?.get(0);
        differences.note("/connections", &i64::from(connections), &i64::from(limit));
    }
    if found.schema.is_some() {
        let sql = format!("select module, max(version) from {}.schema_ledger group by module", names.schema);
        let rows = tx.query_typed(&sql, &[]).await?;
        for module in wanted {
            let row = rows.iter().find(|row| row.get::<_, &str>(0) == module.name);
            let have = row.map_or(0, |row| row.get::<_, i64>(1));
            let want = i64::from(module.reached().version);
            differences.note(&format!("/modules/{}", module.name), &want, &have);
        }
    }
    Ok(Observed::Ours { differences: differences.0 })
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn note<T: PartialEq + serde::Serialize>(&mut self, path: &str, want: &T, have: &T) {
        if want != have
            && let (Ok(want), Ok(have)) = (Json::of(want), Json::of(have))
        {
            self.0.push(Difference { path: path.to_owned(), want, have });
        }
    }
}
