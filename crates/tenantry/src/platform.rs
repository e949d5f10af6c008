//! `tenantry fleet`: verbs about the fleet itself. Each goes to every lane as a record of its own, and every lane answers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use tenantry_contracts::operation::{Operation, OperationVerb, Scope};
use tenantry_contracts::{RequestId, State};
use tenantry_saga::{Rules, plans};
use tokio::time::Instant;

use crate::fleet::Worker;
use crate::operation::does;
use crate::operation::draft::Draft;
use crate::operation::send::Follow;
use crate::request::{fresh_id, source};
use crate::settings::{Find, Person};
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::story::Story;
use crate::show::trouble::Trouble;
use crate::tenant::find;
use crate::{accept_restore, deed, out, watch};

/// The whole fleet: pause it or one kind of worker, and let it go on
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Ask nothing new from here on; what runs is heard, and no deadline passes
    Pause(Box<Brake>),
    /// Ask again what waited
    Resume(Box<Brake>),
    AcceptRestore(Box<accept_restore::Args>),
}

/// Without --yes it only shows what it would do.
///
/// Exit codes: 0 every lane took it up, 3 a lane refused it, 6 a lane did not answer in time.
#[derive(Debug, ClapArgs)]
struct Brake {
    /// Only what is asked of this worker [default: of all]
    #[arg(long, env = "TENANTRY_WORKER", value_name = "WORKER")]
    worker: Option<Worker>,
    #[command(flatten)]
    to: To,
}

/// How a verb about the fleet is said.
#[derive(Debug, ClapArgs)]
pub(crate) struct To {
    #[command(flatten)]
    pub(crate) person: Person,
    /// The operation's id: the same id is done once in each lane [default: a fresh one]
    #[arg(long, env = "TENANTRY_OPERATION_ID")]
    id: Option<String>,
    /// Write the operations to a file instead, for `tenantry operation`
    #[arg(long, env = "TENANTRY_DRAFT", value_name = "FILE", conflicts_with = "yes")]
    pub(crate) draft: Option<PathBuf>,
    /// Do it
    #[arg(long, env = "TENANTRY_YES")]
    pub(crate) yes: bool,
    #[command(flatten)]
    follow: Follow,
    #[command(flatten)]
    pub(crate) find: Find,
}

/// Runs one of them.
///
/// # Errors
/// Where the fleet cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Pause(args) => {
            let verb = OperationVerb::Pause(args.scope());
            every_lane(args.to, verb).await
        }
        What::Resume(args) => {
            let verb = OperationVerb::Resume(args.scope());
            every_lane(args.to, verb).await
        }
        What::AcceptRestore(args) => accept_restore::run(*args).await,
    }
}

impl Brake {
    fn scope(&self) -> Scope {
        self.worker.map_or(Scope::Fleet, |worker| Scope::Worker(worker.name()))
    }
}

