//! Secrets are refused, not carried: what is published stays on the topic for as long as it is kept there.
//!
//! A net for mistakes, not a proof: a secret under an innocent name passes, and is sealed with everything else.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::draft::Parts;
use crate::{Code, Refusal, pointer};

/// Member names that hold a secret, without case, `_` and `-`.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "clientsecret",
    "secretkey",
    "apikey",
    "apisecret",
    "accesskey",
    "secretaccesskey",
    "privatekey",
    "accesstoken",
    "refreshtoken",
    "authtoken",
];

/// Refuses settings in which a secret stands. `at` is where the parts stand in the document.
///
/// # Errors
/// `secret_in_request` with the pointer of the secret.
pub(super) fn refuse(parts: &Parts, at: &str) -> Result<(), Refusal> {
    for (name, part) in parts {
        let mut place = at.to_owned();
        pointer::push(&mut place, name);
        let mut found = None;
        let mut input = serde_json::Deserializer::from_str(part.text());
        let look = Look { place: &mut place, found: &mut found, secret: is_name(name) };
        // The text was read as JSON before, and the look itself fails only on what it has found.
        let _ = look.deserialize(&mut input);
        if let Some(place) = found {
            return Err(refusal().at(pointer::shown(&place)));
        }
    }
    Ok(())
}

/// The refusal of a secret; the pointer is the caller's to set.
pub(super) fn refusal() -> Refusal {
    Refusal::new(Code::SecretInRequest, "a secret stands in the request")
}

/// Whether a text is a connection string or URL with a password in it. A placeholder in braces or angles is none.
pub(super) fn is_in(text: &str) -> bool {
    let in_pairs = text.match_indices('=').any(|(at, _)| {
        let (before, after) = (text[..at].trim_end(), text[at + 1..].trim_start());
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        let value = after.split([';', '&', ' ', '\n', '"', '\'']).next().unwrap_or_default();
        is_name(name) && !is_placeholder(value)
    });
    let in_url = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let account = authority.rsplit_once('@').map_or("", |(account, _)| account);
        account.split_once(':').is_some_and(|(_, password)| !is_placeholder(password))
    });
    in_pairs || in_url
}

fn is_placeholder(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || [("{", "}"), ("<", ">"), ("${", "}")].iter().any(|(open, close)| {
            value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(|name| {
                name.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'{' | b'}'))
            })
        })
}

fn is_name(name: &str) -> bool {
    let plain: String = name
        .trim()
        .chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    NAMES.contains(&plain.as_str())
}

/// Looks through one value; ends with an error where it finds a secret.
struct Look<'l> {
    place: &'l mut String,
    found: &'l mut Option<String>,
    /// The value stands under the name of a secret.
    secret: bool,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if (self.secret && !is_placeholder(text)) || is_in(text) {
            *self.found = Some(self.place.clone());
            return Err(E::custom("secret"));
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let parent = self.place.len();
        while let Some(name) = map.next_key::<String>()? {
            pointer::push(self.place, &name);
            let secret = is_name(&name);
            map.next_value_seed(Look { place: &mut *self.place, found: &mut *self.found, secret })?;
            self.place.truncate(parent);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let parent = self.place.len();
        for index in 0_usize.. {
            pointer::push_index(self.place, index);
            let look = Look { place: &mut *self.place, found: &mut *self.found, secret: self.secret };
            let more = seq.next_element_seed(look)?.is_some();
            self.place.truncate(parent);
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_connection_strings_are_found_and_placeholders_are_not() {
        for bad in [
            "Host=db;Username=a;Password=hunter2",
            "Server=db; pwd = hunter2",
            "postgres://a:hunter2@db/acme",
            "host=db user=a password=hunter2",
            "jdbc:postgresql://db/acme?user=a&password=hunter2",
            "postgres://a:p@ss@db/acme",
        ] {
            assert!(is_in(bad), "{bad}");
        }
        for good in [
            "Host=db;Username=a;Password={password}",
            "postgres://db/acme",
            "postgres://a@db/acme",
            "postgres://{user}:{password}@db/acme",
            "Host=db;Database={tenant}",
            "https://issuer.example.com/realms/acme",
            "The password is reset by mail",
        ] {
            assert!(!is_in(good), "{good}");
        }
    }

    #[test]
    fn a_secret_in_settings_is_named_by_its_place() {
        let parts: Parts = serde_json::from_str(
            r#"{"smtp":{"hosts":["a",{"client_secret":"x"}]},"passwordPolicy":"strict"}"#,
        )
        .unwrap();
        let refusal = refuse(&parts, "/configuration/settings").unwrap_err();
        assert_eq!(refusal.code, Code::SecretInRequest);
        assert_eq!(refusal.pointer.as_deref(), Some("/configuration/settings/smtp/hosts/1/client_secret"));
        let parts: Parts = serde_json::from_str(r#"{"passwordPolicy":"strict","password":null}"#).unwrap();
        assert_eq!(refuse(&parts, ""), Ok(()));
    }
}
