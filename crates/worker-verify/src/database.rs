//! The tenant's place in PostgreSQL: whether it is there as it was made, and whether the tenant's role finds in it what
//! a tenant begins with.

use deadpool_postgres::{ClientWrapper, Transaction};
use tenantry_contracts::steps::database::Output;
use tenantry_contracts::steps::verify::Input;
use tenantry_step::postgres::{PgIdent, Provider};
use tenantry_step::{Answer, Cx};
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::report::State;

/// Fewer connections than this leave none for a look into the database while the tenant works.
const FEW: i32 = 2;

/// What the worker `database` made, by name.
pub(crate) struct Names {
    pub(crate) schema: PgIdent,
    pub(crate) role: PgIdent,
    /// Whether the schema is shared with other tenants.
    pub(crate) shared: bool,
    /// Whether the database is the tenant's own.
    pub(crate) own_database: bool,
}

impl Names {
    /// `None` where a name is none that this house makes.
    pub(crate) fn of(input: &Input) -> Option<Self> {
        let Output { schema, role, .. } = &input.database;
        Some(Self {
            schema: PgIdent::read(schema)?,
            role: PgIdent::read(role)?,
            shared: input.isolation == "pooled_rls",
            own_database: input.isolation == "database",
        })
    }

    /// Makes the rest of the transaction work as the tenant does.
    pub(crate) async fn enter(&self, tx: &Transaction<'_>, cx: &Cx) -> Answer<()> {
        let (schema, role, tenant) = (&self.schema, &self.role, cx.tenant);
        let sql = format!(
            "set local search_path = {schema}; set local app.tenant = '{tenant}'; set local role {role}"
        );
        Ok(tx.batch_execute(&sql).await?)
    }
}

/// Schema, and database where it is the tenant's own, are there with our owner tags.
pub(crate) async fn schema(
    provider: &Provider,
    home: &mut ClientWrapper,
    cx: &Cx,
    names: &Names,
) -> Answer<State> {
    let tx = provider.look(home, cx).await?;
    let sql = "select
        (select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1),
        (select coalesce(shobj_description(oid, 'pg_database'), '') from pg_database where datname = current_database())";
    let row = tx.query_typed_one(sql, &[(&names.schema.as_str(), Type::TEXT)]).await?;
    let (schema, database): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
    let Some(schema) = schema else {
        return Ok(State::Failed("the schema is not there".to_owned()));
    };
    if names.own_database && !database.is_some_and(|tag| cx.owns(tag)) {
        return Ok(State::Failed("the database has no owner tag of ours".to_owned()));
    }
    Ok(State::when(names.shared || cx.owns(schema), "the schema has no owner tag of ours"))
}

/// The role is there with our owner tag, and can log in often enough.
pub(crate) async fn role(
    provider: &Provider,
    home: &mut ClientWrapper,
    cx: &Cx,
    names: &Names,
) -> Answer<State> {
    let tx = provider.look(home, cx).await?;
    let sql = "select coalesce(shobj_description(oid, 'pg_authid'), ''), rolconnlimit,
                   rolcanlogin and has_database_privilege(oid, current_database(), 'connect')
               from pg_roles where rolname = $1";
    let Some(row) = tx.query_typed_opt(sql, &[(&names.role.as_str(), Type::TEXT)]).await? else {
        return Ok(State::Failed("the tenant's role is not there".to_owned()));
    };
    let (tag, limit, lets_in): (&str, i32, bool) = (row.get(0), row.get(1), row.get(2));
    Ok(if !cx.owns(tag) {
        State::Failed("the tenant's role has no owner tag of ours".to_owned())
    } else if !lets_in || limit == 0 {
        State::Failed("the tenant's role may not connect".to_owned())
    } else if (0..FEW).contains(&limit) {
        State::Degraded(format!("the tenant's role may hold {limit} connection at once"))
    } else {
        State::Ready
    })
}

/// The ledger says of every module the version that was answered.
pub(crate) async fn modules(
    provider: &Provider,
    home: &mut ClientWrapper,
    cx: &Cx,
    input: &Input,
    names: &Names,
) -> Answer<State> {
    let tx = provider.look(home, cx).await?;
    let sql = format!("select module, max(version) from {}.schema_ledger group by module", names.schema);
    let rows = tx.query_typed(&sql, &[]).await?;
    for module in &input.database.modules {
        let found = rows.iter().find(|row| row.get::<_, &str>(0) == module.name);
        let have = found.map_or(0, |row| row.get::<_, i64>(1));
        let want = i64::from(module.version);
        // Another tenant may have brought a shared schema further.
        if have < want || (have > want && !names.shared) {
            return Ok(State::Failed(format!("module {} is at {have} and not at {want}", module.name)));
        }
    }
    Ok(State::Ready)
}

/// As the tenant's role: roles, permissions, the administrator's account, the settings.
pub(crate) async fn seed(
    provider: &Provider,
    home: &mut ClientWrapper,
    cx: &Cx,
    input: &Input,
    names: &Names,
) -> Answer<State> {
    let Ok(admin) = input.database.admin_user.parse::<Uuid>() else {
        return Ok(State::Failed("the administrator's account has no id".to_owned()));
    };
    let tx = provider.look(home, cx).await?;
    names.enter(&tx, cx).await?;
    let sql = "select exists (select from role), exists (select from permission),
                   exists (select from account a join account_role r on r.account_id = a.id where a.id = $1),
                   exists (select from tenant_config)";
    let key: [(&(dyn ToSql + Sync), Type); 1] = [(&admin, Type::UUID)];
    let row = tx.query_typed_one(sql, &key).await?;
    let what = ["roles", "permissions", "administrator", "settings"];
    let missing: Vec<_> =
        (0..).zip(what).filter(|(at, _)| !row.get::<_, bool>(*at)).map(|(_, what)| what).collect();
    Ok(State::when(
        missing.is_empty(),
        &format!("the tenant's role does not find its {}", missing.join(", ")),
    ))
}
