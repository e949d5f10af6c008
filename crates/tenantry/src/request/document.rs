//! The document of a request: read from a file, unwrapped where it is a CloudEvent already, looked at as the fleet will.

use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use serde::Serialize;
use tenantry_contracts::envelope::{self, Mode};
use tenantry_contracts::request::{self, Decoded, Kind};
use tenantry_contracts::{Headers, Record, RequestId, Time, Topic};

use super::{Ready, fresh_id};
use crate::out::{Refused, usage};

/// What is read of a file at most; more is refused by everybody.
const MOST: u64 = 5 << 20;

/// A document as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Document(Bytes);

/// A request in few words, in the fleet's own shape.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shortcut {
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slug: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plan: Option<String>,
    #[serde(rename = "admin", skip_serializing_if = "Option::is_none", serialize_with = "as_admin")]
    pub(crate) admin_email: Option<String>,
}

fn as_admin<S: serde::Serializer>(email: &Option<String>, out: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Admin<'a> {
        email: &'a Option<String>,
    }
    Admin { email }.serialize(out)
}

impl Document {
    /// Reads a file, or the standard input for `-`.
    pub(crate) fn read(path: &Path) -> Result<Self, Refused> {
        let mut bytes = Vec::new();
        let done = if path == Path::new("-") {
            std::io::stdin().lock().take(MOST).read_to_end(&mut bytes)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes))
        };
        done.map_err(|error| {
            usage("file_unreadable", format!("{}: {error}; name a file with the request", path.display()))
        })?;
        Ok(Self(bytes.into()))
    }

    /// Writes a document in the fleet's own shape.
    pub(crate) fn of(document: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self(serde_json::to_vec(document)?.into()))
    }

    /// Gives it its headers, and looks at it as the fleet will.
    pub(crate) fn ready(self, lanes: u16, now: Time, id: Option<&str>, source: Option<&str>) -> Ready {
        let record = |headers: Headers, value: &Bytes| Record {
            topic: Topic::Requests,
            partition: 0,
            offset: 0,
            at: now,
            key: None,
            headers,
            value: Some(value.clone()),
        };
        let found = record(Vec::new(), &self.0);
        let mut data = self.0.clone();
        let mut said = envelope::Attributes::default();
        // A file may hold a whole CloudEvent; its attributes go where binary mode has them.
        if let Ok(envelope) = envelope::read(&found)
            && envelope.mode == Mode::Structured
        {
            data = Bytes::copy_from_slice(envelope.data);
            said = envelope.attributes;
        }
        let id = RequestId {
            source: source.map(str::to_owned).or(said.source).unwrap_or_else(super::source),
            id: id.map(str::to_owned).or(said.id).unwrap_or_else(fresh_id),
        };
        let kind = said.kind.as_deref().unwrap_or(request::TYPE);
        let known = Kind::TYPES.iter().find(|(name, _)| *name == kind).map(|(name, _)| *name);
        let headers = |key: &str| {
            let mut headers =
                request::headers(known.unwrap_or(request::TYPE), &id, now, key, said.traceparent.as_deref());
            if known.is_none() {
                // A type that the fleet does not know is said as it is; it will say what it thinks of it.
                let kind = Bytes::copy_from_slice(kind.as_bytes());
                headers
                    .iter_mut()
                    .filter(|(name, _)| name == "ce_type")
                    .for_each(|(_, at)| *at = kind.clone());
            }
            headers
        };
        let decoded = request::decode(&record(headers("unknown"), &data), lanes, "starter");
        let (slug, refusal, heard) = match decoded {
            Decoded::Heard(heard) => (Some(heard.request.slug.clone()), None, Some(*heard)),
            Decoded::Refused { slug, refusal, .. } => (slug, Some(refusal), None),
            Decoded::Unreadable(refusal) => (None, Some(refusal), None),
        };
        let headers = headers(slug.as_ref().map_or("unknown", |slug| slug.as_str()));
        Ready { id, slug, refusal, heard, headers, data }
    }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::Code;

    use super::*;

    fn ready(text: &str, id: Option<&str>) -> Ready {
        Document(Bytes::copy_from_slice(text.as_bytes())).ready(4, Time(1_700_000_000_000), id, None)
    }

    fn header<'a>(ready: &'a Ready, name: &str) -> &'a str {
        let (_, value) = ready.headers.iter().find(|(have, _)| have == name).unwrap();
        std::str::from_utf8(value).unwrap()
    }

    #[test]
    fn a_plain_document_is_published_byte_for_byte_under_a_fresh_id() {
        let text = r#"{ "name": "Acme Corp",  "slug": "acme" }"#;
        let (one, two) = (ready(text, None), ready(text, None));
        assert_eq!(one.data, text.as_bytes());
        assert_eq!(one.slug.as_ref().map(|slug| slug.as_str()), Some("acme"));
        assert_eq!(one.refusal, None);
        assert_ne!(one.id.id, two.id.id);
        assert_eq!(
            (header(&one, "ce_source"), header(&one, "ce_subject")),
            (super::super::source().as_str(), "acme")
        );
        assert_eq!(header(&one, "ce_id"), one.id.id);
    }

    #[test]
    fn a_cloud_event_in_a_file_keeps_its_id_and_gives_up_its_wrapping() {
        let text = r#"{"specversion":"1.0","id":"7","source":"crm","type":"tenant.requested.v1","data":{"name":"Acme"}}"#;
        let kept = ready(text, None);
        assert_eq!((kept.id.source.as_str(), kept.id.id.as_str()), ("crm", "7"));
        assert_eq!(kept.data, r#"{"name":"Acme"}"#.as_bytes());
        assert_eq!(ready(text, Some("8")).id.id, "8");
    }

    #[test]
    fn what_the_fleet_would_refuse_is_known_before_it_is_published() {
        let refused = ready(r#"{"name":"Acme","slug":"acme\u2011intel"}"#, None).refusal.unwrap();
        assert_eq!((refused.code, refused.pointer.as_deref()), (Code::SlugInvalid, Some("/slug")));
        assert_eq!(ready("hello", None).refusal.unwrap().code, Code::NotJson);
        let newer = r#"{"specversion":"1.0","id":"7","source":"crm","type":"tenant.requested.v9","data":{"name":"Acme"}}"#;
        let newer = ready(newer, None);
        assert_eq!(newer.refusal.as_ref().unwrap().code, Code::VersionUnknown);
        assert_eq!(header(&newer, "ce_type"), "tenant.requested.v9");
    }

    #[test]
    fn a_shortcut_is_a_document_that_the_fleet_reads() {
        let shortcut = Shortcut {
            name: "Acme Corp".into(),
            slug: None,
            plan: Some("starter".into()),
            admin_email: Some("ada@acme.example".into()),
        };
        let made = Document::of(&shortcut).unwrap().ready(4, Time(1), None, None);
        assert_eq!(made.refusal, None);
        assert_eq!(made.slug.as_ref().map(|slug| slug.as_str()), Some("acme-corp"));
    }
}
