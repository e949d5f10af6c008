//! A batch on its way: read what memory lacks, decide, say the letters, commit, speak. A lane is on one flight at a time,
//! and what comes in for it meanwhile gathers for its next one. Two are on their way at most, so that one is decided while
//! the other is written; more would only make the batches smaller.

use std::collections::{BTreeMap, VecDeque};

use futures::FutureExt;
use tenantry_contracts::audit::AuditKind;
use tenantry_contracts::{Lane as LaneId, TenantId, Time};
use tenantry_ports::{Batch, Bus, Clock, CommitOutcome, Entropy, Found, Need, Outgoing, Store};

use crate::batch::Draft;
use crate::engine::{Engine, Job};
use crate::entry::Note;
use crate::hear::{Bug, Claimed, Hearing, Stepped};
use crate::lane::{Item, Lane};
use crate::need::missing;
use crate::speak::letter_tag;
use crate::telemetry;
use crate::tell::Heard;

/// How often a lane's row is written at least, in milliseconds.
const TOUCH_MS: i64 = 5000;
/// How many batches are on their way at a time, each with its share of the lanes.
const FLIGHTS: usize = 2;
/// How often a commit that failed for certain is repeated before the lanes are taken over anew.
const REPEATS: u32 = 5;

/// Which flight.
pub(crate) type FlightId = u32;

/// A batch on its way.
pub(crate) struct Flight {
    stage: Stage,
    /// For each lane: the life of its memory when the flight began, and what is to be decided.
    work: BTreeMap<LaneId, (u16, Vec<Item>)>,
    found: Option<Found>,
    drafts: BTreeMap<LaneId, (u16, Draft, Vec<TenantId>)>,
    /// What other flights must not decide before this one is written.
    claimed: Claimed,
    pub(crate) letters_open: usize,
    began: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reading,
    Letters,
    Committing,
}

impl Flight {
    /// A lane is on it.
    fn carries(&self, lane: LaneId) -> bool {
        self.work.contains_key(&lane) || self.drafts.contains_key(&lane)
    }

    /// It waits for letters to be acknowledged.
    pub(crate) fn waits_for_letters(&self) -> bool {
        self.stage == Stage::Letters
    }
}

impl Lane {
    /// There is something to write now.
    pub(crate) fn has_work(&self, now: Time) -> bool {
        !self.inbox.items.is_empty()
            || (!self.requests.items.is_empty() && self.room() > 0)
            || self.pause_ms.is_some()
            || self.restored.is_some()
            || !self.rested.is_empty()
            || self.is_due(now)
            || now.since(self.written) >= TOUCH_MS
    }

    /// When there will be something to write, if nothing comes in.
    pub(crate) fn touch_at(&self) -> Time {
        self.written.plus(TOUCH_MS)
    }

    fn items(&mut self, now: Time, most: usize) -> Vec<Item> {
        let mut items: Vec<Item> = self.due(now).into_iter().map(Item::Due).collect();
        let most = most.saturating_sub(items.len());
        let answers = self.inbox.items.len().min(most);
        // What is begun is finished first; but nobody waits for an answer to a request until all others are done.
        let requests = (most - answers).max(most / 8).min(self.requests.items.len()).min(self.room());
        items.extend(self.requests.items.drain(..requests));
        items.extend(self.inbox.items.drain(..answers));
        items
    }
}

impl<B: Bus, S: Store, C: Clock, E: Entropy> Engine<B, S, C, E> {
    /// The lanes that are on no flight.
    pub(crate) fn grounded(&self) -> impl Iterator<Item = (&LaneId, &Lane)> {
        self.lanes.iter().filter(|(id, _)| !self.flights.values().any(|flight| flight.carries(**id)))
    }

    /// Whether no other flight may set off.
    pub(crate) fn all_fly(&self) -> bool {
        self.flights.len() >= FLIGHTS
    }

    /// Sets off with lanes that have something to write, while flights are left.
    pub(crate) fn take_off(&mut self) -> Result<(), Bug> {
        let now = self.clock.now();
        let share = self.lanes.len().div_ceil(FLIGHTS);
        while !self.all_fly() {
            let busy: Vec<LaneId> = self
                .grounded()
                .filter(|(_, lane)| lane.has_work(now))
                .map(|(id, _)| *id)
                .take(share)
                .collect();
            if busy.is_empty() {
                break;
            }
            let most = (self.options.batch / busy.len()).max(1);
            let mut work = BTreeMap::new();
            for id in busy {
                if let Some(lane) = self.lanes.get_mut(&id) {
                    work.insert(id, (lane.spoken.life(), lane.items(now, most)));
                }
            }
            let flight = Flight {
                stage: Stage::Reading,
                work,
                found: None,
                drafts: BTreeMap::new(),
                claimed: Claimed::default(),
                letters_open: 0,
                began: now,
            };
            self.flight_id = self.flight_id.wrapping_add(1);
            self.flights.insert(self.flight_id, flight);
            self.read_or_decide(self.flight_id)?;
        }
        Ok(())
    }

