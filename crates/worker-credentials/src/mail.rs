//! The mail and the secret in it. Plain text, so that a person who opens the file in an outbox can read it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use tenantry_contracts::{Class, Code, Time};
use tenantry_step::{Answer, Cx, Trouble};

/// How long a link can be used.
const LIFETIME_MS: i64 = 72 * 3_600_000;

/// The header that says whose the mail is.
pub(crate) const OWNER: &str = "X-Tenantry-Owner: ";
/// The header that says until when its link can be used, in milliseconds since 1970.
pub(crate) const EXPIRES: &str = "X-Tenantry-Expires: ";

/// A mail with a fresh secret. Never printed.
pub(crate) struct Mail {
    pub(crate) text: String,
    /// SHA-256 of the secret as it stands in the link.
    pub(crate) hash: Vec<u8>,
    pub(crate) expires: Time,
}

impl Mail {
    /// Mints a secret and writes the mail around it.
    pub(crate) fn mint(cx: &Cx, base_url: &str, email: &str, name: &str) -> Self {
        let secret = Sha256::new()
            .chain_update(b"tenantry/1\nclaim link\n")
            .chain_update(cx.tenant.0.as_bytes())
            .chain_update(cx.entropy)
            .finalize();
        let secret = URL_SAFE_NO_PAD.encode(secret);
        let hash = Sha256::digest(&secret).to_vec();
        let expires = cx.now.plus(LIFETIME_MS);
        // A name of several lines could else pretend to be more of the mail.
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = format!(
            "To: <{email}>\r\n\
             Subject: Your tenant is ready\r\n\
             Date: {date}\r\n\
             Message-ID: <{id}@tenantry>\r\n\
             {OWNER}{owner}\r\n\
             {EXPIRES}{until}\r\n\
             MIME-Version: 1.0\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\
             \r\n\
             {name} is ready. With this link you claim its first administrator's account:\r\n\
             \r\n\
             {base_url}/claim/{secret}\r\n\
             \r\n\
             It works once, until {expires}. Whoever has it can use it: do not pass it on.\r\n",
            date = date(cx.now),
            id = crate::outbox::message(cx, cx.token.0),
            owner = cx.owner_tag(),
            until = expires.0,
        );
        Self { text, hash, expires }
    }
}

fn date(at: Time) -> String {
    DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default().to_rfc2822()
}

/// Checks that an address can stand in a header and nothing else can be smuggled in with it.
///
/// # Errors
/// `email_invalid` at `/email`. The message never repeats the address.
pub(crate) fn address(email: String) -> Answer<String> {
    let sound = email.len() <= 254
        && email
            .split_once('@')
            .is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
        && !email.chars().any(|c| c.is_control() || c.is_whitespace() || "<>,;:\"\\()[]".contains(c));
    if sound {
        return Ok(email);
    }
    let message = "this cannot be an e-mail address; send one of the form local@domain";
    Err(Trouble::no_at(Code::EmailInvalid, Class::Validation, "/email", message))
}

/// A header of a mail that was written by [`Mail::mint`].
pub(crate) fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split("\r\n").take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(name))
}
