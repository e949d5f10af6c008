//! What the fleet of `up` stands on: a broker and a PostgreSQL, embedded or given, with topics and schemas made.

use std::path::Path;
use std::time::{Duration, Instant};

use tenantry_contracts::Fleet;
use tenantry_embedded_broker::Broker;
use tenantry_embedded_postgres::Cluster;
use tenantry_kafka::topics;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Args;
use crate::fleet::{self, Work, Worker};
use crate::out::{self, Refused, failed, restart, usage};
use crate::settings::{Home, Secret};

/// How often it is looked whether the private PostgreSQL lives.
const LOOK: Duration = Duration::from_millis(250);
/// How many lanes a new fleet gets where nothing was said.
const LANES: u16 = 4;

/// Two databases that were given.
pub(super) struct Databases {
    pub(super) store: Secret,
    pub(super) tenants: Secret,
}

/// Everything that the fleet stands on.
pub(super) struct House {
    pub(super) kafka: tenantry_kafka::Options,
    pub(super) lanes: u16,
    pub(super) database_url: Secret,
    pub(super) tenants_url: Secret,
    /// What the private PostgreSQL says it is; `None` where one was given.
    pub(super) postgres: Option<String>,
    pub(super) embedded_broker: bool,
    broker: Option<Broker>,
    keeper: Option<Keeper>,
}

impl House {
    /// Starts what is not given, both at once, and makes what the fleet needs in it.
    pub(super) async fn open(
        args: &Args,
        home: &Home,
        fleet: &Fleet,
        given: Option<Databases>,
        needs: impl FnOnce(Secret) -> Result<Work, Refused>,
    ) -> Result<(Self, Work), Refused> {
        let (bus, store) = tokio::join!(bus(args, home, fleet), databases(home, given, needs));
        match (bus, store) {
            (Ok(bus), Ok(store)) => Ok((
                Self {
                    kafka: bus.kafka,
                    lanes: bus.lanes,
                    embedded_broker: bus.broker.is_some(),
                    broker: bus.broker,
                    database_url: store.urls.store,
                    tenants_url: store.urls.tenants,
                    postgres: store.keeper.as_ref().map(|keeper| keeper.version.clone()),
                    keeper: store.keeper,
                },
                store.work,
            )),
            (bus, store) => {
                let refused = [bus.as_ref().err().cloned(), store.as_ref().err().cloned()];
                close(store.ok().and_then(|store| store.keeper), bus.ok().and_then(|bus| bus.broker)).await;
                let refused = refused.into_iter().flatten().next();
                Err(refused.unwrap_or_else(|| failed("internal", "nothing failed; report this")))
            }
        }
    }

