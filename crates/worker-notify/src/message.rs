//! What is said to whom: the templates of `schemas/messages`, and a mail from them.
//!
//! A template's first line is the subject, the rest after an empty line is the text.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message};
use lettre::{Address, address::Envelope};
use minijinja::{Environment, UndefinedBehavior, context};
use tenantry_contracts::steps::notify::Input;
use tenantry_contracts::{Class, Code, Time};
use tenantry_step::{Answer, Cx, Trouble};

use crate::Settings;

/// The templates by name: what the contact reads, and what the platform's admins read.
const TEMPLATES: &[(&str, &str, &str)] = &[(
    "provisioned",
    include_str!("../../../schemas/messages/provisioned.contact.txt"),
    include_str!("../../../schemas/messages/provisioned.admin.txt"),
)];

/// The header that says whose the mail is.
const OWNER: &str = "X-Tenantry-Owner";

/// A mail without its date and id.
pub(crate) struct Letter {
    /// Its place among the recipients: 0 is the contact, the admins follow.
    pub(crate) recipient: usize,
    to: Address,
    subject: String,
    text: String,
}

/// Whether there is a template of this name.
pub(crate) fn known(name: &str) -> bool {
    TEMPLATES.iter().any(|(known, ..)| *known == name)
}

/// The places among the recipients that an input speaks to.
pub(crate) fn recipients(input: &Input, admins: usize) -> impl Iterator<Item = usize> {
    (0..=admins).skip(usize::from(input.email.is_none()))
}

/// The letters of an input, one for each recipient.
///
/// # Errors
/// `email_invalid` at `/email`; `misconfigured` for an unknown template; a sealed field does not open. No message
/// repeats an address or a name.
pub(crate) fn letters(
    cx: &Cx,
    input: &Input,
    admins: &[Address],
    settings: &Settings,
) -> Answer<Vec<Letter>> {
    let found = TEMPLATES.iter().find(|(name, ..)| *name == input.template);
    let Some((_, contact, admin)) = found else {
        let message = "there is no message template of this name; the plan and the worker differ in version";
        return Err(Trouble::no_at(Code::Misconfigured, Class::Config, "/template", message));
    };
    // A name of several lines could else pretend to be more of the mail.
    let name = cx.open("name", &input.name)?;
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let email = match &input.email {
        Some(sealed) => Some(address(&cx.open("admin.email", sealed)?).ok_or_else(|| {
            let message = "this cannot be an e-mail address; send one of the form local@domain";
            Trouble::no_at(Code::EmailInvalid, Class::Validation, "/email", message)
        })?),
        None => None,
    };
    let values = context! {
        name, display => input.display, tier => input.tier,
        slug => cx.slug.as_str(), environment => cx.environment.as_str(),
        base_url => settings.base_url, support_url => settings.support_url,
    };
    let addresses = email.iter().map(|to| (contact, to)).chain(admins.iter().map(|to| (admin, to)));
    let letters = recipients(input, admins.len()).zip(addresses).map(|(recipient, (template, to))| {
        let (subject, text) = render(template, &values)?;
        Ok(Letter { recipient, to: to.clone(), subject, text })
    });
    letters.collect()
}

/// An address, if it is one that can stand in a header.
pub(crate) fn address(text: &str) -> Option<Address> {
    text.parse().ok().filter(|_| !text.chars().any(|c| c.is_control() || c.is_whitespace()))
}

fn render(template: &str, values: &minijinja::Value) -> Answer<(String, String)> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let rendered = environment.render_str(template, values).ok();
    let parts = rendered.as_deref().and_then(|text| text.strip_prefix("Subject: ")?.split_once("\n\n"));
    let (subject, text) = parts.ok_or_else(|| {
        Trouble::no(Code::Bug, Class::Bug, "a message template of this version cannot be filled in")
    })?;
    Ok((subject.to_owned(), text.to_owned() + "\n"))
}

impl Letter {
    /// The mail as it goes over the wire and into files, with the addresses that it goes to.
    pub(crate) fn mail(&self, cx: &Cx, id: &str, from: &Mailbox) -> Answer<(Envelope, Vec<u8>)> {
        let header = |name: &'static str, value: String| {
            let name = HeaderName::new_from_ascii_str(name);
            // On one line: the value is printable ASCII and far below the 998 that a line may have.
            HeaderValue::dangerous_new_pre_encoded(name, value.clone(), value)
        };
        let Time(now) = cx.now;
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(now).unwrap_or(0));
        let mail = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, self.to.clone()))
            .subject(self.subject.clone())
            .date(date)
            .message_id(Some(format!("<{id}@tenantry>")))
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
            .raw_header(header(OWNER, tag(cx)))
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(self.text.clone())
            .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "a mail could not be put together"))?;
        Ok((mail.envelope().clone(), mail.formatted()))
    }
}

/// Whether a mail in a file is this tenant's, whichever question wrote it.
pub(crate) fn is_ours(cx: &Cx, mail: &[u8]) -> bool {
    let text = String::from_utf8_lossy(mail);
    let mut head = text.split("\r\n").take_while(|line| !line.is_empty());
    let have = head.find_map(|line| line.strip_prefix(OWNER)?.strip_prefix(": "));
    let own = tag(cx);
    match (have.and_then(|have| have.rsplit_once('=')), own.rsplit_once('=')) {
        (Some((have, token)), Some((own, _))) => {
            have == own && !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// The owner tag as it can stand in a header.
fn tag(cx: &Cx) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    cx.owner_tag().chars().map(printable).take(900).collect()
}
