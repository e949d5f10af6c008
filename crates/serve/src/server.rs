//! The server: hears commands, starts what may start, stores how far it is, and stops cleanly.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use futures::channel::oneshot;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select_biased};
use tenantry_contracts::{StepName, Time, Topic};
use tenantry_ports::{Bus, Clock, Entropy, Group, Keys, Ledger, News};
use tenantry_step::{Points, Step};

use crate::command::House;
use crate::desk::{Desk, Ended, Job, Ticket};
use crate::ear::Ear;
use crate::erased::{AnyStep, erase, worker_of};
use crate::keyring::KeyCache;
use crate::ledger::Books;
use crate::mouth;
use crate::options::{Options, ServeError};
use crate::patience::{Health, Patience};
use crate::retry::Pauses;
use crate::telemetry;

/// Serves the steps of one or several workers.
pub struct Server<B: Bus, L: Ledger, K: Keys, C: Clock, E: Entropy> {
    bus: B,
    ledger: L,
    keys: K,
    clock: C,
    entropy: E,
    options: Options,
    steps: BTreeMap<Topic, BTreeMap<StepName, Arc<dyn AnyStep>>>,
    twice: Option<StepName>,
    points: Arc<dyn Points>,
}

impl<B: Bus, L: Ledger, K: Keys, C: Clock, E: Entropy> Server<B, L, K, C, E> {
    /// A server without steps.
    pub fn new(bus: B, ledger: L, keys: K, clock: C, entropy: E, options: Options) -> Self {
        let (steps, points) = (BTreeMap::new(), Arc::new(()));
        Self { bus, ledger, keys, clock, entropy, options, steps, twice: None, points }
    }

    /// Serves this step too. Its worker is its name up to the first dot.
    #[must_use]
    pub fn with<S: Step>(mut self, step: S) -> Self {
        let topic = Topic::Commands(worker_of(&S::NAME));
        if self.steps.entry(topic).or_default().insert(S::NAME, erase(step)).is_some() {
            self.twice = Some(S::NAME);
        }
        self
    }

    /// What happens at the points that steps name. Nothing, unless this is called.
    #[must_use]
    pub fn points(mut self, points: Arc<dyn Points>) -> Self {
        self.points = points;
        self
    }

    /// Serves until `stop` resolves, then finishes what runs (for `drain_ms` at most) and returns.
    ///
    /// # Errors
    /// Where the process should exit and be started again; see [`ServeError`].
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), ServeError> {
        if let Some(step) = self.twice {
            return Err(ServeError::StepTwice(step));
        }
        if self.steps.is_empty() {
            return Err(ServeError::NoSteps);
        }
        let Self { bus, ledger, keys, clock, entropy, options, steps, points, .. } = self;
        let (bus, limits) = (Arc::new(bus), options.limits.clone());
        let outage = Pauses::new(limits.outage_ms);
        let (health, mut changes) = Health::new();
        let patience =
            Patience { clock: clock.clone(), entropy: entropy.clone(), pauses: outage.clone(), health };
        let (books, clerks) = Books::open(&ledger, &patience);
        let (mouth, speaker) = {
            let (clock, entropy) = (clock.clone(), entropy.clone());
            mouth::open(Arc::clone(&bus), clock, entropy, outage.clone(), limits.open_tries)
        };
        let topics: Vec<Topic> = steps.keys().cloned().collect();
        let group = Group {
            id: options.group.clone(),
            member: options.member.clone(),
            topics: topics.clone(),
            resumes: true,
        };
        let ear = Ear::new(bus, group, clock.clone(), entropy.clone(), outage, limits.open_tries);
        let desk = Desk::new(&topics, options.concurrency, &limits, entropy);
        let (stop_all, stopping) = oneshot::channel();
        let house = House {
            options,
            steps,
            points,
            patience,
            books,
            keys: KeyCache::new(keys),
            mouth,
            stopping: stopping.shared(),
            letters: AtomicU32::new(0),
        };
        let house = &house;
        let serve = |job: Job| async move {
            let ended = house.serve(&job.record).await;
            (job.ticket(), ended)
        };
        let mut running = FuturesUnordered::new();
        let mut floor = Floor {
            ear,
            desk,
            clock: clock.clone(),
            drain_ms: limits.drain_ms,
            end: None,
            stop_all: Some(stop_all),
        };
        let (clerks, speaker, stop) = (clerks.fuse(), speaker.fuse(), stop.fuse());
        futures::pin_mut!(clerks, speaker, stop);
        let mut shown = (0, 0);
        loop {
            let now = clock.now();
            floor.desk.tick(now);
            while let Some(job) = floor.desk.next() {
                running.push(serve(job));
            }
            let load = floor.desk.load();
            if load != shown {
                telemetry::load(load);
                shown = load;
            }
            if floor.is_over(load.0, now) {
                break;
            }
            let (pause, resume) = floor.desk.pauses();
            floor.ear.set(&pause, &resume);
            let event = {
                let due = sleep(&clock, floor.due());
                let (news, ended) = (floor.ear.news(), next(&mut running));
                futures::pin_mut!(due, news, ended);
                select_biased! {
                    () = stop => Event::Stop(Ok(())),
                    error = speaker => Event::Stop(Err(error)),
                    // Ends only when nobody can ask any more.
                    () = clerks => Event::Nothing,
                    down = changes.select_next_some() => Event::StoreDown(down),
                    (ticket, ended) = ended.fuse() => Event::Ended(ticket, ended),
                    news = news.fuse() => news.map_or_else(|error| Event::Stop(Err(error)), Event::News),
                    () = due.fuse() => Event::Nothing,
                }
            };
            floor.handle(event);
        }
        floor.close().await
    }
}

