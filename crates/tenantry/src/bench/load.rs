//! The load: publishes requests, so many in flight or so many a second, hears the answers, and checks every outcome.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use tenantry_audit::{Heard, Report, Verifier};
use tenantry_contracts::event::{Event, EventKind};
use tenantry_contracts::{Lane, Slug, Topic, request};
use tenantry_contracts::{RequestId, Time};
use tenantry_kafka::{Kafka, Options, Read, Reader, Start};
use tenantry_ports::{Bus, Clock, Delivery, Outgoing, Place, Producer};

use crate::clock::SystemClock;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) active: u64,
    pub(super) rolled_back: u64,
    pub(super) took: Duration,
    /// Milliseconds from publication to outcome, sorted.
    pub(super) latencies_ms: Vec<f64>,
}

/// What is asked for, and what must become of it.
#[derive(Clone, Copy)]
pub(super) struct Work {
    /// The request for the tenant of this slug.
    pub(super) request: fn(&str) -> serde_json::Value,
    /// Whether that tenant must fail and be rolled back.
    pub(super) fails: fn(&str) -> bool,
}

impl Default for Work {
    fn default() -> Self {
        Self { request: document, fails: |_| false }
    }
}

/// How requests come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// So many in flight at a time; each is due when it is published.
    Closed(u64),
    /// So many a second, whatever became of the others; each is due at its time, also where it is published late.
    Rate(f64),
}

impl Pace {
    /// How many of so many requests may have been published by now, with so many that are open.
    fn allows(self, next: u64, open: u64, since: Duration) -> u64 {
        match self {
            Self::Closed(in_flight) => next + in_flight.saturating_sub(open),
            Self::Rate(per_s) => (since.as_secs_f64() * per_s) as u64 + 1,
        }
    }

    /// When a request was due.
    fn due(self, began: Instant, number: u64) -> Instant {
        match self {
            Self::Closed(_) => Instant::now(),
            Self::Rate(per_s) => began + Duration::from_secs_f64(number as f64 / per_s),
        }
    }

    /// When the next one is due, if not by an answer.
    fn next_due(self, began: Instant, next: u64) -> Option<Instant> {
        matches!(self, Self::Rate(_)).then(|| self.due(began, next))
    }
}

/// Runs `sagas` sagas.
pub(super) async fn run(
    options: &Options,
    run: &str,
    lanes: u16,
    sagas: u64,
    pace: Pace,
    timeout: Duration,
    work: Work,
) -> anyhow::Result<Outcome> {
    let places = Reader::places(options, vec![Topic::Events]).await?;
    let mut events = Reader::open(options, places, Start::End).await?;
    let mut producer = Kafka::new(options.clone()).producer().await?;
    let clock = SystemClock::default();
    let mut outcome = Outcome { latencies_ms: Vec::with_capacity(sagas as usize), ..Outcome::default() };
    let mut open: HashMap<String, Instant> = HashMap::new();
    let mut next = 0;
    let began = Instant::now();
    let end = began + timeout;
    while outcome.active + outcome.rolled_back < sagas {
        while next < pace.allows(next, open.len() as u64, began.elapsed()).min(sagas) {
            let slug = format!("b-{run}-{next}");
            let Err(refused) = producer.send(request(&slug, (work.request)(&slug), lanes, clock.now())?)
            else {
                open.insert(slug, pace.due(began, next));
                next += 1;
                continue;
            };
            if let tenantry_ports::Refused::Never(_, why) = refused {
                bail!("a request cannot be published: {why}");
            }
            break;
        }
        let due = pace.next_due(began, next).filter(|_| next < sagas).unwrap_or(end);
        tokio::select! {
            read = events.read() => {
                if let Read::Records(records) = read? {
                    for record in &records {
                        settle(&Event::decode(record)?, work, &mut open, &mut outcome)?;
                    }
                }
            }
            reports = producer.delivered() => {
                if let Some(bad) = reports.iter().find(|report| !matches!(report.delivery, Delivery::Acked(_))) {
                    bail!("a request was not acknowledged: {:?}", bad.delivery);
                }
            }
            () = tokio::time::sleep_until(due.into()), if due < end => {}
            () = tokio::time::sleep_until(end.into()) => bail!("{} sagas are still open after {timeout:?}", open.len()),
        }
    }
    outcome.took = began.elapsed();
    outcome.latencies_ms.sort_by(f64::total_cmp);
    Ok(outcome)
}

/// An answer: counted once, and checked against what it must be.
fn settle(
    event: &Event,
    work: Work,
    open: &mut HashMap<String, Instant>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let active = match event.event {
        EventKind::Provisioned => true,
        EventKind::RolledBack => false,
        EventKind::RequestAccepted | EventKind::RequestDuplicate => return Ok(()),
        // Something that somebody should know, although nothing failed.
        EventKind::Notice => return Ok(()),
        other => bail!("an answer that must not be: {other:?} {:?}", event.refusal),
    };
    let slug = event.tenant.as_ref().context("an outcome without a tenant")?.slug.as_str();
    // A fact may be said again after a doubt; the first occurrence counts.
    let Some(began) = open.remove(slug) else { return Ok(()) };
    if active == (work.fails)(slug) {
        bail!("the wrong outcome for {slug}: {:?}", event.event);
    }
    if active {
        outcome.active += 1;
    } else {
        outcome.rolled_back += 1;
    }
    outcome.latencies_ms.push(began.elapsed().as_secs_f64() * 1000.0);
    Ok(())
}

/// A request of about 600 bytes.
pub(super) fn document(slug: &str) -> serde_json::Value {
    serde_json::json!({
        "name": format!("Bench {slug}"),
        "slug": slug,
        "environment": "prod",
        "plan": "enterprise",
        "residency": "US",
        "region": "us-east-1",
        "seats": 250,
        "storage_bytes": 500_000_000_000_u64,
        "admin": { "email": format!("admin@{slug}.example.com"), "first_name": "Ada", "last_name": "Example", "role": "tenant-admin" },
        "features": ["reports", "exports", "sso"],
        "customisation": { "note": "y".repeat(180) },
    })
}

/// A request on its home partition.
fn request(slug: &str, body: serde_json::Value, lanes: u16, at: Time) -> anyhow::Result<Outgoing> {
    let home = Lane::of(&Slug::parse(slug)?, lanes);
    let id = RequestId { source: "/bench".into(), id: slug.into() };
    Ok(Outgoing {
        place: Place { topic: Topic::Requests, partition: home.0 },
        key: Some(Bytes::copy_from_slice(slug.as_bytes())),
        headers: request::headers(request::TYPE, &id, at, slug, None),
        value: Some(serde_json::to_vec(&body)?.into()),
        tag: 0,
    })
}

/// Reads the audit topic from the beginning and verifies every chain.
pub(super) async fn verify(options: &Options) -> anyhow::Result<Report> {
    let places = Reader::places(options, vec![Topic::Audit]).await?;
    let mut reader = Reader::open(options, places, Start::Earliest).await?;
    let mut verifier = Verifier::new();
    while let Read::Records(records) = reader.read().await? {
        for record in &records {
            let at = record.origin();
            verifier.hear(Heard { key: record.key.as_deref(), value: record.value.as_deref(), at: &at });
        }
    }
    Ok(verifier.finish(None)?)
}
