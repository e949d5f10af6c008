//! `tenantry up`: a whole fleet in one process, on an embedded broker and a private PostgreSQL or on given ones.
//!
//! [`start`] does the work, so that other commands can bring a fleet up for themselves; [`run`] shows it and waits.

mod house;
mod shown;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::{OsEntropy, SystemClock};
use crate::faults::Faults;
use crate::fleet::{self, OnFailure, Part, Setup, Worker};
use crate::http::Listening;
use crate::out::{self, Refused, failed};
use crate::ready::{Ready, Role};
use crate::settings::{
    Governance, Home, Kafka, Key, Lock, Running, Serve, Signing, Store, Tenants, Where, Work,
};
use crate::signals::Signals;
use house::{Databases, House};

/// How long the parts may take to be ready before the reasons are told.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the parts may take to stop; what comes after them fits into the rest of ten seconds.
const STOP_PATIENCE: Duration = Duration::from_millis(8_500);

/// Arguments of `tenantry up`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    kafka: Kafka,
    /// The port of the embedded broker [default: that of the last run, else any free one]
    #[arg(
        long,
        env = "TENANTRY_BROKER_PORT",
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    broker_port: u16,
    /// How many lanes a new fleet gets: partitions of every keyed topic, fixed for life [default: 4]
    #[arg(long, env = "TENANTRY_LANES", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    lanes: Option<u16>,
    /// How many replicas the topics get on brokers that were given
    #[arg(long, env = "TENANTRY_REPLICATION", value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=15))]
    replication: u16,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    tenants: Tenants,
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    governance: Governance,
    #[command(flatten)]
    work: Work,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    http: Serve,
    /// Print the settings, without secrets, and end
    #[arg(long, help_heading = None)]
    print_config: bool,
    /// Print where everything is as JSON when ready
    #[arg(long, help_heading = None)]
    json: bool,
}

/// A fleet that is up.
pub struct Up {
    /// Where everything is.
    pub running: Running,
    /// The data directory.
    pub home: Home,
    /// How long it took until it was ready.
    pub took: Duration,
    ready: Ready,
    fleet: JoinHandle<Result<(), Refused>>,
    house: House,
    stop: CancellationToken,
    answering: DropGuard,
    _lock: Lock,
}

