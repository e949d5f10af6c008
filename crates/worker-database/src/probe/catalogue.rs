//! What the isolation probe reads in PostgreSQL's catalogues: that which no attempt could show for all tables at once.

use deadpool_postgres::Transaction;
use tenantry_contracts::TenantId;
use tenantry_step::Answer;
use tenantry_step::postgres::PgIdent;
use tokio_postgres::types::{ToSql, Type};

use super::broken;
use crate::provider::Names;

/// The role is nobody special, and a member of nothing but these groups, which are members of nothing.
pub(super) async fn powers(tx: &Transaction<'_>, role: &PgIdent, groups: &[PgIdent]) -> Answer<()> {
    let groups: Vec<_> = groups.iter().map(PgIdent::as_str).collect();
    let sql = "select count(*) filter (where rolname = $1) = 1 and not bool_or(
                   rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
                   or exists (select from pg_auth_members m join pg_roles g on g.oid = m.roleid
                              where m.member = r.oid and (r.rolname <> $1 or g.rolname <> all ($2))))
               from pg_roles r where rolname = $1 or rolname = any ($2)";
    let row = tx.query_typed_one(sql, &[(&role.as_str(), Type::TEXT), (&groups, Type::TEXT_ARRAY)]).await?;
    if row.get(0) { Ok(()) } else { Err(broken("powers-of-the-role")) }
}

/// Every table that the tenant's role can touch has row-level security, also for its owner; every view asks as the
/// one who reads.
pub(super) async fn forced(tx: &Transaction<'_>, names: &Names) -> Answer<()> {
    let sql = "select exists (
            select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = $1 and c.relkind in ('r', 'p', 'v', 'm', 'f')
              and has_table_privilege($2, c.oid, 'select, insert, update, delete, truncate')
              and not (c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity
                       and exists (select from pg_policy where polrelid = c.oid))
              and not (c.relkind = 'v' and coalesce(c.reloptions @> array['security_invoker=true'], false)))";
    let keys = [names.schema.as_str(), names.role.as_str()];
    if tx.query_typed_one(sql, &[(&keys[0], Type::TEXT), (&keys[1], Type::TEXT)]).await?.get(0) {
        return Err(broken("row-level-security-forced"));
    }
    Ok(())
}

/// The role can connect to no other tenant's database. `tx` is in the tenants' database, which knows them.
pub(super) async fn other_doors(tx: &Transaction<'_>, tenant: TenantId, names: &Names) -> Answer<()> {
    let sql = "select exists (
            select from worker_database.own_database o
            join pg_database d on d.datname = 'd_' || replace(o.tenant::text, '-', '')
            where o.tenant <> $1 and d.datallowconn
              and shobj_description(d.oid, 'pg_database') like 'tenantry tenant=%'
              and has_database_privilege($2, d.oid, 'connect'))";
    let keys = [(&tenant.0 as &(dyn ToSql + Sync), Type::UUID), (&names.role.as_str(), Type::TEXT)];
    if tx.query_typed_one(sql, &keys).await?.get(0) {
        return Err(broken("connect-to-another-tenants-database"));
    }
    Ok(())
}

/// Nobody can connect to the tenant's database but its role and the account that made it.
pub(super) async fn own_door(tx: &Transaction<'_>, names: &Names) -> Answer<()> {
    let sql = "select exists (
            select from pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) acl
            where d.datname = current_database()
              and acl.grantee not in (d.datdba, (select oid from pg_roles where rolname = $1)))";
    if tx.query_typed_one(sql, &[(&names.role.as_str(), Type::TEXT)]).await?.get(0) {
        return Err(broken("connect-of-others-to-the-own-database"));
    }
    Ok(())
}

/// Every shared table has one policy, and it is: the first column of the primary key is the tenant who asks.
pub(super) async fn policies(tx: &Transaction<'_>, schema: &PgIdent) -> Answer<()> {
    let sql = "select exists (
            select from pg_class c join pg_namespace n on n.oid = c.relnamespace
            left join pg_index i on i.indrelid = c.oid and i.indisprimary
            left join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
            where n.nspname = $1 and c.relkind in ('r', 'p') and c.relname <> 'schema_ledger'
              and (select array_agg(format('%s %s %s', p.polcmd, pg_get_expr(p.polqual, c.oid),
                                           pg_get_expr(p.polwithcheck, c.oid)))
                   from pg_policy p where p.polrelid = c.oid)
                  is distinct from array[format('* (%s = current_tenant()) ', quote_ident(a.attname))])";
    if tx.query_typed_one(sql, &[(&schema.as_str(), Type::TEXT)]).await?.get(0) {
        return Err(broken("policies-of-the-shared-tables"));
    }
    Ok(())
}
