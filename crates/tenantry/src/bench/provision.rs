//! `bench provision`: the product's own plan on the real steps, all workers and the coordinator in a `tenantry up` of their own:
//! how many tenants a second are really made, and how long one takes.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::ProvisionArgs;
use super::cpu::used;
use super::figures::percentile;
use super::ground::Folder;
use super::house::run_name;
use super::load;
use super::work::{Pace, Work};
use crate::out;

/// What came of it.
#[derive(Debug, Serialize)]
struct Provisioned {
    tenants: u64,
    in_flight: u64,
    tenants_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// Of the fleet's one process, with broker and workers in it, and of PostgreSQL.
    cpu_s_per_1000: f64,
    rss_mib: f64,
    audit_records: u64,
    audit_chains: u64,
}

/// What `up --json` says of itself.
#[derive(Deserialize)]
struct Running {
    pid: u32,
    fleet: String,
    lanes: u16,
    brokers: String,
}

pub(super) async fn run(args: ProvisionArgs) -> anyhow::Result<()> {
    let dir = Folder::new(args.dir.clone())?;
    let (mut fleet, running) = up(dir.path(), args.brokers.as_deref()).await?;
    let options = tenantry_kafka::Options::new(&running.brokers, &running.fleet);
    let timeout = Duration::from_secs(args.timeout_s);
    let work = |run: &str, sagas, pace| Work { request: document, ..Work::new(run, sagas, pace) };
    let warm = work("warm", 4, Pace::Closed(4));
    load::run(&options, running.lanes, timeout, warm).await.context("warm-up")?;
    let before = used(running.pid, true);
    let work = work(&run_name(), args.tenants, Pace::Closed(args.in_flight));
    let outcome = load::run(&options, running.lanes, timeout, work).await?;
    let after = used(running.pid, true);
    let audit = load::verify(&options, None).await.context("the audit does not verify")?;
    let tenants = args.tenants as f64;
    let found = Provisioned {
        tenants: args.tenants,
        in_flight: args.in_flight,
        tenants_per_s: tenants / outcome.took.as_secs_f64(),
        p50_ms: percentile(&outcome.latencies_ms, 50.0),
        p99_ms: percentile(&outcome.latencies_ms, 99.0),
        cpu_s_per_1000: (after.cpu_s - before.cpu_s) / tenants * 1000.0,
        rss_mib: after.rss_mib,
        audit_records: audit.records,
        audit_chains: audit.chains,
    };
    if args.json {
        out::json(&found)?;
    } else {
        print(&found);
    }
    // It ends by itself when it is told so; what it leaves goes with the folder.
    stop(&mut fleet).await;
    Ok(())
}

fn print(found: &Provisioned) {
    out::line(format_args!("provision, {} tenants, {} in flight", found.tenants, found.in_flight));
    out::line(format_args!("  {:8.1} tenants/s", found.tenants_per_s));
    out::line(format_args!("  {:8.0} ms p50, {:.0} ms p99", found.p50_ms, found.p99_ms));
    out::line(format_args!(
        "  {:8.1} CPU s per 1,000 of the fleet's process, {:.0} MiB",
        found.cpu_s_per_1000, found.rss_mib
    ));
    out::line(format_args!(
        "  every tenant ACTIVE; the audit verified: {} records in {} chains",
        found.audit_records, found.audit_chains
    ));
}

/// A whole fleet as a process of its own.
async fn up(dir: &std::path::Path, brokers: Option<&str>) -> anyhow::Result<(Child, Running)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["up", "--json", "--data-dir"]).arg(dir.join("up"));
    command.args(["--http", "127.0.0.1:0", "--log", "error"]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TENANTRY_")) {
        command.env_remove(name);
    }
    if let Some(brokers) = brokers {
        command.args(["--brokers", brokers]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("a fleet could not be started")?;
    let out = child.stdout.take().context("a fleet without output")?;
    let running = tokio::time::timeout(Duration::from_secs(120), told(BufReader::new(out))).await;
    Ok((child, running.context("the fleet was not ready in 120 s")??))
}

/// The JSON document that the fleet prints when it is ready: it ends with the line of its closing brace.
async fn told(out: impl tokio::io::AsyncBufRead + Unpin) -> anyhow::Result<Running> {
    let (mut text, mut lines) = (String::new(), out.lines());
    while let Some(line) = lines.next_line().await? {
        text.push_str(&line);
        if line == "}" {
            return serde_json::from_str(&text).context("the fleet says something else than where it is");
        }
    }
    let mut rest = String::new();
    lines.into_inner().read_to_string(&mut rest).await?;
    anyhow::bail!("the fleet ended before it was ready: {text}{rest}")
}

async fn stop(fleet: &mut Child) {
    if let Some(pid) = fleet.id() {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap_or_default());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
    }
    let _ = tokio::time::timeout(Duration::from_secs(20), fleet.wait()).await;
}

/// A request of the product's own kind.
fn document(slug: &str) -> serde_json::Value {
    serde_json::json!({
        "name": format!("Bench {slug}"),
        "slug": slug,
        "environment": "prod",
        "plan": "starter",
        "residency": "US",
        "region": "us-east-1",
        "admin": { "email": format!("admin@{slug}.example.com"), "first_name": "Ada" },
    })
}
