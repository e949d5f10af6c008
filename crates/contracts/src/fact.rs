//! A fact: one record for Kafka, kept in the journal exactly as it will be said.

use bytes::{BufMut, Bytes, BytesMut};

use crate::Topic;
use crate::headers::{self, Headers};

/// A record to be said on the partition of its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Where it is said.
    pub topic: Topic,
    /// The record's key.
    pub key: Bytes,
    /// The record's headers in order.
    pub headers: Headers,
    /// The record's value.
    pub value: Bytes,
}

/// Writes facts for the journal: for each, length-prefixed topic, key, headers and value (lengths as u32, big endian).
pub fn encode(facts: &[Fact]) -> Bytes {
    let mut out = BytesMut::with_capacity(facts.iter().map(|fact| fact.value.len() + 512).sum());
    for fact in facts {
        put(&mut out, fact.topic.name().as_bytes());
        put(&mut out, &fact.key);
        out.put_u32(fact.headers.len() as u32);
        for (name, value) in &fact.headers {
            put(&mut out, name.as_bytes());
            put(&mut out, value);
        }
        put(&mut out, &fact.value);
    }
    out.freeze()
}

/// Reads what [`encode`] wrote. `None` where the bytes are not of that form.
pub fn decode(mut bytes: Bytes) -> Option<Vec<Fact>> {
    let mut facts = Vec::new();
    while !bytes.is_empty() {
        let topic = Topic::parse(std::str::from_utf8(&take(&mut bytes)?).ok()?)?;
        let key = take(&mut bytes)?;
        let count = number(&mut bytes)?;
        let mut named = Headers::new();
        for _ in 0..count {
            let name = headers::name(std::str::from_utf8(&take(&mut bytes)?).ok()?);
            named.push((name, take(&mut bytes)?));
        }
        facts.push(Fact { topic, key, headers: named, value: take(&mut bytes)? });
    }
    Some(facts)
}

fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn number(bytes: &mut Bytes) -> Option<u32> {
    (bytes.len() >= 4).then(|| u32::from_be_bytes([0, 1, 2, 3].map(|i| bytes[i]))).inspect(|_| {
        let _ = bytes.split_to(4);
    })
}

fn take(bytes: &mut Bytes) -> Option<Bytes> {
    let len = number(bytes)? as usize;
    (bytes.len() >= len).then(|| bytes.split_to(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn facts_read_back_and_cut_ones_never_panic(
            key in proptest::collection::vec(any::<u8>(), 0..9),
            value in proptest::collection::vec(any::<u8>(), 0..99),
            name in "[a-z_]{0,9}",
            cut in 0usize..200,
        ) {
            let fact = Fact { topic: Topic::Audit, key: key.into(), headers: vec![(name.into(), Bytes::from_static(b"x"))], value: value.into() };
            let facts = vec![fact.clone(), fact];
            let bytes = encode(&facts);
            prop_assert_eq!(decode(bytes.clone()), Some(facts.clone()));
            if cut < bytes.len() {
                prop_assert_ne!(decode(bytes.slice(..cut)), Some(facts));
            }
        }
    }
}
