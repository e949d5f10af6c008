//! The ground of a story: a broker and a database of its own, owners of lanes that are started, stopped and killed, and a
//! worker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tenantry::clock::{OsEntropy, SystemClock};
use tenantry_contracts::{Fleet, MasterKey};
use tenantry_coordinator::{Coordinator, Exit};
use tenantry_kafka::{Kafka, topics};
use tenantry_postgres::{PgKeys, PgLedger, PgStore, Queries};
use tenantry_serve::{ServeError, Server};
use tenantry_testkit::broker::{AnyBroker, Kind};
use tenantry_testkit::postgres::Postgres;
use tenantry_tests::harness::{Places, Running, Topics, request};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bent::{Bent, Spy};
use crate::work::{Hand, WORKER, registry};

pub(crate) const LANES: u16 = 4;
const FLEET: Fleet = Fleet::new("lanes");
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A broker, a database, and a worker.
pub(crate) struct Ground {
    url: String,
    options: tenantry_kafka::Options,
    pub(crate) topics: Topics,
    pub(crate) store: Queries,
    worker: (oneshot::Sender<()>, JoinHandle<Result<(), ServeError>>),
    // Last, since they go last.
    broker: AnyBroker,
    _dir: tempfile::TempDir,
}

/// An owner of lanes: a coordinator as it runs in a process of its own.
pub(crate) struct Owner {
    pub(crate) spy: Arc<Spy>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Exit>,
}

impl Ground {
    pub(crate) async fn new(kind: Kind) -> Self {
        // RUST_LOG=info shows what the owners do; brokers end before the last of their clients.
        tenantry::logs::start(&tenantry::logs::Args::default(), "off,librdkafka=off").expect("a log filter");
        let dir = tempfile::tempdir().expect("a folder");
        let broker = AnyBroker::start(kind, dir.path()).await.expect("a broker");
        let url = Postgres::shared().await.fresh_database("lanes").await;
        tenantry_postgres::migrate(&url).await.expect("a schema");
        let options = tenantry_kafka::Options::new(broker.bootstrap(), FLEET.as_str());
        topics::apply(&options, &[WORKER], LANES, 1).await.expect("the topics");
        let running = Running {
            pid: std::process::id(),
            lanes: LANES,
            fleet: FLEET.as_str().to_owned(),
            brokers: broker.bootstrap(),
            database_url: url.clone(),
            tenants_url: url.clone(),
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            places: Places::default(),
        };
        let store = Queries::connect(&url).await.expect("the store");
        let worker = worker(&options, &url).await;
        Self { topics: Topics::of(&running), url, options, store, worker, broker, _dir: dir }
    }

    /// Starts an owner: with a static member id, in a group of its own where `apart` says something, and dumb after so
    /// many records.
    pub(crate) async fn owner(&self, member: &str, apart: &'static str, dumb_after: u64) -> Owner {
        let spy = Spy::new(dumb_after);
        let bus = Bent::new(self.options.clone(), Arc::clone(&spy), apart);
        let store = PgStore::connect(&self.url).await.expect("the store");
        let options = tenantry_coordinator::Options {
            member: Some(member.to_owned()),
            ..tenantry_coordinator::Options::new(FLEET, LANES, registry(), master())
        };
        let entropy = OsEntropy::open().expect("entropy");
        let coordinator = Coordinator::new(bus, store, SystemClock::default(), entropy, options);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(coordinator.run(async move {
            let _ = stopped.await;
        }));
        Owner { spy, stop, task }
    }

    /// Publishes a request for each slug and returns their ids.
    pub(crate) async fn publish(&self, slugs: &[String]) -> Vec<String> {
        let ids: Vec<String> = slugs.iter().map(|slug| format!("id-of-{slug}")).collect();
        let record =
            |(id, slug): (&String, &String)| self.topics.binary(id, slug, &request(slug, "A Tenant"));
        self.topics.publish(ids.iter().zip(slugs).map(record).collect()).await;
        ids
    }

    /// Stops the worker and the broker.
    pub(crate) async fn close(mut self) {
        let (stop, task) = self.worker;
        let _ = stop.send(());
        task.await.expect("the worker does not panic").expect("the worker stops in order");
        self.broker.stop().await.expect("the broker stops in order");
    }
}

impl Owner {
    /// Ends it where it stands, as signal 9 does: nothing more is decided, written, said or closed.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()), "it ran until it was killed");
    }

    /// Stops it in order.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        assert_eq!(self.task.await.expect("an owner does not panic"), Exit::Stopped);
    }
}

fn master() -> MasterKey {
    MasterKey::new([7; 32])
}

async fn worker(
    options: &tenantry_kafka::Options,
    url: &str,
) -> (oneshot::Sender<()>, JoinHandle<Result<(), ServeError>>) {
    let ledger = PgLedger::connect(url).await.expect("the ledger");
    let keys = PgKeys::connect(url, FLEET, master()).await.expect("the keys");
    let entropy = OsEntropy::open().expect("entropy");
    let served = tenantry_serve::Options::new(FLEET);
    let server =
        Server::new(Kafka::new(options.clone()), ledger, keys, SystemClock::default(), entropy, served);
    let server = server.with(Hand::<0>).with(Hand::<1>).with(Hand::<2>);
    let (stop, stopped) = oneshot::channel::<()>();
    let run = server.run(async move {
        let _ = stopped.await;
    });
    (stop, tokio::spawn(run))
}

/// Waits until it is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !so().await {
        assert!(tokio::time::Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
