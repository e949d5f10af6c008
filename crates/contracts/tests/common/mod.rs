//! Records as upstream systems publish them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of these")]

use bytes::Bytes;
use tenantry_contracts::request::{Decoded, Heard, decode};
use tenantry_contracts::{Code, Record, RequestId, Slug, Time, Topic};

/// The plan of requests that name none.
pub const DEFAULT_PLAN: &str = "starter";
/// The number of lanes.
pub const LANES: u16 = 4;

/// A record on `tenant.requests` without key and headers.
pub fn plain(value: impl Into<Bytes>) -> Record {
    Record {
        topic: Topic::Requests,
        partition: 0,
        offset: 7,
        at: Time(1_700_000_000_000),
        key: None,
        headers: Vec::new(),
        value: Some(value.into()),
    }
}

/// A record in binary mode.
pub fn binary(value: impl Into<Bytes>, headers: &[(&str, &str)]) -> Record {
    let headers =
        headers.iter().map(|(name, text)| ((*name).to_owned().into(), text.to_string().into())).collect();
    Record { headers, ..plain(value) }
}

/// Decodes with the settings of these tests.
pub fn read(record: &Record) -> Decoded {
    decode(record, LANES, DEFAULT_PLAN)
}

/// A request that must be heard.
#[track_caller]
pub fn heard(record: &Record) -> Heard {
    match read(record) {
        Decoded::Heard(heard) => *heard,
        other => panic!("expected a request, got {other:?}"),
    }
}

/// A request that must be refused: code, pointer, id and slug.
#[track_caller]
pub fn refused(record: &Record) -> (Code, Option<String>, Option<RequestId>, Option<Slug>) {
    match read(record) {
        Decoded::Refused { id, slug, refusal, .. } => (refusal.code, refusal.pointer, id, slug),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// A record that must not be readable.
#[track_caller]
pub fn unreadable(record: &Record) -> Code {
    match read(record) {
        Decoded::Unreadable(refusal) => refusal.code,
        other => panic!("expected no request, got {other:?}"),
    }
}

/// An escaped U+0000 inside JSON text.
pub const ESCAPED_NUL: &str = "\\u0000";
