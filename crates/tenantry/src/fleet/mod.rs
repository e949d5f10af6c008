//! Starts the parts of a fleet in this process, the coordinator and the workers, and watches over them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tenantry_contracts::{Fleet, MasterKey, WorkerName, steps};
use tenantry_coordinator::{Coordinator, Exit};
use tenantry_kafka::Kafka;
use tenantry_postgres::{PgKeys, PgLedger, PgStore};
use tenantry_serve::Server;
use tenantry_worker_credentials::Credentials;
use tenantry_worker_database::Database;
use tenantry_worker_validate::Validate;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::{OsEntropy, SystemClock};
use crate::faults::Faults;
use crate::out::{Refused, failed, restart};
use crate::ready::{Ready, Role, Watched};
use crate::settings::Secret;

/// How long a worker that stops waits for what runs. With what comes after it a stop takes less than ten seconds.
const DRAIN_MS: i64 = 7_500;
/// The most connections to the tenants' database: more do not make DDL faster.
const TENANT_CONNECTIONS: usize = 24;
/// The first and the longest pause before a part that failed is started again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// A part that ran for so long begins with the first pause again.
const LONG: Duration = Duration::from_secs(60);

/// A worker, by the name of its crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Worker {
    /// Checks requests, and claims what only one tenant can have.
    Validate,
    /// Makes the tenant's schema in PostgreSQL.
    Database,
    /// Writes the mail with the one-time link.
    Credentials,
}

impl Worker {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Validate, Self::Database, Self::Credentials];

    /// Its name on the wire.
    pub fn name(self) -> WorkerName {
        match self {
            Self::Validate => steps::validate::WORKER,
            Self::Database => steps::database::WORKER,
            Self::Credentials => steps::credentials::WORKER,
        }
    }

    /// The names of all of them, for the topics.
    pub fn names() -> Vec<WorkerName> {
        Self::ALL.map(Self::name).to_vec()
    }
}

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
    /// The capability packs.
    pub packs: Vec<String>,
    /// The bus.
    pub kafka: tenantry_kafka::Options,
    /// The store.
    pub database_url: Secret,
    /// The database that tenants are made in; workers need it.
    pub tenants_url: Option<Secret>,
    /// The folder for mails.
    pub outbox: PathBuf,
    /// What links in mails begin with.
    pub base_url: String,
    /// How many commands run at a time.
    pub concurrency: u16,
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
        running.spawn(watch_over(setup, part, ready, stop, on_failure));
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

async fn watch_over(
    setup: Arc<Setup>,
    part: Part,
    ready: Ready,
    stop: CancellationToken,
    on_failure: OnFailure,
) -> Result<(), Refused> {
    let mut pause = PAUSES.0;
    loop {
        let began = Instant::now();
        // In a task of its own, so that a defect of one part is seen as its failure.
        let task = tokio::spawn(start(Arc::clone(&setup), part.clone(), ready.clone(), stop.clone()));
        let why = match task.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(defect) => format!("bug: {defect}; report this"),
        };
        let name = part.name();
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
    let bus = Watched::new(Kafka::new(setup.kafka.clone()), Role::Coordinator, ready);
    let plans = tenantry_saga::plans::all(setup.packs.clone());
    let mut options =
        tenantry_coordinator::Options::new(setup.fleet.clone(), setup.lanes, plans, setup.master.clone());
    options.member.clone_from(&setup.member);
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
    let tenants =
        setup.tenants_url.as_ref().ok_or("tenants_url_missing: workers need the tenants' database")?;
    let pool = tenants_pool(tenants, usize::from(setup.concurrency)).map_err(|error| error.to_string())?;
    let bus = Watched::new(Kafka::new(setup.kafka.clone()), Role::Workers, ready);
    let mut options = tenantry_serve::Options::new(setup.fleet.clone());
    options.member.clone_from(&setup.member);
    options.concurrency = setup.concurrency.into();
    options.build = format!("tenantry {}", env!("CARGO_PKG_VERSION"));
    options.limits.drain_ms = DRAIN_MS;
    let mut server = Server::new(bus, ledger, keys, setup.clock, setup.entropy, options);
    if setup.faults.armed() {
        server = server.points(setup.faults.clone());
    }
    for worker in workers {
        server = match worker {
            Worker::Validate => server.with(Validate::new(pool.clone())),
            Worker::Database => server.with(Database::new(pool.clone())),
            Worker::Credentials => {
                server.with(Credentials::new(pool.clone(), &setup.outbox, &setup.base_url))
            }
        };
    }
    server.run(stop.cancelled_owned()).await.map_err(|error| error.to_string())
}

/// Makes what workers need for themselves in the tenants' database.
///
/// # Errors
/// `tenants_database`: it cannot be reached, or the account may not create schemas.
pub async fn prepare(url: &Secret, workers: &BTreeSet<Worker>) -> Result<(), Refused> {
    let pool = tenants_pool(url, 1)?;
    for worker in workers {
        let prepared = match worker {
            Worker::Validate => tenantry_worker_validate::prepare(&pool).await,
            Worker::Database => tenantry_worker_database::prepare(&pool).await,
            Worker::Credentials => tenantry_worker_credentials::prepare(&pool).await,
        };
        prepared.map_err(|trouble| {
            let name = worker.name();
            let advice = "check --tenants-url, that the server runs, and that the account may create schemas and roles";
            failed("tenants_database", format!("worker {name} cannot prepare the tenants' database: {trouble}; {advice}"))
        })?;
    }
    Ok(())
}

fn tenants_pool(url: &Secret, concurrency: usize) -> Result<Pool, Refused> {
    let refused = |why: String| failed("tenants_database", why);
    let (mut config, tls) =
        tenantry_postgres::connect::plain(url.expose()).map_err(|error| refused(error.to_string()))?;
    let patience = Duration::from_secs(5);
    if config.get_application_name().is_none() {
        config.application_name("tenantry workers");
    }
    config.connect_timeout(patience).keepalives_idle(Duration::from_secs(10));
    // Nothing that one tenant's work has set may reach the next lease.
    let manager =
        Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Clean });
    Pool::builder(manager)
        .max_size(concurrency.clamp(1, TENANT_CONNECTIONS))
        .timeouts(Timeouts { wait: None, create: Some(patience), recycle: Some(patience) })
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| refused(error.to_string()))
}
