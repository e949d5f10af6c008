//! The outbox: a directory of mails, one file each. Mails are named by tenant and token, hence the tokens of a tenant's
//! fence also say which mails there can be.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tenantry_contracts::{Class, Code, Time};
use tenantry_step::files::{Folder, Held, remove, write_whole};
use tenantry_step::{Answer, Cx, Trouble};

use crate::mail;

/// Larger than any mail of ours: what is larger is somebody else's.
const LARGEST: u64 = 64 * 1024;

/// The name of the mail that a question writes, without its ending.
pub(crate) fn message(cx: &Cx, token: i64) -> String {
    format!("{}-{token}", cx.tenant.simple())
}

#[derive(Clone)]
pub(crate) struct Outbox(Folder);

/// A place at the outbox: the tenant's lock is held, and its fence stands at the question's token.
pub(crate) struct Desk(Held);

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
        Self(Folder::new(dir, "outbox directory", ".fence"))
    }

    /// Locks the tenant and raises its fence.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where the fence stands higher; shaky where another question holds the lock for too long.
    pub(crate) async fn enter(&self, cx: &Cx) -> Answer<Desk> {
        Ok(Desk(self.0.enter(cx).await?))
    }

    /// What is there, without the lock: read-only.
    pub(crate) async fn look(&self, cx: &Cx) -> Answer<Found> {
        let count = |dir: &Path, cx: &Cx, tokens: &[i64]| -> io::Result<Found> {
            let mut found = Found { ours: 0, foreign: 0 };
            for token in tokens {
                match seen(dir, cx, *token)? {
                    Seen::Nothing => {}
                    Seen::Ours(_) => found.ours += 1,
                    Seen::Foreign => found.foreign += 1,
                }
            }
            Ok(found)
        };
        self.0.look(cx, count).await
    }
}

impl Desk {
    /// Until when the link of this question's mail can be used, if the mail stands.
    ///
    /// # Errors
    /// `owned_by_other` where a file of that name is not ours.
    pub(crate) async fn standing(&self, cx: &Cx) -> Answer<Option<Time>> {
        match self.0.work(cx, |dir, cx| seen(dir, cx, cx.token.0)).await? {
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
        let tokens = self.0.tokens().to_vec();
        let write = move |dir: &Path, cx: &Cx| {
            let token = cx.token.0;
            write_whole(&mail_path(dir, cx, token), &draft(dir, cx, token), text.as_bytes())?;
            take_away(dir, cx, tokens.into_iter().filter(|earlier| *earlier < token))
        };
        self.0.work(cx, write).await
    }

    /// Removes all mails of the tenant that are ours.
    pub(crate) async fn remove(&self, cx: &Cx) -> Answer<()> {
        let tokens = self.0.tokens().to_vec();
        self.0.work(cx, move |dir, cx| take_away(dir, cx, tokens.into_iter())).await
    }
}

fn mail_path(dir: &Path, cx: &Cx, token: i64) -> PathBuf {
    dir.join(format!("{}.eml", message(cx, token)))
}

/// A mail that is being written.
fn draft(dir: &Path, cx: &Cx, token: i64) -> PathBuf {
    dir.join(format!(".{}.tmp", message(cx, token)))
}

fn seen(dir: &Path, cx: &Cx, token: i64) -> io::Result<Seen> {
    let path = mail_path(dir, cx, token);
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

/// Removes the mails of these tokens that are ours, durably.
fn take_away(dir: &Path, cx: &Cx, tokens: impl Iterator<Item = i64>) -> io::Result<()> {
    for token in tokens {
        remove(&draft(dir, cx, token))?;
        if let Seen::Ours(_) = seen(dir, cx, token)? {
            remove(&mail_path(dir, cx, token))?;
        }
    }
    std::fs::File::open(dir)?.sync_all()
}
