//! A row of the journal as a line of an archive: JSON that people can read, and that gives back every byte.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tenantry_contracts::{Fact, Lane, TenantId, Time, Topic, fact};
use tenantry_ports::Row;

/// A row.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    lane: Lane,
    n: i64,
    /// None for rows of the lane's own chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    seq: i64,
    prev_n: i64,
    /// Milliseconds since 1970, as in the store.
    at: Time,
    /// JSON in a string, since a change of its blanks would be a change.
    entry: Exact<'a>,
    facts: Facts<'a>,
}

/// Bytes, as the text that they are; or else in base64.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Exact<'a> {
    Text(Cow<'a, str>),
    Coded { base64: Cow<'a, str> },
}

/// What is said of a row; coded where it is not what the fleet writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Facts<'a> {
    Said(Vec<Said<'a>>),
    Coded { base64: Cow<'a, str> },
}

/// A fact.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said<'a> {
    topic: Cow<'a, str>,
    key: Exact<'a>,
    headers: Vec<(Cow<'a, str>, Exact<'a>)>,
    value: Exact<'a>,
}

impl<'a> Exact<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.into()),
            Err(_) => Self::Coded { base64: STANDARD.encode(bytes).into() },
        }
    }

    fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(Bytes::from(text.into_owned().into_bytes())),
            Self::Coded { base64 } => STANDARD.decode(base64.as_bytes()).ok().map(Bytes::from),
        }
    }
}

impl<'a> Said<'a> {
    fn of(fact: &'a Fact) -> Self {
        let headers =
            fact.headers.iter().map(|(name, value)| (Cow::Borrowed(name.as_ref()), Exact::of(value)));
        Self {
            topic: fact.topic.name(),
            key: Exact::of(&fact.key),
            headers: headers.collect(),
            value: Exact::of(&fact.value),
        }
    }

    fn fact(self) -> Option<Fact> {
        let headers =
            self.headers.into_iter().map(|(name, value)| Some((name.into_owned().into(), value.bytes()?)));
        Some(Fact {
            topic: Topic::parse(&self.topic)?,
            key: self.key.bytes()?,
            headers: headers.collect::<Option<_>>()?,
            value: self.value.bytes()?,
        })
    }
}

/// Writes a row, with a line feed.
pub(super) fn write(row: &Row, out: &mut Vec<u8>) -> serde_json::Result<()> {
    // Only what comes out again as it was is written in words.
    let said = fact::decode(row.facts.clone()).filter(|facts| fact::encode(facts) == row.facts);
    let facts = match &said {
        Some(said) => Facts::Said(said.iter().map(Said::of).collect()),
        None => Facts::Coded { base64: STANDARD.encode(&row.facts).into() },
    };
    let line = Line {
        lane: row.lane,
        n: row.n,
        tenant: row.tenant,
        seq: row.seq,
        prev_n: row.prev_n,
        at: row.at,
        entry: Exact::of(&row.entry),
        facts,
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Reads a row. `None` where the line is not one.
pub(super) fn read(line: &[u8]) -> Option<Row> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let facts = match line.facts {
        Facts::Said(said) => fact::encode(&said.into_iter().map(Said::fact).collect::<Option<Vec<_>>>()?),
        Facts::Coded { base64 } => STANDARD.decode(base64.as_bytes()).ok()?.into(),
    };
    Some(Row {
        lane: line.lane,
        n: line.n,
        tenant: line.tenant,
        seq: line.seq,
        prev_n: line.prev_n,
        at: line.at,
        entry: line.entry.bytes()?,
        facts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(entry: &'static [u8], facts: Bytes) -> Row {
        let tenant = Some(TenantId::new(Time(7), [3; 10]));
        Row { lane: Lane(2), n: 9, tenant, seq: 4, prev_n: 8, at: Time(-5), entry: entry.into(), facts }
    }

    fn said(value: &'static [u8]) -> Bytes {
        let fact = |topic| Fact {
            topic,
            key: Bytes::from_static(b"acme"),
            headers: vec![("ce_id".into(), Bytes::from_static(b"\xff\x00"))],
            value: Bytes::from_static(value),
        };
        fact::encode(&[fact(Topic::Audit), fact(Topic::Events)])
    }

    #[test]
    fn every_byte_comes_back_whatever_it_is() {
        let odd = |bytes: &'static [u8]| Bytes::from_static(bytes);
        let cut = said(b"{}").slice(..20);
        let rows = [
            row(br#"{"v":1, "a" : "\u00e9\n"}"#, said("{\"b\":\"ü\u{2028}\\\"\"}".as_bytes())),
            row(b"", odd(b"")),
            row(b"\xff\xfe", odd(b"\x00\xff")),
            row(b"{}", cut),
            row(b"{}", said(b"\xc3\x28")),
            Row { tenant: None, ..row(b"{}", said(b"{}")) },
        ];
        for row in rows {
            let mut line = Vec::new();
            write(&row, &mut line).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(read(&line), Some(row), "{}", String::from_utf8_lossy(&line));
        }
    }

    #[test]
    fn what_is_said_can_be_read_by_people_and_other_tools() {
        let mut line = Vec::new();
        write(&row(br#"{"v":1}"#, said(br#"{"seq":4}"#)), &mut line).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(line["entry"], r#"{"v":1}"#);
        assert_eq!(line["facts"][0]["topic"], "tenant.audit.events");
        assert_eq!(line["facts"][0]["value"], r#"{"seq":4}"#);
        assert_eq!(line["facts"][1]["headers"][0][1]["base64"], "/wA=");
    }

    #[test]
    fn another_line_is_no_row() {
        for line in
            ["", "{}", "[]", "{\"lane\":0}", "null", "{\"lane\":0,\"n\":1,\"seq\":1,\"prev_n\":0,\"at\":0}"]
        {
            assert_eq!(read(line.as_bytes()), None);
        }
    }
}
