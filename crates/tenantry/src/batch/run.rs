//! `tenantry batch run`: sends the verb to exactly the tenants of a selection.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::operation::{Actor, DeedKind};

use super::selection::{Chosen, Selection};
use super::sent::Sent;
use super::verb;
use crate::frozen::entry::Audit;
use crate::frozen::file;
use crate::frozen::house::House;
use crate::frozen::pace::Pacing;
use crate::frozen::people::People;
use crate::frozen::progress::{self, Ended, Progress};
use crate::frozen::run;
use crate::frozen::sums::Sums;
use crate::out::{self, usage};
use crate::settings::Find;
use crate::show::style::{Style, count, duration};

/// Send the verb to exactly the tenants of a selection, and report what became of each
///
/// Without --yes it only shows what it would do. A run that was stopped or killed is run again with the same command: it
/// goes on where it was. A second run of the same selection has no effect. Each run is one entry of the audit. A tenant
/// that moved on since the plan is left alone. Where the fleet's limit of cancelled tenants in an hour is reached, the run
/// stops (blast_radius); run it again when the hour is over.
///
/// Exit codes: 0 every tenant took it up and came to its end, or had moved on; 1 some failed or are left; 2 a wrong
/// command line.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The selection, as `tenantry batch plan -o` wrote it; the progress is kept beside it
    #[arg(short, long, env = "TENANTRY_BATCH_SELECTION", value_name = "FILE")]
    selection: PathBuf,
    #[command(flatten)]
    pacing: Pacing,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    yes: bool,
    #[command(flatten)]
    people: People,
    /// The second person answers for each cancelled tenant too: the fleet's limit of cancelled tenants in an hour is passed
    #[arg(long, env = "TENANTRY_BEYOND_LIMIT")]
    beyond_limit: bool,
    /// Print one JSON document at the end instead of lines
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    find: Find,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    selection: &'a str,
    verb: &'a str,
    reason: &'a str,
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<&'a Actor>,
    #[serde(flatten)]
    sums: Sums,
    sums_match: bool,
    /// How many tenants of the selection are sent nothing: they would have refused when it was made.
    not_acted_on: usize,
    /// Why nothing new was begun, where something is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<&'a str>,
    tenants: Vec<Line<'a>>,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    tenant: &'a str,
    how: Ended,
    why: &'a str,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let selection: Selection = file::read(&args.selection)?;
    let planned = selection.runs().count();
    if args.yes {
        args.people.demand(planned, verb::destroys(&selection.verb))?;
    }
    let house = House::open(&args.find).await?;
    if house.fleet != selection.fleet {
        let text = format!(
            "the selection is of fleet {}, this is {}; name the right one",
            selection.fleet, house.fleet
        );
        return Err(usage("selection_foreign", text).into());
    }
    if !args.yes {
        return preview(&args, &selection, &house);
    }
    let style = Style::detect();
    let tell = |chosen: &Chosen, how: Ended, why: &str| {
        if !args.json {
            out::line(how.line(style, &chosen.slug, why));
        }
    };
    let mut progress = Progress::open(&args.selection, args.people.head(&selection.digest))?;
    let people = args.people.of(&progress.head)?;
    let audit = Audit { options: &house.options, people: &args.people, what: DeedKind::BatchRun, planned };
    audit.begin(&mut progress).await?;
    let sent =
        Sent { house: &house, selection: &selection, people, beyond_limit: args.beyond_limit, tell: &tell };
    let ended = run::run(&sent, selection.runs(), args.pacing.pace(), &house.options, &mut progress).await;
    let stopped = audit.end(&mut progress, ended).await?;
    report(&args, &selection, &progress, stopped.as_deref())
}

fn sums(selection: &Selection, ended: impl Fn(&str) -> Option<Ended>) -> Sums {
    Sums::of(selection.runs().map(|chosen| ended(&chosen.tenant.to_string())))
}

fn preview(args: &Args, selection: &Selection, house: &House) -> anyhow::Result<ExitCode> {
    let so_far = progress::look(&selection.digest, &args.selection)?;
    let before = sums(selection, |tenant| so_far.get(tenant).copied());
    if args.json {
        out::json(&serde_json::json!({"selection": selection.digest, "sums": before, "done": false}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let style = Style::detect();
    let title = style.title(&args.selection.display().to_string());
    let short = style.dim(file::short(&selection.digest));
    out::line(format_args!("{title}  {}  {short}", count(selection.count, "tenant")));
    for line in selection.summary() {
        out::line(line);
    }
    if before.left < before.planned {
        out::line(format_args!("so far: {}", before.words()));
    }
    let age = duration(house.now().since(selection.made));
    let left = count(before.left, "tenant");
    out::line(format_args!("planned {age} ago; {left} to begin at {}", args.pacing.rate));
    out::line("Nothing was done. Add --yes to do it.");
    Ok(ExitCode::SUCCESS)
}

fn report(
    args: &Args,
    selection: &Selection,
    progress: &Progress,
    stopped: Option<&str>,
) -> anyhow::Result<ExitCode> {
    let sums = sums(selection, |tenant| progress.ended(tenant));
    if args.json {
        out::json(&Report {
            selection: &selection.digest,
            verb: selection.verb.as_str(),
            reason: &progress.head.reason,
            actor: &progress.head.actor,
            second: progress.head.second.as_ref(),
            sums,
            sums_match: sums.fit(),
            not_acted_on: selection.count - sums.planned,
            stopped,
            tenants: progress.all().map(|(tenant, how, why)| Line { tenant, how, why }).collect(),
        })?;
    } else {
        for line in sums.report(selection.count, "tenant", stopped) {
            out::line(line);
        }
    }
    Ok(sums.exit())
}
