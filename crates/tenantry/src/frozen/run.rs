//! The run itself: begins entries at a rate, in order for each key, and waits for what becomes of each.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::time::Duration;

use tenantry_contracts::event::Event;
use tenantry_contracts::{Origin, RequestId, Topic};
use tenantry_kafka::{Kafka, KafkaProducer, Options, Read, Reader, Start};
use tenantry_ports::{Bus, Delivery, Outgoing, Place, Producer, Refused};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::pace::Pace;
use super::progress::{Ended, Progress};
use crate::out::{self, failed};

/// How many entries may be under way at a time.
const OPEN: usize = 64;
/// How often the store is asked what became of them.
const LOOK: Duration = Duration::from_millis(300);
/// How long an acknowledgement may take.
const ACKNOWLEDGED: Duration = Duration::from_secs(30);

/// What is done with each entry of a selection.
pub(crate) trait Work {
    /// An entry.
    type Item: 'static;

    /// What names it in the file of the progress.
    fn id(&self, item: &Self::Item) -> String;
    /// What keeps order: entries with the same key are said one after the other.
    fn key(&self, item: &Self::Item) -> String;
    /// Says it with [`Says::say`], unless that was done or nothing waits for it any more.
    fn begin<'a>(
        &self,
        open: Open<'a, Self::Item>,
        says: &mut Says<'_>,
    ) -> impl Future<Output = anyhow::Result<Begun<'a, Self::Item>>>;
    /// What an answer of the fleet says of it.
    fn heard(&self, open: &mut Open<'_, Self::Item>, event: &Event) -> Option<End>;
    /// What the journal says became of it.
    fn look(&self, open: &Open<'_, Self::Item>) -> impl Future<Output = anyhow::Result<Option<End>>>;
    /// Hears of each that ended.
    fn tell(&self, item: &Self::Item, how: Ended, why: &str);
}

/// An entry under way, whose outcome is waited for.
pub(crate) struct Open<'a, I> {
    pub(crate) item: &'a I,
    since: Instant,
    /// The operation or request that the fleet answers.
    pub(crate) id: Option<RequestId>,
    /// Where the record was published.
    pub(crate) at: Option<Origin>,
    /// These runs said it, in this one or before.
    pub(crate) ours: bool,
    /// The fleet heard it before.
    pub(crate) before: bool,
}

/// How an entry ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has an outcome.
    With(Ended, String),
    /// It was refused for a reason that passes and that all others share: nothing new is begun in this run.
    NotNow(String),
}

/// What became of the beginning.
pub(crate) enum Begun<'a, I> {
    Open(Open<'a, I>),
    Ended(End),
}

/// Says records, and remembers before each that it does.
pub(crate) struct Says<'a> {
    producer: &'a mut KafkaProducer,
    progress: &'a mut Progress,
    entry: String,
}

impl Says<'_> {
    /// The progress so far.
    pub(crate) fn progress(&self) -> &Progress {
        self.progress
    }

    /// Publishes the entry's record and waits until all replicas have it.
    pub(crate) async fn say(&mut self, record: Outgoing) -> anyhow::Result<Origin> {
        self.progress.begin(&self.entry)?;
        say(self.producer, record).await
    }
}

