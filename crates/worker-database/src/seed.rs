//! What a tenant's database begins with: roles, permissions, the administrator's account, the settings. All of it is
//! upserted under ids that derive from the tenant id, so that a repeat changes nothing.

use deadpool_postgres::Transaction;
use serde_json::json;
use sha2::{Digest, Sha256};
use tenantry_contracts::steps::database::Input;
use tenantry_contracts::{Class, Code, TenantId};
use tenantry_step::postgres::Provider;
use tenantry_step::{Answer, Cx, Resource, Trouble};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::provider::Names;

/// The roles of every tenant, with what each may do.
const ROLES: &[(&str, &str, &[&str])] = &[
    (
        "tenant-admin",
        "Full administration over tenant resources.",
        &["tenant.manage", "users.manage", "settings.manage", "modules.use", "audit.read"],
    ),
    ("tenant-manager", "Manage users and settings.", &["users.manage", "settings.manage", "modules.use"]),
    ("tenant-user", "Access assigned modules only.", &["modules.use"]),
    ("tenant-auditor", "Read-only access for compliance.", &["audit.read"]),
];

const PERMISSIONS: &[(&str, &str)] = &[
    ("tenant.manage", "Change everything of the tenant."),
    ("users.manage", "Invite, change and disable accounts."),
    ("settings.manage", "Change settings and branding."),
    ("modules.use", "Use the modules assigned."),
    ("audit.read", "Read the audit log."),
];

/// The role that the administrator gets. Requests may leave out the stem, and may have typographic hyphens.
pub(crate) fn role(asked: Option<&str>) -> Answer<&'static str> {
    let asked = asked.unwrap_or("tenant-admin").to_lowercase().replace('\u{2011}', "-");
    let known = |name: &&str| *name == asked || name.strip_prefix("tenant-") == Some(&asked);
    ROLES.iter().map(|(name, ..)| *name).find(known).ok_or_else(|| {
        let names: Vec<_> = ROLES.iter().map(|(name, ..)| *name).collect();
        let message = format!("there is no such role; the roles are {}", names.join(", "));
        Trouble::no_at(Code::FieldInvalid, Class::Validation, "/admin_role", message)
    })
}

/// The id of something that is seeded: the same in every try.
fn id(tenant: TenantId, what: &str) -> Uuid {
    Uuid::new_v5(&tenant.0, what.as_bytes())
}

/// Plants everything in one transaction; answers the administrator's account.
pub(crate) async fn plant(
    provider: &Provider,
    cx: &Cx,
    resource: &Resource,
    names: &Names,
    input: &Input,
    role: &str,
) -> Answer<Uuid> {
    let email = input.admin_email.as_ref().map(|sealed| cx.open("admin.email", sealed)).transpose()?;
    let mut client = provider.connect(cx).await?;
    let tx = provider.begin(&mut client, cx, resource).await?;
    names.enter(&tx, cx).await?;
    roles(&tx, cx).await?;
    let admin = account(&tx, cx, "admin", "invited", role, input, email.as_deref()).await?;
    if input.demo_data {
        for (name, ..) in ROLES {
            account(&tx, cx, &format!("demo {name}"), "demo", name, input, None).await?;
        }
    }
    settings(&tx, cx, input).await?;
    audit(&tx, cx).await?;
    tx.commit().await?;
    Ok(admin)
}

