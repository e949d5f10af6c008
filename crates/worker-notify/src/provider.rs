//! The provider carries a mail away: into an outbox directory, from where a mail transport takes it, or to an SMTP
//! server.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::{self, AsyncSmtpTransportBuilder, PoolConfig};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tenantry_contracts::{Class, Code};
use tenantry_step::files::{Held, remove, write_whole};
use tenantry_step::{Answer, Cx, Trouble};

use crate::message;

/// Larger than any mail of ours: what is larger is somebody else's.
const LARGEST: u64 = 64 * 1024;
/// How long a mail server may take for one reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// How mails leave.
pub enum Transport {
    /// Into this directory, one file each, named `notify-<tenant>-<token>-<recipient>.eml`.
    Files(PathBuf),
    /// To this server: `smtp://` or `smtps://`, with an optional user and password; `smtp://...?tls=required` asks for
    /// STARTTLS.
    Smtp(String),
}

pub(crate) enum Carrier {
    Files(PathBuf),
    Smtp(Box<Smtp>),
}

/// A mail server, with the connections that are open to it.
pub(crate) struct Smtp {
    settings: AsyncSmtpTransportBuilder,
    pool: OnceLock<AsyncSmtpTransport<Tokio1Executor>>,
}

/// What lies in a mail's place.
#[derive(PartialEq)]
enum Lying {
    Nothing,
    Ours,
    Foreign,
}

impl Carrier {
    /// # Errors
    /// `misconfigured` where the server's address is none. The message does not repeat it: it can hold a password.
    pub(crate) fn new(transport: Transport) -> Answer<Self> {
        match transport {
            Transport::Files(dir) => Ok(Self::Files(dir)),
            Transport::Smtp(url) => {
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url).map_err(|_| {
                    let message = "the mail server's address is none; use smtp://host:port or \
                                   smtps://user:password@host:port";
                    Trouble::no(Code::Misconfigured, Class::Config, message)
                })?;
                // Kept connections are not only faster: without them a connection that breaks after the server took
                // the mail would count as a failure.
                let pool = PoolConfig::new().max_size(4).idle_timeout(Duration::from_secs(30));
                let settings = builder.timeout(Some(PATIENCE)).pool_config(pool);
                Ok(Self::Smtp(Box::new(Smtp { settings, pool: OnceLock::new() })))
            }
        }
    }

    /// Refuses where a file that is not ours has the name of this mail.
    pub(crate) async fn check(&self, held: &Held, cx: &Cx, id: &str) -> Answer<()> {
        let Self::Files(out) = self else { return Ok(()) };
        let path = place(out, id);
        match held.work(cx, move |_, cx| lying(&path, cx)).await? {
            Lying::Nothing | Lying::Ours => Ok(()),
            Lying::Foreign => Err(foreign()),
        }
    }

    /// Carries one mail away. A file that stands already is the mail.
    ///
    /// # Errors
    /// `mail_refused` where the server will never take it; shaky where it may later, and where nobody can tell.
    pub(crate) async fn send(&self, held: &Held, cx: &Cx, id: &str, mail: (Envelope, Vec<u8>)) -> Answer<()> {
        let (envelope, bytes) = mail;
        match self {
            Self::Files(out) => {
                let (path, draft) = (place(out, id), draft(out, cx));
                let out = out.clone();
                let write = move |_: &Path, cx: &Cx| {
                    let found = lying(&path, cx)?;
                    if found == Lying::Nothing {
                        DirBuilder::new().recursive(true).mode(0o700).create(out)?;
                        write_whole(&path, &draft, &bytes)?;
                    }
                    Ok(found)
                };
                match held.work(cx, write).await? {
                    Lying::Nothing | Lying::Ours => Ok(()),
                    Lying::Foreign => Err(foreign()),
                }
            }
            Self::Smtp(server) => {
                let pool = server.pool.get_or_init(|| server.settings.clone().build());
                let left = Duration::from_millis(cx.left_ms().min(60_000));
                match tokio::time::timeout(left, pool.send_raw(&envelope, &bytes)).await {
                    Ok(sent) => sent.map(drop).map_err(|error| trouble(&error)),
                    Err(_) => Err(Trouble::shaky("the mail server did not answer in time")),
                }
            }
        }
    }

    /// Takes back the mails with these ids that were not picked up. What went to a server stays sent.
    pub(crate) async fn take_back(&self, held: &Held, cx: &Cx, ids: Vec<String>) -> Answer<()> {
        let Self::Files(out) = self else { return Ok(()) };
        let out = out.clone();
        let take = move |_: &Path, cx: &Cx| {
            remove(&draft(&out, cx))?;
            for path in ids.iter().map(|id| place(&out, id)) {
                if lying(&path, cx)? == Lying::Ours {
                    remove(&path)?;
                }
            }
            match std::fs::File::open(&out) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                out => out?.sync_all(),
            }
        };
        held.work(cx, take).await
    }

    /// Whether a file that is not ours has one of these ids. Read-only.
    pub(crate) fn foreign(&self) -> impl Fn(&Cx, &str) -> io::Result<bool> + Send + 'static {
        let out = match self {
            Self::Files(out) => Some(out.clone()),
            Self::Smtp(_) => None,
        };
        move |cx, id| match &out {
            Some(out) => Ok(lying(&place(out, id), cx)? == Lying::Foreign),
            None => Ok(false),
        }
    }
}

fn place(out: &Path, id: &str) -> PathBuf {
    out.join(format!("{id}.eml"))
}

/// A mail that is being written; the tenant's lock is held.
fn draft(out: &Path, cx: &Cx) -> PathBuf {
    out.join(format!(".notify-{}.tmp", cx.tenant.simple()))
}

fn foreign() -> Trouble {
    let message = "a file in the outbox has the name of this mail and no owner tag of ours";
    Trouble::no(Code::OwnedByOther, Class::Conflict, message)
}

fn lying(path: &Path, cx: &Cx) -> io::Result<Lying> {
    match path.symlink_metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lying::Nothing),
        Err(error) => return Err(error),
        Ok(meta) if !meta.is_file() || meta.len() > LARGEST => return Ok(Lying::Foreign),
        Ok(_) => {}
    }
    match std::fs::read(path) {
        // Picked up between the two looks.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Lying::Nothing),
        mail => Ok(if message::is_ours(cx, &mail?) { Lying::Ours } else { Lying::Foreign }),
    }
}

/// What a server's reply means. Its words are not repeated: servers repeat addresses in them.
fn trouble(error: &smtp::Error) -> Trouble {
    let reply = error.status().map(|code| format!(" with {code}")).unwrap_or_default();
    if error.is_permanent() {
        let message = format!("the mail server refused the message or its recipient for good{reply}");
        return Trouble::no(Code::MailRefused, Class::Business, message);
    }
    if error.is_client() {
        let message = "the mail server cannot do what this message or the configured login needs \
                       (STARTTLS, a way to log in, or addresses beyond ASCII)";
        return Trouble::no(Code::Misconfigured, Class::Config, message);
    }
    if error.is_transient() {
        return Trouble::Shaky(format!("the mail server refused for now{reply}"));
    }
    Trouble::shaky("the mail server cannot be reached, or the connection to it broke")
}
