//! A letter: a record that was put aside, with its raw bytes, where it came from, and why.
//!
//! Dead letters (`<topic>.dlq`) and the quarantine carry the same headers: those of the record as they were, byte for
//! byte, then ours from `dlq_letter_id` on. One function writes them and one reads them, so that a tool needs to know one
//! form. The origin stands three times, for three kinds of readers: as text (`dlq_original_*`), under Spring Kafka's names
//! in Spring's own form (numbers big-endian), and as `x-original-topic`; kafbat's Kafka UI proposes to send a record
//! back to the topic that the last two name.

use std::borrow::Cow;
use std::str::FromStr;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{Code, Headers, Origin, Record, Refusal, Time, Topic};

/// The first header that is ours, and the letter's id: where the record was heard.
pub const LETTER_ID: &str = "dlq_letter_id";
/// The class of a record that could not even be read.
pub const POISON: &str = "poison";
/// The longest summary, in characters.
const SUMMARY: usize = 300;

/// The header of a mark, and no header of a letter: the letter with this id was given up. A mark lies in the topic of its
/// letter, has the letter's id as its key, and no value. The letter's bytes stay until retention takes them.
pub const EXPIRED: &str = "dlq_expired";

/// The key and the headers of the mark that gives a letter up. `batch`: the digest of the selection it was in.
pub fn mark(letter: &Origin, batch: &str) -> (Bytes, Headers) {
    let id = Bytes::from(letter.to_string());
    let headers = vec![
        (EXPIRED.into(), id.clone()),
        ("dlq_expired_batch".into(), Bytes::copy_from_slice(batch.as_bytes())),
    ];
    (id, headers)
}

/// The letter that this record gives up; `None` where it is no mark. A letter never is one, whatever its record claimed.
pub fn expired(record: &Record) -> Option<Origin> {
    let id = record.header(EXPIRED).filter(|_| record.header(LETTER_ID).is_none())?;
    id.parse().ok()
}

/// Who put a record aside, and why.
#[derive(Clone, Copy, Debug)]
pub struct Aside<'a> {
    /// The whole id of the consumer group that heard it, with the fleet's name.
    pub group: &'a str,
    /// The version of the program that could not handle it.
    pub build: &'a str,
    /// What kind of hand is needed: a class of failures, or [`POISON`].
    pub class: &'a str,
    /// Why. Holds neither secrets nor personal data.
    pub refusal: &'a Refusal,
}

/// The headers of a record's letter: its own as they were, then where it came from and why it was put aside.
///
/// Spring's type of the time is `CreateTime`: the fleet's topics are made with Kafka's default, the producer's time.
pub fn headers(record: &Record, aside: &Aside<'_>) -> Headers {
    let Origin { topic, partition, offset } = record.origin();
    let mut headers = record.headers.clone();
    let text = |name: &'static str, value: String| (Cow::Borrowed(name), Bytes::from(value));
    let number = |name: &'static str, value: &[u8]| (Cow::Borrowed(name), Bytes::copy_from_slice(value));
    headers.extend([
        text(LETTER_ID, record.origin().to_string()),
        text("dlq_original_topic", topic.to_string()),
        text("dlq_original_partition", partition.to_string()),
        text("dlq_original_offset", offset.to_string()),
        text("dlq_original_timestamp", record.at.0.to_string()),
        text("dlq_consumer_group", aside.group.to_owned()),
        text("dlq_class", aside.class.to_owned()),
        text("dlq_code", aside.refusal.code.as_str().to_owned()),
        text("dlq_summary", summary(aside.refusal)),
        text("dlq_worker_build", aside.build.to_owned()),
        text("x-original-topic", topic.to_string()),
        text("kafka_dlt-original-topic", topic.into_owned()),
        number("kafka_dlt-original-partition", &i32::from(partition).to_be_bytes()),
        number("kafka_dlt-original-offset", &offset.to_be_bytes()),
        number("kafka_dlt-original-timestamp", &record.at.0.to_be_bytes()),
        text("kafka_dlt-original-timestamp-type", "CreateTime".to_owned()),
    ]);
    headers
}

