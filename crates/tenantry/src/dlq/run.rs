//! The replay itself: begins letters at a rate, in order for each key, and waits for what becomes of each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::{Code, Lane, Letter, Origin, Record, RequestId, Topic};
use tenantry_kafka::{Kafka, KafkaProducer, Read, Reader, Start};
use tenantry_ports::{Bus, Delivery, Outgoing, Place, Producer, Refused};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::know::House;
use super::manifest::{Entry, Manifest};
use super::progress::{Ended, Progress};
use super::verdict::{self, Verdict};
use crate::out::{self, failed};

/// How many letters may be under way at a time.
const OPEN: usize = 64;
/// How often the store is asked what became of them.
const LOOK: Duration = Duration::from_millis(300);
/// How long an acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

/// How a replay runs.
pub(super) struct Pace {
    /// The time between two letters.
    pub(super) gap: Duration,
    /// Nothing new is begun after so many failures.
    pub(super) most_failures: usize,
    /// How long a letter's outcome is waited for.
    pub(super) patience: Duration,
}

/// A replay that runs.
pub(super) struct Run<'a> {
    pub(super) house: &'a House,
    pub(super) manifest: &'a Manifest,
    pub(super) progress: Progress,
    pub(super) pace: Pace,
    /// The letters that go back as raw bytes.
    pub(super) raw: BTreeMap<Origin, Letter>,
    /// Hears of each letter that ended.
    pub(super) tell: &'a dyn Fn(&Entry, Ended, &str),
}

/// A letter that was answered, and whose outcome is waited for.
struct Open<'a> {
    entry: &'a Entry,
    since: Instant,
    /// The operation or request that the fleet answers.
    id: Option<RequestId>,
    /// Where the raw record was published.
    at: Option<Origin>,
    /// This manifest's replay said it, in this run or before.
    ours: bool,
    /// The fleet heard it before.
    before: bool,
}

type End = (Ended, String);

enum Begun<'a> {
    Open(Open<'a>),
    Ended(End),
}