/// What the loop of a server waits for.
enum Event {
    Stop(Result<(), ServeError>),
    StoreDown(bool),
    Ended(Ticket, Result<Ended, ServeError>),
    News(Vec<News>),
    Nothing,
}

/// What the loop of a server acts on.
struct Floor<B: Bus, C, E> {
    ear: Ear<B, C, E>,
    desk: Desk<E>,
    clock: C,
    drain_ms: i64,
    /// The result, and when the server returns at the latest.
    end: Option<(Result<(), ServeError>, Time)>,
    stop_all: Option<oneshot::Sender<()>>,
}

impl<B: Bus, C: Clock, E: Entropy> Floor<B, C, E> {
    fn handle(&mut self, event: Event) {
        match event {
            Event::Stop(result) => self.stop(result),
            Event::StoreDown(down) => {
                telemetry::store_down(down);
                self.desk.store_down(down);
            }
            Event::Ended(ticket, ended) => self.ended(ticket, ended),
            Event::News(news) => news.into_iter().for_each(|news| self.news(news)),
            Event::Nothing => {}
        }
    }

    fn news(&mut self, news: News) {
        match news {
            News::Assigned(places) => self.desk.assigned(places),
            News::Revoked(places) => self.desk.revoked(&places),
            News::Heard(heard) => self.desk.heard(heard),
            News::Lost(reason) => {
                self.desk.lost();
                self.ear.reopen(&reason);
            }
        }
    }

    fn ended(&mut self, ticket: Ticket, ended: Result<Ended, ServeError>) {
        let (ended, error) = match ended {
            Ok(ended) => (ended, None),
            Err(error) => (Ended::Abandoned, Some(error)),
        };
        if let Some((place, below)) = self.desk.ended(ticket, ended, self.clock.now()) {
            self.ear.store(&place, below);
        }
        if let Some(error) = error {
            self.stop(Err(error));
        }
    }

    /// Begins to stop. The first reason stands.
    fn stop(&mut self, result: Result<(), ServeError>) {
        if self.end.is_some() {
            return;
        }
        if let Err(error) = &result {
            tracing::error!(code = error.code(), %error, "the worker stops");
        }
        self.end = Some((result, self.clock.now().plus(self.drain_ms)));
        self.desk.stop();
        if let Some(stop) = self.stop_all.take() {
            // Nobody waits for it when nothing runs.
            let _ = stop.send(());
        }
    }

    fn is_over(&self, running: usize, now: Time) -> bool {
        let Some((_, until)) = &self.end else { return false };
        if running > 0 && now >= *until {
            tracing::warn!(running, "the drain took too long; what runs is heard again by the next worker");
        }
        running == 0 || now >= *until
    }

    fn due(&self) -> Option<Time> {
        let until = self.end.as_ref().map(|(_, until)| *until);
        self.desk.due().into_iter().chain(until).min()
    }

    /// Leaves the group, for as long as the drain may still take.
    async fn close(self) -> Result<(), ServeError> {
        let Self { ear, clock, end, .. } = self;
        let (result, until) = end.unwrap_or((Ok(()), clock.now()));
        let (close, late) = (ear.close().fuse(), clock.sleep_until(until).fuse());
        futures::pin_mut!(close, late);
        select_biased! {
            () = close => {}
            () = late => tracing::warn!("the consumer did not close in time"),
        }
        result
    }
}

async fn sleep<C: Clock>(clock: &C, until: Option<Time>) {
    match until {
        Some(at) => clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The next command that ended; waits for one for ever where none runs.
async fn next<F: Future>(running: &mut FuturesUnordered<F>) -> F::Output {
    match running.next().await {
        Some(ended) => ended,
        None => std::future::pending().await,
    }
}
