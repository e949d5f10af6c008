//! Taking over a lane: raise the epoch, fold its memory, say again what may not have been said, seek.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use futures::FutureExt;
use tenantry_contracts::{Code, Lane as LaneId, Time, Topic, fact};
use tenantry_ports::{
    Bus, Clock, Consumer, Entropy, LaneRow, Loaded, Place, Row, Store, StoreError, TenantRow,
};

use crate::engine::{Engine, Job};
use crate::entry::fold;
use crate::lane::{Held, Lane, Written};
use crate::restored::{Accepted, Missing, Trouble, accepted, beyond, missing};
use crate::telemetry;

/// The topics of a lane, in the order in which they are sought.
pub(crate) const HEARD: [Topic; 3] = [Topic::Requests, Topic::Results, Topic::Operations];

/// How long after a take-over a question that is still open is said once more, in milliseconds.
const ASK_AGAIN_MS: i64 = 5000;

/// After how long a lane whose store was restored looks again whether somebody accepted that, in milliseconds.
const LOOK_AGAIN_MS: i64 = 2000;

/// The places of a lane.
pub(crate) fn places(lane: LaneId) -> [Place; 3] {
    HEARD.map(|topic| Place { topic, partition: lane.0 })
}

/// Where a lane hears requests.
pub(crate) fn requests(lane: LaneId) -> [Place; 1] {
    let [requests, ..] = places(lane);
    [requests]
}

/// Where it hears everything else: answers and operations.
pub(crate) fn others(lane: LaneId) -> [Place; 2] {
    let [_, others @ ..] = places(lane);
    others
}

/// Why a lane cannot be served.
enum Stop {
    /// Log and journal disagree: a person must look.
    Discontinuous(String),
    /// The store ends before what was published: a person must decide.
    Restored(Box<Missing>),
    /// The bus is not to be reached, or took the lane away; it is taken over again.
    Again(String),
}

impl<B: Bus, S: Store, C: Clock, E: Entropy> Engine<B, S, C, E> {
    /// Begins to take a lane over, after `delay_ms`. Whatever was in memory is void from here on.
    pub(crate) fn take_over(&mut self, lane: LaneId, why: &'static str, delay_ms: i64) {
        self.lanes.remove(&lane);
        self.mouth.forget(lane);
        let places = places(lane);
        if !places.iter().all(|place| self.held.contains(place)) {
            self.taking.remove(&lane);
            return;
        }
        metrics::counter!(telemetry::TAKEOVERS, "why" => why).increment(1);
        tracing::info!(lane = lane.0, why, "taking a lane over");
        self.consumer.pause(&places);
        let wanted = Arc::new(());
        let attempt = Arc::downgrade(&wanted);
        self.taking.insert(lane, wanted);
        let (store, clock) = (self.store.clone(), self.clock.clone());
        let job = async move {
            clock.sleep_until(clock.now().plus(delay_ms)).await;
            let mut pause = 50;
            // A lane that was revoked meanwhile has another owner, who must not be fenced out.
            while attempt.strong_count() > 0 {
                match raise_and_load(&store, lane).await {
                    Ok((row, loaded)) => return Job::TookOver(lane, attempt, Box::new((row, loaded))),
                    Err(error) => tracing::warn!(lane = lane.0, %error, "the lane cannot be taken over yet"),
                }
                clock.sleep_until(clock.now().plus(pause)).await;
                pause = (pause * 2).min(2000);
            }
            Job::Abandoned
        };
        self.jobs.push(job.boxed());
    }

