//! The load: publishes requests, so many in flight or so many a second, hears the answers, and checks every outcome.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tenantry_audit::{Expected, Heard, Report, Verifier};
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::{Code, Lane, Record, Refusal, Slug, Topic};
use tenantry_kafka::{Kafka, KafkaProducer, Options, Read, Reader, Start};
use tenantry_ports::{Bus, Clock, Delivered, Delivery, Producer, Refused};

use super::gaps::Gaps;
use super::work::{Pace, Work, request};
use crate::clock::SystemClock;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) active: u64,
    pub(super) rolled_back: u64,
    /// Further requests for a tenant that were refused, as they must be.
    pub(super) refused: u64,
    pub(super) took: Duration,
    /// Milliseconds from publication to outcome, sorted.
    pub(super) latencies_ms: Vec<f64>,
    /// Where the lanes stood still, as the audit tells it.
    pub(super) gaps: Gaps,
}

/// Runs all sagas to their end.
pub(super) async fn run(
    options: &Options,
    lanes: u16,
    timeout: Duration,
    work: Work,
) -> anyhow::Result<Outcome> {
    Load::open(options, lanes, timeout, work).await?.finish().await
}

/// Sagas on their way.
pub(super) struct Load {
    work: Work,
    lanes: u16,
    timeout: Duration,
    reader: Reader,
    producer: KafkaProducer,
    clock: SystemClock,
    /// The next request: of which tenant, and the how-manieth for it.
    next: (u64, u64),
    /// How many requests are published.
    sent: u64,
    /// How many are accepted.
    accepted: u64,
    open: HashMap<String, Open>,
    /// What the slugs of this run begin with.
    own: String,
    /// How many further requests there will be.
    further: u64,
    /// How many further requests were refused so far, for tenants with any.
    refused: HashMap<String, u64>,
    began: Instant,
    outcome: Outcome,
}

/// A tenant without an outcome.
struct Open {
    due: Instant,
    accepted: bool,
}

impl Load {
    /// Begins to listen; publishes nothing yet.
    pub(super) async fn open(
        options: &Options,
        lanes: u16,
        timeout: Duration,
        work: Work,
    ) -> anyhow::Result<Self> {
        let mut topics = vec![Topic::Events];
        topics.extend(work.audit.then_some(Topic::Audit));
        let places = Reader::places(options, topics).await?;
        let latencies_ms = Vec::with_capacity(work.sagas as usize);
        Ok(Self {
            lanes,
            timeout,
            reader: Reader::open(options, places, Start::End).await?,
            producer: Kafka::new(options.clone()).producer().await?,
            clock: SystemClock::default(),
            next: (1, 0),
            sent: 0,
            accepted: 0,
            open: HashMap::new(),
            own: format!("b-{}-", work.run),
            further: (1..=work.sagas).map(|number| work.further(number)).sum(),
            refused: HashMap::new(),
            began: Instant::now(),
            outcome: Outcome { latencies_ms, ..Outcome::default() },
            work,
        })
    }

    /// Goes on until every request is published and every tenant accepted.
    pub(super) async fn until_accepted(&mut self) -> anyhow::Result<()> {
        self.drive(|load| load.accepted == load.work.sagas).await
    }

    /// Goes on until every tenant has its outcome, and every further request its answer.
    pub(super) async fn finish(mut self) -> anyhow::Result<Outcome> {
        self.drive(|load| {
            let outcome = &load.outcome;
            outcome.active + outcome.rolled_back == load.work.sagas && outcome.refused == load.further
        })
        .await?;
        self.outcome.took = self.began.elapsed();
        self.outcome.latencies_ms.sort_by(f64::total_cmp);
        Ok(self.outcome)
    }

    async fn drive(&mut self, done: fn(&Self) -> bool) -> anyhow::Result<()> {
        if self.sent == 0 {
            self.began = Instant::now();
        }
        let end = Instant::now() + self.timeout;
        while !done(self) {
            self.publish()?;
            let due = self.work.pace.next_due(self.began, self.sent);
            let due = due.filter(|_| self.next.0 <= self.work.sagas).unwrap_or(end);
            tokio::select! {
                read = self.reader.read() => {
                    if let Read::Records(records) = read? {
                        self.hear(&records)?;
                    }
                }
                reports = self.producer.delivered() => all_acked(&reports)?,
                () = tokio::time::sleep_until(due.into()), if due < end => {}
                () = tokio::time::sleep_until(end.into()) => {
                    bail!("{} sagas are still open after {:?}", self.open.len(), self.timeout)
                }
            }
        }
        Ok(())
    }

