//! `tenantry serve`: one part of a fleet, or all of it, against given brokers and databases.

mod signer;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;
use tenantry_contracts::WorkerName;
use tenantry_kafka::topics;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::{OsEntropy, SystemClock};
use crate::faults::Faults;
use crate::fleet::{self, OnFailure, Part, Setup, Worker};
use crate::http::Listening;
use crate::out::{self, Refused, failed, usage};
use crate::ready::Ready;
use crate::settings::{Governance, Kafka, Key, Serve, Store, Tenants, Where, Work, property_shown, shown};
use crate::signals::Signals;

/// Where metrics and probes are, unless said otherwise.
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// How long the parts may take to stop.
const STOP_PATIENCE: Duration = Duration::from_millis(9_500);

/// Arguments of `tenantry serve`.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// A coordinator: serves the lanes that the group of coordinators gives it
    Coordinator {
        #[command(flatten)]
        flags: Flags,
    },
    /// Workers
    Worker {
        /// Which ones, with commas
        #[arg(required = true, value_delimiter = ',', value_name = "WORKER,...")]
        names: Vec<Worker>,
        #[command(flatten)]
        flags: Flags,
    },
    /// What signs the audit: a fleet has exactly one. Two would write two logs, and neither would be believed; its folder
    /// is locked against a second one on the same machine
    Signer {
        #[command(flatten)]
        flags: Box<signer::Flags>,
    },
    /// A coordinator and all workers; the signer runs beside, once
    All {
        #[command(flatten)]
        flags: Flags,
    },
}

impl Args {
    /// The process is one loop: a coordinator, or workers that share one. Everything it waits for then belongs on the
    /// loop's own thread, since a wake from another one costs more than most of what it wakes for.
    pub(crate) fn is_one_loop(&self) -> bool {
        matches!(self.what, What::Coordinator { .. } | What::Worker { .. })
    }
}

#[derive(Clone, Debug, ClapArgs)]
struct Flags {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    kafka: Kafka,
    /// A static member id that is stable across restarts, as a StatefulSet's pod has it: a restart then moves no lane
    #[arg(long, env = "TENANTRY_MEMBER", value_name = "ID")]
    member: Option<String>,
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
    http: Serve,
    /// Print the settings, without secrets, and end
    #[arg(long, help_heading = None)]
    print_config: bool,
}

