//! How a replay answers a letter: the coordinator is asked to ask afresh, or the raw record goes back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Code, Letter, Origin, Record};
use tenantry_ports::{Outgoing, Place};

use super::manifest::{Entry, Manifest};
use super::verdict::{self, Verdict};
use crate::frozen::house::House;
use crate::frozen::people::People;
use crate::frozen::progress::Ended;
use crate::frozen::run::{self, End, Says, Work};

type Open<'a> = run::Open<'a, Entry>;
type Begun<'a> = run::Begun<'a, Entry>;

/// The letters of a manifest, answered.
pub(super) struct Answers<'a> {
    pub(super) house: &'a House,
    pub(super) manifest: &'a Manifest,
    /// Whose replay it is.
    pub(super) people: People,
    /// The letters that go back as raw bytes.
    pub(super) raw: BTreeMap<Origin, Letter>,
    /// The letters that were given up since.
    pub(super) expired: BTreeSet<Origin>,
    /// Hears of each letter that ended.
    pub(super) tell: &'a dyn Fn(&Entry, Ended, &str),
}

fn ended<'a>(how: Ended, why: impl Into<String>) -> anyhow::Result<Begun<'a>> {
    Ok(Begun::Ended(End::With(how, why.into())))
}

impl Work for Answers<'_> {
    type Item = Entry;

    fn id(&self, entry: &Entry) -> String {
        entry.letter.to_string()
    }

    fn key(&self, entry: &Entry) -> String {
        entry.key.clone()
    }

    async fn begin<'a>(&self, one: Open<'a>, says: &mut Says<'_>) -> anyhow::Result<Begun<'a>> {
        if self.expired.contains(&one.item.letter) {
            ended(Ended::MovedOn, "it was given up")
        } else if one.item.verdict == Verdict::AskAfresh {
            self.ask_afresh(one, says).await
        } else {
            self.send_back(one, says).await
        }
    }

    fn heard(&self, one: &mut Open<'_>, event: &Event) -> Option<End> {
        heard(one, event)
    }

    async fn look(&self, one: &Open<'_>) -> anyhow::Result<Option<End>> {
        let entry = one.item;
        let Some(question) = &entry.question else { return Ok(None) };
        let Some(past) = self.house.past(question.tenant).await? else { return Ok(None) };
        let done = if one.ours { Ended::Done } else { Ended::Already };
        if entry.verdict != Verdict::AskAfresh {
            let heard = past.heard(question.row.as_str(), question.token);
            return Ok(heard.map(|_| End::With(done, "its answer was heard".to_owned())));
        }
        let taken_up = one.id.as_ref().and_then(|id| past.taken_up(id));
        Ok(match taken_up {
            Some(n) => match verdict::end_of_row(question, &past, &self.house.plans, n) {
                Some(Ok(())) => {
                    Some(End::With(done, format!("{} was asked afresh, and is done", question.row)))
                }
                Some(Err(code)) => {
                    Some(End::With(Ended::Failed, format!("{} was asked afresh: {code}", question.row)))
                }
                None => None,
            },
            None if one.before => {
                Some(End::With(Ended::MovedOn, "an earlier run asked, and was refused".to_owned()))
            }
            None => None,
        })
    }

    fn tell(&self, entry: &Entry, how: Ended, why: &str) {
        (self.tell)(entry, how, why);
    }
}

