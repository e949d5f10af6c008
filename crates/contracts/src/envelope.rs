//! CloudEvents 1.0 over Kafka: what is read and what is written.
//!
//! Read are binary mode (`ce_*` headers), structured mode (content type `application/cloudevents+json`, or a value
//! that is an object with `specversion`), and plain JSON without an envelope. Producers differ, so nothing is demanded
//! that can do without: every attribute may be missing, and extensions are ignored. An attribute that is there must
//! be sound. Written is binary mode.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::headers::{Headers, Writing};
use crate::strict::Object;
use crate::{Code, Record, Refusal, RequestId, Time};

/// The most bytes of an attribute.
pub const ATTRIBUTE_BYTES: usize = 256;
/// The source of a request that names none.
pub const UNKNOWN_SOURCE: &str = "unknown";

/// How a record carries its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In headers; the value is the data.
    Binary,
    /// In the value, around the data.
    Structured,
    /// Not at all; the value is the data.
    Plain,
}

/// What an envelope says about its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `id`.
    pub id: Option<String>,
    /// `source`.
    pub source: Option<String>,
    /// `type`.
    pub kind: Option<String>,
    /// `time`.
    pub time: Option<Time>,
    /// `subject`.
    pub subject: Option<String>,
    /// `dataschema`.
    pub dataschema: Option<String>,
    /// The W3C trace context: header or extension `traceparent`. One that is not well formed is none.
    pub traceparent: Option<String>,
}

/// A record's attributes and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// How the attributes were carried.
    pub mode: Mode,
    /// The attributes.
    pub attributes: Attributes,
    /// The exact bytes of the data.
    pub data: &'a [u8],
}

/// The value of a record in structured mode, as far as it is read.
#[derive(Deserialize)]
struct Structured<'a> {
    #[serde(borrow, default)]
    specversion: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    dataschema: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<&'a RawValue>,
}

/// Reads a record's envelope.
///
/// # Errors
/// `empty_value` where there is no data, `envelope_invalid` for an attribute that is not sound, an unknown
/// `specversion`, or data that is not JSON by its own account, `not_json` for structured mode that is none.
pub fn read(record: &Record) -> Result<Envelope<'_>, Refusal> {
    let Some(value) = record.value.as_deref().filter(|value| !value.is_empty()) else {
        return Err(Refusal::new(Code::EmptyValue, "the record has no value"));
    };
    let content = record.header("content-type").unwrap_or_default().to_ascii_lowercase();
    if let Some(format) = content.strip_prefix("application/cloudevents") {
        if !format.starts_with("+json") {
            return Err(invalid(format!("content type {} is not read", printable(&content))));
        }
        let Object(document) = serde_json::from_slice(value).map_err(|error| {
            let (code, what) = match error.is_data() {
                true => (Code::EnvelopeInvalid, "no CloudEvent"),
                false => (Code::NotJson, "no JSON document"),
            };
            Refusal::new(code, format!("{what}: line {}, column {}", error.line(), error.column()))
        })?;
        return structured(document);
    }
    if has_attributes(record) {
        return Ok(Envelope { mode: Mode::Binary, attributes: read_headers(record)?, data: value });
    }
    // A value that merely cannot be read as a CloudEvent is a plain one, and whoever reads it says what is wrong.
    match serde_json::from_slice::<Object<Structured<'_>>>(value) {
        Ok(Object(document)) if document.specversion.is_some() => structured(document),
        _ => Ok(Envelope { mode: Mode::Plain, attributes: read_headers(record)?, data: value }),
    }
}