    /// Waits for what cannot be mended from inside.
    pub(super) async fn failed(&mut self) -> Refused {
        match &mut self.keeper {
            Some(keeper) => keeper.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Stops what was started.
    pub(super) async fn close(self) {
        close(self.keeper, self.broker).await;
    }
}

async fn close(keeper: Option<Keeper>, broker: Option<Broker>) {
    if let Some(keeper) = keeper {
        keeper.close().await;
    }
    if let Some(broker) = broker {
        broker.stop().await;
    }
}

struct Bus {
    kafka: tenantry_kafka::Options,
    lanes: u16,
    broker: Option<Broker>,
}

async fn bus(args: &Args, home: &Home, fleet: &Fleet) -> Result<Bus, Refused> {
    let (kafka, broker) = match args.kafka.options(fleet)? {
        Some(kafka) => (kafka, None),
        None => {
            let mut options = tenantry_embedded_broker::Options::new(home.closed("broker")?);
            options.port = args.broker_port;
            let started = Broker::start(options).await;
            let broker = started.map_err(out::told)?;
            let mut kafka = tenantry_kafka::Options::new(broker.address().to_string(), fleet.as_str());
            kafka.properties = args.kafka.properties()?;
            kafka.producer = args.kafka.producer.into();
            (kafka, Some(broker))
        }
    };
    match lanes(args, &kafka, broker.is_some()).await {
        Ok(lanes) => Ok(Bus { kafka, lanes, broker }),
        Err(refused) => {
            close(None, broker).await;
            Err(refused)
        }
    }
}

/// Makes the topics that are missing; says how many lanes there are.
async fn lanes(args: &Args, kafka: &tenantry_kafka::Options, embedded: bool) -> Result<u16, Refused> {
    let replication = if embedded { 1 } else { args.replication };
    let wanted = args.lanes.unwrap_or(LANES);
    let report = topics::apply(kafka, &Worker::names(), wanted, replication).await.map_err(out::bus)?;
    // How many there are was chosen when the fleet was made.
    let lanes = topics::lanes(kafka).await.map_err(out::bus)?;
    if let Some(asked) = args.lanes.filter(|asked| *asked != lanes) {
        return Err(usage(
            "lanes_differ",
            format!("this fleet has {lanes} lanes for life, not {asked}; leave --lanes away"),
        ));
    }
    let differences = if wanted == lanes {
        report.differences
    } else {
        topics::check(kafka, &Worker::names()).await.map_err(out::bus)?
    };
    if let Some(first) = differences.first() {
        let more = differences.len() - 1;
        let text = format!(
            "{first} (and {more} more); `tenantry topics check --brokers {}` names all",
            kafka.brokers
        );
        return Err(failed("topics_differ", text));
    }
    Ok(lanes)
}

struct Stores {
    urls: Databases,
    work: Work,
    keeper: Option<Keeper>,
}

async fn databases(
    home: &Home,
    given: Option<Databases>,
    needs: impl FnOnce(Secret) -> Result<Work, Refused>,
) -> Result<Stores, Refused> {
    let (urls, cluster) = match given {
        Some(urls) => (urls, None),
        None => {
            let (urls, cluster) = private(&home.dir().join("postgres")).await?;
            (urls, Some(cluster))
        }
    };
    let keeper = cluster.map(Keeper::start);
    let migrate = async { tenantry_postgres::migrate(urls.store.expose()).await.map_err(out::told) };
    let all = Worker::ALL.into();
    let prepare = async {
        let work = needs(urls.tenants.clone())?;
        fleet::prepare(&work, &all).await.map(|()| work)
    };
    let (migrated, prepared) = tokio::join!(migrate, prepare);
    match migrated.and(prepared) {
        Ok(work) => Ok(Stores { urls, work, keeper }),
        Err(refused) => {
            close(keeper, None).await;
            Err(refused)
        }
    }
}

async fn private(dir: &Path) -> Result<(Databases, Cluster), Refused> {
    let broken = |error: tenantry_embedded_postgres::Error| failed(error.code(), error.to_string());
    let cluster = Cluster::start(tenantry_embedded_postgres::Options::new(dir)).await.map_err(broken)?;
    let (one, two) = tokio::join!(cluster.create_database("tenantry"), cluster.create_database("tenants"));
    one.and(two).map_err(broken)?;
    let url = |name| Secret::new(cluster.url(name));
    Ok((Databases { store: url("tenantry"), tenants: url("tenants") }, cluster))
}

/// Keeps the private PostgreSQL alive: a postmaster that was killed is started again on the same port.
struct Keeper {
    version: String,
    task: JoinHandle<Option<Cluster>>,
    stop: CancellationToken,
    failed: watch::Receiver<Option<Refused>>,
}

impl Keeper {
    fn start(cluster: Cluster) -> Self {
        let version = cluster.version().to_owned();
        let stop = CancellationToken::new();
        let (tell, failed) = watch::channel(None);
        let task = tokio::spawn(keep(cluster, stop.clone(), tell));
        Self { version, task, stop, failed }
    }

    async fn failed(&mut self) -> Refused {
        match self.failed.wait_for(Option::is_some).await.map(|refused| refused.clone()) {
            Ok(Some(refused)) => refused,
            // It is being stopped.
            _ => std::future::pending().await,
        }
    }

    async fn close(self) {
        self.stop.cancel();
        match self.task.await {
            Ok(Some(cluster)) => {
                if let Err(error) = cluster.stop().await {
                    tracing::error!(%error, "the private PostgreSQL did not stop");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the keeper of PostgreSQL ended badly"),
        }
    }
}

async fn keep(
    mut cluster: Cluster,
    stop: CancellationToken,
    tell: watch::Sender<Option<Refused>>,
) -> Option<Cluster> {
    let url = cluster.url("tenantry");
    let options = tenantry_embedded_postgres::Options::new(cluster.data_dir());
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = stop.cancelled() => return Some(cluster),
        }
        if lives(cluster.pid()) {
            continue;
        }
        tracing::warn!(pid = cluster.pid(), "the private PostgreSQL is gone; it is started again");
        let began = Instant::now();
        // Reaps it and lets go of its folder.
        cluster.kill();
        cluster = loop {
            match Cluster::start(options.clone()).await {
                Ok(cluster) => break cluster,
                Err(error) => {
                    tracing::error!(code = error.code(), %error, "PostgreSQL cannot be started yet")
                }
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = stop.cancelled() => return None,
            }
        };
        tracing::warn!(
            pid = cluster.pid(),
            ms = began.elapsed().as_millis(),
            "the private PostgreSQL is back"
        );
        if cluster.url("tenantry") != url {
            let text = "the private PostgreSQL had to take another port; run `tenantry up` again";
            tell.send_replace(Some(restart("postgres_port_moved", text)));
            stop.cancelled().await;
            return Some(cluster);
        }
    }
}

/// Whether a process lives. One that has ended and that nobody has reaped yet does not.
fn lives(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state stands after the name, which is in parentheses and can hold anything.
        Ok(stat) => stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X'])),
        Err(_) if Path::new("/proc/self/stat").exists() => false,
        Err(_) => i32::try_from(pid)
            .is_ok_and(|pid| nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()),
    }
}
