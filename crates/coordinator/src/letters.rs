//! Records that are not decided here: quarantined, or sent on to their home lane. They are on Kafka before the batch
//! that passes them commits.

use bytes::Bytes;
use tenantry_contracts::letter::{self, Aside};
use tenantry_contracts::{Lane, Record, Refusal, Slug, Topic};
use tenantry_ports::{Outgoing, Place, Tag};

/// The header that a forwarded request carries: where upstream put it.
pub(crate) const FORWARDED_FROM: &str = "tenantry_forwarded_from";

/// A record for the quarantine: its raw bytes, its own headers, and where it came from and why.
pub(crate) fn quarantined(record: &Record, group: &str, refusal: &Refusal, tag: Tag) -> Outgoing {
    let aside = Aside { group, build: env!("CARGO_PKG_VERSION"), class: letter::POISON, refusal };
    Outgoing {
        place: Place { topic: Topic::Quarantine, partition: 0 },
        key: record.key.clone(),
        headers: letter::headers(record, &aside),
        value: record.value.clone(),
        tag,
    }
}

/// A request for its home lane, byte for byte, with where it was put.
pub(crate) fn forwarded(record: &Record, home: Lane, slug: &Slug, tag: Tag) -> Outgoing {
    let mut headers: Vec<_> =
        record.headers.iter().filter(|(name, _)| name != FORWARDED_FROM).cloned().collect();
    headers.push((FORWARDED_FROM.into(), Bytes::from(record.origin().to_string())));
    Outgoing {
        place: Place { topic: Topic::Requests, partition: home.0 },
        key: Some(Bytes::copy_from_slice(slug.as_str().as_bytes())),
        headers,
        value: record.value.clone(),
        tag,
    }
}

/// Where a record was put first: by upstream, before any forwarding.
pub(crate) fn first_origin(record: &Record) -> String {
    record.header(FORWARDED_FROM).map_or_else(|| record.origin().to_string(), str::to_owned)
}
