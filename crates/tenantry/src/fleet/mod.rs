//! Starts the parts of a fleet in this process, the coordinator, the workers and the signer, and watches over them.

mod work;
mod workers;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenantry_contracts::{Fleet, MasterKey};
use tenantry_coordinator::{Coordinator, Exit, Operators};
use tenantry_kafka::Kafka;
use tenantry_postgres::{PgKeys, PgLedger, PgStore};
use tenantry_saga::Rules;
use tenantry_serve::Server;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{OsEntropy, SystemClock};
use crate::faults::Faults;
use crate::out::{Refused, restart};
use crate::ready::{Ready, Role, Watched};
use crate::settings::Secret;
use crate::signer::{self, Settings};

pub(crate) use work::tenants_pool;
pub use work::{Letters, Places, Work, prepare, prepare_database};
pub use workers::{Looked, Steps, Worker};

/// How long a worker that stops waits for what runs. With what comes after it a stop takes less than ten seconds.
const DRAIN_MS: i64 = 7_500;
/// The first and the longest pause before a part that failed is started again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A part that ran for so long begins with the first pause again.
const LONG: Duration = Duration::from_secs(60);

/// What runs in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A coordinator.
    Coordinator,
    /// These workers, as one member of their group.
    Workers(BTreeSet<Worker>),
}

impl Part {
    /// The consumer it has.
    pub fn role(&self) -> Role {
        match self {
            Self::Coordinator => Role::Coordinator,
            Self::Workers(_) => Role::Workers,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Workers(_) => "workers",
        }
    }
}

/// What the parts need.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The installation.
    pub fleet: Fleet,
    /// How many lanes the topics have.
    pub lanes: u16,
    /// A static member id for both groups.
    pub member: Option<String>,
    /// What wraps the tenants' keys.
    pub master: MasterKey,
    /// The rules under which sagas run.
    pub rules: Rules,
    /// Whose verbs are taken up.
    pub operators: Operators,
    /// How many tenants a lane lets people turn back in an hour, where it was said.
    pub undo_limit: Option<usize>,
    /// The bus.
    pub kafka: tenantry_kafka::Options,
    /// The store.
    pub database_url: Secret,
    /// What workers need; a coordinator does without.
    pub work: Option<Work>,
    /// The clock.
    pub clock: SystemClock,
    /// Chance.
    pub entropy: OsEntropy,
    /// What is broken on purpose.
    pub faults: Arc<Faults>,
}

/// What happens when a part fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The others are stopped, and the process is to be started again by its supervisor.
    Exit,
    /// The part is started again here.
    Restart,
}

/// Runs the parts until `stop`; returns when all have stopped.
///
/// # Errors
/// `part_failed` (exit 70) under [`OnFailure::Exit`].
pub async fn run(
    setup: Setup,
    parts: Vec<Part>,
    ready: Ready,
    stop: CancellationToken,
    on_failure: OnFailure,
) -> Result<(), Refused> {
    let setup = Arc::new(setup);
    let mut running = JoinSet::new();
    for part in parts {
        let (setup, ready, stop) = (Arc::clone(&setup), ready.clone(), stop.clone());
        running.spawn(async move {
            let start = || start(Arc::clone(&setup), part.clone(), ready.clone(), stop.clone());
            watch_over(part.name(), start, &stop, on_failure).await
        });
    }
    let mut first = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = ended.unwrap_or_else(|error| Err(restart("part_failed", error.to_string())));
        if ended.is_err() {
            stop.cancel();
            first = first.and(ended);
        }
    }
    first
}

/// Runs the signer until `stop`. It needs the bus and its own settings alone: no store, and no tenant's key.
///
/// # Errors
/// As [`run`].
pub async fn sign(
    settings: Settings,
    kafka: tenantry_kafka::Options,
    clock: SystemClock,
    ready: Ready,
    stop: CancellationToken,
    on_failure: OnFailure,
) -> Result<(), Refused> {
    let start = || {
        let (settings, kafka) = (settings.clone(), kafka.clone());
        let (ready, stop) = (ready.clone(), stop.clone());
        async move { signer::run(&settings, &kafka, clock, &ready, stop).await }
    };
    watch_over("signer", start, &stop, on_failure).await
}

async fn watch_over<F>(
    name: &'static str,
    start: impl Fn() -> F,
    stop: &CancellationToken,
    on_failure: OnFailure,
) -> Result<(), Refused>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut pause = PAUSES.0;
    loop {
        let began = Instant::now();
        // In a task of its own, so that a defect of one part is seen as its failure.
        let task = tokio::spawn(start());
        let why = match task.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(defect) => format!("bug: {defect}; report this"),
        };
        if on_failure == OnFailure::Exit {
            tracing::error!(part = name, why, "a part failed; the process ends and should be started again");
            return Err(restart("part_failed", format!("the {name} cannot go on: {why}")));
        }
        if began.elapsed() > LONG {
            pause = PAUSES.0;
        }
        tracing::error!(part = name, why, pause_ms = pause.as_millis(), "a part failed; it is started again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn start(setup: Arc<Setup>, part: Part, ready: Ready, stop: CancellationToken) -> Result<(), String> {
    match part {
        Part::Coordinator => coordinator(&setup, ready, stop).await,
        Part::Workers(workers) => serve(&setup, &workers, ready, stop).await,
    }
}

async fn coordinator(setup: &Setup, ready: Ready, stop: CancellationToken) -> Result<(), String> {
    let store = PgStore::connect(setup.database_url.expose()).await.map_err(|error| error.to_string())?;
    let standing = ready.standing();
    let bus = Watched::new(Kafka::new(setup.kafka.clone()), Role::Coordinator, ready);
    let plans = tenantry_saga::plans::all(setup.rules.clone());
    let mut options =
        tenantry_coordinator::Options::new(setup.fleet.clone(), setup.lanes, plans, setup.master.clone());
    options.member.clone_from(&setup.member);
    options.standing = standing;
    options.operators.clone_from(&setup.operators);
    options.undo_limit = setup.undo_limit.unwrap_or(options.undo_limit);
    let coordinator = Coordinator::new(bus, store, setup.clock, setup.entropy, options);
    match coordinator.run(stop.cancelled_owned()).await {
        Exit::Stopped => Ok(()),
        Exit::Failed(why) => Err(why),
    }
}

async fn serve(
    setup: &Setup,
    workers: &BTreeSet<Worker>,
    ready: Ready,
    stop: CancellationToken,
) -> Result<(), String> {
    let url = setup.database_url.expose();
    let ledger = PgLedger::connect(url).await.map_err(|error| error.to_string())?;
    let keys = PgKeys::connect(url, setup.fleet.clone(), setup.master.clone());
    let keys = keys.await.map_err(|error| error.to_string())?;
    let work =
        setup.work.as_ref().ok_or("work_missing: workers need the tenants' database and their folders")?;
    let steps = Steps::new(work, &setup.master).map_err(|refused| refused.to_string())?;
    let bus = Watched::new(Kafka::new(setup.kafka.clone()), Role::Workers, ready);
    let mut options = tenantry_serve::Options::new(setup.fleet.clone());
    options.member.clone_from(&setup.member);
    options.concurrency = work.concurrency.into();
    options.build = format!("tenantry {}", env!("CARGO_PKG_VERSION"));
    options.limits.drain_ms = DRAIN_MS;
    let mut server = Server::new(bus, ledger, keys, setup.clock, setup.entropy, options);
    if setup.faults.armed() {
        server = server.points(setup.faults.clone());
    }
    let server = steps.serve(server, workers);
    server.run(stop.cancelled_owned()).await.map_err(|error| error.to_string())
}
