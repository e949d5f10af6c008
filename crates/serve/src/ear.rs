//! The consumer, opened anew whenever it is lost.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tenantry_ports::{Bus, BusError, Clock, Consumer, Entropy, Group, News, Place};

use crate::options::ServeError;
use crate::retry::Pauses;
use crate::telemetry;

/// Hears the worker's command topics.
pub(crate) struct Ear<B: Bus, C, E> {
    bus: Arc<B>,
    group: Group,
    clock: C,
    entropy: E,
    pauses: Pauses,
    most: u32,
    tries: u32,
    state: State<B::Consumer>,
}

enum State<T> {
    Open(T),
    Opening(BoxFuture<'static, Result<T, BusError>>),
}

impl<B: Bus, C: Clock, E: Entropy> Ear<B, C, E> {
    /// Begins to join the group.
    pub(crate) fn new(bus: Arc<B>, group: Group, clock: C, entropy: E, pauses: Pauses, most: u32) -> Self {
        let opening = open(Arc::clone(&bus), group.clone());
        Self { bus, group, clock, entropy, pauses, most, tries: 0, state: State::Opening(opening) }
    }

    /// The next news. May be dropped and called again without loss.
    ///
    /// # Errors
    /// Where the bus refused the consumer too often in a row.
    pub(crate) async fn news(&mut self) -> Result<Vec<News>, ServeError> {
        loop {
            match &mut self.state {
                State::Open(consumer) => {
                    let news = consumer.news().await;
                    // One that is lost as soon as it is open shall not be opened at full speed.
                    if news.iter().any(|news| !matches!(news, News::Lost(_))) {
                        self.pauses.reset();
                    }
                    return Ok(news);
                }
                State::Opening(opening) => match opening.await {
                    Ok(consumer) => {
                        self.tries = 0;
                        self.state = State::Open(consumer);
                    }
                    Err(BusError(reason)) => {
                        self.tries += 1;
                        if self.tries >= self.most {
                            return Err(ServeError::Bus { what: "consumer", tries: self.tries, reason });
                        }
                        self.reopen(&reason);
                    }
                },
            }
        }
    }

    /// Gives the consumer up and opens a new one after a pause.
    pub(crate) fn reopen(&mut self, reason: &str) {
        telemetry::reopened("consumer", reason);
        let (clock, bus, group) = (self.clock.clone(), Arc::clone(&self.bus), self.group.clone());
        let at = clock.now().plus(self.pauses.next(&self.entropy));
        let opening = async move {
            clock.sleep_until(at).await;
            open(bus, group).await
        };
        self.state = State::Opening(opening.boxed());
    }

    /// See [`Consumer::pause`] and [`Consumer::resume`].
    pub(crate) fn set(&mut self, pause: &[Place], resume: &[Place]) {
        if let State::Open(consumer) = &mut self.state {
            if !pause.is_empty() {
                consumer.pause(pause);
            }
            if !resume.is_empty() {
                consumer.resume(resume);
            }
        }
    }

    /// See [`Consumer::store`].
    pub(crate) fn store(&mut self, place: &Place, offset: i64) {
        if let State::Open(consumer) = &mut self.state {
            consumer.store(place, offset);
        }
    }

    /// See [`Consumer::close`].
    pub(crate) async fn close(self) {
        if let State::Open(consumer) = self.state {
            consumer.close(self.group.member.is_none()).await;
        }
    }
}

fn open<B: Bus>(bus: Arc<B>, group: Group) -> BoxFuture<'static, Result<B::Consumer, BusError>> {
    async move { bus.consumer(group).await }.boxed()
}
