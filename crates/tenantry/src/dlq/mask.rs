//! What may be seen of a letter: nothing personal and no secret, unless somebody asks for it by name.
//!
//! What a member means is known for few members, so those are named here and everything else is masked. What is sealed
//! stays sealed in any case: this command has no keys.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::out::plain;

/// Members of requests and operations whose values say nothing of a person.
const OPEN: [&str; 37] = [
    "actor",
    "approval",
    "billing_cycle",
    "billingCycle",
    "cell",
    "code",
    "data_residency",
    "demo_data",
    "demoData",
    "encryption",
    "environment",
    "expected_version",
    "features",
    "fleet",
    "id",
    "initiator",
    "integrations",
    "kind",
    "modules",
    "pack",
    "plan",
    "region",
    "requestedSeats",
    "residency",
    "retention_days",
    "row",
    "seats",
    "slug",
    "source",
    "specversion",
    "step",
    "storage_bytes",
    "supersedes",
    "tenant",
    "tier",
    "type",
    "verb",
];

/// Headers that are shown as they are: ours, the tools', and those of envelopes.
const HEADERS: [&str; 14] = [
    "content-type",
    "deadline",
    "id",
    "replay_batch",
    "replay_count",
    "replay_edited",
    "replay_manifest",
    "replay_of",
    "row",
    "saga",
    "tenant",
    "tenantry_forwarded_from",
    "token",
    "type",
];

/// What stands for a masked value.
const MASKED: &str = "(masked)";

/// A value for people. `trusted`: the record has the fleet's own closed shape, in which what is personal is sealed.
pub(super) fn value(bytes: Option<&Bytes>, trusted: bool, reveal: bool) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match serde_json::from_slice(bytes) {
        Ok(read) => tree(read, trusted || reveal, false),
        Err(_) if reveal => Value::String(plain(&String::from_utf8_lossy(bytes))),
        Err(_) => Value::String(format!("({} bytes that are no JSON; --reveal shows them)", bytes.len())),
    }
}

/// `trusted`: all is shown but what is sealed. `open`: what stands here belongs to a member of [`OPEN`].
fn tree(read: Value, trusted: bool, open: bool) -> Value {
    match read {
        // Sealed values look like this wherever they stand.
        Value::String(text) if text.starts_with("v1:1:") => Value::String("sealed".into()),
        Value::Object(members) => {
            let shown = |(name, value): (String, Value)| {
                // The name of a member may be anybody's too, where the document is not ours.
                let name = if trusted || word(&name) { name } else { MASKED.into() };
                let open = OPEN.contains(&name.as_str());
                (name, tree(value, trusted, open))
            };
            Value::Object(members.into_iter().map(shown).collect::<Map<_, _>>())
        }
        Value::Array(values) => {
            Value::Array(values.into_iter().map(|value| tree(value, trusted, open)).collect())
        }
        // Upstream may have put anything into the wrong member.
        Value::String(text) if trusted || (open && word(&text)) => Value::String(text),
        Value::Number(number) if trusted || open => Value::Number(number),
        Value::String(_) | Value::Number(_) => Value::String(MASKED.into()),
        other => other,
    }
}

/// A text that looks like a name in a contract: no address, no sentence.
fn word(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:".contains(c))
}

/// A header's value for people.
pub(super) fn header(name: &str, value: &[u8], reveal: bool) -> String {
    let shown = reveal
        || HEADERS.contains(&name)
        || ["ce_", "dlq_", "kafka_dlt-", "trace"].iter().any(|stem| name.starts_with(stem));
    match std::str::from_utf8(value) {
        _ if !shown => format!("({} bytes; --reveal shows them)", value.len()),
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => format!("0x{}", hex::encode(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_its_shape_and_nobody() {
        let text = r#"{"name":"Ada Lovelace","slug":"acme","seats":5,"admin":{"email":"ada@acme.example","phone":5550100},
            "plan":"starter","features":["sso"],"region":"ada@acme.example","step":{"name":"Ada"},"ada@acme.example":1,"secret":"v1:1:AAAA"}"#;
        let bytes = Bytes::from_static(text.as_bytes());
        let shown = value(Some(&bytes), false, false).to_string();
        for gone in ["Ada", "ada@", "5550100", "AAAA"] {
            assert!(!shown.contains(gone), "{gone}: {shown}");
        }
        for kept in
            ["\"slug\":\"acme\"", "\"seats\":5", "\"plan\":\"starter\"", "\"sso\"", "\"email\":\"(masked)\""]
        {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        let revealed = value(Some(&bytes), false, true).to_string();
        assert!(revealed.contains("ada@acme.example") && !revealed.contains("AAAA"), "sealed stays sealed");
    }

    #[test]
    fn bytes_that_are_no_document_are_counted_not_shown() {
        let bytes = Bytes::from_static(b"ada@acme.example \x1b[31m");
        assert_eq!(value(Some(&bytes), true, false), "(22 bytes that are no JSON; --reveal shows them)");
        assert_eq!(value(Some(&bytes), true, true), "ada@acme.example \\u{1b}[31m");
        assert_eq!(value(None, true, false), Value::Null);
    }

    #[test]
    fn headers_of_strangers_are_masked() {
        assert_eq!(header("authorization", b"Bearer abc", false), "(10 bytes; --reveal shows them)");
        assert_eq!(header("ce_type", b"tenant.requested.v1", false), "tenant.requested.v1");
        assert_eq!(header("kafka_dlt-original-offset", &[0, 1], false), "0x0001");
    }
}