    fn read_or_decide(&mut self, id: FlightId) -> Result<(), Bug> {
        let Some(flight) = self.flights.get(&id) else { return Ok(()) };
        let works =
            flight.work.iter().filter_map(|(id, (_, items))| Some((self.lanes.get(id)?, items.as_slice())));
        let need = missing(works, flight.found.as_ref());
        if need.is_empty() {
            return self.decide(id);
        }
        self.read(id, need);
        Ok(())
    }

    fn read(&mut self, id: FlightId, need: Need) {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let job = async move {
            let mut pause = 20;
            loop {
                match store.read(need.clone()).await {
                    Ok(found) => return Job::Read(id, Box::new(found)),
                    Err(error) => tracing::warn!(%error, "the store cannot be read yet"),
                }
                clock.sleep_until(clock.now().plus(pause)).await;
                pause = (pause * 2).min(2000);
            }
        };
        self.jobs.push(job.boxed());
    }

    /// What was read came.
    pub(crate) fn on_read(&mut self, id: FlightId, found: Found) -> Result<(), Bug> {
        let Some(flight) = self.flights.get_mut(&id) else { return Ok(()) };
        match &mut flight.found {
            None => flight.found = Some(found),
            Some(have) => {
                have.requests.extend(found.requests);
                have.slugs.extend(found.slugs);
                have.tenants.extend(found.tenants);
            }
        }
        self.read_or_decide(id)
    }

    /// Decides everything, in order, without awaiting anything.
    fn decide(&mut self, flight_id: FlightId) -> Result<(), Bug> {
        let Some(mut flight) = self.flights.remove(&flight_id) else { return Ok(()) };
        let now = self.clock.now();
        let found = flight.found.take().unwrap_or_default();
        let mut letters: Vec<Outgoing> = Vec::new();
        let elsewhere: Vec<&Claimed> = self.flights.values().map(|flight| &flight.claimed).collect();
        let mut claimed = Claimed::default();
        let mut heard = 0;
        for (id, (life, items)) in std::mem::take(&mut flight.work) {
            let Some(lane) = self.lanes.get_mut(&id).filter(|lane| lane.spoken.life() == life) else {
                continue;
            };
            let mut draft = Draft::default();
            draft.touched.extend(std::mem::take(&mut lane.rested));
            draft.touched.extend(lane.outdated(now));
            let mut hearing = Hearing {
                options: &self.options,
                lane,
                found: &found,
                draft: &mut draft,
                entropy: &self.entropy,
                now,
                letters: &mut letters,
                letter_tag: letter_tag(flight_id),
                claimed: &mut claimed,
                elsewhere: &elsewhere,
            };
            if let Some(accepted) = hearing.lane.restored.take() {
                hearing.restored(&accepted)?;
            }
            if let Some(ms) = hearing.lane.pause_ms.take() {
                let cause = Heard { origin: None, digest: String::new(), now };
                let note = Note {
                    words: Some(format!("{ms} ms without an owner")),
                    ..Note::new(AuditKind::LanePaused)
                };
                hearing.note(&cause, &note, None)?;
            }
            let mut items = VecDeque::from(items);
            while let Some(item) = items.pop_front() {
                if hearing.hear(&item)? == Stepped::Deferred {
                    items.push_front(item);
                    break;
                }
                heard += 1;
            }
            lane.put_back(items.into_iter());
            flight.drafts.insert(id, (life, draft, Vec::new()));
        }
        flight.claimed = claimed;
        metrics::histogram!(telemetry::BATCH_RECORDS).record(f64::from(heard));
        flight.letters_open = letters.len();
        for letter in letters {
            self.mouth.say(letter);
        }
        flight.stage = Stage::Letters;
        self.flights.insert(flight_id, flight);
        self.commit_if_ready(flight_id);
        Ok(())
    }

    /// Commits once every letter is acknowledged.
    pub(crate) fn commit_if_ready(&mut self, flight_id: FlightId) {
        let Some(flight) = self.flights.get_mut(&flight_id) else { return };
        if flight.stage != Stage::Letters || flight.letters_open > 0 {
            return;
        }
        let now = self.clock.now();
        let mut batch = Batch::default();
        for (id, (life, draft, rest)) in &mut flight.drafts {
            let Some(lane) = self.lanes.get_mut(id).filter(|lane| lane.spoken.life() == *life) else {
                continue;
            };
            let (write, resting) = draft.write(lane, now);
            *rest = resting;
            batch.lanes.push(write);
        }
        if batch.lanes.is_empty() {
            self.flights.remove(&flight_id);
            return;
        }
        flight.stage = Stage::Committing;
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let job = async move {
            for repeat in 0..REPEATS {
                match store.commit(batch.clone()).await {
                    CommitOutcome::Failed(why) => {
                        tracing::warn!(why, repeat, "the batch was not written, and is repeated")
                    }
                    outcome => return Job::Committed(flight_id, outcome),
                }
                clock.sleep_until(clock.now().plus(50 << repeat)).await;
            }
            Job::Committed(flight_id, CommitOutcome::Failed("repeated in vain".to_owned()))
        };
        self.jobs.push(job.boxed());
    }