    /// Publishes what may be published now.
    fn publish(&mut self) -> anyhow::Result<()> {
        let pace = self.work.pace;
        while self.next.0 <= self.work.sagas {
            let (number, further) = self.next;
            // What is asked once more of a tenant belongs to the first request.
            let belongs = further > 0 && matches!(pace, Pace::Closed(_));
            if !belongs && !pace.allows(self.sent, self.open.len() as u64, self.began.elapsed()) {
                break;
            }
            let slug = self.work.slug(number);
            let id = if further == 0 { slug.clone() } else { format!("{slug}.{further}") };
            let body = (self.work.request)(&slug);
            match self.producer.send(request(&slug, id, body, self.home(&slug)?, self.clock.now())?) {
                Ok(()) => {}
                Err(Refused::Full(_)) => break,
                Err(Refused::Never(_, why)) => bail!("a request cannot be published: {why}"),
            }
            if further == 0 {
                let due = pace.due(self.began, self.sent);
                self.outcome.gaps.opened(self.home(&slug)?.0, Instant::now());
                self.open.insert(slug, Open { due, accepted: false });
            }
            self.sent += 1;
            let more = further < self.work.further(number);
            self.next = if more { (number, further + 1) } else { (number + 1, 0) };
        }
        Ok(())
    }

    fn home(&self, slug: &str) -> anyhow::Result<Lane> {
        Ok(Lane::of(&Slug::parse(slug)?, self.lanes))
    }

    fn hear(&mut self, records: &[Record]) -> anyhow::Result<()> {
        for record in records {
            if record.topic == Topic::Audit {
                self.outcome.gaps.heard(record.partition, Instant::now());
            } else {
                self.settle(&Event::decode(record)?)?;
            }
        }
        Ok(())
    }

    /// An answer: counted once, and checked against what it must be.
    fn settle(&mut self, event: &Event) -> anyhow::Result<()> {
        let slug = event.tenant.as_ref().map(|tenant| tenant.slug.as_str());
        let id = event.request.as_ref().map(|request| request.id.as_str());
        let name = id.or(slug).with_context(|| format!("an answer to nobody: {:?}", event.event))?;
        // Others may ask at the same time.
        if !name.starts_with(&self.own) {
            return Ok(());
        }
        let active = match event.event {
            EventKind::Provisioned => true,
            EventKind::RolledBack => false,
            EventKind::RequestAccepted => {
                let slug = slug.context("an acceptance without a tenant")?;
                if id != Some(slug) {
                    bail!("a further request for {slug} was accepted: {id:?}");
                }
                if let Some(open) = self.open.get_mut(slug).filter(|open| !open.accepted) {
                    open.accepted = true;
                    self.accepted += 1;
                }
                return Ok(());
            }
            EventKind::RequestRejected if event.refusal.as_ref().is_some_and(taken) => {
                return self.further(name);
            }
            EventKind::RequestDuplicate => return Ok(()),
            // Something that somebody should know, although nothing failed.
            EventKind::Notice => return Ok(()),
            other => bail!("an answer that must not be: {other:?} {:?}", event.refusal),
        };
        let slug = slug.context("an outcome without a tenant")?;
        // A fact may be said again after a doubt; the first occurrence counts.
        let Some(open) = self.open.remove(slug) else { return Ok(()) };
        self.outcome.gaps.closed(self.home(slug)?.0);
        if active == (self.work.fails)(slug) {
            bail!("the wrong outcome for {slug}: {:?}", event.event);
        }
        if active {
            self.outcome.active += 1;
        } else {
            self.outcome.rolled_back += 1;
        }
        self.outcome.latencies_ms.push(open.due.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    }

    /// A further request was refused: after the first was accepted, and in the order in which they came.
    fn further(&mut self, id: &str) -> anyhow::Result<()> {
        let (slug, number) = id.rsplit_once('.').with_context(|| format!("{id} was refused"))?;
        let number: u64 = number.parse().with_context(|| format!("{id} was refused"))?;
        if self.open.get(slug).is_some_and(|open| !open.accepted) {
            bail!("{id} was decided before the request that came before it");
        }
        let known = self.refused.entry(slug.to_owned()).or_default();
        if number > *known + 1 {
            bail!("{id} was decided before {slug}.{}", *known + 1);
        }
        // As above: what is said again is older.
        if number == *known + 1 {
            *known = number;
            self.outcome.refused += 1;
        }
        Ok(())
    }
}

/// The tenant that was asked for first has the slug.
fn taken(refusal: &Refusal) -> bool {
    refusal.code == Code::SlugTaken
}

fn all_acked(reports: &[Delivered]) -> anyhow::Result<()> {
    match reports.iter().find(|report| !matches!(report.delivery, Delivery::Acked(_))) {
        Some(bad) => bail!("a request was not acknowledged: {:?}", bad.delivery),
        None => Ok(()),
    }
}

/// Reads the audit topic from the beginning and verifies every chain, and that it reaches the heads that are expected.
pub(super) async fn verify(options: &Options, expected: Option<&Expected>) -> anyhow::Result<Report> {
    let places = Reader::places(options, vec![Topic::Audit]).await?;
    let mut reader = Reader::open(options, places, Start::Earliest).await?;
    let mut verifier = Verifier::new();
    while let Read::Records(records) = reader.read().await? {
        for record in &records {
            let at = record.origin();
            verifier.hear(Heard { key: record.key.as_deref(), value: record.value.as_deref(), at: &at });
        }
    }
    Ok(verifier.finish(expected)?)
}
