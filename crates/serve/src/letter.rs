//! Dead letters: the raw record, its own headers as they were, and where it came from.

use bytes::Bytes;
use tenantry_contracts::{Class, Code, Record, Refusal, Topic};
use tenantry_ports::Place;

use crate::mouth::Saying;
use crate::options::Options;

/// The class in header `dlq_class`: what kind of hand is needed.
pub(crate) const fn class_of(code: Code) -> Class {
    match code {
        Code::Misconfigured => Class::Config,
        Code::OutputInvalid | Code::Bug => Class::Bug,
        _ => Class::Validation,
    }
}

/// The letter of a record that could be read but not handled. Its id is the record's origin.
pub(crate) fn letter(record: &Record, refusal: &Refusal, options: &Options) -> Saying {
    let origin = record.origin();
    let mut summary = refusal.message.clone();
    if let Some(pointer) = &refusal.pointer {
        summary = format!("at {pointer}: {summary}");
    }
    let summary: String = summary.chars().filter(|c| !c.is_control()).take(300).collect();
    let mut headers = record.headers.clone();
    let text = |name: &str, value: String| (name.to_owned(), Bytes::from(value));
    headers.extend([
        text("dlq_letter_id", origin.to_string()),
        text("dlq_original_topic", origin.topic.clone()),
        text("dlq_original_partition", origin.partition.to_string()),
        text("dlq_original_offset", origin.offset.to_string()),
        text("dlq_original_timestamp", record.at.0.to_string()),
        text("dlq_consumer_group", options.group.clone()),
        text("dlq_class", class_of(refusal.code).as_str().to_owned()),
        text("dlq_code", refusal.code.as_str().to_owned()),
        text("dlq_summary", summary),
        text("dlq_worker_build", options.build.clone()),
        text("x-original-topic", origin.topic.clone()),
        text("kafka_dlt-original-topic", origin.topic),
        // Spring writes these two as big-endian numbers, and its own tools read them so.
        bytes("kafka_dlt-original-partition", &i32::from(origin.partition).to_be_bytes()),
        bytes("kafka_dlt-original-offset", &origin.offset.to_be_bytes()),
    ]);
    Saying {
        place: Place { topic: Topic::DeadLetters(Box::new(record.topic.clone())), partition: 0 },
        key: record.key.clone(),
        headers,
        value: record.value.clone(),
    }
}

fn bytes(name: &str, value: &[u8]) -> (String, Bytes) {
    (name.to_owned(), Bytes::copy_from_slice(value))
}