/// Reads the attributes in headers alone, whatever the value is.
///
/// # Errors
/// `envelope_invalid` for one that is not sound.
pub fn read_headers(record: &Record) -> Result<Attributes, Refusal> {
    let text = |name: &str| match record.headers.iter().rev().find(|(have, _)| have == name) {
        None => Ok(None),
        Some((_, bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(invalid(format!("header {name} is not UTF-8"))),
        },
    };
    specversion(text("ce_specversion")?)?;
    let trace = record.header("traceparent").or_else(|| record.header("ce_traceparent"));
    Ok(Attributes {
        id: attribute("ce_id", text("ce_id")?)?,
        source: attribute("ce_source", text("ce_source")?)?,
        kind: attribute("ce_type", text("ce_type")?)?,
        time: time("ce_time", text("ce_time")?)?,
        subject: attribute("ce_subject", text("ce_subject")?)?,
        dataschema: attribute("ce_dataschema", text("ce_dataschema")?)?,
        traceparent: trace.filter(|trace| is_traceparent(trace)).map(str::to_owned),
    })
}

impl Attributes {
    /// Who asks under which id, where the envelope has an id.
    pub fn request_id(&self) -> Option<RequestId> {
        let id = self.id.clone()?;
        Some(RequestId { source: self.source_or_unknown(), id })
    }

    /// The source, or [`UNKNOWN_SOURCE`].
    pub fn source_or_unknown(&self) -> String {
        self.source.clone().unwrap_or_else(|| UNKNOWN_SOURCE.to_owned())
    }
}

fn has_attributes(record: &Record) -> bool {
    record.headers.iter().any(|(name, _)| name.starts_with("ce_"))
}

fn structured(document: Structured<'_>) -> Result<Envelope<'_>, Refusal> {
    specversion(document.specversion.as_deref())?;
    if let Some(content) = document.datacontenttype.as_deref() {
        let essence = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !(essence.ends_with("/json") || essence.ends_with("+json")) {
            return Err(invalid("datacontenttype is not JSON".into()));
        }
    }
    if document.data_base64.is_some() {
        return Err(invalid("data_base64 is not read; send the document as data".into()));
    }
    let data = document.data.ok_or_else(|| Refusal::new(Code::EmptyValue, "the event has no data"))?;
    let trace = document.traceparent.filter(|trace| is_traceparent(trace));
    let attributes = Attributes {
        id: attribute("id", document.id.as_deref())?,
        source: attribute("source", document.source.as_deref())?,
        kind: attribute("type", document.kind.as_deref())?,
        time: time("time", document.time.as_deref())?,
        subject: attribute("subject", document.subject.as_deref())?,
        dataschema: attribute("dataschema", document.dataschema.as_deref())?,
        traceparent: trace.map(Cow::into_owned),
    };
    Ok(Envelope { mode: Mode::Structured, attributes, data: data.get().as_bytes() })
}

fn specversion(version: Option<&str>) -> Result<(), Refusal> {
    match version {
        None | Some("1.0") => Ok(()),
        Some(_) => Err(invalid("specversion is not 1.0".into())),
    }
}

fn attribute(name: &str, text: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    if text.is_empty() || text.len() > ATTRIBUTE_BYTES || text.chars().any(char::is_control) {
        let message = format!("{name} must have 1 to {ATTRIBUTE_BYTES} bytes and no control characters");
        return Err(invalid(message));
    }
    Ok(Some(text.to_owned()))
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Time>, Refusal> {
    let parse = |text| Time::parse(text).ok_or_else(|| invalid(format!("{name} is no RFC 3339 time")));
    text.map(parse).transpose()
}

/// Version 00 of the W3C trace context: `00-<32 hex>-<16 hex>-<2 hex>`.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hex = |digits: usize| {
        parts.next().is_some_and(|part| {
            part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    };
    hex(2) && hex(32) && hex(16) && hex(2) && text.starts_with("00-") && text.len() == 55
}

fn invalid(message: String) -> Refusal {
    Refusal::new(Code::EnvelopeInvalid, message)
}

fn printable(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(64).collect()
}

/// The attributes of a record of ours.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// `ce_type`.
    pub kind: &'static str,
    /// `ce_id`.
    pub id: &'a str,
    /// `ce_source`.
    pub source: &'a str,
    /// `ce_time`.
    pub time: Time,
    /// `ce_subject`.
    pub subject: &'a str,
    /// `ce_partitionkey`: the record's key.
    pub key: &'a str,
}

impl Outgoing<'_> {
    /// The eight headers of binary mode.
    pub fn headers(&self) -> Headers {
        let mut headers = Writing::with_capacity(8, 256);
        headers.put("ce_specversion", "1.0");
        headers.put("ce_id", self.id);
        headers.put("ce_source", self.source);
        headers.put("ce_type", self.kind);
        headers.put_fmt("ce_time", self.time);
        headers.put("ce_subject", self.subject);
        headers.put("ce_partitionkey", self.key);
        headers.put("content-type", "application/json");
        headers.finish()
    }
}
