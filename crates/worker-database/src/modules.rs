//! The modules of a tenant's database: their migrations in declared order, and a ledger of what was applied.
//!
//! Each file runs in one transaction together with its line in `schema_ledger`, so that a failure leaves the ledger at
//! the file before it and a retry resumes there. A file that was applied is never edited: its digest is compared.

use deadpool_postgres::Transaction;
use sha2::{Digest, Sha256};
use tenantry_contracts::steps::database;
use tenantry_contracts::{Class, Code};
use tenantry_step::postgres::PgIdent;
use tenantry_step::{Answer, Trouble};
use tokio_postgres::types::Type;

use crate::provider::Place;

/// A module of the tenant's database.
#[derive(Debug)]
pub struct Module {
    /// Its name, as requests spell it.
    pub name: &'static str,
    /// Whether no tenant can be without it.
    pub required: bool,
    /// Its migrations; the first is version 1.
    pub migrations: &'static [Migration],
}

/// One migration: a file of SQL. In it `:"role"` stands for the role that gets the module's grants, as in psql, and
/// `current_tenant()` answers whose rows the one who asks may touch.
#[derive(Debug)]
pub struct Migration {
    /// Its number, counted from 1 in its module.
    pub version: u32,
    /// The file's content.
    pub sql: &'static str,
}

macro_rules! migration {
    ($version:literal, $file:literal) => {
        Migration { version: $version, sql: include_str!(concat!("../../../migrations/tenant/", $file)) }
    };
}

/// The house's own modules, in the order in which they are migrated.
pub const MODULES: &[Module] = &[
    Module {
        name: "multitenancy",
        required: true,
        migrations: &[migration!(1, "multitenancy/0001_tenant_config.sql")],
    },
    Module {
        name: "identity",
        required: true,
        migrations: &[
            migration!(1, "identity/0001_accounts_and_roles.sql"),
            migration!(2, "identity/0002_claims.sql"),
        ],
    },
    Module {
        name: "auditing",
        required: false,
        migrations: &[migration!(1, "auditing/0001_audit_logs.sql")],
    },
];

impl Module {
    /// The module with each of its files.
    pub(crate) fn files(&'static self) -> impl Iterator<Item = (&'static Module, &'static Migration)> {
        self.migrations.iter().map(move |migration| (self, migration))
    }

    /// The version after all its files.
    pub(crate) fn reached(&self) -> database::Module {
        database::Module {
            name: self.name.to_owned(),
            version: self.migrations.last().map_or(0, |migration| migration.version),
        }
    }
}

impl Migration {
    fn digest(&self) -> Vec<u8> {
        Sha256::digest(self.sql).to_vec()
    }
}

/// The modules asked for, in declared order whatever order they were asked in.
pub(crate) fn chosen(known: &'static [Module], asked: &[String]) -> Answer<Vec<&'static Module>> {
    let names: Vec<_> = known.iter().map(|module| module.name).collect();
    if let Some(at) = asked.iter().position(|name| !names.contains(&name.as_str())) {
        let message = format!("there is no such module; the modules are {}", names.join(", "));
        return Err(Trouble::no_at(
            Code::ModuleUnknown,
            Class::Validation,
            format!("/modules/{at}"),
            message,
        ));
    }
    Ok(known
        .iter()
        .filter(|module| module.required || asked.iter().any(|name| name == module.name))
        .collect())
}

/// The ledger, in the schema of the search path.
pub(crate) const LEDGER: &str = "create table schema_ledger (
        module text not null,
        version bigint not null,
        digest bytea not null,
        at timestamptz not null default now(),
        primary key (module, version)
    );";

/// What was applied in one schema: module, version, digest of the file.
#[derive(Default)]
pub(crate) struct Ledger(Vec<(String, i64, Vec<u8>)>);

impl Ledger {
    /// The schema's ledger; empty where there is none.
    pub(crate) async fn read(tx: &Transaction<'_>, schema: &PgIdent) -> Answer<Self> {
        let there =
            "select exists (select from pg_tables where schemaname = $1 and tablename = 'schema_ledger')";
        if !tx.query_typed_one(there, &[(&schema.as_str(), Type::TEXT)]).await?.get::<_, bool>(0) {
            return Ok(Self::default());
        }
        let sql = format!("select module, version, digest from {schema}.schema_ledger");
        let rows = tx.query_typed(&sql, &[]).await?;
        Ok(Self(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()))
    }

