//! From a record on `tenant.requests` to a request in normal form.
//!
//! **What cannot be read** goes to quarantine: no value, no JSON, U+0000 or nesting beyond the limit (neither can be
//! stored or walked safely), an envelope that contradicts CloudEvents, a type or version that is not known. Nobody can
//! say what was meant. **What can be read is refused with an answer**: all other limits, every breach of the schema,
//! every value out of its grammar. A document over a limit is refused only if its headers, its body or its key say
//! who asks or about what; otherwise no one could be answered, and it is quarantined too.
//!
//! **Which shape** a document has is told by its outermost members, in this order: any member that only the interface
//! has, only the admin console, only the onboarding guide, only the lifecycle service; else it is the fleet's own.
//! Whatever the shape, it is closed: a member of another shape is unknown.
//!
//! The record's key decides nothing: a request under a wrong key is forwarded by the lane, not refused here. Where the
//! body names no slug, a key that is a slug at home in the record's partition serves to address the refusal.

use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Heard, Kind, Request, admin, canonical, interface, lifecycle, onboarding, target};
use crate::envelope::{self, Attributes, Mode};
use crate::event::Assumed;
use crate::limits::{self, Outline};
use crate::{Code, Lane, Record, Refusal, RequestId, Slug, Time, strict};

/// The CloudEvents type of a request for a new tenant.
pub const TYPE: &str = "tenant.requested.v1";
/// What [`TYPE`] is also called.
pub const ALIAS: &str = "TenantRequested";

/// What a record on `tenant.requests` turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request.
    Heard(Box<Heard>),
    /// A request that could be read and cannot be served as it is.
    Refused {
        /// Who asks. `None` where a document over a limit came under no id.
        id: Option<RequestId>,
        /// The slug, where body or key name one.
        slug: Option<Slug>,
        /// SHA-256 of the document's exact bytes.
        digest: [u8; 32],
        /// When upstream says it asked (`ce_time`, else the record's time).
        asked: Time,
        /// Why, and where.
        refusal: Refusal,
    },
    /// Nobody can say what it is: for the quarantine.
    Unreadable(Refusal),
}

/// Reads a record. Pure and total: equal records give equal results, and no bytes make it panic.
///
/// `lanes` is the number of lanes, `default_plan` the plan of a request that names none.
pub fn decode(record: &Record, lanes: u16, default_plan: &str) -> Decoded {
    try_decode(record, lanes, default_plan).unwrap_or_else(Decoded::Unreadable)
}

fn try_decode(record: &Record, lanes: u16, default_plan: &str) -> Result<Decoded, Refusal> {
    let value = record.value.as_deref().unwrap_or_default();
    if value.is_empty() {
        return Err(Refusal::new(Code::EmptyValue, "the record has no value"));
    }
    let whole = match limits::check(value) {
        Err(refusal) if !is_refusable(refusal.code) => return Err(refusal),
        whole => whole,
    };
    // A document that is too large is not looked into at all, not even for its envelope.
    let too_large = whole.as_ref().is_err_and(|refusal| refusal.code == Code::TooLarge);
    let (attributes, data, mode) = if too_large {
        (envelope::read_headers(record)?, value, Mode::Binary)
    } else {
        let envelope = envelope::read(record)?;
        (envelope.attributes, envelope.data, envelope.mode)
    };
    let kind = kind(attributes.kind.as_deref())?;
    let digest = Sha256::digest(data).into();
    let asked = attributes.time.unwrap_or(record.at);
    let refused = |id, slug, refusal| Decoded::Refused { id, slug, digest, asked, refusal };
    let slug = || body_slug(data).filter(|_| !too_large).or_else(|| key_slug(record, lanes));

    // Pointers speak of the document, wherever in the value it stands.
    let outline = match (whole, mode) {
        (Ok(_), Mode::Structured) => limits::check(data),
        (Err(refusal), Mode::Structured) => Err(inside_data(refusal)),
        (whole, _) => whole,
    };
    let outline = match outline {
        Ok(outline) => outline,
        Err(refusal) if !is_refusable(refusal.code) => return Err(refusal),
        Err(refusal) => {
            let (id, slug) = (attributes.request_id(), slug());
            let addressed = id.is_some() || slug.is_some();
            return if addressed { Ok(refused(id, slug, refusal)) } else { Err(refusal) };
        }
    };
    let (id, mut assumed) = identify(&attributes, &digest);
    Ok(match understand(kind, &outline, default_plan) {
        Err(refusal) => refused(Some(id), slug(), refusal),
        Ok((request, more)) => {
            assumed.extend(more);
            let traceparent = attributes.traceparent;
            Decoded::Heard(Box::new(Heard { id, asked, digest, traceparent, request, assumed }))
        }
    })
}

