//! A tiny world for one server: a bus, a ledger and a clock in memory, and an executor that moves time only when
//! nothing else can move. Everything that happens is noted in one journal, in order.

mod bus;
mod steps;
mod store;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use tenantry_contracts::command::{Body, Command, Question};
use tenantry_contracts::result::{Answer, Said};
use tenantry_contracts::{
    Environment, Fleet, Headers, Json, Record, RowName, SagaId, Slug, StepName, TenantId, Time, Token, Topic,
    Verb, WorkerName,
};
use tenantry_ports::{Clock, Entropy, Place};
use tenantry_serve::{Options, ServeError, Server};

pub(crate) use bus::{Sent, SimBus};
pub(crate) use steps::{Input, Probe};
pub(crate) use store::SimLedger;

/// Everything that the ports and the steps share.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) now: i64,
    pub(crate) sleepers: BTreeMap<(i64, u64), Waker>,
    ids: u64,
    random: u64,
    pub(crate) bus: bus::Log,
    pub(crate) store: store::Tables,
    pub(crate) steps: steps::Script,
    /// What happened, in order.
    pub(crate) journal: Vec<String>,
    stop: bool,
    stop_waker: Option<Waker>,
}

#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    pub(crate) fn new() -> Self {
        let world = Self::default();
        world.state().now = 1_000;
        world
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn note(&self, what: impl Into<String>) {
        self.state().journal.push(what.into());
    }

    pub(crate) fn journal(&self) -> Vec<String> {
        self.state().journal.clone()
    }

    /// The entries that begin so.
    pub(crate) fn noted(&self, prefix: &str) -> Vec<String> {
        self.journal().into_iter().filter(|entry| entry.starts_with(prefix)).collect()
    }

    pub(crate) fn seed(&self, seed: u64) {
        self.state().random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        if let Some(waker) = state.stop_waker.take() {
            waker.wake();
        }
    }

    /// Nobody asks to stop any more.
    pub(crate) fn resume(&self) {
        self.state().stop = false;
    }

    /// Moves to the next sleeper; `false` where nobody sleeps.
    fn advance(&self) -> bool {
        let mut state = self.state();
        let Some((key, waker)) = state.sleepers.pop_first() else { return false };
        state.now = state.now.max(key.0);
        waker.wake();
        true
    }

    /// Puts a command on its worker's topic.
    pub(crate) fn ask(&self, partition: u16, command: &Command) -> i64 {
        let (headers, value) = command.encode().unwrap();
        let worker = command.body.step.as_str().split('.').next().unwrap().to_owned();
        let key = Some(Bytes::from(command.body.slug.to_string()));
        self.put(Topic::Commands(WorkerName::read(worker)), partition, key, headers, Some(value))
    }

    pub(crate) fn put(
        &self,
        topic: Topic,
        partition: u16,
        key: Option<Bytes>,
        headers: Headers,
        value: Option<Bytes>,
    ) -> i64 {
        let mut state = self.state();
        let at = Time(state.now);
        state.bus.append(Record { topic, partition, offset: 0, at, key, headers, value })
    }

    /// What was said on the results topic, in order.
    pub(crate) fn answers(&self) -> Vec<(Question, Said)> {
        let state = self.state();
        let records = state.bus.topics.iter().filter(|(place, _)| place.topic == Topic::Results);
        let mut records: Vec<_> = records.flat_map(|(_, records)| records).collect();
        records.sort_by_key(|record| record.at);
        let answer = |record: &&Record| Answer::decode(record).unwrap();
        records.iter().map(answer).map(|answer| (answer.question, answer.body.said)).collect()
    }

    /// What was said to one question.
    pub(crate) fn said(&self, command: &Command) -> Vec<Said> {
        let answers = self.answers().into_iter();
        answers.filter(|(question, _)| *question == command.question).map(|(_, said)| said).collect()
    }

    pub(crate) fn records(&self, topic: &Topic, partition: u16) -> Vec<Record> {
        let place = Place { topic: topic.clone(), partition };
        self.state().bus.topics.get(&place).cloned().unwrap_or_default()
    }

    pub(crate) fn stored(&self, worker: &'static str, partition: u16) -> Option<i64> {
        self.state().bus.committed.get(&place(worker, partition)).copied()
    }
}

pub(crate) fn place(worker: &'static str, partition: u16) -> Place {
    Place { topic: Topic::Commands(WorkerName::new(worker)), partition }
}

impl Clock for World {
    fn now(&self) -> Time {
        Time(self.state().now)
    }

    async fn sleep_until(&self, at: Time) {
        Sleep { world: self.clone(), at: at.0, key: None }.await;
    }
}

/// Sleeps; forgotten when dropped.
struct Sleep {
    world: World,
    at: i64,
    key: Option<(i64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = self.world.clone();
        let mut state = world.state();
        if let Some(key) = self.key.take() {
            state.sleepers.remove(&key);
        }
        if state.now >= self.at {
            return Poll::Ready(());
        }
        state.ids += 1;
        let key = (self.at, state.ids);
        state.sleepers.insert(key, cx.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.world.state().sleepers.remove(&key);
        }
    }
}

