//! Text that is not to be shown, and how the rest of a setting is shown without it.

use std::fmt;
use std::path::Path;

use crate::out::{Refused, usage};

/// Text that never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Reads a file, without the white space around its text.
    ///
    /// # Errors
    /// Where the file cannot be read or holds nothing.
    pub fn read(path: &Path) -> Result<Self, Refused> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            usage(
                "file_unreadable",
                format!("{}: {error}; name a file that this user can read", path.display()),
            )
        })?;
        let text = text.trim();
        if text.is_empty() {
            return Err(usage(
                "file_empty",
                format!("{} holds nothing; write the value into it", path.display()),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself, for whoever must use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// A URL without its password.
pub fn url_shown(url: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let mut shown = match (base.split_once("://"), base.rfind('@')) {
        (Some((scheme, rest)), Some(_)) => {
            // The last @ ends the user: a password may hold one that is not escaped.
            let (user, host) = rest.rsplit_once('@').unwrap_or(("", rest));
            let name = user.split(':').next().unwrap_or_default();
            let password = if user.contains(':') { ":***" } else { "" };
            format!("{scheme}://{name}{password}@{host}")
        }
        _ => base.to_owned(),
    };
    if let Some(query) = query {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((name, _)) if is_secret(name) => format!("{name}=***"),
                _ => pair.to_owned(),
            })
            .collect();
        shown = format!("{shown}?{}", pairs.join("&"));
    }
    shown
}

/// The value of a Kafka property, unless its name says that it is secret.
pub fn property_shown<'a>(name: &str, value: &'a str) -> &'a str {
    if is_secret(name) { "***" } else { value }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let location = name.ends_with(".location");
    !location
        && ["password", "secret", "token", "jaas", ".pem", "key.pem"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown_wherever_it_stands() {
        let shown = url_shown("postgres://me:p@ss:w@db.example:5433/store?sslmode=require&password=hidden");
        assert_eq!(shown, "postgres://me:***@db.example:5433/store?sslmode=require&password=***");
        assert_eq!(url_shown("postgres://me@db/store"), "postgres://me@db/store");
        assert_eq!(url_shown("postgres://db/store"), "postgres://db/store");
        for name in ["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret", "ssl.key.pem"] {
            assert_eq!(property_shown(name, "x"), "***", "{name}");
        }
        assert_eq!(property_shown("ssl.ca.location", "/ca.pem"), "/ca.pem");
        assert_eq!(format!("{:?}", Secret::new("x")), "Secret(***)");
    }
}
