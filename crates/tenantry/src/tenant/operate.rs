//! `tenantry tenant retry|cancel|approve|reject`: what a person decides goes out as a record; nothing is written here.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use tenantry_contracts::operation::{OperationVerb, Target};
use tenantry_contracts::{Lane, RequestId};
use tenantry_saga::{Rules, plans};
use tokio::time::Instant;

use super::find::{self, One};
use crate::deed;
use crate::request::{finish, fresh_id, source};
use crate::settings::{Find, Person};
use crate::show::Style;
use crate::show::progress::Screen;
use crate::show::story::Story;
use crate::show::which::Which;
use crate::watch;

/// Exit codes: 0 taken up (with --watch: in service), 3 refused, 4 everything was undone, 5 a person must act, 6 no outcome
/// in time.
#[derive(Debug, ClapArgs)]
#[group(id = "operation")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) one: One,
    #[command(flatten)]
    person: Person,
    /// Only if the tenant is still at this version (see `tenant show`)
    #[arg(long, env = "TENANTRY_EXPECT_VERSION", value_name = "N")]
    expect_version: Option<i64>,
    /// The operation's id: the same id is done once [default: a fresh one]
    #[arg(long, env = "TENANTRY_OPERATION_ID")]
    id: Option<String>,
    /// Follow it to its end, with steps and durations
    #[arg(short, long, env = "TENANTRY_WATCH")]
    watch: bool,
    /// Give up waiting after so many seconds; the fleet goes on
    #[arg(long, env = "TENANTRY_TIMEOUT_S", value_name = "SECONDS", default_value_t = 300)]
    timeout_s: u64,
    /// Print one JSON document at the end instead of lines
    #[arg(long, env = "TENANTRY_JSON")]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) find: Find,
}

/// Publishes the verb and waits for its answer. `seen`: the digest of what the person saw, for a decision at a gate.
pub(super) async fn run(args: Args, verb: OperationVerb, seen: Option<String>) -> anyhow::Result<ExitCode> {
    // An id alone does not say where its lane is; the store does.
    let target = match &args.one.which {
        Which::Slug(slug) => {
            Target { slug: slug.clone(), environment: args.one.environment.clone(), tenant: None }
        }
        Which::Id(id) => {
            let row = args.one.row(&find::store(&args.find).await?).await?;
            Target { slug: row.slug, environment: row.environment, tenant: Some(*id) }
        }
    };
    let options = args.find.bus()?;
    let lane = Lane::of(&target.slug, watch::lanes(&options).await?).0;
    let id = RequestId { source: source(), id: args.id.clone().unwrap_or_else(fresh_id) };
    let operation = args.person.operation(id, verb, Some(target), args.expect_version, seen)?;
    let slug = operation.key();
    let style = Style::detect();
    let mut screen = Screen::new(style);
    let mut story = Story::new(style, plans::all(Rules::default()), operation.id.clone(), args.watch);
    let (mut ear, origin) = deed::publish(&options, lane, &operation).await?;
    if !args.json {
        let verb = operation.verb.as_str();
        screen.line(&format!("{}  {verb}  {}", style.title(slug), style.dim(&origin.to_string())));
    }
    story.at(origin);
    let until = Instant::now() + Duration::from_secs(args.timeout_s);
    let outcome = ear.follow(&mut story, (!args.json).then_some(&mut screen), until).await?;
    screen.done();
    finish(&story, outcome, args.json, args.timeout_s)
}
