//! One producer: a queue for each partition, written in order, acknowledged later, or never.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::task::Poll;

use tenantry_ports::{Delivered, Delivery, Outgoing, Place, Producer, Refused};

use super::{Brokers, Session};
use crate::exec::{MS, Me};
use crate::zoo::Bug;

/// A producer session.
pub struct SimProducer {
    brokers: Brokers,
    me: Me,
    id: u64,
}

impl SimProducer {
    pub(crate) fn new(brokers: Brokers, me: Me) -> Self {
        let id = {
            let mut state = brokers.lock();
            let id = state.next_id();
            let session = Session {
                me,
                queues: BTreeMap::new(),
                writing: BTreeMap::new(),
                queued: 0,
                reports: Vec::new(),
                fatal: false,
                waker: None,
            };
            state.sessions.insert(id, session);
            id
        };
        Self { brokers, me, id }
    }
}

impl Producer for SimProducer {
    fn send(&mut self, record: Outgoing) -> Result<(), Refused> {
        if self.brokers.sim.point(self.me, "producer.send") {
            // The dead say nothing; the caller is dropped before it can see the difference.
            return Ok(());
        }
        let mut state = self.brokers.lock();
        let room = state.mood.queue;
        let known = state.log(&record.place).is_some();
        let max = record.place.topic.settings().max_message_bytes as usize;
        let Some(session) = state.sessions.get_mut(&self.id) else {
            return Err(Refused::Never(Box::new(record), "closed".into()));
        };
        if session.fatal {
            return Err(Refused::Never(Box::new(record), "the producer is fatal".into()));
        }
        if session.queued >= room {
            return Err(Refused::Full(Box::new(record)));
        }
        let size = record.value.as_ref().map_or(0, |value| value.len())
            + record.key.as_ref().map_or(0, |key| key.len())
            + record.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum::<usize>();
        if size > max {
            return Err(Refused::Never(Box::new(record), format!("{size} bytes are more than {max}")));
        }
        session.queued += 1;
        if !known {
            let tag = record.tag;
            drop(state);
            let (brokers, id) = (self.brokers.clone(), self.id);
            let reason = format!("topic {} or its partition does not exist", record.place.topic);
            self.brokers.sim.after(5 * MS, move || {
                brokers.report(id, vec![Delivered { tag, delivery: Delivery::NotPersisted(reason) }]);
            });
            return Ok(());
        }
        let place = record.place.clone();
        session.queues.entry(place.clone()).or_default().push_back(record);
        let idle = !std::mem::replace(session.writing.entry(place.clone()).or_default(), true);
        drop(state);
        if idle {
            self.brokers.write_soon(self.id, place);
        }
        Ok(())
    }

    async fn delivered(&mut self) -> Vec<Delivered> {
        let reports = poll_fn(|cx| {
            let mut state = self.brokers.lock();
            let Some(session) = state.sessions.get_mut(&self.id) else { return Poll::Pending };
            if session.reports.is_empty() {
                session.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(std::mem::take(&mut session.reports))
        })
        .await;
        if self.brokers.sim.point(self.me, "producer.delivered") {
            std::future::pending::<()>().await;
        }
        reports
    }
}

impl Drop for SimProducer {
    fn drop(&mut self) {
        self.brokers.abandon(self.id);
    }
}

impl Brokers {
    fn write_soon(&self, id: u64, place: Place) {
        let delay = self.lock().mood.delay_ms;
        let wait = self.sim.between(0, delay * MS) + self.down_for();
        let brokers = self.clone();
        self.sim.after(wait, move || brokers.write(id, place));
    }

    /// A prefix of the queue reaches the log.
    fn write(&self, id: u64, place: Place) {
        let (fatal, delay, me, bug) = {
            let state = self.lock();
            let Some(session) = state.sessions.get(&id) else { return };
            (state.mood.producer_fatal, state.mood.delay_ms, session.me, state.bug)
        };
        if self.sim.frozen(me) {
            // What stands in its queue is said when it thaws, however much has changed by then.
            let brokers = self.clone();
            self.sim.after(100 * MS, move || brokers.write(id, place));
            return;
        }
        if self.down_for() > 0 {
            return self.write_soon(id, place);
        }
        if self.sim.fault(fatal) {
            return self.break_down(id);
        }
        let mut batch = {
            let mut state = self.lock();
            let Some(session) = state.sessions.get_mut(&id) else { return };
            let Some(queue) = session.queues.get_mut(&place) else { return };
            let some = self.sim.between(1, queue.len() as i64) as usize;
            queue.drain(..some.min(queue.len())).collect::<Vec<_>>()
        };
        let tags: Vec<_> = batch.iter().map(|record| record.tag).collect();
        match bug {
            Some(Bug::AckWithoutRecord) if self.sim.fault(0.01) => batch.clear(),
            Some(Bug::OutOfOrder) => batch.reverse(),
            _ => {}
        }
        let first = self.append(&place, batch, self.sim.now()).unwrap_or(0);
        let back = self.sim.between(0, delay * MS);
        let brokers = self.clone();
        let reports =
            tags.into_iter().zip(first..).map(|(tag, at)| Delivered { tag, delivery: Delivery::Acked(at) });
        let reports: Vec<_> = reports.collect();
        self.sim.after(back, move || brokers.report(id, reports));
        let more = {
            let mut state = self.lock();
            let Some(session) = state.sessions.get_mut(&id) else { return };
            let more = session.queues.get(&place).is_some_and(|queue| !queue.is_empty());
            session.writing.insert(place.clone(), more);
            more
        };
        if more {
            self.write_soon(id, place);
        }
    }

    fn report(&self, id: u64, reports: Vec<Delivered>) {
        let mut state = self.lock();
        let Some(session) = state.sessions.get_mut(&id) else { return };
        session.queued -= reports.len().min(session.queued);
        session.reports.extend(reports);
        if let Some(waker) = session.waker.take() {
            waker.wake();
        }
    }

    /// The producer turns fatal: of each queue a prefix is there, and nobody knows which.
    fn break_down(&self, id: u64) {
        self.sim.count("producer fatal");
        self.sim.trace(|| format!("producer {id} turns fatal"));
        let queues = {
            let mut state = self.lock();
            let Some(session) = state.sessions.get_mut(&id) else { return };
            session.fatal = true;
            std::mem::take(&mut session.queues)
        };
        let mut reports = Vec::new();
        for (place, queue) in queues {
            reports.extend(queue.iter().map(|record| Delivered {
                tag: record.tag,
                delivery: Delivery::PossiblyPersisted("the broker did not answer".into()),
            }));
            self.arrive_late(place, queue, 20 * MS);
        }
        self.report(id, reports);
    }

    /// The process is gone: what was on the way may still arrive, in order, a prefix for each partition.
    fn abandon(&self, id: u64) {
        let Some(session) = self.lock().sessions.remove(&id) else { return };
        for (place, queue) in session.queues {
            self.arrive_late(place, queue, 1500 * MS);
        }
    }

    fn arrive_late(&self, place: Place, mut queue: VecDeque<Outgoing>, within_us: i64) {
        if queue.is_empty() {
            return;
        }
        let some = self.sim.between(0, queue.len() as i64) as usize;
        queue.truncate(some);
        if queue.is_empty() {
            return;
        }
        self.sim.count("arrived late");
        let brokers = self.clone();
        self.sim.after(self.sim.between(0, within_us), move || {
            let at = brokers.sim.now();
            brokers.append(&place, queue, at);
        });
    }
}
