//! `tenantry batch plan`: freezes tenants and a verb into a selection, with what each would make of it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use tenantry_contracts::operation::OperationVerb;
use tenantry_contracts::{Environment, State, Time};
use tenantry_ports::TenantRow;
use tenantry_postgres::{MOST, TenantFilter};
use tenantry_saga::{Registry, Tenant, What};

use super::selection::{Chosen, Selection, Would};
use super::verb;
use crate::dlq::filter::since;
use crate::frozen::file;
use crate::frozen::house::House;
use crate::out::{self, failed};
use crate::request::user;
use crate::settings::Find;
use crate::show::style::{Style, count};
use crate::tenant::find::environment;
use crate::tenant::ls::state;
use crate::why::cause::{Cause, causes};

/// Freeze tenants and a verb into a selection, each with what it would make of the verb
///
/// Nothing is published. The selection holds the tenants' ids and versions and its own digest; `tenantry batch run` sends
/// the verb to those and no others, however many come to be in the same state in between.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  tenantry batch plan --state held --code misconfigured --worker database --verb retry -o s.json"
)]
pub(super) struct Args {
    /// In this state; may be repeated (HELD, STUCK, ...)
    #[arg(short, long = "state", env = "TENANTRY_STATES", value_delimiter = ',', value_parser = state, required = true)]
    states: Vec<State>,
    /// Held by this code
    #[arg(long, env = "TENANTRY_CODE", value_name = "CODE")]
    code: Option<String>,
    /// Held at a row of this worker
    #[arg(long, env = "TENANTRY_WORKER", value_name = "WORKER")]
    worker: Option<String>,
    /// In its state for so long at least: 90s, 30m, 2h, 7d
    #[arg(long, env = "TENANTRY_OLDER", value_name = "TIME", value_parser = age)]
    older: Option<i64>,
    /// In this environment
    #[arg(short, long, env = "TENANTRY_ENVIRONMENT", value_parser = environment)]
    environment: Option<Environment>,
    /// What is asked for: retry, cancel, hold, release, pause, resume, rerun:ROW, skip:ROW, mark-done:ROW
    #[arg(long, env = "TENANTRY_VERB", value_name = "VERB[:ROW]", value_parser = verb::read)]
    verb: OperationVerb,
    /// Where to write the selection; a new file [default: the standard output]
    #[arg(short, long, env = "TENANTRY_BATCH_OUTPUT", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    find: Find,
}

fn age(text: &str) -> Result<i64, String> {
    since(text, Time(0))
        .map(|at| -at.0)
        .and_then(|ms| if ms >= 0 { Ok(ms) } else { Err("write 30m or 2h".into()) })
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let house = House::open(&args.find).await?;
    let now = house.now();
    let mut tenants = Vec::new();
    for row in rows(&house, &args.states).await? {
        let young = args.older.is_some_and(|older| now.since(row.since) < older);
        let elsewhere = args.environment.as_ref().is_some_and(|environment| *environment != row.environment);
        if young || elsewhere {
            continue;
        }
        let Some(past) = house.past(row.tenant).await? else { continue };
        let tenant = past.tenant;
        // What the list showed may be older than the journal.
        let Some(cause) = args.cause(&tenant, &house.plans) else { continue };
        let why = verb::preview(&tenant, &args.verb, &house.plans, now).err();
        tenants.push(Chosen {
            tenant: row.tenant,
            slug: row.slug,
            environment: row.environment,
            state: tenant.state,
            version: tenant.version,
            cause,
            would: if why.is_none() { Would::TakeUp } else { Would::Refuse },
            why,
        });
    }
    if tenants.is_empty() {
        let text = "no tenant is meant by that; see `tenantry tenant ls` and `tenantry why <slug>`";
        return Err(failed("no_tenants", text).into());
    }
    let file = args.output.clone().unwrap_or_else(|| "s.json".into());
    let second = if verb::destroys(&args.verb) { " --second SOMEBODY" } else { "" };
    let run = format!(
        "tenantry batch run --selection {} --rate 5/s --max-failures 3 --reason TICKET{second} --yes",
        file.display()
    );
    let what = (args.words(), args.verb.clone());
    let selection = Selection::of(house.fleet.clone(), now, user(), what, tenants, run);
    let Some(path) = &args.output else {
        out::json(&selection)?;
        return Ok(ExitCode::SUCCESS);
    };
    file::write(&selection, path)?;
    let style = Style::detect();
    out::line(format_args!(
        "{}  {}  {}",
        style.title(&path.display().to_string()),
        count(selection.count, "tenant"),
        style.dim(file::short(&selection.digest))
    ));
    for line in selection.summary() {
        out::line(line);
    }
    out::line(format_args!("run it:  {}", selection.run));
    Ok(ExitCode::SUCCESS)
}

/// Every tenant in these states, oldest first.
async fn rows(house: &House, states: &[State]) -> anyhow::Result<Vec<TenantRow>> {
    let mut all: Vec<TenantRow> = Vec::new();
    loop {
        let after = all.last().map(|row| row.tenant);
        let page = house.store.tenants(&TenantFilter { states: states.to_vec(), after, limit: MOST }).await?;
        let full = page.len() == usize::from(MOST);
        all.extend(page);
        if !full {
            all.reverse();
            return Ok(all);
        }
    }
}

impl Args {
    /// What holds the tenant, where it is meant; `None` where it is not.
    fn cause(&self, tenant: &Tenant, plans: &Registry) -> Option<String> {
        if !self.states.contains(&tenant.state) {
            return None;
        }
        let all = causes(tenant, plans);
        let code = |cause: &Cause| cause.trouble.as_ref().map(|trouble| trouble.code.as_str());
        let fits = |cause: &&Cause| {
            let of_code = self.code.as_deref().is_none_or(|wanted| code(cause) == Some(wanted));
            let of_worker = self.worker.as_deref();
            of_code && of_worker.is_none_or(|wanted| worker(tenant, plans, cause) == Some(wanted))
        };
        let found = all.iter().find(fits);
        if found.is_none() && (self.code.is_some() || self.worker.is_some()) {
            return None;
        }
        let words = |cause: &Cause| {
            let row = cause.row.as_deref().unwrap_or("-");
            code(cause).map_or_else(|| format!("{row}: {}", cause.how), |code| format!("{row}: {code}"))
        };
        Some(found.map_or_else(|| tenant.state.to_string(), words))
    }

    /// What was asked for, in words.
    fn words(&self) -> String {
        let states = self.states.iter().map(|state| format!("state={state}"));
        let code = self.code.iter().map(|code| format!("code={code}"));
        let worker = self.worker.iter().map(|worker| format!("worker={worker}"));
        let older = self.older.iter().map(|ms| format!("older={}s", ms / 1_000));
        let environment = self.environment.iter().map(|environment| format!("environment={environment}"));
        let all = states.chain(code).chain(worker).chain(older).chain(environment);
        all.collect::<Vec<_>>().join(",")
    }
}

/// The worker of the row that a cause is about.
fn worker<'a>(tenant: &Tenant, plans: &'a Registry, cause: &Cause) -> Option<&'a str> {
    let saga = tenant.saga.as_ref()?;
    let plan = plans.find(saga.kind, saga.version)?;
    let row = &plan.rows[usize::from(plan.index_of(cause.row.as_deref()?)?)];
    match &row.what {
        What::Step { worker, .. } => Some(worker.as_str()),
        _ => None,
    }
}
