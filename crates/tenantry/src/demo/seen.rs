//! What really stands in PostgreSQL and in the workers' folders under a tenant's id, asked of them and not of the fleet.

use std::path::{Path, PathBuf};

use tenantry_contracts::TenantId;
use tokio::time::{Duration, timeout};

use crate::fleet::Places;
use crate::out::{Refused, failed};
use crate::show::Style;
use crate::show::style::{count, wrap};

/// How long PostgreSQL may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    databases: Vec<String>,
    schemas: Vec<String>,
    roles: Vec<String>,
    tables: Vec<String>,
    /// Tables whose row-level security holds for their owner too.
    forced: usize,
    folders: Vec<PathBuf>,
    keys: Vec<PathBuf>,
    mails: Vec<PathBuf>,
}

/// Looks for everything whose name holds the tenant's id.
pub(super) async fn look(url: &str, places: &Places, tenant: TenantId) -> Result<Seen, Refused> {
    let stem = tenant.simple();
    let asked = timeout(PATIENCE, ask(url, &stem)).await;
    let broken =
        |why: String| failed("tenants_database", format!("the tenants' database cannot be asked: {why}"));
    let mut seen = match asked {
        Ok(Ok(seen)) => seen,
        Ok(Err(why)) => return Err(broken(why)),
        Err(_) => return Err(broken(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    seen.mails = named(&places.outbox, &format!("{stem}-"));
    seen.keys = named(&places.secrets, &tenant.to_string());
    let regions = std::fs::read_dir(&places.storage).into_iter().flatten().flatten();
    seen.folders = regions.flat_map(|region| named(&region.path(), &format!("t-{tenant}"))).collect();
    Ok(seen)
}

/// What lies in a folder under a name that begins so.
fn named(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let ours = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(stem));
    let found = std::fs::read_dir(folder).into_iter().flatten().flatten();
    found.map(|entry| entry.path()).filter(ours).collect()
}

async fn ask(url: &str, stem: &str) -> Result<Seen, String> {
    let (mut config, tls) = tenantry_postgres::connect::plain(url).map_err(|error| error.to_string())?;
    let mut seen = ask_here(&config, tls.clone(), stem).await?;
    if let [database] = seen.databases.as_slice() {
        let inside = ask_here(config.dbname(database), tls, stem).await?;
        seen = Seen { databases: seen.databases, ..inside };
    }
    Ok(seen)
}

async fn ask_here(
    config: &tokio_postgres::Config,
    tls: impl tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket, Stream: Send + 'static>,
    stem: &str,
) -> Result<Seen, String> {
    let (client, connection) = config.connect(tls).await.map_err(|error| error.to_string())?;
    let driven = tokio::spawn(connection);
    let like = format!("%{stem}%");
    let sql = "select
        array(select nspname::text from pg_namespace where nspname like $1 order by 1),
        array(select rolname::text from pg_roles where rolname like $1 order by 1),
        array(select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname like $1 and c.relkind in ('r', 'p') order by 1),
        (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname like $1 and c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity),
        array(select datname::text from pg_database where datname like $1 order by 1)";
    let row = client.query_one(sql, &[&like]).await.map_err(|error| error.to_string());
    drop(client);
    let _ = driven.await;
    let row = row?;
    Ok(Seen {
        schemas: row.get(0),
        roles: row.get(1),
        tables: row.get(2),
        forced: usize::try_from(row.get::<_, i64>(3)).unwrap_or_default(),
        databases: row.get(4),
        ..Seen::default()
    })
}

impl Seen {
    pub(super) fn lines(&self, style: Style) -> Vec<String> {
        if *self == Self::default() {
            return vec![format!(
                "   {} nothing: no database, schema, role, table, file, key or mail of this tenant",
                style.green("✓")
            )];
        }
        let row = |name: &str, value: &str| format!("   {name:<12}{value}");
        let mut lines = Vec::new();
        lines.extend(self.databases.iter().map(|name| row("database", name)));
        lines.extend(self.schemas.iter().map(|name| row("schema", name)));
        lines.extend(self.roles.iter().map(|name| row("role", name)));
        if !self.tables.is_empty() {
            let forced = format!(
                "{}, row-level security forced on {}",
                count(self.tables.len(), "table"),
                self.forced
            );
            lines.push(row("tables", &forced));
            lines.extend(wrap(&self.tables.join(", "), 15).iter().map(|line| style.dim(line)));
        }
        lines.extend(self.folders.iter().map(|path| row("files", &path.display().to_string())));
        lines.extend(self.keys.iter().map(|path| row("keys", &format!("{} (sealed)", path.display()))));
        for mail in &self.mails {
            lines.push(row("mail", "to the administrator, with the one-time claim link in it:"));
            lines.push(format!("{:15}{}", "", mail.display()));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_left_is_said_in_so_many_words() {
        assert_eq!(
            Seen::default().lines(Style::PLAIN),
            ["   ✓ nothing: no database, schema, role, table, file, key or mail of this tenant"]
        );
    }

    #[test]
    fn what_stands_is_listed() {
        let seen = Seen {
            schemas: vec!["t_1".into()],
            roles: vec!["r_1".into()],
            tables: vec!["users".into(), "roles".into()],
            forced: 2,
            mails: vec!["/outbox/1-4.eml".into()],
            ..Seen::default()
        };
        assert_eq!(
            seen.lines(Style::PLAIN).join("\n"),
            "   schema      t_1\n   role        r_1\n   tables      2 tables, row-level security forced on 2\n               \
             users, roles\n   mail        to the administrator, with the one-time claim link in it:\n               \
             /outbox/1-4.eml"
        );
    }
}
