//! A dead letter or a quarantined record: what it was, why it lies there, and whose it is. Its value is never shown.

use std::collections::BTreeMap;

use serde::Serialize;
use tenantry_contracts::command::Question;
use tenantry_contracts::time::rfc3339;
use tenantry_contracts::{Code, Origin, Record, Slug, TenantId, Time, Topic, letter};
use tenantry_kafka::{Options, Read, Reader, Start};
use tenantry_ports::Place;

use crate::out::{self, Refused, failed, plain};

/// A letter.
#[derive(Debug, Serialize)]
pub(super) struct Letter {
    /// Where it lies.
    pub(super) lies: String,
    /// Where the record in it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) was: Option<String>,
    /// When it was laid there.
    #[serde(with = "rfc3339")]
    pub(super) at: Time,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Code>,
    /// What kind of hand is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary: Option<String>,
    /// The program that could not handle it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) build: Option<String>,
    /// The row of the plan that asked, for a command or an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<String>,
    /// The tenant that asked, for a command or an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tenant: Option<TenantId>,
    /// The slug under which it was published, where its key is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) slug: Option<Slug>,
}

/// Finds a letter by its own place, or by that of the record in it.
pub(super) async fn find(options: &Options, at: &Origin) -> anyhow::Result<Letter> {
    let topic = Topic::parse(&at.topic).ok_or_else(|| {
        let text = format!("{} is no topic of the fleet; look at `tenantry topics --help`", at.topic);
        out::usage("topic_unknown", text)
    })?;
    let found = if matches!(topic, Topic::DeadLetters(_) | Topic::Quarantine) {
        let place = Place { topic, partition: at.partition };
        let start = Start::At(BTreeMap::from([(place.clone(), at.offset)]));
        look(options, vec![place], start, |record| record.offset == at.offset).await?
    } else {
        let letters = |topic| Place { topic, partition: 0 };
        let places = match topic {
            Topic::Requests | Topic::Results | Topic::Operations | Topic::Commands(_) => {
                vec![letters(Topic::DeadLetters(Box::new(topic))), letters(Topic::Quarantine)]
            }
            _ => vec![letters(Topic::Quarantine)],
        };
        let id = at.to_string();
        look(options, places, Start::Earliest, |record| record.header("dlq_letter_id") == Some(&id)).await?
    };
    Ok(found.map(|record| read(&record)).ok_or_else(|| unknown(at))?)
}

fn unknown(at: &Origin) -> Refused {
    failed(
        "letter_unknown",
        format!("there is no letter {at}, or it was kept no longer; look at `tenantry dlq ls`"),
    )
}

/// The first record that fits, among those that are there now.
async fn look(
    options: &Options,
    places: Vec<Place>,
    start: Start,
    fits: impl Fn(&Record) -> bool,
) -> anyhow::Result<Option<Record>> {
    let mut reader = Reader::open(options, places, start).await.map_err(out::bus)?;
    loop {
        match reader.read().await.map_err(out::bus)? {
            Read::Records(records) => {
                if let Some(found) = records.into_iter().find(&fits) {
                    return Ok(Some(found));
                }
            }
            Read::CaughtUp => return Ok(None),
        }
    }
}

/// What the one reader of letters makes of it; of a record that is no letter of the fleet, where it lies and its key.
fn read(record: &Record) -> Letter {
    let letter = letter::Letter::read(record).ok();
    let text = |of: fn(&letter::Letter) -> &String| {
        letter.as_ref().map(|letter| plain(of(letter))).filter(|text| !text.is_empty())
    };
    let question = letter.as_ref().and_then(|letter| Question::of(&letter.record));
    let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
    Letter {
        lies: record.origin().to_string(),
        was: letter.as_ref().map(|letter| letter.id().to_string()),
        at: record.at,
        code: letter.as_ref().and_then(|letter| letter.code),
        class: text(|letter| &letter.class),
        summary: text(|letter| &letter.summary),
        build: text(|letter| &letter.build),
        row: question.as_ref().map(|question| question.row.to_string()),
        tenant: question.map(|question| question.tenant),
        slug: key.and_then(|key| Slug::parse(key).ok()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_letter_tells_its_cause_and_its_tenant_and_never_its_value() {
        let header =
            |name: &str, value: &str| (name.to_owned().into(), Bytes::copy_from_slice(value.as_bytes()));
        let tenant = "01919191-9191-7191-8191-919191919191";
        let record = Record {
            topic: Topic::parse("tenant.commands.database.dlq").unwrap(),
            partition: 0,
            offset: 5,
            at: Time(1),
            key: Some(Bytes::from_static(b"acme")),
            headers: vec![
                header("tenant", tenant),
                header("saga", tenant),
                header("row", "database:execute"),
                header("token", "9"),
                header("dlq_letter_id", "tenant.commands.database/2/17"),
                header("dlq_code", "output_invalid"),
                header("dlq_summary", "bad\u{1b}[31m"),
            ],
            value: Some(Bytes::from_static(b"{\"secret\":\"hunter2\"}")),
        };
        let letter = read(&record);
        assert_eq!(letter.lies, "tenant.commands.database.dlq/0/5");
        assert_eq!(letter.was.as_deref(), Some("tenant.commands.database/2/17"));
        assert_eq!((letter.code, letter.row.as_deref()), (Some(Code::OutputInvalid), Some("database")));
        assert_eq!(letter.tenant.map(|id| id.to_string()).as_deref(), Some(tenant));
        assert!(!serde_json::to_string(&letter).unwrap().contains("hunter2"));
        assert!(!letter.summary.unwrap().contains('\u{1b}'));
    }
}
