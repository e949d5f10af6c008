//! One consumer: what it is told, in order for each partition.

use std::future::poll_fn;
use std::task::Poll;

use tenantry_contracts::Record;
use tenantry_ports::{BusError, Consumer, Heard, News, Place};

use super::group::commit;
use super::{Brokers, BusState};
use crate::exec::{MS, Me, Sim};
use crate::zoo::Bug;

/// A member of a group.
pub struct SimConsumer {
    brokers: Brokers,
    me: Me,
    id: u64,
}

impl SimConsumer {
    pub(crate) fn new(brokers: Brokers, me: Me, id: u64) -> Self {
        Self { brokers, me, id }
    }

    /// A look at the brokers: takes a while, fails while they are down.
    async fn ask<T>(&self, what: &'static str, look: impl FnOnce(&mut BusState) -> T) -> Result<T, BusError> {
        let sim = &self.brokers.sim;
        sim.pass(self.me, what).await;
        let (errors, delay) = {
            let state = self.brokers.lock();
            (state.mood.errors, state.mood.delay_ms)
        };
        let wait = sim.between(0, delay * MS);
        if wait > 0 {
            sim.sleep(wait).await;
        }
        if self.brokers.down_for() > 0 || sim.fault(errors) {
            sim.sleep(500 * MS).await;
            sim.count("bus error");
            return Err(BusError(format!("{what}: the brokers do not answer")));
        }
        let found = look(&mut self.brokers.lock());
        sim.pass(self.me, what).await;
        Ok(found)
    }
}

impl Drop for SimConsumer {
    fn drop(&mut self) {
        self.brokers.depart(self.id, false);
    }
}

impl Consumer for SimConsumer {
    async fn news(&mut self) -> Vec<News> {
        let news = poll_fn(|cx| {
            let down = self.brokers.down_for();
            let mut state = self.brokers.lock();
            let told = gather(&self.brokers.sim, &mut state, self.id, down > 0);
            if !told.is_empty() {
                if state.bug == Some(Bug::OffsetBeforeAnswer) {
                    self.brokers.commit_soon(&mut state, self.id);
                }
                return Poll::Ready(told);
            }
            if let Some(member) = state.members.get_mut(&self.id) {
                member.waker = Some(cx.waker().clone());
            }
            if down > 0 {
                let (waker, sim) = (cx.waker().clone(), &self.brokers.sim);
                sim.after(down, move || waker.wake());
            }
            Poll::Pending
        })
        .await;
        if self.brokers.sim.point(self.me, "consumer.news") {
            std::future::pending::<()>().await;
        }
        news
    }

    async fn seek(&mut self, place: &Place, offset: i64) -> Result<u64, BusError> {
        let (id, sim) = (self.id, self.brokers.sim.clone());
        self.ask("consumer.seek", |state| {
            let skip = i64::from(state.bug == Some(Bug::RecordSkipped) && offset > 0);
            let generation = state.next_generation();
            let stale = stale(&sim, state, id, place);
            let low = state.log(place).map_or(0, |log| log.low);
            let member = state.members.get_mut(&id);
            let Some(reading) = member.and_then(|member| member.reading.get_mut(place)) else {
                return Err(BusError(format!("{}/{} is not ours", place.topic, place.partition)));
            };
            if offset < low {
                return Err(BusError(format!("offset {offset} is below the first one kept")));
            }
            (reading.position, reading.generation) = (Some(offset + skip), generation);
            if let Some(member) = state.members.get_mut(&id) {
                member.notices.extend(stale);
                member.wake();
            }
            Ok(generation)
        })
        .await?
    }

    fn pause(&mut self, places: &[Place]) {
        let mut state = self.brokers.lock();
        let Some(member) = state.members.get_mut(&self.id) else { return };
        for place in places {
            if let Some(reading) = member.reading.get_mut(place) {
                reading.paused = true;
            }
        }
        member.notices.retain(|news| match news {
            News::Heard(heard) => {
                let at = Place { topic: heard.record.topic.clone(), partition: heard.record.partition };
                !places.contains(&at)
            }
            _ => true,
        });
    }