/// Runs the command until it is asked to stop.
///
/// # Errors
/// Exit 2: a setting is missing or wrong. Exit 1: topics or schema are missing or differ, or cannot be reached. Exit 70:
/// a part cannot go on, and the process should be started again.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (parts, flags) = match args.what {
        What::Coordinator { flags } => (vec![Part::Coordinator], flags),
        What::Worker { names, flags } => (vec![Part::Workers(names.into_iter().collect())], flags),
        What::Signer { flags } => return signer::run(*flags).await,
        What::All { flags } => (vec![Part::Coordinator, Part::Workers(Worker::ALL.into())], flags),
    };
    if flags.print_config {
        out::json(&flags.shown()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut signals = Signals::new()?;
    let setup = flags.setup(&parts)?;
    setup.faults.warn();
    let roles: Vec<_> = parts.iter().map(Part::role).collect();
    let ready = Ready::new(&roles);
    let (stop, last) = (CancellationToken::new(), CancellationToken::new());
    let http = Listening::on(flags.http.http.unwrap_or(HTTP), None).await?;
    let address = http.address();
    http.answer(ready.clone(), last.clone())?;
    let served = tokio::select! {
        setup = check(setup, &parts) => setup?,
        () = signals.first() => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(fleet = %served.fleet, lanes = served.lanes, http = %address, "serving");
    tokio::spawn(ready.clone().watch_store(served.database_url.clone(), stop.clone()));
    let running = tokio::spawn(fleet::run(served, parts, ready.clone(), stop.clone(), OnFailure::Exit));
    let ended = stop_in_time(running, signals, &ready, &stop).await;
    last.cancel();
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until what runs ends by itself, or has stopped after a signal.
async fn stop_in_time(
    mut running: JoinHandle<Result<(), Refused>>,
    mut signals: Signals,
    ready: &Ready,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = signals.first() => {
            tracing::info!("stopping");
            signals.second_ends_at_once();
            ready.stopping();
            stop.cancel();
            match tokio::time::timeout(STOP_PATIENCE, &mut running).await {
                Ok(ended) => ended,
                Err(_) => {
                    tracing::warn!("the parts did not stop in time; what is left goes on in another process");
                    Ok(Ok(()))
                }
            }
        }
    };
    ended??;
    tracing::info!("stopped");
    Ok(())
}

/// The properties of librdkafka, those that are secret hidden.
fn properties_shown(kafka: &Kafka) -> Result<serde_json::Map<String, serde_json::Value>, Refused> {
    let all = kafka.properties()?.into_iter();
    Ok(all.map(|(name, value)| (name.clone(), property_shown(&name, &value).into())).collect())
}

/// Looks whether the topics are as they should be, those of these workers among them.
async fn topics_match(kafka: &tenantry_kafka::Options, workers: &[WorkerName]) -> Result<(), Refused> {
    let differences = topics::check(kafka, workers).await.map_err(out::bus)?;
    if differences.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = differences.iter().map(ToString::to_string).collect();
    let text = format!("{}; run `tenantry topics apply`, or mend what it cannot", all.join("; "));
    Err(failed("topics_differ", text))
}

impl Flags {
    /// What the parts need, but the number of lanes, which the topics tell.
    fn setup(&self, parts: &[Part]) -> anyhow::Result<Setup> {
        let fleet = self.at.fleet();
        let works = parts.iter().any(|part| matches!(part, Part::Workers(_)));
        let member = self.member.clone();
        if member.as_ref().is_some_and(String::is_empty) {
            return Err(
                usage("member_invalid", "the member id is empty; name one, or leave --member away").into()
            );
        }
        let rules = self.governance.rules()?;
        let work = if works {
            let places = self.work.places(&self.at.data_dir());
            let signs =
                |part: &Part| matches!(part, Part::Workers(names) if names.contains(&Worker::Receipt));
            let key = parts.iter().any(signs).then(|| self.work.required_receipt_key()).transpose()?;
            let url = self.tenants.required()?;
            Some(self.work.needs(url, places, key, &self.governance, &rules)?)
        } else {
            None
        };
        Ok(Setup {
            kafka: self.kafka.required(&fleet)?,
            fleet,
            lanes: 0,
            member,
            database_url: self.store.required()?,
            master: self.key.required()?,
            rules,
            operators: self.governance.operators()?,
            undo_limit: self.governance.undo_limit,
            work,
            clock: SystemClock::from_env()?,
            entropy: OsEntropy::open()?,
            faults: Arc::new(Faults::from_env()?),
        })
    }

    fn shown(&self) -> anyhow::Result<serde_json::Value> {
        Ok(json!({
            "fleet": self.at.fleet(),
            "brokers": self.kafka.brokers,
            "kafka_properties": properties_shown(&self.kafka)?,
            "member": self.member,
            "database_url": shown(self.store.url()?.as_ref(), ""),
            "tenants_url": shown(self.tenants.url()?.as_ref(), ""),
            "master_key": if self.key.given()?.is_some() { "given" } else { "missing" },
            "rules": self.governance.shown(),
            "work": self.work.shown(&self.at.data_dir()),
            "http": self.http.http.unwrap_or(HTTP),
        }))
    }
}

/// Looks whether topics and schemas are as they should be, before anything is said or written.
async fn check(mut setup: Setup, parts: &[Part]) -> anyhow::Result<Setup> {
    tenantry_postgres::check_schema(setup.database_url.expose()).await.map_err(out::told)?;
    let mut workers = Vec::new();
    for part in parts {
        match part {
            Part::Coordinator => workers.extend(Worker::ALL),
            Part::Workers(names) => {
                workers.extend(names);
                if let Some(work) = &setup.work {
                    fleet::prepare(work, names).await?;
                }
            }
        }
    }
    workers.sort_unstable();
    workers.dedup();
    let names: Vec<_> = workers.into_iter().map(Worker::name).collect();
    topics_match(&setup.kafka, &names).await?;
    setup.lanes = topics::lanes(&setup.kafka).await.map_err(out::bus)?;
    Ok(setup)
}