    /// The highest version of the module, or 0.
    pub(crate) fn reached(&self, module: &Module) -> i64 {
        let of_module = self.0.iter().filter(|(name, ..)| name == module.name);
        of_module.map(|(_, version, _)| *version).max().unwrap_or(0)
    }

    /// The final no that [`apply`] would answer for a file that is not the one that was applied.
    pub(crate) fn unedited(&self, modules: &[&'static Module]) -> Answer<()> {
        for (module, migration) in modules.iter().flat_map(|module| module.files()) {
            let edited = |(name, version, digest): &(String, i64, Vec<u8>)| {
                name == module.name
                    && *version == i64::from(migration.version)
                    && *digest != migration.digest()
            };
            if self.0.iter().any(edited) {
                return Err(altered(module, migration));
            }
        }
        Ok(())
    }
}

/// Applies one file, unless the ledger says that it was. Where tables are shared, questions wait for each other at the
/// ledger's line.
pub(crate) async fn apply(place: &mut Place<'_>, module: &Module, migration: &Migration) -> Answer<()> {
    let grantee = place.grantee(module).to_string();
    let tx = place.begin().await?;
    let key: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
        (&module.name, Type::TEXT),
        (&i64::from(migration.version), Type::INT8),
        (&migration.digest(), Type::BYTEA),
    ];
    // The line comes first: it is taken back with everything else if the file fails.
    let line = "insert into schema_ledger (module, version, digest) values ($1, $2, $3)
                on conflict (module, version) do nothing returning version";
    if tx.query_typed_opt(line, &key).await?.is_some() {
        let sql = migration.sql.replace(":\"role\"", &grantee);
        tx.batch_execute(&sql).await.map_err(|error| failed(module, migration, error))?;
        return Ok(tx.commit().await?);
    }
    let same = "select digest = $3 from schema_ledger where module = $1 and version = $2";
    if tx.query_typed_one(same, &key).await?.get(0) { Ok(()) } else { Err(altered(module, migration)) }
}

fn altered(module: &Module, migration: &Migration) -> Trouble {
    let what = "is not the file that was applied before; restore the file and add a new one";
    no(module, migration, what)
}

fn failed(module: &Module, migration: &Migration, error: tokio_postgres::Error) -> Trouble {
    let state = error.code().map(|state| state.code().to_owned()).unwrap_or_default();
    match Trouble::from(error) {
        shaky @ Trouble::Shaky(_) => shaky,
        _ => no(
            module,
            migration,
            &format!("failed in PostgreSQL with {state}; the files before it stay applied"),
        ),
    }
}

fn no(module: &Module, migration: &Migration, what: &str) -> Trouble {
    let message = format!("migration {:04} of module {} {what}", migration.version, module.name);
    Trouble::no(Code::MigrationFailed, Class::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_embedded_in_its_order() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/tenant");
        let mut folders: Vec<_> =
            std::fs::read_dir(root).unwrap().map(|dir| dir.unwrap().file_name()).collect();
        folders.sort();
        let mut names: Vec<_> = MODULES.iter().map(|module| module.name).collect();
        names.sort_unstable();
        assert_eq!(folders, names);
        for module in MODULES {
            let mut files: Vec<_> = std::fs::read_dir(format!("{root}/{}", module.name))
                .unwrap()
                .map(|f| f.unwrap().path())
                .collect();
            files.sort();
            assert_eq!(files.len(), module.migrations.len(), "{}", module.name);
            for ((file, migration), number) in files.iter().zip(module.migrations).zip(1..) {
                assert_eq!(migration.version, number);
                assert_eq!(std::fs::read_to_string(file).unwrap(), migration.sql, "{}", file.display());
                assert!(file.file_name().unwrap().to_str().unwrap().starts_with(&format!("{number:04}_")));
            }
        }
    }

    #[test]
    fn modules_come_in_declared_order_and_the_required_ones_always() {
        let asked = ["auditing".to_owned(), "multitenancy".to_owned()];
        let names: Vec<_> = chosen(MODULES, &asked).unwrap().iter().map(|module| module.name).collect();
        assert_eq!(names, ["multitenancy", "identity", "auditing"]);
        let no = chosen(MODULES, &["identity".to_owned(), "crm".to_owned()]).unwrap_err();
        assert!(
            matches!(no, Trouble::No { code: Code::ModuleUnknown, pointer: Some(at), .. } if at == "/modules/1")
        );
    }
}
