//! What every provider that is a directory does alike: a lock and a fence for each tenant, whole files, and what an
//! error means.
//!
//! A fence file holds every token that ever acted for its tenant, one a line, and is never removed; it is also the lock.
//! Whoever holds the lock has looked at the tokens, so a late question neither writes nor removes.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tenantry_contracts::{Class, Code};

use crate::{Answer, Cx, Trouble};

/// A directory in which a worker keeps things of tenants. Made with mode 0700 if it is not there.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    /// What people call it.
    name: &'static str,
    /// The folder of its fences: workers that share a directory have one each.
    fences: &'static str,
}

/// A place in the directory: the tenant's lock is held, and its fence stands at the question's token. Work that was
/// begun keeps the lock even when the question is given up.
pub struct Held {
    folder: Folder,
    lock: Arc<File>,
    tokens: Vec<i64>,
}

impl Folder {
    /// The directory `path`, which errors call `name`; its fences lie in `fences` (as in `.fence`) inside it.
    pub fn new(path: impl Into<PathBuf>, name: &'static str, fences: &'static str) -> Self {
        Self { path: path.into(), name, fences }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory and tries to write in it, so that one that cannot be used is said at start. Can be repeated
    /// and run at once.
    ///
    /// # Errors
    /// `misconfigured` where it cannot be made or written.
    pub async fn prepare(&self) -> Answer<()> {
        let folder = self.clone();
        self.blocking(move || {
            let probe = folder.path.join(folder.fences).join(".probe");
            folder.open(&probe)?.write_all(b"tenantry\n")?;
            remove(&probe)
        })
        .await
    }

    /// Locks the tenant and raises its fence.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where the fence stands higher; shaky where another question holds the lock for too long.
    pub async fn enter(&self, cx: &Cx) -> Answer<Held> {
        let (folder, path) = (self.clone(), self.fence(cx));
        let lock = self.blocking(move || folder.open(&path)).await?;
        let wait = async {
            loop {
                match lock.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(TryLockError::Error(error)) => return Err(self.trouble(&error)),
                }
            }
        };
        let patience = Duration::from_millis(cx.left_ms().min(60_000));
        let late = || {
            Err(Trouble::shaky(format_args!(
                "another question holds this tenant's lock in the {}",
                self.name
            )))
        };
        tokio::time::timeout(patience, wait).await.unwrap_or_else(|_| late())?;

        let (lock, token) = (Arc::new(lock), cx.token.0);
        let held = Arc::clone(&lock);
        let dir = self.path.join(self.fences);
        let tokens = self.blocking(move || raise(&held, &dir, token)).await?;
        match tokens {
            Some(tokens) => Ok(Held { folder: self.clone(), lock, tokens }),
            None => Err(Trouble::Superseded),
        }
    }

    /// Reads what is there, without the lock. `work` gets the directory, the question, and every token that ever acted
    /// for the tenant.
    ///
    /// # Errors
    /// What an error of the file system means: see [`Folder::enter`].
    pub async fn look<T: Send + 'static>(
        &self,
        cx: &Cx,
        work: impl FnOnce(&Path, &Cx, &[i64]) -> io::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (folder, cx) = (self.clone(), cx.clone());
        self.blocking(move || {
            let tokens = match File::open(folder.fence(&cx)) {
                Ok(mut file) => read_tokens(&mut file)?,
                Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            work(&folder.path, &cx, &tokens)
        })
        .await
    }

    fn fence(&self, cx: &Cx) -> PathBuf {
        self.path.join(self.fences).join(cx.tenant.simple())
    }

    fn open(&self, fence: &Path) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.path.join(self.fences))?;
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(fence)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Answer<T> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|error| self.trouble(&error)),
            Err(_) => Err(Trouble::shaky("the process is ending")),
        }
    }

    fn trouble(&self, error: &io::Error) -> Trouble {
        let (kind, name) = (error.kind(), self.name);
        let config = [
            ErrorKind::PermissionDenied,
            ErrorKind::NotFound,
            ErrorKind::NotADirectory,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::AlreadyExists,
            ErrorKind::InvalidData,
            ErrorKind::Unsupported,
        ];
        if config.contains(&kind) {
            let message = format!("the {name} cannot be used: {kind}; look at its path and its rights");
            return Trouble::no(Code::Misconfigured, Class::Config, message);
        }
        Trouble::Shaky(format!("the {name}: {kind}"))
    }
}

impl Held {
    /// Every token that ever acted for the tenant, this question's last.
    pub fn tokens(&self) -> &[i64] {
        &self.tokens
    }

    /// Works on files, under the lock until it is done even if nobody waits for it any more. `work` gets the directory
    /// and the question.
    ///
    /// # Errors
    /// What an error of the file system means: see [`Folder::enter`].
    pub async fn work<T: Send + 'static>(
        &self,
        cx: &Cx,
        work: impl FnOnce(&Path, &Cx) -> io::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (lock, path, cx) = (Arc::clone(&self.lock), self.folder.path.clone(), cx.clone());
        self.folder
            .blocking(move || {
                let done = work(&path, &cx);
                drop(lock);
                done
            })
            .await
    }
}

/// Writes a file whole or not at all, durably, with mode 0600: `draft` beside it, then renamed over `path`.
///
/// # Errors
/// Of the file system.
pub fn write_whole(path: &Path, draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Removes a file; one that is not there is gone already.
///
/// # Errors
/// Of the file system.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Raises the fence to `token`, durably. `None` where it stands higher.
fn raise(mut file: &File, dir: &Path, token: i64) -> io::Result<Option<Vec<i64>>> {
    let mut tokens = read_tokens(&mut file)?;
    let highest = tokens.iter().copied().max();
    if highest.is_some_and(|highest| highest > token) {
        return Ok(None);
    }
    if highest != Some(token) {
        // A line of its own even where a crash left half a line.
        file.write_all(format!("\n{token}\n").as_bytes())?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        tokens.push(token);
    }
    Ok(Some(tokens))
}

/// The whole lines of a fence file.
fn read_tokens(file: &mut impl Read) -> io::Result<Vec<i64>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect())
}