/// Whether a document that breaks a limit is refused with an answer (see the head of this file).
fn is_refusable(code: Code) -> bool {
    matches!(
        code,
        Code::TooLarge
            | Code::TooManyNodes
            | Code::StringTooLong
            | Code::DuplicateMember
            | Code::FieldInvalid
    )
}

fn kind(event_type: Option<&str>) -> Result<Kind, Refusal> {
    let Some(have) = event_type else { return Ok(Kind::Provision) };
    if have == ALIAS {
        return Ok(Kind::Provision);
    }
    if let Some((_, kind)) = Kind::TYPES.into_iter().find(|(name, _)| *name == have) {
        return Ok(kind);
    }
    let stem = |name: &str| name.rsplit_once(".v").map(|(stem, _)| stem.to_owned());
    let known =
        stem(have).is_some_and(|have| Kind::TYPES.iter().any(|(name, _)| stem(name) == Some(have.clone())));
    Err(if known {
        Refusal::new(Code::VersionUnknown, "this fleet knows version v1 of this type")
    } else {
        Refusal::new(Code::TypeUnknown, format!("this topic carries {TYPE} and the other types of requests"))
    })
}

fn understand(
    kind: Kind,
    outline: &Outline<'_>,
    default_plan: &str,
) -> Result<(Request<String>, Vec<Assumed>), Refusal> {
    let text = outline.text;
    let has = |markers: &[&str]| markers.iter().any(|marker| outline.members.contains(*marker));
    let draft = if kind != Kind::Provision {
        strict::read::<target::Document>(text)?.draft()
    } else if has(interface::MARKERS) {
        strict::read::<interface::Document>(text)?.draft()
    } else if has(admin::MARKERS) {
        strict::read::<admin::Document>(text)?.draft()
    } else if has(onboarding::MARKERS) {
        strict::read::<onboarding::Document>(text)?.draft()
    } else if has(lifecycle::MARKERS) {
        strict::read::<lifecycle::Document>(text)?.draft()
    } else {
        strict::read::<canonical::Document>(text)?.draft()
    };
    let (request, assumed) = draft?.finish(default_plan)?;
    Ok((Request { kind, ..request }, assumed))
}

/// Who asks; the digest is the id of a request that brings none.
fn identify(attributes: &Attributes, digest: &[u8; 32]) -> (RequestId, Vec<Assumed>) {
    let mut assumed = Vec::new();
    let mut assume = |field: &str, value: &str, why: &str| {
        assumed.push(Assumed { field: field.into(), value: value.into(), why: why.into() });
    };
    let source = attributes.source_or_unknown();
    if attributes.source.is_none() {
        assume("/request/source", &source, "the record names no source (ce_source)");
    }
    let id = attributes.id.clone().unwrap_or_else(|| {
        let id = hex::encode(digest);
        let why = "the record has no id (ce_id), so the same document is the same request; send an id to be able to ask again";
        assume("/request/id", &id, why);
        id
    });
    (RequestId { source, id }, assumed)
}

/// The slug that the body names, in the shapes that have one.
fn body_slug(data: &[u8]) -> Option<Slug> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        slug: Option<&'a RawValue>,
    }
    let strict::Object(peek): strict::Object<Peek<'_>> = serde_json::from_slice(data).ok()?;
    let text: String = serde_json::from_str(peek.slug?.get()).ok()?;
    Slug::parse(&text).ok()
}

/// The slug that the key names, where this partition is its home.
fn key_slug(record: &Record, lanes: u16) -> Option<Slug> {
    let slug = Slug::parse(std::str::from_utf8(record.key.as_deref()?).ok()?).ok()?;
    (Lane::of(&slug, lanes).0 == record.partition).then_some(slug)
}

fn inside_data(refusal: Refusal) -> Refusal {
    let pointer = refusal.pointer.map(|pointer| match pointer.strip_prefix("/data") {
        Some(inner) => inner.to_owned(),
        None => pointer,
    });
    Refusal { pointer, ..refusal }
}