    /// The outcome of the commit came.
    pub(crate) fn on_committed(&mut self, flight_id: FlightId, outcome: CommitOutcome) {
        let Some(flight) = self.flights.remove(&flight_id) else { return };
        let now = self.clock.now();
        metrics::histogram!(telemetry::COMMIT_DURATION).record(now.since(flight.began) as f64 / 1000.0);
        let (won, why, delay) = match outcome {
            CommitOutcome::Done(won) => (won, "lost", 0),
            CommitOutcome::Conflict(_) => (Vec::new(), "conflict", 0),
            CommitOutcome::Unknown(error) => {
                tracing::warn!(error, "nobody knows whether the batch was written: taking over");
                (Vec::new(), "unknown", 0)
            }
            CommitOutcome::Failed(_) => (Vec::new(), "failed", 1000),
        };
        for (id, (life, draft, rest)) in flight.drafts {
            if self.lanes.get(&id).is_none_or(|lane| lane.spoken.life() != life) {
                continue;
            }
            if won.contains(&id) {
                self.speak(id, draft, &rest, now);
            } else {
                let delay = if why == "lost" { self.give_way(id) } else { delay };
                self.take_over(id, why, delay);
            }
        }
        metrics::gauge!(telemetry::TENANTS_IN_MEMORY)
            .set(self.lanes.values().map(|lane| lane.tenants.len()).sum::<usize>() as f64);
    }

    /// How long to wait before a lane that was lost is taken over again, in milliseconds: a chance that grows with each
    /// fruitless take-over. Two owners that each believe in themselves would otherwise shut each other out in step, and
    /// nothing would commit.
    fn give_way(&self, id: LaneId) -> i64 {
        let fruitless = self.lanes.get(&id).map_or(0, |lane| lane.row.fruitless);
        let mut chance = [0; 2];
        self.entropy.fill(&mut chance);
        let most = 50_i64 << fruitless.clamp(0, 6);
        i64::from(u16::from_le_bytes(chance)) * most / i64::from(u16::MAX)
    }

    /// Says what committed.
    fn speak(&mut self, id: LaneId, draft: Draft, rest: &[TenantId], now: Time) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let before = tenantry_contracts::Token(lane.committed_n);
        lane.committed_n = lane.row.n;
        lane.written = now;
        let mut asked: BTreeMap<i64, Vec<tenantry_saga::Asked>> = BTreeMap::new();
        for held in draft.touched.iter().filter_map(|id| lane.tenants.get(id)) {
            let questions =
                held.tenant.questions(&self.options.plans, &self.options.fleet, before, lane.row.paused_ms);
            // A worker that is stopped is asked afresh when it goes on.
            for question in questions.into_iter().filter(|asked| !lane.row.stopped.stops(&asked.worker)) {
                asked.entry(question.command.question.token.0).or_default().push(question);
            }
        }
        for told in draft.told {
            let questions = asked.remove(&told.row.n).unwrap_or_default();
            let tag = lane.spoken.row(id, told.row.n, (told.facts.len() + questions.len()) as u32);
            for fact in told.facts {
                self.mouth.fact(id, fact, tag);
            }
            for question in questions {
                self.mouth.question(id, &question, tag);
            }
        }
        for tenant in rest {
            lane.release(*tenant);
        }
    }

    /// Says questions again whose time has come: after *not yet*, and after *expired* while their own deadline stands.
    pub(crate) fn say_due_questions(&mut self) {
        let now = self.clock.now();
        for (id, lane) in &mut self.lanes {
            while let Some(entry) = lane.again.first_entry().filter(|entry| entry.key().0 <= now) {
                let question = entry.remove();
                let held = lane.tenants.get(&question.tenant);
                let open = held.and_then(|held| {
                    held.tenant.question_of(
                        &self.options.plans,
                        &self.options.fleet,
                        &question,
                        lane.row.paused_ms,
                    )
                });
                if let Some(asked) = open.filter(|asked| !lane.row.stopped.stops(&asked.worker)) {
                    self.mouth.question(*id, &asked, crate::speak::UNCOUNTED_TAG);
                }
            }
        }
    }
}