async fn roles(tx: &Transaction<'_>, cx: &Cx) -> Answer<()> {
    let ids: Vec<_> = ROLES.iter().map(|(name, ..)| id(cx.tenant, &format!("role {name}"))).collect();
    let (names, texts): (Vec<_>, Vec<_>) = ROLES.iter().map(|(name, text, _)| (*name, *text)).unzip();
    let sql = "insert into role (tenant_id, id, name, description)
               select $1, * from unnest($2::uuid[], $3::text[], $4::text[])
               on conflict (tenant_id, id) do update set name = excluded.name, description = excluded.description";
    tx.execute(sql, &[&cx.tenant.0, &ids, &names, &texts]).await?;

    let (names, texts): (Vec<_>, Vec<_>) = PERMISSIONS.iter().copied().unzip();
    let sql = "insert into permission (tenant_id, name, description)
               select $1, * from unnest($2::text[], $3::text[])
               on conflict (tenant_id, name) do update set description = excluded.description";
    tx.execute(sql, &[&cx.tenant.0, &names, &texts]).await?;

    let pairs = ids.iter().zip(ROLES).flat_map(|(id, (.., may))| may.iter().map(move |name| (*id, *name)));
    let (ids, names): (Vec<Uuid>, Vec<&str>) = pairs.unzip();
    let sql = "insert into role_permission (tenant_id, role_id, permission)
               select $1, * from unnest($2::uuid[], $3::text[]) on conflict do nothing";
    tx.execute(sql, &[&cx.tenant.0, &ids, &names]).await?;
    Ok(())
}

async fn account(
    tx: &Transaction<'_>,
    cx: &Cx,
    what: &str,
    state: &str,
    role: &str,
    input: &Input,
    email: Option<&str>,
) -> Answer<Uuid> {
    let account = id(cx.tenant, &format!("account {what}"));
    let sealed = email.and(input.admin_email.as_ref()).map(|sealed| sealed.as_str());
    let digest = email.map(|email| digest(cx, email));
    // An account that a person has claimed meanwhile keeps its state.
    let sql = "insert into account (tenant_id, id, email, email_digest, state) values ($1, $2, $3, $4, $5)
               on conflict (tenant_id, id) do update
               set email = excluded.email, email_digest = excluded.email_digest";
    tx.execute(sql, &[&cx.tenant.0, &account, &sealed, &digest, &state]).await?;
    let sql = "insert into account_role (tenant_id, account_id, role_id) values ($1, $2, $3) on conflict do nothing";
    tx.execute(sql, &[&cx.tenant.0, &account, &id(cx.tenant, &format!("role {role}"))]).await?;
    Ok(account)
}

/// Finds the same address twice in one tenant without holding it. Salted with fleet and tenant.
fn digest(cx: &Cx, email: &str) -> Vec<u8> {
    let email = email.trim().to_lowercase();
    Sha256::digest(format!("tenantry/1\nemail\n{}\n{}\n{email}", cx.fleet, cx.tenant)).to_vec()
}

async fn settings(tx: &Transaction<'_>, cx: &Cx, input: &Input) -> Answer<()> {
    let given = &input.settings;
    let limits = json!({
        "seats": given.limits.seats,
        "storage_bytes": given.limits.storage_bytes,
        "database_connections": given.limits.database_connections,
        "compute_millis": given.limits.compute_millis,
    });
    let sql = "insert into tenant_config (id, name, domain, theme, limits, contact_email)
               values ($1, $2, $3, $4, $5, $6)
               on conflict (id) do update set name = excluded.name, domain = excluded.domain, theme = excluded.theme,
                   limits = excluded.limits, contact_email = excluded.contact_email";
    let theme = given.customisation.as_ref().map(|sealed| sealed.as_str());
    let contact = input.admin_email.as_ref().map(|sealed| sealed.as_str());
    tx.execute(sql, &[&cx.tenant.0, &given.name.as_str(), &given.domain, &theme, &limits, &contact]).await?;
    Ok(())
}

/// The first line of the tenant's own audit log, where it has that module.
async fn audit(tx: &Transaction<'_>, cx: &Cx) -> Answer<()> {
    let there = "select to_regclass('audit_logs') is not null";
    if tx.query_typed_one(there, &[]).await?.get(0) {
        let sql = "insert into audit_logs (tenant_id, actor, action)
                   select $1, 'tenantry', 'tenant.seeded'
                   where not exists (select from audit_logs where tenant_id = $1 and action = 'tenant.seeded')";
        tx.execute_typed(sql, &[(&cx.tenant.0, Type::UUID)]).await?;
    }
    Ok(())
}
