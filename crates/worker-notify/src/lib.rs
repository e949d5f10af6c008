//! Worker `notify`: the contact and the platform's admins hear how it went.
//!
//! Each recipient gets one message for each tenant and template, however often it is asked for: a message that was sent
//! is not sent again by a later question. A crash while a message is on its way leaves open whether it went out; then it
//! is sent again with the same Message-ID, by which mail systems tell a repeat. That is right for a notification (better
//! twice than never) and for nothing else. A message cannot be unsent either: an undo takes back what still lies in the
//! outbox.

mod book;
mod message;
mod provider;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use lettre::Address;
use lettre::message::Mailbox;
use tenantry_contracts::steps::notify::{Input, Output, SEND};
use tenantry_contracts::{Class, Code, Json, StepName};
use tenantry_step::files::{Folder, Held, remove, write_whole};
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Step, Trouble};

use book::{Book, Found, State};
use provider::Carrier;

pub use provider::Transport;

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "notify.before-note",
    "notify.before-send",
    "notify.after-send",
    "notify.before-answer",
    "notify.before-take-back",
    "notify.before-forget",
    "notify.after-forget",
];

/// What stands in every message.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The sender, as in `Tenantry <no-reply@example.com>`.
    pub from: String,
    /// Where tenants sign in.
    pub base_url: String,
    /// Where people get help.
    pub support_url: String,
}

/// Step `notify.send`.
pub struct Notify {
    folder: Folder,
    carrier: Carrier,
    from: Mailbox,
    admins: Vec<Address>,
    settings: Settings,
}

/// Makes a directory of the worker's with mode 0700 if it is not there, and tries whether it can be written.
///
/// # Errors
/// `misconfigured` where it cannot be.
pub async fn prepare(dir: impl Into<PathBuf>) -> Answer<()> {
    let dir = dir.into();
    let attempt = move || {
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let probe = format!(".notify-probe-{}", std::process::id());
        let (path, draft) = (dir.join(&probe), dir.join(probe + ".tmp"));
        write_whole(&path, &draft, b"")?;
        remove(&path)
    };
    match tokio::task::spawn_blocking(attempt).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            let kind = error.kind();
            let message = format!(
                "the directory of notifications cannot be used: {kind}; look at its path and its rights"
            );
            Err(Trouble::no(Code::Misconfigured, Class::Config, message))
        }
        Err(_) => Err(Trouble::shaky("the process is ending")),
    }
}

impl Notify {
    /// The step. What was sent is noted in the directory `state`, which is made with mode 0700 if it is not there; it
    /// may be the outbox of [`Transport::Files`]. `admins` are told beside the contact, each once.
    ///
    /// # Errors
    /// `misconfigured` where the mail server, the sender or an admin's address is none.
    pub fn new(
        state: impl Into<PathBuf>,
        transport: Transport,
        admins: &[String],
        settings: Settings,
    ) -> Answer<Self> {
        let no = |what: &str| {
            let message = format!("{what} is no e-mail address; write local@domain");
            Trouble::no(Code::Misconfigured, Class::Config, message)
        };
        let from = settings.from.parse().map_err(|_| no("the sender of notifications"))?;
        let mut known = Vec::new();
        for (at, admin) in admins.iter().enumerate() {
            let address = message::address(admin).ok_or_else(|| no(&format!("admin {}", at + 1)))?;
            if !known.contains(&address) {
                known.push(address);
            }
        }
        Ok(Self {
            folder: Folder::new(state, "directory of notifications", ".notify-fence"),
            carrier: Carrier::new(transport)?,
            from,
            admins: known,
            settings,
        })
    }

    /// The tenant's book, or a new one.
    async fn book(&self, held: &Held, cx: &Cx, input: &Input) -> Answer<Option<Book>> {
        let template = input.template.clone();
        match held.work(cx, move |dir, cx| book::read(dir, cx, &template)).await? {
            Found::Nothing => Ok(None),
            Found::Ours(book) => Ok(Some(book)),
            Found::Foreign => Err(Trouble::no(Code::OwnedByOther, Class::Conflict, FOREIGN_BOOK)),
        }
    }
}

const FOREIGN_BOOK: &str = "a note of messages in this tenant's name has no owner tag of ours";

/// The id of the message that a question sends to a recipient.
fn id(cx: &Cx, token: i64, recipient: usize) -> String {
    format!("notify-{}-{token}-{recipient}", cx.tenant.simple())
}

/// Notes how far a message is, durably.
async fn note(
    held: &Held,
    cx: &Cx,
    input: &Input,
    book: &mut Book,
    (recipient, id, state): (usize, &str, State),
) -> Answer<()> {
    book.set(recipient, id, state);
    let (book, template) = (book.clone(), input.template.clone());
    held.work(cx, move |dir, cx| book.write(dir, cx, &template)).await
}