    /// Goes on where a lane was raised and loaded.
    pub(crate) async fn took_over(&mut self, lane: LaneId, attempt: &Weak<()>, row: LaneRow, loaded: Loaded) {
        if attempt.strong_count() == 0 {
            return;
        }
        self.taking.remove(&lane);
        match self.serve(lane, row, loaded).await {
            Ok(()) => {
                self.options.standing.say(lane, None);
            }
            Err(Stop::Restored(missing)) => {
                if self.options.standing.refuse(&missing) {
                    tracing::error!(
                        lane = lane.0,
                        code = %Code::StoreRestored,
                        why = missing.words(),
                        "the lane stands still: the store ends before what was published"
                    );
                }
                self.take_over(lane, "restored", LOOK_AGAIN_MS);
            }
            Err(Stop::Again(why)) => {
                tracing::warn!(lane = lane.0, why, "the lane is taken over again");
                self.take_over(lane, "bus", 500);
            }
            Err(Stop::Discontinuous(why)) => {
                metrics::gauge!(telemetry::DISCONTINUOUS).increment(1.0);
                self.options.standing.say(lane, Some(why.clone()));
                tracing::error!(
                    lane = lane.0,
                    why,
                    "the lane stands still: its log and its journal disagree"
                );
            }
        }
        metrics::gauge!(telemetry::LANES).set(self.lanes.len() as f64);
    }

    async fn serve(&mut self, id: LaneId, row: LaneRow, loaded: Loaded) -> Result<(), Stop> {
        let now = self.clock.now();
        for place in places(id) {
            self.continuous(&place, &row).await?;
        }
        let restored = self.restored(id, &row, &loaded).await?;
        let mut lane = Lane::new(row, now, self.options.plans.clone());
        if let Some((missing, accepted)) = restored {
            lane.row.n = beyond(lane.row.n, missing.upto());
            if let Some(head) = missing.head().filter(|(seq, _)| *seq > lane.row.chain_seq) {
                (lane.row.chain_seq, lane.row.chain_head) = head;
            }
            lane.restored = Some(Box::new(accepted));
        }
        self.life = self.life.wrapping_add(1);
        lane.spoken.live(self.life);
        remember(&mut lane, loaded.tenants).map_err(Stop::Discontinuous)?;
        self.note_pause(&mut lane, now);
        self.say_again(&mut lane, loaded.unspoken).map_err(Stop::Discontinuous)?;
        for place in places(id) {
            let next = lane.heard(&place.topic).map_or(0, |heard| heard.next);
            let (low, _) =
                self.consumer.watermarks(&place).await.map_err(|error| Stop::Again(error.to_string()))?;
            let from = if next == 0 { low } else { next };
            let generation =
                self.consumer.seek(&place, from).await.map_err(|error| Stop::Again(error.to_string()))?;
            lane.generations.insert(place.topic, generation);
        }
        self.consumer.resume(&places(id));
        tracing::info!(
            lane = id.0,
            epoch = lane.row.epoch,
            n = lane.row.n,
            tenants = lane.tenants.len(),
            "serving a lane"
        );
        self.lanes.insert(id, lane);
        Ok(())
    }

    /// The log still holds what the journal says was heard: nothing below what is kept, nothing above what was written,
    /// and the last heard record is the same one.
    async fn continuous(&mut self, place: &Place, row: &LaneRow) -> Result<(), Stop> {
        let heard = match place.topic {
            Topic::Requests => row.requests,
            Topic::Results => row.results,
            _ => row.operations,
        };
        if heard.next == 0 {
            return Ok(());
        }
        let again = |error: tenantry_ports::BusError| Stop::Again(error.to_string());
        let (low, high) = self.consumer.watermarks(place).await.map_err(again)?;
        let at = format!("{}/{}", place.topic, place.partition);
        if heard.next > high {
            return Err(Stop::Discontinuous(format!(
                "{at}: heard up to {}, but the log ends at {high}",
                heard.next
            )));
        }
        if heard.next < low {
            return Err(Stop::Discontinuous(format!(
                "{at}: heard up to {}, but the log begins at {low}",
                heard.next
            )));
        }
        let last = self.consumer.record_at(place, heard.next - 1).await.map_err(again)?;
        if last.is_some_and(|record| record.content_id() != heard.last_id) {
            let why = format!("{at}: the record at {} is not the one that was heard", heard.next - 1);
            return Err(Stop::Discontinuous(why));
        }
        Ok(())
    }

