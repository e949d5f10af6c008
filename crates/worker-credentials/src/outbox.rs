//! The outbox: a directory of mails, one file each, and beside them one fence file for each tenant.
//!
//! A fence file holds every token that ever acted for its tenant, one a line, and is never removed; it is also the lock.
//! Whoever holds the lock has looked at the tokens, so a late question neither writes nor removes. Mails are named by
//! tenant and token, hence the tokens also say which mails there can be.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tenantry_contracts::{Class, Code, Time};
use tenantry_step::{Answer, Cx, Trouble};

use crate::mail;

/// Larger than any mail of ours: what is larger is somebody else's.
const LARGEST: u64 = 64 * 1024;

/// The name of the mail that a question writes, without its ending.
pub(crate) fn message(cx: &Cx, token: i64) -> String {
    format!("{}-{token}", cx.tenant.simple())
}

#[derive(Clone)]
pub(crate) struct Outbox(PathBuf);

/// A place at the outbox: the tenant's lock is held, and its fence stands at the question's token. Work that was begun
/// keeps the lock even when the question is given up.
pub(crate) struct Desk {
    outbox: Outbox,
    lock: Arc<File>,
    tokens: Vec<i64>,
}

/// How many mails of a tenant's name there are.
pub(crate) struct Found {
    pub(crate) ours: usize,
    pub(crate) foreign: usize,
}

enum Seen {
    Nothing,
    Ours(Time),
    Foreign,
}

impl Outbox {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Locks the tenant and raises its fence.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where the fence stands higher; shaky where another question holds the lock for too long.
    pub(crate) async fn enter(&self, cx: &Cx) -> Answer<Desk> {
        let (outbox, path) = (self.clone(), self.fence(cx));
        let lock = blocking(move || outbox.open(&path)).await?;
        let wait = async {
            loop {
                match lock.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(20)).await,
                    Err(TryLockError::Error(error)) => return Err(trouble(&error)),
                }
            }
        };
        let patience = Duration::from_millis(cx.left_ms().min(60_000));
        let late = || Err(Trouble::shaky("another question holds this tenant's lock in the outbox"));
        tokio::time::timeout(patience, wait).await.unwrap_or_else(|_| late())?;

        let (lock, token) = (Arc::new(lock), cx.token.0);
        let held = Arc::clone(&lock);
        let dir = self.fences();
        let tokens = blocking(move || raise(&held, &dir, token)).await?;
        match tokens {
            Some(tokens) => Ok(Desk { outbox: self.clone(), lock, tokens }),
            None => Err(Trouble::Superseded),
        }
    }

    /// What is there, without the lock: read-only.
    pub(crate) async fn look(&self, cx: &Cx) -> Answer<Found> {
        let (outbox, cx) = (self.clone(), cx.clone());
        blocking(move || {
            let tokens = match File::open(outbox.fence(&cx)) {
                Ok(mut file) => read_tokens(&mut file)?,
                Err(error) if error.kind() == ErrorKind::NotFound => vec![],
                Err(error) => return Err(error),
            };
            let mut found = Found { ours: 0, foreign: 0 };
            for token in tokens {
                match outbox.seen(&cx, token)? {
                    Seen::Nothing => {}
                    Seen::Ours(_) => found.ours += 1,
                    Seen::Foreign => found.foreign += 1,
                }
            }
            Ok(found)
        })
        .await
    }

    fn fences(&self) -> PathBuf {
        self.0.join(".fence")
    }

    fn fence(&self, cx: &Cx) -> PathBuf {
        self.fences().join(cx.tenant.simple())
    }

    fn mail(&self, cx: &Cx, token: i64) -> PathBuf {
        self.0.join(format!("{}.eml", message(cx, token)))
    }

    /// A mail that is being written.
    fn draft(&self, cx: &Cx, token: i64) -> PathBuf {
        self.0.join(format!(".{}.tmp", message(cx, token)))
    }

    fn open(&self, fence: &Path) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(self.fences())?;
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(fence)
    }

    fn seen(&self, cx: &Cx, token: i64) -> io::Result<Seen> {
        let path = self.mail(cx, token);
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Seen::Nothing),
            Err(error) => return Err(error),
            Ok(meta) if !meta.is_file() || meta.len() > LARGEST => return Ok(Seen::Foreign),
            Ok(_) => {}
        }
        let text = match std::fs::read(&path) {
            // Picked up between the two looks.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Seen::Nothing),
            read => String::from_utf8_lossy(&read?).into_owned(),
        };
        let ours = mail::header(&text, mail::OWNER).is_some_and(|tag| cx.owns(tag));
        let expires = mail::header(&text, mail::EXPIRES).and_then(|text| text.parse().ok());
        Ok(expires.filter(|_| ours).map_or(Seen::Foreign, |at| Seen::Ours(Time(at))))
    }

    fn remove(&self, cx: &Cx, token: i64) -> io::Result<()> {
        let mut paths = vec![self.draft(cx, token)];
        if let Seen::Ours(_) = self.seen(cx, token)? {
            paths.push(self.mail(cx, token));
        }
        for path in paths {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Desk {
    /// Until when the link of this question's mail can be used, if the mail stands.
    ///
    /// # Errors
    /// `owned_by_other` where a file of that name is not ours.
    pub(crate) async fn standing(&self, cx: &Cx) -> Answer<Option<Time>> {
        match self.work(cx, |outbox, cx| outbox.seen(cx, cx.token.0)).await? {
            Seen::Nothing => Ok(None),
            Seen::Ours(expires) => Ok(Some(expires)),
            Seen::Foreign => Err(Trouble::no(
                Code::OwnedByOther,
                Class::Conflict,
                "a file in the outbox has the name of this mail and no owner tag of ours",
            )),
        }
    }

    /// Writes this question's mail, whole or not at all, and takes away the tenant's earlier ones: their links are dead.
    pub(crate) async fn write(&self, cx: &Cx, text: String) -> Answer<()> {
        let tokens = self.tokens.clone();
        self.work(cx, move |outbox, cx| {
            let draft = outbox.draft(cx, cx.token.0);
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(draft, outbox.mail(cx, cx.token.0))?;
            for token in tokens.into_iter().filter(|token| *token < cx.token.0) {
                outbox.remove(cx, token)?;
            }
            File::open(&outbox.0)?.sync_all()
        })
        .await
    }

    /// Removes all mails of the tenant that are ours.
    pub(crate) async fn remove(&self, cx: &Cx) -> Answer<()> {
        let tokens = self.tokens.clone();
        self.work(cx, move |outbox, cx| {
            tokens.into_iter().try_for_each(|token| outbox.remove(cx, token))?;
            File::open(&outbox.0)?.sync_all()
        })
        .await
    }

    /// Work on files, under the lock until it is done even if nobody waits for it any more.
    async fn work<T: Send + 'static>(
        &self,
        cx: &Cx,
        work: impl FnOnce(&Outbox, &Cx) -> io::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (lock, outbox, cx) = (Arc::clone(&self.lock), self.outbox.clone(), cx.clone());
        blocking(move || {
            let done = work(&outbox, &cx);
            drop(lock);
            done
        })
        .await
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

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| trouble(&error)),
        Err(_) => Err(Trouble::shaky("the process is ending")),
    }
}

fn trouble(error: &io::Error) -> Trouble {
    let kind = error.kind();
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
        let message = format!("the outbox directory cannot be used: {kind}; look at its path and its rights");
        return Trouble::no(Code::Misconfigured, Class::Config, message);
    }
    Trouble::Shaky(format!("the outbox directory: {kind}"))
}
