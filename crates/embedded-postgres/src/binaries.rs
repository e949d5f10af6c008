//! Finds the PostgreSQL programs on the machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::account::Account;
use crate::{Error, Options, portable};

/// The oldest major version that the SQL of this project runs on.
const OLDEST: u32 = 15;

/// A folder with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    /// The folder.
    pub(crate) bin: PathBuf,
    /// Major and minor version.
    pub(crate) version: (u32, u32),
}

/// The newest that fit: `existing` is the major version of data that are there already, which no other version can read.
pub(crate) async fn find(
    options: &Options,
    existing: Option<u32>,
    account: &Account,
) -> Result<Binaries, Error> {
    let fits =
        |found: &Binaries| existing.map_or(found.version.0 >= OLDEST, |major| found.version.0 == major);
    let wanted = existing.map_or_else(|| format!("{OLDEST} or later"), |major| major.to_string());
    if let Some(path) = &options.binaries {
        return look_into(path).filter(fits).ok_or_else(|| Error::NoBinaries { path: path.clone(), wanted });
    }
    let newest = |places: Vec<PathBuf>| {
        places
            .iter()
            .filter(|bin| account.reaches(bin))
            .filter_map(|bin| look_into(bin))
            .filter(fits)
            .max_by_key(|found| found.version)
    };
    let installed = if options.prefer_portable { None } else { newest(installed_places()) };
    let cache = options.cache();
    if let Some(found) = installed.or_else(|| newest(portable::places(&cache))) {
        return Ok(found);
    }
    account.check_reach(&cache, PathBuf::from("/var/cache/tenantry"))?;
    let bin = portable::fetch(&cache, existing, &wanted).await?;
    look_into(&bin).filter(fits).ok_or(Error::NoBinaries { path: bin, wanted })
}

/// Where distributions, Homebrew and people put them.
fn installed_places() -> Vec<PathBuf> {
    let families = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/usr/libexec", "postgresql", ""),
        ("/opt/homebrew/opt", "postgresql", "bin"),
        ("/usr/local/opt", "postgresql", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ];
    let mut places = vec![PathBuf::from("/usr/local/pgsql/bin")];
    for (folder, prefix, below) in families {
        places.extend(children(Path::new(folder), prefix).into_iter().map(|child| child.join(below)));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for folder in std::env::split_paths(&path).filter(|folder| folder.is_absolute()) {
        let pg_config = folder.join("pg_config");
        if pg_config.is_file()
            && let Some(said) = output(Command::new(pg_config).arg("--bindir"))
        {
            places.push(PathBuf::from(said.trim()));
        }
        places.push(folder);
    }
    places
}

/// The folders in `folder` whose name begins with `prefix`.
pub(crate) fn children(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect()
}

/// The programs in one folder, if they are there and run.
fn look_into(bin: &Path) -> Option<Binaries> {
    let postgres = bin.join("postgres");
    if !postgres.is_file() || !bin.join("initdb").is_file() {
        return None;
    }
    let version = parse_version(&output(Command::new(postgres).arg("--version"))?)?;
    Some(Binaries { bin: bin.to_owned(), version })
}

/// What a program says, if it ends well.
fn output(command: &mut Command) -> Option<String> {
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Reads `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`; a beta (`19beta1`) counts as minor version 0.
fn parse_version(said: &str) -> Option<(u32, u32)> {
    let number = said.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let mut parts = number.split(|letter: char| !letter.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    let minor = if number.contains('.') { parts.next()?.parse().ok()? } else { 0 };
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_server_prints_them() {
        assert_eq!(parse_version("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n"), Some((15, 14)));
        assert_eq!(parse_version("postgres (PostgreSQL) 18.6"), Some((18, 6)));
        assert_eq!(parse_version("postgres (PostgreSQL) 19beta1"), Some((19, 0)));
        assert_eq!(parse_version("postgres (PostgreSQL) 20devel"), Some((20, 0)));
        assert_eq!(parse_version("something else"), None);
    }

    #[tokio::test]
    async fn a_folder_without_the_programs_is_refused_by_code() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let mut options = Options::new(empty.path());
        options.binaries = Some(empty.path().to_owned());
        let account = Account::choose(&empty.path().join("missing")).expect("an account");
        let error = find(&options, None, &account).await.expect_err("nothing there");
        assert_eq!(error.code(), "postgres_no_binaries");
    }
}