fn summary(refusal: &Refusal) -> String {
    let place = refusal.pointer.as_ref().map(|pointer| format!("at {pointer}: ")).unwrap_or_default();
    let text = place + &refusal.message;
    text.chars().filter(|c| !c.is_control()).take(SUMMARY).collect()
}

/// A letter, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where the letter itself lies.
    pub lies: Origin,
    /// When it was put aside.
    pub aside: Time,
    /// The record as it was heard: its topic, place, time, key, headers and value. Its origin is the letter's id.
    pub record: Record,
    /// The consumer group that put it aside.
    pub group: String,
    /// What kind of hand is needed.
    pub class: String,
    /// Why. `None` for a code that this version does not know; see `code_text`.
    pub code: Option<Code>,
    /// The code as it stands in the header.
    pub code_text: String,
    /// Why, in one sentence.
    pub summary: String,
    /// The version of the program that could not handle it.
    pub build: String,
}

impl Letter {
    /// Reads a record of `<topic>.dlq` or of the quarantine.
    ///
    /// # Errors
    /// `envelope_invalid` where the headers do not say where the record came from: somebody else put it there.
    pub fn read(letter: &Record) -> Result<Self, Refusal> {
        let refusal =
            |what: &str| Refusal::new(Code::EnvelopeInvalid, format!("{what}: not a letter of the fleet"));
        let ours = letter.headers.iter().rposition(|(name, _)| name == LETTER_ID);
        let ours = ours.ok_or_else(|| refusal("header dlq_letter_id is missing"))?;
        let id = letter.header(LETTER_ID).and_then(|text| text.parse::<Origin>().ok());
        let id = id.ok_or_else(|| refusal("header dlq_letter_id is no topic/partition/offset"))?;
        let topic = Topic::parse(&id.topic).ok_or_else(|| refusal("the letter is of another topic"))?;
        // Only what stands behind the letter's id is ours: the record may have been a letter before, or may pretend.
        let text = |name: &str| {
            let (_, value) = letter.headers[ours..].iter().find(|(have, _)| have == name)?;
            std::str::from_utf8(value).ok().map(str::to_owned)
        };
        let at = text("dlq_original_timestamp").and_then(|text| text.parse().ok()).map(Time);
        let code_text = text("dlq_code").unwrap_or_default();
        Ok(Self {
            lies: letter.origin(),
            aside: letter.at,
            group: text("dlq_consumer_group").unwrap_or_default(),
            class: text("dlq_class").unwrap_or_default(),
            code: Code::ALL.iter().copied().find(|code| code.as_str() == code_text),
            code_text,
            summary: text("dlq_summary").unwrap_or_default(),
            build: text("dlq_worker_build").unwrap_or_default(),
            record: Record {
                topic,
                partition: id.partition,
                offset: id.offset,
                at: at.unwrap_or(letter.at),
                key: letter.key.clone(),
                headers: letter.headers[..ours].to_vec(),
                value: letter.value.clone(),
            },
        })
    }

    /// The letter's id: where its record was heard.
    pub fn id(&self) -> Origin {
        self.record.origin()
    }

    /// SHA-256 over everything that the letter keeps: id, key, headers and value, each with its length.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        put(self.id().to_string().as_bytes());
        for part in [&self.record.key, &self.record.value] {
            put(&[u8::from(part.is_some())]);
            put(part.as_deref().unwrap_or_default());
        }
        for (name, value) in &self.record.headers {
            put(name.as_bytes());
            put(value);
        }
        hash.finalize().into()
    }
}