    fn resume(&mut self, places: &[Place]) {
        let mut state = self.brokers.lock();
        let Some(member) = state.members.get_mut(&self.id) else { return };
        for place in places {
            if let Some(reading) = member.reading.get_mut(place) {
                reading.paused = false;
            }
        }
        member.wake();
    }

    fn store(&mut self, place: &Place, offset: i64) {
        if self.brokers.sim.point(self.me, "consumer.store") {
            return;
        }
        let mut state = self.brokers.lock();
        let member = state.members.get_mut(&self.id);
        if let Some(reading) = member.and_then(|member| member.reading.get_mut(place)) {
            reading.stored = Some(offset);
            self.brokers.commit_soon(&mut state, self.id);
        }
    }

    async fn watermarks(&mut self, place: &Place) -> Result<(i64, i64), BusError> {
        self.ask("consumer.watermarks", |state| {
            let log = state.log(place);
            log.map(|log| (log.low, log.high())).ok_or_else(|| BusError("no such partition".into()))
        })
        .await?
    }

    async fn record_at(&mut self, place: &Place, offset: i64) -> Result<Option<Record>, BusError> {
        self.ask("consumer.record_at", |state| {
            let log = state.log(place).ok_or_else(|| BusError("no such partition".into()))?;
            Ok(log.at(offset).map(|stored| stored.record.clone()))
        })
        .await?
    }

    async fn close(self, leave: bool) {
        self.brokers.sim.pass(self.me, "consumer.close").await;
        commit(&mut self.brokers.lock(), self.id);
        self.brokers.depart(self.id, leave);
    }
}

/// What there is to tell a member now.
fn gather(sim: &Sim, state: &mut BusState, id: u64, down: bool) -> Vec<News> {
    let (batch, early) = (state.mood.batch as i64, state.bug == Some(Bug::OffsetBeforeAnswer));
    let Some(member) = state.members.get_mut(&id) else { return vec![News::Lost("closed".into())] };
    if !member.notices.is_empty() {
        return member.notices.drain(..).collect();
    }
    if member.lost {
        return vec![News::Lost("the consumer was lost before".into())];
    }
    if down {
        return Vec::new();
    }
    let now = sim.now_us();
    let mut left = sim.between(1, batch);
    let mut told = Vec::new();
    let places: Vec<Place> = member.reading.keys().cloned().collect();
    let first = if places.is_empty() { 0 } else { sim.between(0, places.len() as i64 - 1) as usize };
    for place in places[first..].iter().chain(&places[..first]) {
        let Some(log) =
            state.topics.get(&place.topic).and_then(|logs| logs.get(usize::from(place.partition)))
        else {
            continue;
        };
        let Some(reading) = member.reading.get_mut(place) else { continue };
        let (Some(mut position), false) = (reading.position, reading.paused) else { continue };
        while left > 0 {
            let Some(stored) = log.at(position).filter(|stored| stored.visible <= now) else { break };
            told.push(News::Heard(Heard { record: stored.record.clone(), generation: reading.generation }));
            (position, left) = (position + 1, left - 1);
        }
        reading.position = Some(position);
        if early && member.group.resumes {
            reading.stored = Some(position);
        }
    }
    told
}

/// Records that were on the way when the reader seeks elsewhere.
fn stale(sim: &Sim, state: &BusState, id: u64, place: &Place) -> Vec<News> {
    if !sim.fault(state.mood.stale) {
        return Vec::new();
    }
    let reading = state.members.get(&id).and_then(|member| member.reading.get(place));
    let Some((position, generation)) =
        reading.and_then(|reading| Some((reading.position?, reading.generation)))
    else {
        return Vec::new();
    };
    if reading.is_some_and(|reading| reading.paused) {
        return Vec::new();
    }
    let log = state.log(place);
    let found = (0..sim.between(1, 3)).filter_map(|at| log?.at(position + at));
    let news: Vec<News> =
        found.map(|stored| News::Heard(Heard { record: stored.record.clone(), generation })).collect();
    if !news.is_empty() {
        sim.count("stale delivery");
    }
    news
}
