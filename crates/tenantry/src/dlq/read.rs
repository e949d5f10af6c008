//! Reading letters from where they lie.

use std::collections::BTreeSet;

use tenantry_contracts::{Letter, Origin, Topic, letter};
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

/// What was made of letters.
pub(super) struct Found<T> {
    /// In the order in which they lie there.
    pub(super) all: Vec<T>,
    /// How many records were no letters of the fleet.
    pub(super) strange: usize,
    /// The letters that were given up; none of them is among the others.
    pub(super) expired: BTreeSet<Origin>,
}

/// Makes something of every letter in these topics, each record's first letter only. Letters that were given up are no
/// letters any more, for whatever asks.
pub(super) async fn each<T>(
    options: &Options,
    topics: Vec<Topic>,
    mut make: impl FnMut(Letter) -> Option<T>,
) -> anyhow::Result<Found<T>> {
    let places = Reader::places(options, topics).await.map_err(out::bus)?;
    let mut reader = Reader::open(options, places, Start::Earliest).await.map_err(out::bus)?;
    let (mut seen, mut expired, mut strange, mut all) = (BTreeSet::new(), BTreeSet::new(), 0, Vec::new());
    while let Read::Records(records) = reader.read().await.map_err(out::bus)? {
        for record in records {
            if let Some(letter) = letter::expired(&record) {
                expired.insert(letter);
                continue;
            }
            match Letter::read(&record) {
                // Whoever writes a letter may die before it is remembered, and write it once more.
                Ok(letter) => {
                    let id = letter.id();
                    if seen.insert(id.clone()) {
                        all.extend(make(letter).map(|made| (id, made)));
                    }
                }
                Err(_) => strange += 1,
            }
        }
    }
    let all = all.into_iter().filter(|(id, _)| !expired.contains(id)).map(|(_, made)| made).collect();
    Ok(Found { all, strange, expired })
}

/// The letter with this id.
pub(super) async fn one(options: &Options, scope: Scope, id: &Origin) -> anyhow::Result<Letter> {
    let of = Topic::parse(&id.topic).map(|topic| Topic::DeadLetters(Box::new(topic)));
    let topics = topics(options, scope).await?.into_iter();
    let topics = topics.filter(|topic| *topic == Topic::Quarantine || Some(topic) == of.as_ref());
    let found = each(options, topics.collect(), |letter| (letter.id() == *id).then_some(letter)).await?;
    if found.expired.contains(id) {
        let text =
            format!("{id} was given up; the audit has who did and why (see `tenantry dlq expire --help`)");
        return Err(failed("letter_expired", text).into());
    }
    let unknown = || {
        failed(
            "letter_unknown",
            format!(
                "there is no letter {id}; see `tenantry dlq ls --group letter`, its retention may have taken it"
            ),
        )
    };
    Ok(found.all.into_iter().next().ok_or_else(unknown)?)
}