impl Step for Notify {
    const NAME: StepName = SEND;
    const ONCE: bool = true;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("notify", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let letters = message::letters(cx, input, &self.admins, &self.settings)?;
        let mut messages = Vec::new();
        if letters.is_empty() {
            return Ok(Output { messages });
        }
        let held = self.folder.enter(cx).await?;
        let mut book = self.book(&held, cx, input).await?.unwrap_or_else(|| Book::new(cx));
        let mut refused = None;
        for letter in letters {
            let noted = book.note(letter.recipient).cloned();
            let id =
                noted.as_ref().map_or_else(|| id(cx, cx.token.0, letter.recipient), |noted| noted.id.clone());
            messages.push(id.clone());
            if noted.is_some_and(|noted| noted.state == State::Sent) {
                continue;
            }
            let mail = letter.mail(cx, &id, &self.from)?;
            self.carrier.check(&held, cx, &id).await?;
            cx.point("notify.before-note").await?;
            note(&held, cx, input, &mut book, (letter.recipient, &id, State::Sending)).await?;
            cx.point("notify.before-send").await?;
            match self.carrier.send(&held, cx, &id, mail).await {
                Ok(()) => {}
                // One address that is refused for good does not keep the others from hearing.
                Err(no @ Trouble::No { code: Code::MailRefused, .. }) => {
                    refused.get_or_insert(at(letter.recipient, no));
                    continue;
                }
                Err(trouble) => return Err(trouble),
            }
            cx.point("notify.after-send").await?;
            note(&held, cx, input, &mut book, (letter.recipient, &id, State::Sent)).await?;
        }
        cx.point("notify.before-answer").await?;
        refused.map_or(Ok(Output { messages }), Err)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        let held = self.folder.enter(cx).await?;
        cx.point("notify.before-take-back").await?;
        // A template that is not known was never sent, and its name must not lead to files.
        if message::known(&input.template) {
            let book = self.book(&held, cx, input).await?;
            let ids = book.iter().flat_map(|book| &book.notes).map(|note| note.id.clone()).collect();
            self.carrier.take_back(&held, cx, ids).await?;
            cx.point("notify.before-forget").await?;
            let template = input.template.clone();
            held.work(cx, move |dir, cx| book::forget(dir, cx, &template)).await?;
        }
        cx.point("notify.after-forget").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        if !message::known(&input.template) {
            return Ok(Observed::Absent);
        }
        let (template, foreign) = (input.template.clone(), self.carrier.foreign());
        let recipients: Vec<_> = message::recipients(input, self.admins.len()).collect();
        let look = move |dir: &std::path::Path, cx: &Cx, tokens: &[i64]| {
            let book = match book::read(dir, cx, &template)? {
                Found::Ours(book) => book,
                Found::Foreign => return Ok(Observed::Foreign { hint: FOREIGN_BOOK.to_owned() }),
                Found::Nothing => {
                    for (token, recipient) in
                        tokens.iter().flat_map(|token| recipients.iter().map(move |at| (token, at)))
                    {
                        if foreign(cx, &id(cx, *token, *recipient))? {
                            let hint = "a mail of this tenant's name has no owner tag of ours".to_owned();
                            return Ok(Observed::Foreign { hint });
                        }
                    }
                    return Ok(Observed::Absent);
                }
            };
            // A mail that was sent and is not there any more is as it should be: it was picked up.
            let missing = recipients.iter().filter_map(|recipient| {
                let have = match book.note(*recipient) {
                    Some(note) if note.state == State::Sent => return None,
                    Some(_) => "sending",
                    None => "nothing",
                };
                let (want, have) = (Json::of(&"sent").ok()?, Json::of(&have).ok()?);
                Some(Difference { path: format!("/messages/{recipient}"), want, have })
            });
            Ok(Observed::Ours { differences: missing.collect() })
        };
        self.folder.look(cx, look).await
    }

    /// Ids hold the token of the question that sent first, so only what was sent can be foreseen, or what would be
    /// refused.
    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let letters = message::letters(cx, input, &self.admins, &self.settings)?;
        let template = input.template.clone();
        let found = self.folder.look(cx, move |dir, cx, _| book::read(dir, cx, &template)).await?;
        let book = match found {
            Found::Nothing if letters.is_empty() => return Ok(Some(Output { messages: Vec::new() })),
            Found::Nothing => return Ok(None),
            Found::Ours(book) => book,
            Found::Foreign => return Err(Trouble::no(Code::OwnedByOther, Class::Conflict, FOREIGN_BOOK)),
        };
        let sent = |letter: &message::Letter| {
            let note = book.note(letter.recipient)?;
            (note.state == State::Sent).then(|| note.id.clone())
        };
        let messages: Option<Vec<_>> = letters.iter().map(sent).collect();
        Ok(messages.map(|messages| Output { messages }))
    }
}

/// Says which of the recipients it was, without their address.
fn at(recipient: usize, no: Trouble) -> Trouble {
    match no {
        Trouble::No { code, class, message, .. } if recipient == 0 => {
            Trouble::no_at(code, class, "/email", message)
        }
        Trouble::No { code, class, message, .. } => {
            Trouble::no(code, class, format!("admin {recipient}: {message}"))
        }
        other => other,
    }
}