/// A text that is no `topic/partition/offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write topic/partition/offset, as in tenant.requests/0/17")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next().and_then(|text| text.parse().ok()).filter(|offset| *offset >= 0);
        let partition = parts.next().and_then(|text| text.parse().ok());
        let topic = parts.next().filter(|topic| !topic.is_empty());
        match (topic, partition, offset) {
            (Some(topic), Some(partition), Some(offset)) => {
                Ok(Self { topic: topic.to_owned().into(), partition, offset })
            }
            _ => Err(NoOrigin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkerName;

    fn record() -> Record {
        Record {
            topic: Topic::Commands(WorkerName::new("database")),
            partition: 3,
            offset: 258,
            at: Time(1_000),
            key: Some("acme".into()),
            headers: vec![("odd".into(), Bytes::from_static(&[0xff])), (LETTER_ID.into(), "a/0/1".into())],
            value: Some(Bytes::from_static(b"\xff raw")),
        }
    }

    fn letter(record: &Record) -> Record {
        let refusal = Refusal::new(Code::NotJson, "no\u{1b}[31m JSON").at("/a");
        let aside = Aside { group: "local.workers", build: "1.2.3", class: POISON, refusal: &refusal };
        Record {
            topic: Topic::DeadLetters(Box::new(record.topic.clone())),
            partition: 0,
            offset: 7,
            at: Time(2_000),
            headers: headers(record, &aside),
            ..record.clone()
        }
    }

    #[test]
    fn a_mark_names_its_letter_and_no_letter_is_taken_for_one() {
        let mut record = record();
        let id = record.origin();
        let (key, headers) = mark(&id, "00ff");
        let mark = Record { key: Some(key), headers: headers.clone(), value: None, ..record.clone() };
        assert_eq!((expired(&mark), Letter::read(&mark).is_err()), (Some(id), true));
        record.headers = headers;
        assert_eq!(expired(&letter(&record)), None, "its record pretended");
    }

    #[test]
    fn a_letter_gives_back_the_record_as_it_was() {
        let record = record();
        let read = Letter::read(&letter(&record)).unwrap();
        assert_eq!(read.record, record, "byte for byte, with a header that pretends to be ours");
        assert_eq!(read.id().to_string(), "tenant.commands.database/3/258");
        assert_eq!(read.lies.to_string(), "tenant.commands.database.dlq/0/7");
        assert_eq!((read.aside, read.code), (Time(2_000), Some(Code::NotJson)));
        assert_eq!((read.group.as_str(), read.build.as_str()), ("local.workers", "1.2.3"));
        assert_eq!(read.summary, "at /a: no[31m JSON", "nothing that a terminal obeys");
    }

    #[test]
    fn other_tools_find_the_origin_under_their_own_names_and_in_their_own_form() {
        let letter = letter(&record());
        let bytes = |name: &str| {
            let (_, value) = letter.headers.iter().find(|(have, _)| have == name).unwrap();
            value.to_vec()
        };
        assert_eq!(bytes("x-original-topic"), b"tenant.commands.database");
        assert_eq!(bytes("kafka_dlt-original-topic"), b"tenant.commands.database");
        assert_eq!(bytes("kafka_dlt-original-partition"), [0, 0, 0, 3]);
        assert_eq!(bytes("kafka_dlt-original-offset"), [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(bytes("kafka_dlt-original-timestamp"), [0, 0, 0, 0, 0, 0, 3, 232]);
        assert_eq!(bytes("kafka_dlt-original-timestamp-type"), b"CreateTime");
    }

    #[test]
    fn every_part_of_a_letter_counts_in_its_digest() {
        let base = Letter::read(&letter(&record())).unwrap();
        let mut others = vec![base.clone(); 5];
        others[0].record.offset += 1;
        others[1].record.key = None;
        others[2].record.value = Some(Bytes::new());
        others[3].record.headers[0].0 = "ood".into();
        others[4].record.headers.pop();
        for other in &others {
            assert_ne!(other.digest(), base.digest(), "{other:?}");
        }
    }

    #[test]
    fn what_somebody_else_put_there_is_not_a_letter() {
        let mut strange = letter(&record());
        strange.headers.clear();
        assert_eq!(Letter::read(&strange).unwrap_err().code, Code::EnvelopeInvalid);
        strange.headers = vec![(LETTER_ID.into(), "orders/0/1".into())];
        assert_eq!(Letter::read(&strange).unwrap_err().code, Code::EnvelopeInvalid);
        for wrong in ["", "a/b", "a/0/-1", "/0/1", "a/70000/1"] {
            assert_eq!(wrong.parse::<Origin>(), Err(NoOrigin), "{wrong}");
        }
    }
}
