//! Says answers and letters until Kafka acknowledges them, whatever happens to producers on the way.
//!
//! A producer that turns fatal is replaced, and everything that is not acknowledged is said again: the same question,
//! the same answer, so a repeat does no harm. What Kafka refuses for good is kept, alarmed and said again later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::{mpsc, oneshot};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, select_biased};
use tenantry_contracts::{Headers, Time};
use tenantry_ports::{
    Bus, BusError, Clock, Delivered, Delivery, Entropy, Outgoing, Place, Producer, Refused, Tag,
};

use crate::options::ServeError;
use crate::retry::Pauses;
use crate::telemetry;

/// What is to be said.
#[derive(Clone, Debug)]
pub(crate) struct Saying {
    pub(crate) place: Place,
    pub(crate) key: Option<Bytes>,
    pub(crate) headers: Headers,
    pub(crate) value: Option<Bytes>,
}

/// Where sayings are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Mouth(mpsc::UnboundedSender<(Saying, oneshot::Sender<()>)>);

impl Mouth {
    /// Says it; returns when it is acknowledged.
    pub(crate) async fn say(&self, saying: Saying) {
        let (reply, acked) = oneshot::channel();
        if self.0.unbounded_send((saying, reply)).is_err() || acked.await.is_err() {
            // The speaker is gone only when the server is, and with it whoever waits.
            std::future::pending().await
        }
    }
}

/// Opens a mouth, and returns its work: to be polled for as long as anybody says anything. Ends with an error only.
pub(crate) fn open<B: Bus, C: Clock, E: Entropy>(
    bus: Arc<B>,
    clock: C,
    entropy: E,
    pauses: Pauses,
    most: u32,
) -> (Mouth, impl Future<Output = ServeError> + Send) {
    let (hand, handed) = mpsc::unbounded();
    let opening = open_producer(Arc::clone(&bus));
    let speaker = Speaker {
        parked_pauses: pauses.clone(),
        bus,
        clock,
        entropy,
        pauses,
        most,
        tries: 0,
        state: State::Opening(opening),
        sayings: BTreeMap::new(),
        last: 0,
        queue: VecDeque::new(),
        parked: BTreeSet::new(),
        full_until: None,
    };
    (Mouth(hand), speaker.work(handed))
}

enum State<P> {
    Open(P),
    Opening(BoxFuture<'static, Result<P, BusError>>),
}

struct Speaker<B: Bus, C, E> {
    bus: Arc<B>,
    clock: C,
    entropy: E,
    pauses: Pauses,
    parked_pauses: Pauses,
    most: u32,
    tries: u32,
    state: State<B::Producer>,
    /// Everything that is not acknowledged.
    sayings: BTreeMap<Tag, (Saying, oneshot::Sender<()>)>,
    last: Tag,
    /// Of these, what the producer does not have yet, in order.
    queue: VecDeque<Tag>,
    /// Of these, what Kafka refused for good, and when it is said again.
    parked: BTreeSet<(Time, Tag)>,
    /// The producer's queue was full; look again then, or after a report.
    full_until: Option<Time>,
}

type Handed = mpsc::UnboundedReceiver<(Saying, oneshot::Sender<()>)>;

enum Event<P> {
    Handed(Option<(Saying, oneshot::Sender<()>)>),
    Reports(Vec<Delivered>),
    Opened(Result<P, BusError>),
    Due,
}

impl<B: Bus, C: Clock, E: Entropy> Speaker<B, C, E> {
    async fn work(mut self, mut handed: Handed) -> ServeError {
        loop {
            self.pump();
            match self.event(&mut handed).await {
                Event::Handed(Some(saying)) => self.take(saying),
                // Nobody can say anything any more: the server is gone.
                Event::Handed(None) => return std::future::pending().await,
                Event::Reports(reports) => self.reports(reports),
                Event::Opened(Ok(producer)) => {
                    self.tries = 0;
                    self.state = State::Open(producer);
                }
                Event::Opened(Err(BusError(reason))) => {
                    self.tries += 1;
                    if self.tries >= self.most {
                        return ServeError::Bus { what: "producer", tries: self.tries, reason };
                    }
                    self.reopen(&reason);
                }
                Event::Due => self.due(),
            }
        }
    }

