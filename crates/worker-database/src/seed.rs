//! What a tenant's database begins with: roles, permissions, the administrator's account, the settings. All of it is
//! upserted under ids that derive from the tenant id, so that a repeat changes nothing.

use deadpool_postgres::Transaction;
use serde_json::json;
use sha2::{Digest, Sha256};
use tenantry_contracts::steps::database::Input;
use tenantry_contracts::{Class, Code, TenantId};
use tenantry_step::{Answer, Cx, Trouble};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::provider::{Job, Place};

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

/// The administrator's account.
pub(crate) fn admin(tenant: TenantId) -> Uuid {
    id(tenant, "account admin")
}

/// The administrator's address.
pub(crate) fn email(cx: &Cx, input: &Input) -> Answer<Option<String>> {
    input.admin_email.as_ref().map(|sealed| cx.open("admin.email", sealed)).transpose()
}

/// Plants everything in one transaction.
pub(crate) async fn plant(job: &Job<'_>, place: &mut Place<'_>, role: &str) -> Answer<()> {
    let Job { cx, input, .. } = *job;
    let email = email(cx, input)?;
    let audited = job.modules.iter().any(|module| module.name == "auditing");
    let tx = place.begin().await?;
    roles(&tx, cx).await?;
    account(&tx, cx, "admin", "invited", role, input, email.as_deref()).await?;
    if audited {
        audit(&tx, cx, "audit", "tenantry", "tenant.seeded").await?;
    }
    if input.demo_data {
        demo(&tx, cx, input, audited).await?;
    }
    settings(&tx, cx, input).await?;
    Ok(tx.commit().await?)
}

/// What a demonstration can show: an account for each role, and what each of them did.
async fn demo(tx: &Transaction<'_>, cx: &Cx, input: &Input, audited: bool) -> Answer<()> {
    for (name, _, may) in ROLES {
        account(tx, cx, &format!("demo {name}"), "demo", name, input, None).await?;
        if audited {
            let actor = format!("demo {name}");
            audit(tx, cx, "security", &actor, "account.signed_in").await?;
            for permission in *may {
                audit(tx, cx, "operational", &actor, &format!("demo.{permission}")).await?;
            }
        }
    }
    Ok(())
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
) -> Answer<()> {
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
    Ok(())
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
        "network_segments": given.limits.network_segments,
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

/// A line of the tenant's own audit log, once.
async fn audit(tx: &Transaction<'_>, cx: &Cx, kind: &str, actor: &str, action: &str) -> Answer<()> {
    let sql = "insert into audit_logs (tenant_id, kind, actor, action) select $1, $2, $3, $4 where not exists
               (select from audit_logs where tenant_id = $1 and kind = $2 and actor = $3 and action = $4)";
    let keys: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] =
        [(&cx.tenant.0, Type::UUID), (&kind, Type::TEXT), (&actor, Type::TEXT), (&action, Type::TEXT)];
    tx.execute_typed(sql, &keys).await?;
    Ok(())
}