    /// Everything that was published of the lane is in its journal; or it is not, and somebody accepted that.
    async fn restored(
        &mut self,
        id: LaneId,
        row: &LaneRow,
        loaded: &Loaded,
    ) -> Result<Option<(Missing, Accepted)>, Stop> {
        let again = |error: &dyn std::fmt::Display| Stop::Again(error.to_string());
        // Its number may have jumped past the last row, by a new timeline; what was spoken has not.
        let end = loaded.unspoken.iter().map(|row| row.n).max().unwrap_or(row.spoken);
        let found = missing(&mut self.consumer, id, end).await.map_err(|error| again(&error))?;
        if found.is_empty() {
            self.suspects.remove(&id);
            return Ok(None);
        }
        // Another owner may have written and said it since the lane was loaded. What was on the topic before the epoch was
        // raised once more, and is not in what was loaded after that, is in no store.
        let before = self.suspects.insert(id, found.upto());
        if before.is_none_or(|upto| upto <= end) {
            return Err(Stop::Again("its journal seems to end before what was published".to_owned()));
        }
        let next = row.operations.next;
        let accepted = accepted(&mut self.consumer, &self.store, &self.options, &found, next).await;
        match accepted {
            Ok(Some(accepted)) => Ok(Some((found, accepted))),
            Ok(None) => Err(Stop::Restored(Box::new(found))),
            Err(Trouble::Bus(error)) => Err(again(&error)),
            Err(Trouble::Store(error)) => Err(again(&error)),
        }
    }

    /// Time in which nobody owned the lane does not count.
    fn note_pause(&self, lane: &mut Lane, now: Time) {
        let pause = now.since(lane.row.seen_at);
        if lane.row.seen_at > Time(0) && pause > 0 && !lane.tenants.is_empty() {
            lane.paused(pause);
            lane.pause_ms = Some(pause);
        }
    }

    /// Says the rows above `spoken` again, in order, and with each the questions that it opened and that are open still.
    fn say_again(&mut self, lane: &mut Lane, rows: Vec<Row>) -> Result<(), String> {
        let mut asked: BTreeMap<i64, Vec<tenantry_saga::Asked>> = BTreeMap::new();
        let mut heard = Vec::new();
        for held in lane.tenants.values() {
            let above = tenantry_contracts::Token(lane.spoken.upto);
            let all = tenantry_contracts::Token(i64::MIN);
            let questions =
                held.tenant.questions(&self.options.plans, &self.options.fleet, all, lane.row.paused_ms);
            // What was asked of a worker that is stopped is asked afresh when it goes on.
            for question in questions.into_iter().filter(|asked| !lane.row.stopped.stops(&asked.worker)) {
                if question.command.question.token > above {
                    asked.entry(question.command.question.token.0).or_default().push(question);
                } else {
                    heard.push(question.command.question);
                }
            }
        }
        // The others were said. Whoever was told *not yet* is not known any more: what is still open then is said again.
        for question in heard {
            lane.say_again(lane.written.plus(ASK_AGAIN_MS), question);
        }
        let id = lane.row.lane;
        for row in rows {
            let facts = fact::decode(row.facts)
                .ok_or_else(|| format!("journal row {}/{} holds no facts", id, row.n))?;
            let asked = asked.remove(&row.n).unwrap_or_default();
            let tag = lane.spoken.row(id, row.n, (facts.len() + asked.len()) as u32);
            for fact in facts {
                self.mouth.fact(id, fact, tag);
            }
            for question in asked {
                self.mouth.question(id, &question, tag);
            }
        }
        Ok(())
    }
}

async fn raise_and_load<S: Store>(store: &S, lane: LaneId) -> Result<(LaneRow, Loaded), StoreError> {
    let row = store.raise(lane).await?;
    let loaded = store.load(&row).await?;
    Ok((row, loaded))
}

/// Folds the tenants that are not at rest.
fn remember(lane: &mut Lane, tenants: Vec<(TenantRow, Vec<Row>)>) -> Result<(), String> {
    for (row, rows) in tenants {
        let (tenant, head, head_n) =
            fold(&rows).ok_or_else(|| format!("the rows of tenant {} do not fold", row.tenant))?;
        if tenant.at_rest() {
            lane.rested.push(tenant.id);
        }
        lane.hold(Held::new(
            tenant,
            head,
            head_n,
            Some(Written { at: Time(0), n: row.head_n, at_rest: row.at_rest }),
        ));
    }
    Ok(())
}