/// Says a verb to every lane, under an id of its own for each, which follows from the given one.
pub(crate) async fn every_lane(to: To, verb: OperationVerb) -> anyhow::Result<ExitCode> {
    let lanes = watch::lanes(&to.find.bus()?).await?;
    let id = to.id.unwrap_or_else(fresh_id);
    let of_lane = |lane: u16| {
        let id = RequestId { source: source(), id: format!("{id}-{lane}") };
        to.person.operation(id, verb.clone(), None, None, None)
    };
    let operations: Vec<Operation> = (0..lanes).map(of_lane).collect::<Result<_, _>>()?;
    if let Some(file) = &to.draft {
        Draft::new(file, operations).create()?;
        let file = file.display();
        out::line(format_args!(
            "Nothing was sent; {file} holds one operation for each lane: tenantry operation show {file}"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    deliver(&to.find, &operations, &to.follow, to.yes).await
}

/// What would happen, for programs.
#[derive(Debug, Serialize)]
struct Preview<'a> {
    sent: bool,
    does: String,
    lanes: usize,
    /// Tenants that are under way now, by state.
    under_way: Vec<(State, i64)>,
    /// What lanes ask nothing of now: the names of workers, `*` for all.
    paused: BTreeMap<u16, String>,
    operations: &'a [Operation],
}

/// What a lane said.
#[derive(Debug, Serialize)]
struct Said {
    lane: u16,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Trouble>,
}

/// Sends the operations, the first to the first lane and so on, and waits for every answer. Without `yes` only says what
/// they would do.
///
/// # Errors
/// Where the fleet cannot be found or reached.
pub(crate) async fn deliver(
    find: &Find,
    operations: &[Operation],
    follow: &Follow,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let style = Style::detect();
    if !yes {
        let preview = preview(find, operations).await?;
        if follow.json {
            out::json(&preview)?;
        } else {
            preview.lines(style).iter().for_each(out::line);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let options = find.bus()?;
    let mut open = Vec::new();
    for (lane, operation) in (0..).zip(operations) {
        let plans = plans::all(Rules::default());
        let mut story = Story::new(Style::PLAIN, plans, operation.id.clone(), false);
        let (ear, origin) = deed::publish(&options, lane, operation).await?;
        story.at(origin);
        open.push((lane, ear, story));
    }
    let until = Instant::now() + Duration::from_secs(follow.timeout_s);
    let mut all = Vec::new();
    for (lane, mut ear, mut story) in open {
        let outcome = ear.follow(&mut story, None, until).await?;
        let refusal = story.answer().and_then(|answer| answer.refusal.as_ref()).map(Trouble::from);
        let said = Said { lane, outcome, refusal };
        if !follow.json {
            said.lines(style).iter().for_each(out::line);
        }
        all.push(said);
    }
    if follow.json {
        out::json(&all)?;
    }
    let worst = all.iter().map(|said| said.outcome.exit()).max().unwrap_or_default();
    Ok(ExitCode::from(worst))
}

async fn preview<'a>(find: &Find, operations: &'a [Operation]) -> anyhow::Result<Preview<'a>> {
    let store = find::store(find).await?;
    let lanes = store.lanes().await?.into_iter().filter(|lane| !lane.stopped.is_empty());
    let paused = lanes.map(|lane| (lane.lane.0, lane.stopped.to_string())).collect();
    let under_way =
        store.counts().await?.into_iter().filter(|(state, _)| Outcome::of(*state).is_none()).collect();
    let does = operations.first().map(|operation| does(&operation.verb)).unwrap_or_default();
    Ok(Preview { sent: false, does, lanes: operations.len(), under_way, paused, operations })
}

impl Preview<'_> {
    fn lines(&self, style: Style) -> Vec<String> {
        let under_way: Vec<_> =
            self.under_way.iter().map(|(state, tenants)| format!("{tenants} {state}")).collect();
        let under_way = if under_way.is_empty() { "no tenant".to_owned() } else { under_way.join(", ") };
        let mut lines = vec![
            format!("{}  {}", style.title("fleet"), self.does),
            format!("  under way now: {under_way}; what runs is heard, and no deadline passes"),
        ];
        for (lane, paused) in &self.paused {
            lines.push(format!("  lane {lane} is paused already: {}", paused.replace('*', "every worker")));
        }
        lines.push(format!(
            "Nothing was sent. To send it to all {} lanes: the same command with --yes",
            self.lanes
        ));
        lines
    }
}

impl Said {
    fn lines(&self, style: Style) -> Vec<String> {
        let lane = self.lane;
        match (&self.refusal, self.outcome) {
            (Some(refusal), _) => {
                let mut lines = vec![format!("  {} lane {lane}  refused", style.red("✗"))];
                lines.extend(refusal.lines(style, 4));
                lines
            }
            (None, Outcome::Timeout) => vec![format!(
                "  {} lane {lane}  no answer; repeat the command with the same --id once a coordinator owns the lane",
                style.yellow("?")
            )],
            _ => vec![format!("  {} lane {lane}  taken up", style.green("✓"))],
        }
    }
}