impl Answers<'_> {
    async fn ask_afresh<'a>(&self, mut one: Open<'a>, says: &mut Says<'_>) -> anyhow::Result<Begun<'a>> {
        let entry = one.item;
        let (Some(question), Some(version)) = (&entry.question, entry.version) else {
            return ended(Ended::MovedOn, "the manifest names no question");
        };
        let Some(past) = self.house.past(question.tenant).await? else {
            return ended(Ended::MovedOn, format!("the store has no history of tenant {}", question.tenant));
        };
        let id = self.manifest.operation(&entry.letter, says.progress().back(&self.id(entry)));
        one.id = Some(id.clone());
        if past.taken_up(&id).is_some() {
            return Ok(Begun::Open(one));
        }
        let judged = verdict::command(Some(question), &self.house.known(Some(&past), None));
        match judged.verdict {
            Verdict::AskAfresh => {}
            Verdict::AlreadyApplied => return ended(Ended::Already, judged.why),
            _ => return ended(Ended::MovedOn, judged.why),
        }
        let people =
            self.people.because(&format!("dlq replay {} of {}", self.manifest.short(), entry.letter));
        // Whatever happens in between, only what was seen is answered.
        let operation =
            people.operation(id, OperationVerb::Retry, Some(past.tenant.target()), Some(version))?;
        let record = self.house.record(&operation)?;
        one.ours = true;
        says.say(record).await?;
        Ok(Begun::Open(one))
    }

    async fn send_back<'a>(&self, mut one: Open<'a>, says: &mut Says<'_>) -> anyhow::Result<Begun<'a>> {
        let entry = one.item;
        let how = if one.ours { Ended::Done } else { Ended::Already };
        one.id.clone_from(&entry.request);
        if let Some(decided) = entry.request.as_ref().and_then(|id| self.house.decided(id)) {
            return ended(how, decided.event_type());
        }
        let Some(letter) = self.raw.get(&entry.letter) else {
            return ended(Ended::Failed, "its raw bytes are gone");
        };
        if let Some(question) = &entry.question {
            let past = self.house.past(question.tenant).await?;
            if past.as_ref().is_some_and(|past| past.heard(question.row.as_str(), question.token).is_some()) {
                return ended(how, "an answer to its question was heard");
            }
        }
        one.ours = true;
        one.at = Some(says.say(self.again(&letter.record)).await?);
        Ok(Begun::Open(one))
    }

    /// The record as it was, for the place where it was, with who says it again.
    fn again(&self, record: &Record) -> Outgoing {
        let count = record.header("replay_count").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let mut headers = record.headers.clone();
        let text = |name: &'static str, value: String| (name.into(), Bytes::from(value));
        headers.extend([
            text("replay_batch", self.manifest.short().to_owned()),
            text("replay_of", record.origin().to_string()),
            text("replay_count", count.saturating_add(1).to_string()),
            text("replay_operator", self.people.person.account()),
            text("replay_manifest", self.manifest.digest.clone()),
        ]);
        Outgoing {
            place: Place { topic: record.topic.clone(), partition: record.partition },
            key: record.key.clone(),
            headers,
            value: record.value.clone(),
            tag: 0,
        }
    }
}

/// What an answer of the fleet says of a letter.
fn heard(one: &mut Open<'_>, event: &Event) -> Option<End> {
    let about = one.id.is_some() && one.id == event.request || one.at.is_some() && one.at == event.origin;
    if !about {
        return None;
    }
    let code = event.refusal.as_ref().map(|refusal| refusal.code);
    let words =
        || event.refusal.as_ref().map_or_else(|| event.event.event_type().to_owned(), ToString::to_string);
    let asks = one.item.verdict == Verdict::AskAfresh;
    let how = match event.event {
        // The first run's words stand; the journal says what came of them.
        EventKind::RequestDuplicate if asks => {
            one.before = true;
            return None;
        }
        EventKind::OperationRefused if asks => match code {
            Some(Code::RequestIdReused) => {
                one.before = true;
                return None;
            }
            Some(Code::SignatureMissing | Code::SignatureInvalid) => return Some(End::NotNow(words())),
            Some(Code::VersionStale | Code::VerbNotAllowed | Code::TenantUnknown) => Ended::MovedOn,
            _ => Ended::Failed,
        },
        _ if asks => return None,
        EventKind::RequestAccepted | EventKind::OperationAccepted => Ended::Done,
        EventKind::RequestDuplicate => {
            if one.ours {
                Ended::Done
            } else {
                Ended::Already
            }
        }
        EventKind::RequestRejected | EventKind::RequestQuarantined | EventKind::OperationRefused => {
            Ended::Failed
        }
        _ => return None,
    };
    Some(End::With(how, words()))
}
