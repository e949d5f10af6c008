//! Dead letters: the raw record, its own headers as they were, and where it came from.

use tenantry_contracts::letter::{self, Aside};
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
    let class = class_of(refusal.code).as_str();
    let aside = Aside { group: &options.group, build: &options.build, class, refusal };
    Saying {
        place: Place { topic: Topic::DeadLetters(Box::new(record.topic.clone())), partition: 0 },
        key: record.key.clone(),
        headers: letter::headers(record, &aside),
        value: record.value.clone(),
    }
}
