//! `bench saga`: starts the parts, drives the load, prints what it took.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tenantry_contracts::Topic;
use tenantry_kafka::{Options, Reader, Start};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::cpu::{Used, used};
use super::figures::{Figures, Limits, Process, Report, percentile};
use super::load::{self, Outcome, Pace, Work};
use super::part::{Part, kafka};
use super::plan::workers;
use super::steps::fails;
use super::{Case, SagaArgs, limits, print};
use crate::out::{self, usage};

const GENERATOR: &str = "generator";
const POSTGRES: &str = "postgres";
const BROKER: &str = "broker";
/// What is not ours to make small.
const OUTSIDE: [&str; 3] = [GENERATOR, POSTGRES, BROKER];
/// How long requests come at a rate, in seconds.
const RATE_FOR_S: f64 = 20.0;

/// A process of the benchmark.
struct Running {
    name: &'static str,
    child: Child,
}

/// Starts a part and waits for its first line.
async fn start(part: Part, args: &[(&str, String)]) -> anyhow::Result<(Running, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "part", part.word()]);
    for (flag, value) in args {
        command.arg(flag).arg(value);
    }
    command.env_remove("TENANTRY_BROKERS").env_remove("TENANTRY_DATABASE_URL");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("{} could not be started", part.word()))?;
    let out = child.stdout.take().context("a part without output")?;
    let mut lines = BufReader::new(out).lines();
    let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
    let line =
        line.ok().and_then(Result::ok).flatten().with_context(|| format!("{} did not start", part.word()))?;
    Ok((Running { name: part.word(), child }, line))
}

/// Everything that is measured, and what it needs.
struct House {
    args: SagaArgs,
    parts: Vec<Running>,
    postgres: Option<u32>,
    options: Options,
    store: Store,
    timeout: Duration,
}