impl<'a> Run<'a> {
    /// Runs until every letter has ended, or is left. Everything that was begun is waited for.
    pub(super) async fn run(mut self) -> anyhow::Result<Progress> {
        let manifest = self.manifest;
        let waits = |entry: &&Entry| self.progress.ended(&entry.letter).is_none();
        let mut queue: VecDeque<&'a Entry> = manifest.runs().filter(waits).collect();
        if queue.is_empty() {
            return Ok(self.progress);
        }
        let mut ear = Ear::open(self.house).await?;
        let mut producer = Kafka::new(self.house.options.clone()).producer().await.map_err(out::bus)?;
        let (mut open, mut failures): (Vec<Open<'a>>, usize) = (Vec::new(), 0);
        let (mut slot, mut look) = (Instant::now(), Instant::now());
        loop {
            if failures >= self.pace.most_failures {
                queue.clear();
            }
            let mut ended: Vec<(&'a Entry, End)> = Vec::new();
            if Instant::now() >= slot && open.len() < OPEN {
                // The first whose key is free; those before it with the same key would be found first.
                let free = |entry: &&Entry| !open.iter().any(|open: &Open<'_>| open.entry.key == entry.key);
                if let Some(entry) = queue.iter().position(free).and_then(|at| queue.remove(at)) {
                    match self.begin(entry, &mut producer).await? {
                        Begun::Open(one) => {
                            slot = Instant::now() + self.pace.gap;
                            open.push(one);
                        }
                        Begun::Ended(end) => ended.push((entry, end)),
                    }
                }
            }
            let tick = if queue.is_empty() { look } else { look.min(slot) };
            for event in ear.hear(self.house, tick.max(Instant::now() + Duration::from_millis(5))).await {
                for one in &mut open {
                    if let Some(end) = heard(one, &event) {
                        ended.push((one.entry, end));
                    }
                }
            }
            if Instant::now() >= look {
                for one in &open {
                    if let Some(end) = self.look(one).await? {
                        ended.push((one.entry, end));
                    }
                }
                look = Instant::now() + LOOK;
            }
            for (entry, (how, why)) in ended {
                if self.progress.ended(&entry.letter).is_none() {
                    self.progress.end(&entry.letter, how, &why)?;
                    (self.tell)(entry, how, &why);
                    failures += usize::from(how == Ended::Failed);
                }
            }
            let patience = self.pace.patience;
            open.retain(|one| {
                self.progress.ended(&one.entry.letter).is_none() && one.since.elapsed() < patience
            });
            if queue.is_empty() && open.is_empty() {
                return Ok(self.progress);
            }
        }
    }

    /// Answers a letter, unless that was done or nothing waits for it any more.
    async fn begin(&mut self, entry: &'a Entry, producer: &mut KafkaProducer) -> anyhow::Result<Begun<'a>> {
        let ours = self.progress.begun(&entry.letter);
        let one = Open { entry, since: Instant::now(), id: None, at: None, ours, before: false };
        if entry.verdict == Verdict::AskAfresh {
            self.ask_afresh(one, producer).await
        } else {
            self.send_back(one, producer).await
        }
    }

    async fn ask_afresh(
        &mut self,
        mut one: Open<'a>,
        producer: &mut KafkaProducer,
    ) -> anyhow::Result<Begun<'a>> {
        let entry = one.entry;
        let moved = |why: String| Ok(Begun::Ended((Ended::MovedOn, why)));
        let (Some(question), Some(version)) = (&entry.question, entry.version) else {
            return moved("the manifest names no question".into());
        };
        let Some(past) = self.house.past(question.tenant).await? else {
            return moved(format!("the store knows no tenant {}", question.tenant));
        };
        let id = self.manifest.operation(&entry.letter);
        one.id = Some(id.clone());
        if past.taken_up(&id).is_some() {
            return Ok(Begun::Open(one));
        }
        let judged = verdict::command(Some(question), &self.house.known(Some(&past), None));
        match judged.verdict {
            Verdict::AskAfresh => {}
            Verdict::AlreadyApplied => return Ok(Begun::Ended((Ended::Already, judged.why))),
            _ => return moved(judged.why),
        }
        let head = &self.progress.head;
        let mut reason =
            format!("{} (dlq replay {} of {})", head.reason, self.manifest.short(), entry.letter);
        if let Some(second) = &head.approved_by {
            reason.push_str(&format!(", approved by {second} (unverified)"));
        }
        let operation = verdict::retry(&past.tenant, id, version, &head.actor.name, &reason);
        let slug = &past.tenant.request.slug;
        let (headers, value) = operation.encode(self.house.now())?;
        let record = Outgoing {
            place: Place { topic: Topic::Operations, partition: Lane::of(slug, self.house.lanes).0 },
            key: Some(Bytes::copy_from_slice(slug.as_str().as_bytes())),
            headers,
            value: Some(value),
            tag: 0,
        };
        self.progress.begin(&entry.letter)?;
        one.ours = true;
        say(producer, record).await?;
        Ok(Begun::Open(one))
    }

    async fn send_back(
        &mut self,
        mut one: Open<'a>,
        producer: &mut KafkaProducer,
    ) -> anyhow::Result<Begun<'a>> {
        let entry = one.entry;
        one.id.clone_from(&entry.request);
        if let Some(decided) = entry.request.as_ref().and_then(|id| self.house.decided(id)) {
            let how = if one.ours { Ended::Done } else { Ended::Already };
            return Ok(Begun::Ended((how, decided.event_type().to_owned())));
        }
        let Some(letter) = self.raw.get(&entry.letter) else {
            return Ok(Begun::Ended((Ended::Failed, "its raw bytes are gone".into())));
        };
        if let Some(question) = &entry.question {
            let past = self.house.past(question.tenant).await?;
            if past.as_ref().is_some_and(|past| past.heard(question.row.as_str(), question.token).is_some()) {
                let how = if one.ours { Ended::Done } else { Ended::Already };
                return Ok(Begun::Ended((how, "an answer to its question was heard".into())));
            }
        }
        let record = self.again(&letter.record);
        self.progress.begin(&entry.letter)?;
        one.ours = true;
        one.at = Some(say(producer, record).await?);
        Ok(Begun::Open(one))
    }

    /// The record as it was, for the place where it was, with who says it again.
    fn again(&self, record: &Record) -> Outgoing {
        let count = record.header("replay_count").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
        let mut headers = record.headers.clone();
        let text = |name: &str, value: String| (name.to_owned(), Bytes::from(value));
        headers.extend([
            text("replay_batch", self.manifest.short().to_owned()),
            text("replay_of", record.origin().to_string()),
            text("replay_count", count.saturating_add(1).to_string()),
            text("replay_operator", self.progress.head.actor.name.clone()),
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

    /// What the journal says became of a letter.
    async fn look(&self, one: &Open<'_>) -> anyhow::Result<Option<End>> {
        let Some(question) = &one.entry.question else { return Ok(None) };
        let Some(past) = self.house.past(question.tenant).await? else { return Ok(None) };
        let done = if one.ours { Ended::Done } else { Ended::Already };
        if one.entry.verdict != Verdict::AskAfresh {
            let heard = past.heard(question.row.as_str(), question.token);
            return Ok(heard.map(|_| (done, "its answer was heard".to_owned())));
        }
        let taken_up = one.id.as_ref().and_then(|id| past.taken_up(id));
        Ok(match taken_up {
            Some(n) => match verdict::end_of_row(question, &past, &self.house.plans, n) {
                Some(Ok(())) => Some((done, format!("{} was asked afresh, and is done", question.row))),
                Some(Err(code)) => {
                    Some((Ended::Failed, format!("{} was asked afresh: {code}", question.row)))
                }
                None => None,
            },
            None if one.before => Some((Ended::MovedOn, "an earlier run asked, and was refused".to_owned())),
            None => None,
        })
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
    let asks = one.entry.verdict == Verdict::AskAfresh;
    match event.event {
        // The first run's words stand; the journal says what came of them.
        EventKind::RequestDuplicate if asks => one.before = true,
        EventKind::OperationRefused if asks && code == Some(Code::RequestIdReused) => one.before = true,
        EventKind::OperationRefused if asks => {
            let stale = matches!(code, Some(Code::VersionStale | Code::VerbNotAllowed | Code::TenantUnknown));
            return Some((if stale { Ended::MovedOn } else { Ended::Failed }, words()));
        }
        _ if asks => {}
        EventKind::RequestAccepted | EventKind::OperationAccepted => return Some((Ended::Done, words())),
        EventKind::RequestDuplicate => {
            return Some((if one.ours { Ended::Done } else { Ended::Already }, words()));
        }
        EventKind::RequestRejected | EventKind::RequestQuarantined | EventKind::OperationRefused => {
            return Some((Ended::Failed, words()));
        }
        _ => {}
    }
    None
}

/// Publishes one record and waits until all replicas have it.
async fn say(producer: &mut KafkaProducer, record: Outgoing) -> anyhow::Result<Origin> {
    let (topic, partition) = (record.place.topic.name(), record.place.partition);
    let place = format!("{topic}/{partition}");
    match producer.send(record) {
        Ok(()) => {}
        Err(Refused::Never(_, why)) => {
            return Err(failed("publish_refused", format!("{place}: {why}")).into());
        }
        Err(Refused::Full(_)) => {
            let text = format!("{place}: the producer's queue is full; run the replay again");
            return Err(failed("publish_refused", text).into());
        }
    }
    let delivered = timeout(ACKNOWLEDGED, producer.delivered()).await.unwrap_or_default();
    match delivered.into_iter().next().map(|report| report.delivery) {
        Some(Delivery::Acked(offset)) => Ok(Origin { topic, partition, offset }),
        Some(Delivery::NotPersisted(why)) => Err(failed("publish_refused", format!("{place}: {why}")).into()),
        Some(Delivery::PossiblyPersisted(why)) => Err(unconfirmed(&place, &why)),
        None => Err(unconfirmed(&place, "not acknowledged within 30 s")),
    }
}

fn unconfirmed(place: &str, why: &str) -> anyhow::Error {
    let text = format!(
        "{place}: {why}; it may have been published: see that the brokers run, then run the replay again, which makes \
         nothing twice"
    );
    failed("publish_unconfirmed", text).into()
}

/// Hears what the fleet says on `tenant.events`, from the moment it was opened.
struct Ear {
    reader: Reader,
    next: BTreeMap<Place, i64>,
}

impl Ear {
    async fn open(house: &House) -> anyhow::Result<Self> {
        let places = Reader::places(&house.options, vec![Topic::Events]).await.map_err(out::bus)?;
        let reader = Reader::open(&house.options, places, Start::End).await.map_err(out::bus)?;
        let next = reader.ends().clone();
        Ok(Self { reader, next })
    }

    /// What was said, until `tick` at most. A broker that comes and goes is waited for.
    async fn hear(&mut self, house: &House, tick: Instant) -> Vec<Event> {
        match timeout_at(tick, self.reader.read()).await {
            Ok(Ok(Read::Records(records))) => {
                let mut events = Vec::new();
                for record in records {
                    let place = Place { topic: record.topic.clone(), partition: record.partition };
                    self.next.insert(place, record.offset + 1);
                    // What cannot be read is not ours to judge here.
                    events.extend(Event::decode(&record));
                }
                events
            }
            Ok(Ok(Read::CaughtUp)) | Err(_) => Vec::new(),
            Ok(Err(_)) => {
                sleep(LOOK).await;
                let places = self.next.keys().cloned().collect();
                let from = Start::At(self.next.clone());
                if let Ok(reader) = Reader::open(&house.options, places, from).await {
                    self.reader = reader;
                }
                Vec::new()
            }
        }
    }
}
