//! `tenantry evidence export`: one file that an auditor can check with a public key, and that the audit knows of.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::json;
use tenantry_contracts::operation::{Deed, DeedKind, Target};
use tenantry_contracts::{Environment, Time};
use tenantry_ports::Clock;

use super::bundle::{self, Made, Wanted};
use super::papers;
use super::sheaf::Sheaf;
use crate::clock::SystemClock;
use crate::out::{self, Refused, failed, usage};
use crate::settings::{Find, Home, Person};
use crate::show::Style;
use crate::show::which::Which;
use crate::signer::read_key;
use crate::tenant::find::{self, One};
use crate::{deed, trail, verify};

/// Export the evidence about a tenant as one signed file, which `tenantry verify` checks offline
///
/// The file has every audit record of the selection, the proof that they are in the signed log and that none is left out,
/// and beside them the tenant's history, receipts, policy decisions, approvals and plan. That it was exported is written
/// into the audit first: without that, there is no file.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The tenant's slug, or its id
    #[arg(value_name = "SLUG|ID", required_unless_present = "all")]
    tenant: Option<Which>,
    /// The environment in which the slug is looked for
    #[arg(short, long, env = "TENANTRY_ENVIRONMENT", value_parser = find::environment, default_value = "prod")]
    environment: Environment,
    /// Every chain of the log: all tenants and all lanes, with their records and proofs alone
    #[arg(long, conflicts_with = "tenant")]
    all: bool,
    /// Only what happened from this time on, as 2026-01-01T00:00:00Z
    #[arg(long, env = "TENANTRY_FROM", value_name = "TIME", value_parser = time)]
    from: Option<Time>,
    /// Only what happened before this time
    #[arg(long, env = "TENANTRY_TO", value_name = "TIME", value_parser = time)]
    to: Option<Time>,
    /// The file to write; it must not be there yet
    #[arg(short, long, env = "TENANTRY_OUT", value_name = "FILE")]
    out: PathBuf,
    /// The checkpoint that the reader has from before: the bundle then proves that the log goes on from there
    #[arg(long, env = "TENANTRY_KNOWN_CHECKPOINT", value_name = "FILE")]
    known: Option<PathBuf>,
    /// The signer's private key [default: that of the running fleet]
    #[arg(long = "key-file", env = "TENANTRY_SIGNER_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The name of the log [default: tenantry/audit/<fleet>]
    #[arg(long, env = "TENANTRY_LOG_ORIGIN", value_name = "NAME")]
    log_origin: Option<String>,
    /// The folder that receipts lie in [default: that of the running fleet]
    #[arg(long, env = "TENANTRY_RECEIPTS", value_name = "FOLDER")]
    receipts: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    find: Find,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.out.exists() {
        let text = format!("{} is there already; name another file", args.out.display());
        return Err(usage("file_exists", text).into());
    }
    if args.from.zip(args.to).is_some_and(|(from, to)| from >= to) {
        return Err(usage("window_empty", "--from is not before --to").into());
    }
    let options = args.find.bus()?;
    let running = args.find.running()?;
    let origin = trail::origin(args.log_origin.as_deref(), &args.find.fleet()?);
    let key = match (&args.key_file, &running) {
        (Some(path), _) => path.clone(),
        (None, Some(_)) => Home::signer_key_in(&args.find.at.data_dir()),
        (None, None) => {
            let text = "name the signer's key with --key-file (TENANTRY_SIGNER_KEY_FILE)";
            return Err(usage("signer_key_missing", text).into());
        }
    };
    let key = read_key(&key, &origin)?;
    let known = args.known.as_deref().map(verify::known).transpose()?;
    let made = SystemClock::from_env()?.now();

    let mut sheaf = Sheaf::default();
    papers::general(&mut sheaf)?;
    let mut about = None;
    let mut chains = None;
    let mut who = json!(null);
    if let Some(which) = &args.tenant {
        let one = One { which: which.clone(), environment: args.environment.clone() };
        let found = one.fold(&find::store(&args.find).await?).await?;
        let receipts = args.receipts.clone().or_else(|| running.map(|up| up.places.receipts));
        papers::of_tenant(&mut sheaf, &found, receipts.as_deref(), made)?;
        let (id, request) = (found.tenant.id, &found.tenant.request);
        chains = Some([id.to_string()].into());
        who = json!({"id": id, "slug": request.slug, "environment": request.environment});
        let (slug, environment) = (request.slug.clone(), request.environment.clone());
        about = Some(Target { slug, environment, tenant: Some(id) });
    }
    sheaf.json(
        "about.json",
        &json!({
            "tenant": who,
            "chains": if args.all { "all" } else { "the tenant's own" },
            "from": args.from.map(|time| time.to_string()),
            "to": args.to.map(|time| time.to_string()),
            "exported_at": made.to_string(),
            "exported_by": args.person.account(),
            "reason": args.person.reason,
            "attached": sheaf.papers.iter().map(|paper| paper.path.clone()).collect::<Vec<_>>(),
            "left_out": sheaf.left_out,
        }),
    )?;

    let wanted = Wanted { origin: &origin, key: &key, known, chains, from: args.from, to: args.to };
    let dir = folder(&args.out);
    let gathered = bundle::gather(&options, &wanted, &dir).await?;
    // Until the audit knows of it, it has another name.
    let part = Part::new(&args.out);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part.0);
    let file = file.map_err(|error| unwritable(&part.0, &error))?;
    let made = bundle::write(&gathered, &wanted, &sheaf.papers, made, &dir, file)?;
    let deed = Deed {
        what: DeedKind::EvidenceExported,
        digest: hex::encode(made.digest),
        note: format!(
            "{} records of {} chains, against the checkpoint of {} records at {}",
            made.records, made.chains, made.last.size, made.last.time
        ),
    };
    deed::attest(&options, &args.person, None, about, deed).await?;
    std::fs::hard_link(&part.0, &args.out).map_err(|error| unwritable(&args.out, &error))?;
    drop(part);
    tell(&args, &made, &sheaf)?;
    Ok(ExitCode::SUCCESS)
}

fn tell(args: &Args, made: &Made, sheaf: &Sheaf) -> anyhow::Result<()> {
    if args.json {
        return out::json(&json!({
            "file": args.out,
            "sha256": hex::encode(made.digest),
            "records": made.records,
            "chains": made.chains,
            "log_records": made.last.size,
            "checkpoint": made.last.time.to_string(),
            "left_out": sheaf.left_out,
        }));
    }
    let style = Style::detect();
    let (mark, file) = (style.green("✓"), args.out.display());
    out::line(format_args!("{mark} {file}  {}", style.dim(&hex::encode(made.digest))));
    out::line(format_args!(
        "  {} records of {} chains, against the checkpoint of {} records at {}",
        made.records, made.chains, made.last.size, made.last.time
    ));
    for left_out in &sheaf.left_out {
        out::line(format_args!("  not in it: {left_out}"));
    }
    out::line(format_args!("  verify it anywhere: tenantry verify {file} --key public.pem"));
    Ok(())
}

/// The file while nobody may use it; removed whatever happens.
struct Part(PathBuf);

impl Part {
    fn new(out: &Path) -> Self {
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        Self(out.with_file_name(format!(".{name}.{}.part", std::process::id())))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn folder(out: &Path) -> PathBuf {
    out.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Refused {
    failed("file_unwritable", format!("{}: {error}; name a file that this user can write", path.display()))
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "write a time as 2026-01-01T00:00:00Z".to_owned())
}