/// Runs until every entry has ended, or is left; says why nothing more was begun. Everything that was begun is waited for.
pub(crate) async fn run<'a, W: Work>(
    work: &W,
    items: impl Iterator<Item = &'a W::Item>,
    pace: Pace,
    options: &Options,
    progress: &mut Progress,
) -> anyhow::Result<Option<String>> {
    let mut queue: VecDeque<&'a W::Item> =
        items.filter(|item| progress.ended(&work.id(item)).is_none()).collect();
    if queue.is_empty() {
        return Ok(None);
    }
    let mut ear = Ear::open(options).await?;
    let mut producer = Kafka::new(options.clone()).producer().await.map_err(out::bus)?;
    let mut open: Vec<Open<'a, W::Item>> = Vec::new();
    let (mut failures, mut outcomes, mut stopped) = (0, 0, None);
    let (mut slot, mut look) = (Instant::now(), Instant::now());
    loop {
        let mut ended: Vec<(&'a W::Item, End)> = Vec::new();
        if Instant::now() >= slot && open.len() < OPEN {
            // The first whose key is free; those before it with the same key would be found first.
            let free = |item: &&W::Item| !open.iter().any(|open| work.key(open.item) == work.key(item));
            if let Some(item) = queue.iter().position(free).and_then(|at| queue.remove(at)) {
                let entry = work.id(item);
                let ours = progress.begun(&entry);
                let one = Open { item, since: Instant::now(), id: None, at: None, ours, before: false };
                let mut says = Says { producer: &mut producer, progress, entry };
                match work.begin(one, &mut says).await? {
                    Begun::Open(one) => {
                        slot = Instant::now() + pace.gap;
                        open.push(one);
                    }
                    Begun::Ended(end) => ended.push((item, end)),
                }
            }
        }
        let tick = if queue.is_empty() { look } else { look.min(slot) };
        for event in ear.hear(options, tick.max(Instant::now() + Duration::from_millis(5))).await {
            for one in &mut open {
                if let Some(end) = work.heard(one, &event) {
                    ended.push((one.item, end));
                }
            }
        }
        if Instant::now() >= look {
            for one in &open {
                if let Some(end) = work.look(one).await? {
                    ended.push((one.item, end));
                }
            }
            look = Instant::now() + LOOK;
        }
        for (item, end) in ended {
            let entry = work.id(item);
            match end {
                _ if progress.ended(&entry).is_some() => {}
                End::With(how, why) => {
                    progress.end(&entry, how, &why)?;
                    work.tell(item, how, &why);
                    outcomes += 1;
                    failures += usize::from(how == Ended::Failed);
                }
                End::NotNow(why) => {
                    progress.put_back(&entry)?;
                    open.retain(|one| work.id(one.item) != entry);
                    stopped.get_or_insert(why);
                }
            }
        }
        if stopped.is_none() && !queue.is_empty() {
            stopped = pace.enough(failures, outcomes);
        }
        if stopped.is_some() {
            queue.clear();
        }
        open.retain(|one| {
            progress.ended(&work.id(one.item)).is_none() && one.since.elapsed() < pace.patience
        });
        if queue.is_empty() && open.is_empty() {
            return Ok(stopped);
        }
    }
}

/// Publishes one record and waits until all replicas have it.
pub(crate) async fn say(producer: &mut KafkaProducer, record: Outgoing) -> anyhow::Result<Origin> {
    let (topic, partition) = (record.place.topic.name(), record.place.partition);
    let place = format!("{topic}/{partition}");
    match producer.send(record) {
        Ok(()) => {}
        Err(Refused::Never(_, why)) => {
            return Err(failed("publish_refused", format!("{place}: {why}")).into());
        }
        Err(Refused::Full(_)) => {
            let text = format!("{place}: the producer's queue is full; run the command again");
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
        "{place}: {why}; it may have been published: see that the brokers run, then run the command again, which makes \
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
    async fn open(options: &Options) -> anyhow::Result<Self> {
        let places = Reader::places(options, vec![Topic::Events]).await.map_err(out::bus)?;
        let reader = Reader::open(options, places, Start::End).await.map_err(out::bus)?;
        let next = reader.ends().clone();
        Ok(Self { reader, next })
    }

    /// What was said, until `tick` at most. A broker that comes and goes is waited for.
    async fn hear(&mut self, options: &Options, tick: Instant) -> Vec<Event> {
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
                if let Ok(reader) = Reader::open(options, places, from).await {
                    self.reader = reader;
                }
                Vec::new()
            }
        }
    }
}
