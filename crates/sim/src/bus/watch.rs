//! What can only be seen while it happens: an offset that is committed before its command was answered.

use std::collections::{BTreeMap, BTreeSet};

use tenantry_contracts::{Record, Topic};
use tenantry_ports::Place;

use super::Log;
use crate::evidence::Broken;

/// What was said so far, as far as commits depend on it.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    answered: BTreeSet<String>,
    letters: BTreeSet<String>,
    pub(crate) broken: Vec<Broken>,
}

impl Watch {
    /// A record is in a log.
    pub(crate) fn said(&mut self, topic: &Topic, id: Option<String>, letter: Option<String>) {
        match topic {
            Topic::Results => self.answered.extend(id),
            Topic::DeadLetters(_) => self.letters.extend(letter),
            _ => {}
        }
    }
}

/// A worker commits: every command below has its answer, its letter, or a later question for the same thing.
pub(crate) fn commits(
    topics: &BTreeMap<Topic, Vec<Log>>,
    watch: &mut Watch,
    place: &Place,
    from: i64,
    to: i64,
) {
    if !matches!(place.topic, Topic::Commands(_)) || watch.broken.len() > 2 {
        return;
    }
    let Some(log) = topics.get(&place.topic).and_then(|logs| logs.get(usize::from(place.partition))) else {
        return;
    };
    for record in (from..to).filter_map(|offset| log.at(offset)).map(|stored| &stored.record) {
        let answered = record.header("id").is_some_and(|id| watch.answered.contains(id));
        let lettered = watch.letters.contains(&record.origin().to_string());
        let later = |other: &Record| {
            other.key == record.key && row(other) == row(record) && token(other) > token(record)
        };
        if !answered && !lettered && !log.records.iter().any(|other| later(&other.record)) {
            watch.broken.push(Broken {
                promise: "no offset is stored before the answer is out",
                how: format!("{} was committed", record.origin()),
            });
        }
    }
}

fn row(record: &Record) -> Option<&str> {
    record.header("row")?.rsplit_once(':').map(|(row, _)| row)
}

fn token(record: &Record) -> i64 {
    record.header("token").and_then(|token| token.parse().ok()).unwrap_or(0)
}
