//! Sending an operation, and what the fleet says of it.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::Code;
use tenantry_contracts::operation::Operation;
use tenantry_saga::{Rules, plans};
use tokio::time::Instant;

use crate::request::finish;
use crate::settings::Find;
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::progress::Screen;
use crate::show::story::Story;
use crate::show::timeline::{self, Told};
use crate::show::which::Which;
use crate::tenant::find::{self, One};
use crate::{deed, out, watch};

/// How the answer is waited for.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Follow {
    /// Follow it to its end, with steps and durations
    #[arg(short, long, env = "TENANTRY_WATCH")]
    watch: bool,
    /// Give up waiting after so many seconds; the fleet goes on
    #[arg(long, env = "TENANTRY_TIMEOUT_S", value_name = "SECONDS", default_value_t = 300)]
    pub(crate) timeout_s: u64,
    /// Print one JSON document at the end instead of lines
    #[arg(long, env = "TENANTRY_JSON")]
    pub(crate) json: bool,
}

/// Publishes an operation about a tenant, and tells what becomes of it.
///
/// # Errors
/// Where the brokers cannot be reached or do not take it.
pub(crate) async fn send(find: &Find, operation: &Operation, follow: &Follow) -> anyhow::Result<ExitCode> {
    let options = find.bus()?;
    let lane = deed::home(operation.target.as_ref(), watch::lanes(&options).await?);
    let style = Style::detect();
    let mut screen = Screen::new(style);
    let mut story = Story::new(style, plans::all(Rules::default()), operation.id.clone(), follow.watch);
    let (mut ear, origin) = deed::publish(&options, lane, operation).await?;
    if !follow.json {
        let (key, verb) = (style.title(operation.key()), operation.verb.as_str());
        screen.line(&format!("{key}  {verb}  {}", style.dim(&origin.to_string())));
    }
    story.at(origin);
    let until = Instant::now() + Duration::from_secs(follow.timeout_s);
    let outcome = ear.follow(&mut story, (!follow.json).then_some(&mut screen), until).await?;
    screen.done();
    let changed = changed(find, operation, &story).await?;
    if changed.is_empty() {
        return finish(&story, outcome, follow.json, follow.timeout_s);
    }
    stale(&story, outcome, follow.json, &changed)
}

/// What happened to the tenant since the version that the person saw, where the operation was refused for that.
async fn changed(find: &Find, operation: &Operation, story: &Story) -> anyhow::Result<Vec<Told>> {
    let refused = story.answer().and_then(|answer| answer.refusal.as_ref()).map(|refusal| refusal.code);
    let (Some(Code::VersionStale), Some(seen), Some(target)) =
        (refused, operation.expected_version, &operation.target)
    else {
        return Ok(Vec::new());
    };
    let which = match target.tenant {
        Some(id) => Which::Id(id),
        None => Which::Slug(target.slug.clone()),
    };
    let one = One { which, environment: target.environment.clone() };
    let found = one.fold(&find::store(find).await?).await?;
    Ok(found.told.into_iter().filter(|told| told.seq > seen).collect())
}

fn stale(story: &Story, outcome: Outcome, json: bool, changed: &[Told]) -> anyhow::Result<ExitCode> {
    #[derive(Serialize)]
    struct Stale<'a> {
        #[serde(flatten)]
        report: crate::show::story::Report<'a>,
        changed: &'a [Told],
    }
    if json {
        out::json(&Stale { report: story.report(outcome), changed })?;
    } else {
        out::line("    what changed since:");
        timeline::lines(Style::detect(), changed).iter().for_each(out::line);
    }
    Ok(ExitCode::from(outcome.exit()))
}