    /// Waits for what comes first. Everything in it may be dropped and waited for again.
    async fn event(&mut self, handed: &mut Handed) -> Event<B::Producer> {
        let due = self.full_until.into_iter().chain(self.parked.first().map(|(at, _)| *at)).min();
        let clock = self.clock.clone();
        let due = async move {
            match due {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let producer = async {
            match &mut self.state {
                State::Open(producer) => Event::Reports(producer.delivered().await),
                State::Opening(opening) => Event::Opened(opening.await),
            }
        };
        futures::pin_mut!(due, producer);
        select_biased! {
            event = producer.fuse() => event,
            saying = handed.next().fuse() => Event::Handed(saying),
            () = due.fuse() => Event::Due,
        }
    }

    fn take(&mut self, saying: (Saying, oneshot::Sender<()>)) {
        self.last += 1;
        self.sayings.insert(self.last, saying);
        self.queue.push_back(self.last);
    }

    /// Gives the producer what it takes.
    fn pump(&mut self) {
        if self.full_until.is_some() {
            return;
        }
        let mut refused = None;
        if let State::Open(producer) = &mut self.state {
            while let Some(tag) = self.queue.pop_front() {
                let Some((saying, _)) = self.sayings.get(&tag) else { continue };
                match producer.send(outgoing(saying.clone(), tag)) {
                    Ok(()) => {}
                    Err(Refused::Full(_)) => {
                        self.queue.push_front(tag);
                        let pause = self.pauses.next(&self.entropy);
                        self.full_until = Some(self.clock.now().plus(pause));
                        return;
                    }
                    Err(Refused::Never(_, reason)) => {
                        refused = Some((tag, reason));
                        break;
                    }
                }
            }
        }
        if let Some((tag, reason)) = refused {
            // The record, its topic or the producer itself: a new producer settles the last, time may settle the others.
            self.park(tag, &reason);
            self.reopen(&reason);
        }
    }

    fn reports(&mut self, reports: Vec<Delivered>) {
        self.full_until = None;
        let mut fatal = None;
        for Delivered { tag, delivery } in reports {
            match delivery {
                Delivery::Acked(_) => {
                    if let Some((_, reply)) = self.sayings.remove(&tag) {
                        self.pauses.reset();
                        self.parked_pauses.reset();
                        // Who waits for it may be gone at the end of a stop.
                        let _ = reply.send(());
                    }
                }
                Delivery::PossiblyPersisted(reason) => fatal = Some(reason),
                Delivery::NotPersisted(reason) => self.park(tag, &reason),
            }
        }
        if let Some(reason) = fatal {
            self.reopen(&reason);
        }
    }

    fn park(&mut self, tag: Tag, reason: &str) {
        if let Some((saying, _)) = self.sayings.get(&tag) {
            telemetry::unsaid(&saying.place.topic, reason);
            let pause = self.parked_pauses.next(&self.entropy);
            self.parked.insert((self.clock.now().plus(pause), tag));
        }
    }

    fn due(&mut self) {
        let now = self.clock.now();
        if self.full_until.is_some_and(|at| at <= now) {
            self.full_until = None;
        }
        while let Some((at, tag)) = self.parked.first().copied()
            && at <= now
        {
            self.parked.remove(&(at, tag));
            self.queue.push_back(tag);
        }
    }

    /// Replaces the producer; everything that is neither acknowledged nor parked is said again, in order.
    fn reopen(&mut self, reason: &str) {
        telemetry::reopened("producer", reason);
        let parked: BTreeSet<Tag> = self.parked.iter().map(|(_, tag)| *tag).collect();
        self.queue = self.sayings.keys().copied().filter(|tag| !parked.contains(tag)).collect();
        self.full_until = None;
        let (clock, bus) = (self.clock.clone(), Arc::clone(&self.bus));
        let at = clock.now().plus(self.pauses.next(&self.entropy));
        let opening = async move {
            clock.sleep_until(at).await;
            open_producer(bus).await
        };
        self.state = State::Opening(opening.boxed());
    }
}

fn open_producer<B: Bus>(bus: Arc<B>) -> BoxFuture<'static, Result<B::Producer, BusError>> {
    async move { bus.producer().await }.boxed()
}

fn outgoing(Saying { place, key, headers, value }: Saying, tag: Tag) -> Outgoing {
    Outgoing { place, key, headers, value, tag }
}