impl Entropy for World {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.state();
        for byte in bytes {
            state.random =
                state.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state.random >> 33) as u8;
        }
    }
}

/// Lets others run once, as any real port would.
pub(crate) async fn breathe() {
    let mut once = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut once, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A server that runs in a world.
pub(crate) struct Run {
    pub(crate) world: World,
    future: Pin<Box<dyn Future<Output = Result<(), ServeError>> + Send>>,
    flag: Arc<Flag>,
    pub(crate) result: Option<Result<(), ServeError>>,
}

pub(crate) fn options() -> Options {
    Options::new(Fleet::new("local"))
}

pub(crate) type SimServer = Server<SimBus, SimLedger, SimLedger, World, World>;

/// Serves `probe.make`, and the step that is done once, `mail.send`.
pub(crate) fn server(world: &World, options: Options) -> SimServer {
    let ledger = SimLedger(world.clone());
    let (clock, entropy) = (world.clone(), world.clone());
    Server::new(SimBus(world.clone()), ledger.clone(), ledger, clock, entropy, options)
        .with(Probe::<false>(world.clone()))
        .with(Probe::<true>(world.clone()))
}

impl Run {
    /// Serves with the usual options.
    pub(crate) fn start(world: &World) -> Self {
        Self::with(world, options())
    }

    pub(crate) fn with(world: &World, options: Options) -> Self {
        Self::of(world, server(world, options))
    }

    pub(crate) fn of(world: &World, server: SimServer) -> Self {
        let stop = {
            let world = world.clone();
            poll_fn(move |cx| {
                let mut state = world.state();
                state.stop_waker = Some(cx.waker().clone());
                if state.stop { Poll::Ready(()) } else { Poll::Pending }
            })
        };
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Self { world: world.clone(), future: Box::pin(server.run(stop)), flag, result: None }
    }

    /// Polls until nothing moves any more; time stands still.
    pub(crate) fn settle(&mut self) {
        let waker = Waker::from(Arc::clone(&self.flag));
        for _ in 0..100_000 {
            if self.result.is_some() || !self.flag.0.swap(false, Ordering::AcqRel) {
                return;
            }
            if let Poll::Ready(result) = self.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.result = Some(result);
            }
        }
        panic!("the server spins without waiting for anything");
    }

    /// Lets time pass until the condition holds.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&World) -> bool) {
        self.settle();
        for _ in 0..100_000 {
            if holds(&self.world) {
                return;
            }
            assert!(self.result.is_none(), "{what}: the server returned {:?}", self.result);
            assert!(self.world.advance(), "{what}: nothing moves; journal {:#?}", self.world.journal());
            self.settle();
        }
        panic!("{what}: it never came true; journal {:#?}", self.world.journal());
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, ms: i64) {
        let end = self.world.state().now + ms;
        self.settle();
        loop {
            let next = self.world.state().sleepers.keys().next().map(|key| key.0);
            match next {
                Some(at) if at <= end && self.result.is_none() => {
                    self.world.advance();
                    self.settle();
                }
                _ => break,
            }
        }
        let mut state = self.world.state();
        state.now = state.now.max(end);
    }

    /// Lets time pass until the server returns.
    pub(crate) fn end(&mut self) -> Result<(), ServeError> {
        self.settle();
        while self.result.is_none() {
            assert!(self.world.advance(), "the server neither moves nor returns");
            self.settle();
        }
        self.result.clone().unwrap()
    }
}

pub(crate) fn tenant(number: u128) -> TenantId {
    TenantId(uuid::Uuid::from_u128(number))
}

/// A command to `probe.make` for tenant `number`, with a deadline in a minute.
pub(crate) fn command(number: u128, verb: Verb, token: i64, script: &[&str]) -> Command {
    let tenant = tenant(number);
    Command {
        question: Question {
            tenant,
            saga: SagaId::of(tenant, 1),
            row: RowName::new("row"),
            verb,
            token: Token(token),
        },
        deadline: Time(61_000),
        traceparent: None,
        body: Body {
            fleet: Fleet::new("local"),
            cell: 0,
            step: StepName::new("probe.make"),
            slug: Slug::parse(&format!("acme-{number}")).unwrap(),
            environment: Environment::default(),
            region: None,
            supersedes: false,
            input: Json::of(&Input {
                script: script.iter().map(|&act| act.to_owned()).collect(),
                sealed: None,
            })
            .unwrap(),
            made: None,
        },
    }
}

pub(crate) fn execute(number: u128, token: i64, script: &[&str]) -> Command {
    command(number, Verb::Execute, token, script)
}

/// The same for the step that is done once.
pub(crate) fn once(number: u128, token: i64, script: &[&str]) -> Command {
    let mut command = execute(number, token, script);
    command.body.step = StepName::new("mail.send");
    command
}
