//! A record as it was heard, and where from.

use std::fmt;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::topic::Name;
use crate::{Headers, Time, Topic};

/// One Kafka record with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic it was heard on.
    pub topic: Topic,
    /// The partition it was heard on.
    pub partition: u16,
    /// Its offset.
    pub offset: i64,
    /// The record's own time.
    pub at: Time,
    /// The key, where there is one.
    pub key: Option<Bytes>,
    /// The headers in order.
    pub headers: Headers,
    /// The value, where there is one.
    pub value: Option<Bytes>,
}

impl Record {
    /// The value of a header as text. The last one wins where a name stands twice, as CloudEvents bindings read it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(have, _)| have == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Where the record was heard.
    pub fn origin(&self) -> Origin {
        Origin { topic: self.topic.name(), partition: self.partition, offset: self.offset }
    }

    /// An id of the record's content (16 bytes of SHA-256 over key and value): kept beside each offset that was
    /// heard, it shows that a topic was made anew or truncated.
    pub fn content_id(&self) -> [u8; 16] {
        let mut hash = Sha256::new();
        for part in [&self.key, &self.value] {
            match part {
                Some(bytes) => {
                    hash.update([1]);
                    hash.update((bytes.len() as u64).to_be_bytes());
                    hash.update(bytes);
                }
                None => hash.update([0]),
            }
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize()[..16]);
        id
    }
}

/// The place of a record: topic, partition, offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The topic's name in Kafka.
    pub topic: Name,
    /// The partition.
    pub partition: u16,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}