/// Runs the command.
///
/// # Errors
/// With a stable code each: another one runs, something cannot be started or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.print_config {
        out::json(&shown::settings(&args)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::new()?;
    let mut up = {
        let mut starting = std::pin::pin!(start(&args));
        tokio::select! {
            up = &mut starting => up?,
            () = signals.first() => {
                // Half of a start is harder to stop than a whole one.
                out::complain("stopping as soon as what is being started stands (again: at once)");
                signals.second_ends_at_once();
                starting.await?.stop().await;
                return Ok(ExitCode::SUCCESS);
            }
        }
    };
    if args.json {
        out::json(&shown::running(&up))?;
    } else {
        out::line(shown::block(&up));
    }
    let ended = tokio::select! {
        () = signals.first() => Ok(()),
        failed = up.failed() => Err(failed),
    };
    signals.second_ends_at_once();
    let stopping = Instant::now();
    if !args.json && ended.is_ok() {
        out::line("stopping: what runs is finished, what is left goes on at the next start (again: at once)");
    }
    up.stop().await;
    ended?;
    if !args.json {
        out::line(format_args!("stopped in {} ms", stopping.elapsed().as_millis()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings a fleet up, and returns when it is ready.
///
/// # Errors
/// With a stable code each: another one runs, something cannot be started or reached.
pub async fn start(args: &Args) -> anyhow::Result<Up> {
    let faults = Faults::from_env()?;
    faults.warn();
    start_with(args, Arc::new(faults)).await
}

/// The same with these switches, whatever the environment says.
///
/// # Errors
/// As [`start`].
pub async fn start_with(args: &Args, faults: Arc<Faults>) -> anyhow::Result<Up> {
    let began = Instant::now();
    let databases = args.databases()?;
    let home = Home::open(&args.at.data_dir())?;
    let lock = home.lock()?;
    // Whatever it says is of an earlier run.
    home.forget_running();
    let entropy = OsEntropy::open()?;
    let identity = home.identity(args.at.fleet.as_ref(), entropy)?;
    let master = match args.key.given()? {
        Some(key) => key,
        None => home.master_key(entropy)?,
    };
    let clock = SystemClock::from_env()?;

    let ready = Ready::new(&[Role::Coordinator, Role::Workers, Role::Signer]);
    let (stop, last) = (CancellationToken::new(), CancellationToken::new());
    let http = args.http.http.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let http = Listening::on(http, home.last_http()).await?;
    let http_address = http.address();
    home.remember_http(http_address)?;
    http.answer(ready.clone(), last.clone())?;
    // Until the parts run, dropping it stops what answers.
    let answering = last.drop_guard();
    let rules = args.governance.rules()?;
    let operators = args.governance.operators()?;
    let places = args.work.places(home.dir());
    let receipt_key = match args.work.receipt_key()? {
        Some(key) => key,
        None => home.receipt_key(entropy)?,
    };
    let signer_key = match &args.signing.signer_key_file {
        Some(path) => path.clone(),
        None => home.signer_key_file(entropy)?,
    };
    let signing = args.signing.needs(&identity.fleet, &signer_key, home.dir())?;
    let needs = |url| args.work.needs(url, places.clone(), Some(receipt_key), &args.governance, &rules);
    let (house, work) = House::open(args, &home, &identity.fleet, databases, needs).await?;
    ready.store_found_right();
    tokio::spawn(ready.clone().watch_store(house.database_url.clone(), stop.clone()));
    let running = Running {
        pid: std::process::id(),
        fleet: identity.fleet.clone(),
        lanes: house.lanes,
        brokers: house.kafka.brokers.clone(),
        kafka_properties: house.kafka.properties.clone(),
        database_url: house.database_url.expose().to_owned(),
        tenants_url: house.tenants_url.expose().to_owned(),
        http: http_address,
        places,
        governance: args.governance.clone(),
    };
    let setup = Setup {
        fleet: identity.fleet,
        lanes: house.lanes,
        member: Some(identity.member),
        master,
        rules,
        operators,
        undo_limit: args.governance.undo_limit,
        work: Some(work),
        kafka: house.kafka.clone(),
        database_url: house.database_url.clone(),
        clock,
        entropy,
        faults,
    };
    let parts = vec![Part::Coordinator, Part::Workers(Worker::ALL.into())];
    let restart = OnFailure::Restart;
    let signed = fleet::sign(signing, setup.kafka.clone(), clock, ready.clone(), stop.clone(), restart);
    let served = fleet::run(setup, parts, ready.clone(), stop.clone(), restart);
    let fleet = tokio::spawn(async move {
        let (served, signed) = tokio::join!(served, signed);
        served.and(signed)
    });
    let mut up =
        Up { running, home, took: Duration::ZERO, ready, fleet, house, stop, answering, _lock: lock };
    if let Err(refused) = up.wait_until_ready().await {
        up.stop().await;
        return Err(refused.into());
    }
    up.took = began.elapsed();
    Ok(up)
}

impl Args {
    /// The databases that were given; `None`: private ones.
    fn databases(&self) -> Result<Option<Databases>, Refused> {
        match (self.store.url()?, self.tenants.url()?) {
            (Some(store), Some(tenants)) => Ok(Some(Databases { store, tenants })),
            (None, None) => Ok(None),
            (Some(_), None) => self.tenants.required().map(|_| None),
            (None, Some(_)) => self.store.required().map(|_| None),
        }
    }
}

impl Up {
    async fn wait_until_ready(&mut self) -> Result<(), Refused> {
        let until = Instant::now() + PATIENCE;
        while !self.ready.serves() {
            if let Some(why) = self.ready.restored() {
                // It stays up, so that a person can look and decide; it is not ready, and says so on /readyz.
                out::complain(format_args!("error: {why}"));
                break;
            }
            if Instant::now() > until {
                let open: Vec<_> = self.ready.checks().into_iter().filter(|check| !check.ok).collect();
                let open: Vec<_> =
                    open.iter().map(|check| format!("{}: {}", check.name, check.why)).collect();
                let seconds = PATIENCE.as_secs();
                let text = format!(
                    "after {seconds} s {}; see the log, or run it again with --log debug",
                    open.join("; ")
                );
                return Err(failed("not_ready", text));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.home.write_running(&self.running)
    }

    /// Waits for what cannot be mended from inside.
    pub async fn failed(&mut self) -> Refused {
        self.house.failed().await
    }

    /// Stops everything: first what works, then what it works on. Takes less than ten seconds.
    pub async fn stop(self) {
        let Self { home, ready, mut fleet, house, stop, answering, _lock: lock, .. } = self;
        ready.stopping();
        stop.cancel();
        if tokio::time::timeout(STOP_PATIENCE, &mut fleet).await.is_err() {
            tracing::warn!("the parts did not stop in time; what is left goes on at the next start");
            fleet.abort();
        }
        house.close().await;
        home.forget_running();
        drop((answering, lock));
    }
}