pub(super) async fn run(args: SagaArgs) -> anyhow::Result<()> {
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    let dir = Folder::new(args.dir.clone())?;
    let mut parts = Vec::new();
    let brokers = match &args.brokers {
        Some(brokers) => brokers.clone(),
        None => {
            let data = dir.path().join("broker").display().to_string();
            let (broker, address) = start(Part::Broker, &[("--dir", data)]).await?;
            parts.push(broker);
            address
        }
    };
    let (cluster, url) = match &args.database_url {
        Some(url) => (None, url.clone()),
        None => {
            let options = tenantry_embedded_postgres::Options::new(dir.path().join("postgres"));
            let cluster = tenantry_embedded_postgres::Cluster::start(options).await?;
            cluster.create_database("bench").await?;
            let url = cluster.url("bench");
            (Some(cluster), url)
        }
    };
    tenantry_postgres::migrate(&url).await?;
    let options = kafka(&brokers, args.linger_ms);
    tenantry_kafka::topics::apply(&options, &workers(), args.lanes, 1).await?;
    let limits =
        if args.no_limits { Limits::default() } else { limits::take(&url, &options, dir.path()).await? };

    let told = [
        ("--brokers", brokers.clone()),
        ("--database-url", url.clone()),
        ("--lanes", args.lanes.to_string()),
        ("--linger-ms", args.linger_ms.to_string()),
    ];
    for part in [Part::Coordinator, Part::WorkersA, Part::WorkersB] {
        parts.push(start(part, &told).await?.0);
    }
    let postgres =
        args.postgres_pid.or_else(|| cluster.as_ref().map(tenantry_embedded_postgres::Cluster::pid));
    let timeout = Duration::from_secs(args.timeout_s);
    let mut house = House { parts, postgres, options, store: Store::new(&url).await?, timeout, args };
    // Groups settle, connections open, statements are prepared: not part of the measurement.
    house.load("warm", Pace::Closed(64), 64).await.context("warm-up")?;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        broker: if house.args.brokers.is_some() { "given" } else { "embedded" }.to_owned(),
        lanes: house.args.lanes,
        linger_ms: house.args.linger_ms,
        repeats: usize::from(house.args.repeat),
        limits,
        ..Report::default()
    };
    for case in house.args.cases.clone() {
        let mut runs = Vec::new();
        for _ in 0..house.args.repeat {
            runs.push(house.measure(case).await?);
        }
        report.cases.extend(Figures::medians(&runs));
    }
    let audit = load::verify(&house.options).await.context("the audit does not verify")?;
    (report.audit_records, report.audit_chains) = (audit.records, audit.chains);
    house.still_run()?;
    if let Some(path) = &house.args.keep {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)
            .map_err(|error| usage("file_unwritable", format!("{}: {error}", path.display())))?;
    }
    if house.args.json {
        out::json(&report)?;
    } else {
        print::report(&report, baseline.as_ref());
    }
    // The broker last: the others still use it.
    while house.parts.pop().is_some() {}
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Report> {
    let unreadable = |error: String| usage("baseline_unreadable", format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    Ok(serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?)
}

impl House {
    async fn load(&self, run: &str, pace: Pace, sagas: u64) -> anyhow::Result<Outcome> {
        let work = Work { request: load::document, fails };
        load::run(&self.options, run, self.args.lanes, sagas, pace, self.timeout, work).await
    }

    /// One run of a case.
    async fn measure(&mut self, case: Case) -> anyhow::Result<Figures> {
        let (pace, sagas) = match case {
            Case::Tput => (Pace::Closed(self.args.in_flight), self.args.sagas),
            Case::Lat => (Pace::Closed(1), self.args.one_by_one),
            Case::Rate => (Pace::Rate(self.args.rate), (self.args.rate * RATE_FOR_S) as u64),
        };
        let before = (self.used(), self.counted().await?);
        let outcome = self.load(&run_name(), pace, sagas).await?;
        let after = (self.used(), self.counted().await?);
        self.still_run()?;
        let per_saga = |of: fn(&Counted) -> i64| (of(&after.1) - of(&before.1)) as f64 / sagas as f64;
        let processes: Vec<Process> = before
            .0
            .iter()
            .zip(&after.0)
            .map(|((name, before), (_, after))| Process {
                name: (*name).to_owned(),
                cpu_s_per_1000: (after.cpu_s - before.cpu_s) / sagas as f64 * 1000.0,
                rss_mib: after.rss_mib,
            })
            .collect();
        let fleet = |process: &&Process| !OUTSIDE.contains(&process.name.as_str());
        Ok(Figures {
            case: case.word().to_owned(),
            sagas,
            in_flight: if let Pace::Closed(in_flight) = pace { Some(in_flight) } else { None },
            active: outcome.active,
            rolled_back: outcome.rolled_back,
            sagas_per_s: sagas as f64 / outcome.took.as_secs_f64(),
            p50_ms: percentile(&outcome.latencies_ms, 50.0),
            p99_ms: percentile(&outcome.latencies_ms, 99.0),
            cpu_s_per_1000: processes
                .iter()
                .filter(|process| process.name != GENERATOR)
                .map(|process| process.cpu_s_per_1000)
                .sum(),
            rss_mib: processes.iter().filter(fleet).map(|process| process.rss_mib).sum(),
            wal_kib_per_saga: per_saga(|counted| counted.wal) / 1024.0,
            messages_per_saga: per_saga(|counted| counted.messages),
            rows_per_saga: per_saga(|counted| counted.rows),
            processes,
        })
    }

    /// What every process has used so far.
    fn used(&self) -> Vec<(&'static str, Used)> {
        let own = self.parts.iter().filter_map(|part| Some((part.name, used(part.child.id()?, false))));
        let broker = self.args.broker_pid.map(|pid| (BROKER, used(pid, false)));
        let store = self.postgres.map(|pid| (POSTGRES, used(pid, true)));
        own.chain(broker).chain(store).chain([(GENERATOR, used(std::process::id(), false))]).collect()
    }

    async fn counted(&self) -> anyhow::Result<Counted> {
        let (wal, rows) = self.store.counted().await?;
        let places = Reader::places(&self.options, Topic::all(&workers())).await?;
        let reader = Reader::open(&self.options, places, Start::End).await?;
        Ok(Counted { wal, rows, messages: reader.ends().values().sum() })
    }

    fn still_run(&mut self) -> anyhow::Result<()> {
        for part in &mut self.parts {
            if let Some(status) = part.child.try_wait()? {
                bail!("{} ended during the run: {status}", part.name);
            }
        }
        Ok(())
    }
}

/// What grows by the work.
struct Counted {
    wal: i64,
    rows: i64,
    messages: i64,
}

/// A name for this run's slugs: a database or topic that was used before does not answer for it.
pub(super) fn run_name() -> String {
    let millis = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    format!("{:x}", millis & 0xff_ffff_ffff)
}

/// The store, asked for what it has written.
struct Store(tokio_postgres::Client);

impl Store {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    /// Bytes of WAL, and rows of the journal.
    async fn counted(&self) -> anyhow::Result<(i64, i64)> {
        let sql =
            "select (pg_current_wal_lsn() - '0/0')::bigint, coalesce((select sum(n) from lane), 0)::bigint";
        let row = self.0.query_one(sql, &[]).await?;
        Ok((row.get(0), row.get(1)))
    }
}

/// A folder for the run, removed afterwards unless it was given.
pub(super) struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    pub(super) fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let ours = given.is_none();
        let path = given
            .unwrap_or_else(|| std::env::temp_dir().join(format!("tenantry-bench-{}", std::process::id())));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, ours })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
