//! Reading letters from where they lie.

use std::collections::BTreeSet;

use tenantry_contracts::{Letter, Origin, Topic};
use tenantry_kafka::{Options, Read, Reader, Start};

use crate::fleet::Worker;
use crate::out::{self, failed};

/// Which letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Dead letters and the quarantine.
    All,
    /// The quarantine.
    Quarantine,
}

/// The topics in which letters lie, those that exist.
pub(super) async fn topics(options: &Options, scope: Scope) -> anyhow::Result<Vec<Topic>> {
    let all = Topic::all(&Worker::names());
    let wanted = |topic: &Topic| match topic {
        Topic::Quarantine => true,
        Topic::DeadLetters(_) => scope == Scope::All,
        _ => false,
    };
    let mut found = Vec::new();
    for topic in all.into_iter().filter(wanted) {
        match Reader::places(options, vec![topic.clone()]).await.map_err(out::bus) {
            Ok(_) => found.push(topic),
            // A fleet that serves fewer workers has fewer topics.
            Err(refused) if refused.code == "topic_missing" => {}
            Err(refused) => return Err(refused.into()),
        }
    }
    if found.is_empty() {
        let text = "there is no topic for letters; make the fleet's topics (`tenantry topics apply`)";
        return Err(failed("topic_missing", text).into());
    }
    Ok(found)
}

/// Hands over every letter in these topics, in the order in which they lie there, each record's first letter only.
/// Answers how many records were no letters of the fleet.
pub(super) async fn each(
    options: &Options,
    topics: Vec<Topic>,
    mut take: impl FnMut(Letter),
) -> anyhow::Result<usize> {
    let places = Reader::places(options, topics).await.map_err(out::bus)?;
    let mut reader = Reader::open(options, places, Start::Earliest).await.map_err(out::bus)?;
    let (mut seen, mut strange) = (BTreeSet::new(), 0);
    while let Read::Records(records) = reader.read().await.map_err(out::bus)? {
        for record in records {
            match Letter::read(&record) {
                // Whoever writes a letter may die before it is remembered, and write it once more.
                Ok(letter) => {
                    if seen.insert(letter.id()) {
                        take(letter);
                    }
                }
                Err(_) => strange += 1,
            }
        }
    }
    Ok(strange)
}

/// The letter with this id.
pub(super) async fn one(options: &Options, scope: Scope, id: &Origin) -> anyhow::Result<Letter> {
    let of = Topic::parse(&id.topic).map(|topic| Topic::DeadLetters(Box::new(topic)));
    let topics = topics(options, scope).await?.into_iter();
    let topics = topics.filter(|topic| *topic == Topic::Quarantine || Some(topic) == of.as_ref());
    let mut found = None;
    each(options, topics.collect(), |letter| {
        if letter.id() == *id {
            found = Some(letter);
        }
    })
    .await?;
    let unknown = || {
        failed(
            "letter_unknown",
            format!(
                "there is no letter {id}; see `tenantry dlq ls --group letter`, its retention may have taken it"
            ),
        )
    };
    Ok(found.ok_or_else(unknown)?)
}
