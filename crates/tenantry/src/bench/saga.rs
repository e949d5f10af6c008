//! `bench saga`: starts the parts, drives the load, prints what it took.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::SagaArgs;
use super::cpu::{Used, used};
use super::load::{self, Outcome};
use super::part::{Part, kafka};
use super::plan::workers;

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

pub(super) async fn run(args: SagaArgs) -> anyhow::Result<()> {
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

    let told = [
        ("--brokers", brokers.clone()),
        ("--database-url", url.clone()),
        ("--lanes", args.lanes.to_string()),
        ("--linger-ms", args.linger_ms.to_string()),
    ];
    for part in [Part::Coordinator, Part::WorkersA, Part::WorkersB] {
        parts.push(start(part, &told).await?.0);
    }
    let timeout = Duration::from_secs(args.timeout_s);
    // Groups settle, connections open, statements are prepared: not part of the measurement.
    load::run(&options, "warm", args.lanes, 64, 64, timeout).await.context("warm-up")?;

    let postgres =
        args.postgres_pid.or_else(|| cluster.as_ref().map(tenantry_embedded_postgres::Cluster::pid));
    let look = |parts: &[Running]| -> Vec<(&'static str, Used)> {
        let own = parts.iter().filter_map(|part| Some((part.name, used(part.child.id()?, false))));
        let broker = args.broker_pid.map(|pid| ("broker", used(pid, false)));
        let store = postgres.map(|pid| ("postgres", used(pid, true)));
        own.chain(broker).chain(store).chain([("generator", used(std::process::id(), false))]).collect()
    };
    let wal = Wal::new(&url).await?;
    let (before, wal_before) = (look(&parts), wal.bytes().await?);
    let mut outcome =
        load::run(&options, &run_name(), args.lanes, args.sagas, args.in_flight, timeout).await?;
    let (after, wal_after) = (look(&parts), wal.bytes().await?);
    load::verify(&options, &mut outcome).await.context("the audit does not verify")?;
    for part in &mut parts {
        if let Some(status) = part.child.try_wait()? {
            bail!("{} ended during the run: {status}", part.name);
        }
    }
    let used: Vec<_> = before
        .iter()
        .zip(&after)
        .map(|((name, before), (_, after))| (*name, after.cpu_s - before.cpu_s, after.rss_mib))
        .collect();
    print(&args, &outcome, &used, (wal_after - wal_before) as f64 / args.sagas as f64 / 1024.0);
    // The broker last: the others still use it.
    while parts.pop().is_some() {}
    if let Some(cluster) = cluster {
        cluster.stop().await?;
    }
    Ok(())
}

#[allow(clippy::print_stdout)] // The result.
fn print(args: &SagaArgs, outcome: &Outcome, used: &[(&'static str, f64, f64)], wal_kb: f64) {
    let sagas = args.sagas as f64;
    let per_second = sagas / outcome.took.as_secs_f64();
    let ours: f64 = used.iter().filter(|(name, ..)| *name != "generator").map(|(_, cpu, _)| cpu).sum();
    let fleet = |name: &str| !matches!(name, "generator" | "postgres" | "broker");
    let rss: f64 = used.iter().filter(|(name, ..)| fleet(name)).map(|(.., rss)| rss).sum();
    if args.json {
        let processes: Vec<_> = used
            .iter()
            .map(|(name, cpu, rss)| serde_json::json!({"name": name, "cpu_s": cpu, "rss_mib": rss}))
            .collect();
        let document = serde_json::json!({
            "sagas": args.sagas, "in_flight": args.in_flight, "lanes": args.lanes, "linger_ms": args.linger_ms,
            "seconds": outcome.took.as_secs_f64(), "sagas_per_s": per_second,
            "p50_ms": outcome.percentile(50.0), "p99_ms": outcome.percentile(99.0),
            "cpu_s_per_1000": ours / sagas * 1000.0, "rss_mib": rss, "wal_kib_per_saga": wal_kb,
            "active": outcome.active, "rolled_back": outcome.rolled_back, "wrong": 0,
            "audit": {"records": outcome.audit_records, "chains": outcome.audit_chains, "verified": true},
            "processes": processes,
        });
        println!("{document:#}");
        return;
    }
    println!(
        "saga-12, {} sagas, {} in flight, {} lanes, linger {} ms",
        args.sagas, args.in_flight, args.lanes, args.linger_ms
    );
    println!("  throughput      {per_second:8.0} sagas/s ({:.1} s)", outcome.took.as_secs_f64());
    println!(
        "  latency         {:8.1} ms p50, {:.1} ms p99",
        outcome.percentile(50.0),
        outcome.percentile(99.0)
    );
    println!("  CPU             {:8.2} s per 1,000 sagas (without the generator)", ours / sagas * 1000.0);
    for (name, cpu, rss) in used {
        println!("    {name:<13} {:8.2} s per 1,000, {rss:.0} MiB resident", cpu / sagas * 1000.0);
    }
    println!("  memory          {rss:8.0} MiB (coordinator and workers)");
    println!("  WAL             {wal_kb:8.1} KiB per saga");
    println!("  outcomes        {} active, {} rolled back, 0 wrong", outcome.active, outcome.rolled_back);
    println!(
        "  audit           verified: {} records in {} chains",
        outcome.audit_records, outcome.audit_chains
    );
}

/// A name for this run's slugs: a database or topic that was used before does not answer for it.
fn run_name() -> String {
    let millis = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    format!("{:x}", millis & 0xff_ffff_ffff)
}

/// How many bytes of WAL PostgreSQL has written.
struct Wal(tokio_postgres::Client);

impl Wal {
    async fn new(url: &str) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(Self(client))
    }

    async fn bytes(&self) -> anyhow::Result<i64> {
        let row = self.0.query_one("select (pg_current_wal_lsn() - '0/0')::bigint", &[]).await?;
        Ok(row.get(0))
    }
}

/// A folder for the run, removed afterwards unless it was given.
struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let ours = given.is_none();
        let path = given
            .unwrap_or_else(|| std::env::temp_dir().join(format!("tenantry-bench-{}", std::process::id())));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path, ours })
    }

    fn path(&self) -> &Path {
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
