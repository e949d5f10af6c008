//! `tenantry request`: publishes a request as it is, then tells what becomes of it.

pub(crate) mod document;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::Args as ClapArgs;
use serde::Serialize;
use tenantry_contracts::{Headers, Lane, RequestId, Topic};
use tenantry_ports::{Clock, Place};
use tenantry_saga::{Rules, plans};
use tokio::time::Instant;

use crate::clock::SystemClock;
use crate::out;
use crate::plan::{Look, dry};
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::progress::Screen;
use crate::show::story::Story;
use crate::show::trouble::Trouble;
use crate::watch::{self, Ear};

pub(crate) use document::Document;
use document::Shortcut;

/// Ask for a tenant: publish a request, and follow it
///
/// The document may have any shape that the fleet reads (see schemas/). It is published as it is, as a CloudEvent in
/// binary mode under a fresh id, on the partition of its slug.
///
/// Exit codes: 0 accepted (with --watch: in service), 3 refused, 4 everything was undone, 5 a person must act,
/// 6 no outcome in time, 1 other errors, 2 a wrong command line.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  tenantry request -f request.json --watch\n  \
    echo '{\"name\": \"Acme Corp\"}' | tenantry request -f -\n  \
    tenantry request --name \"Acme Corp\" --tier starter --admin-email ada@acme.example --watch")]
pub struct Args {
    /// The document; - reads the standard input
    #[arg(short, long, env = "TENANTRY_REQUEST_FILE", value_name = "FILE", required_unless_present = "name",
          conflicts_with_all = ["name", "slug", "tier", "admin_email"])]
    file: Option<PathBuf>,
    /// Without a file: the tenant's name
    #[arg(long, env = "TENANTRY_REQUEST_NAME")]
    name: Option<String>,
    /// Without a file: its slug [default: derived from the name]
    #[arg(long, env = "TENANTRY_REQUEST_SLUG", requires = "name")]
    slug: Option<String>,
    /// Without a file: its plan, as in starter [default: the fleet's default plan]
    #[arg(long, env = "TENANTRY_REQUEST_TIER", requires = "name")]
    tier: Option<String>,
    /// Without a file: the address of its first administrator
    #[arg(long, env = "TENANTRY_REQUEST_ADMIN_EMAIL", requires = "name")]
    admin_email: Option<String>,
    /// The request's id: the same id is the same request [default: the envelope's, else a fresh one]
    #[arg(long, env = "TENANTRY_REQUEST_ID", value_parser = attribute)]
    id: Option<String>,
    /// Who asks [default: the envelope's, else tenantry-cli/<user>]
    #[arg(long, env = "TENANTRY_REQUEST_SOURCE", value_parser = attribute)]
    source: Option<String>,
    /// The digest that `tenantry plan` showed: nothing is published where the request would meet something else now
    #[arg(long, env = "TENANTRY_PLAN", value_name = "DIGEST")]
    plan: Option<String>,
    /// Follow it to its end, with steps and durations
    #[arg(short, long, env = "TENANTRY_WATCH")]
    watch: bool,
    /// Do not even wait for the answer
    #[arg(long, env = "TENANTRY_NO_WAIT", conflicts_with = "watch")]
    no_wait: bool,
    /// Publish also what the fleet will refuse
    #[arg(long, env = "TENANTRY_RAW")]
    raw: bool,
    /// Give up waiting after so many seconds; the fleet goes on
    #[arg(long, env = "TENANTRY_TIMEOUT_S", value_name = "SECONDS", default_value_t = 300)]
    timeout_s: u64,
    /// Print one JSON document at the end instead of lines
    #[arg(long, env = "TENANTRY_JSON")]
    json: bool,
    #[command(flatten)]
    look: Look,
}

/// What `--json` prints where nothing was followed.
#[derive(Serialize)]
struct Unfollowed<'a> {
    request: &'a RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a tenantry_contracts::Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Trouble>,
}

/// Publishes, and follows as far as it is told to.
///
/// # Errors
/// Where the document cannot be read, or the fleet cannot be found or reached.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let document = match &args.file {
        Some(path) => Document::read(path)?,
        None => {
            let name = args.name.clone().unwrap_or_default();
            let shortcut = Shortcut {
                name,
                slug: args.slug.clone(),
                plan: args.tier.clone(),
                admin_email: args.admin_email.clone(),
            };
            Document::of(&shortcut)?
        }
    };
    if let Some(digest) = &args.plan {
        dry::still(&dry::run(&args.look, document.clone()).await?, digest)?;
    }
    let options = args.look.find.bus()?;
    let lanes = watch::lanes(&options).await?;
    let now = SystemClock::from_env()?.now();
    let ready = document.ready(lanes, now, args.id.as_deref(), args.source.as_deref());
    if let Some(refusal) = ready.refusal.as_ref().filter(|_| !args.raw) {
        return refused(&args, &ready.id, refusal);
    }
    // Without a slug there is no home: any lane hears it, and says so there.
    let lane = ready.slug.as_ref().map_or(0, |slug| Lane::of(slug, lanes).0);
    let key = ready.slug.as_ref().map(|slug| Bytes::copy_from_slice(slug.as_str().as_bytes()));
    let follow = args.watch;
    let mut ear = match args.no_wait {
        true => None,
        false => Some(Ear::open(&options, lane).await?),
    };
    let place = Place { topic: Topic::Requests, partition: lane };
    let origin = watch::publish(&options, place, key, ready.headers, ready.data).await?;

    let style = Style::detect();
    let mut screen = Screen::new(style);
    if !args.json {
        let slug = ready.slug.as_ref().map_or("(no slug)", |slug| slug.as_str());
        screen.line(&format!("{}  {}", style.title(slug), style.dim(&format!("{origin} as {}", ready.id))));
    }
    let Some(ear) = &mut ear else {
        if args.json {
            let (request, record) = (&ready.id, Some(&origin));
            out::json(&Unfollowed { request, record, outcome: None, exit: 0, refusal: None })?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let mut story = Story::new(style, plans::all(Rules::default()), ready.id, follow);
    story.at(origin);
    let until = Instant::now() + Duration::from_secs(args.timeout_s);
    let outcome = ear.follow(&mut story, (!args.json).then_some(&mut screen), until).await?;
    screen.done();
    finish(&story, outcome, args.json, args.timeout_s)
}

/// The last words, and the exit code.
///
/// # Errors
/// Where the report has no JSON form, which is a defect.
pub(crate) fn finish(
    story: &Story,
    outcome: Outcome,
    json: bool,
    timeout_s: u64,
) -> anyhow::Result<ExitCode> {
    if json {
        out::json(&story.report(outcome))?;
    } else if outcome == Outcome::Timeout {
        let what = if story.answer().is_some() { "outcome" } else { "answer" };
        let next = match story.tenant() {
            Some(tenant) => format!("look at `tenantry tenant show {}`", tenant.slug),
            None => "see that a coordinator runs (`tenantry up` or `tenantry serve coordinator`)".to_owned(),
        };
        out::complain(format_args!("timeout: no {what} within {timeout_s} s; the fleet goes on: {next}"));
    }
    Ok(ExitCode::from(outcome.exit()))
}

fn refused(args: &Args, id: &RequestId, refusal: &tenantry_contracts::Refusal) -> anyhow::Result<ExitCode> {
    let (trouble, outcome) = (Trouble::from(refusal), Outcome::Rejected);
    if args.json {
        out::json(&Unfollowed {
            request: id,
            record: None,
            outcome: Some(outcome),
            exit: outcome.exit(),
            refusal: Some(trouble),
        })?;
    } else {
        for line in trouble.lines(Style::detect(), 0) {
            out::line(line);
        }
        out::line("The fleet would refuse this, so nothing was published (--raw publishes it all the same).");
    }
    Ok(ExitCode::from(outcome.exit()))
}

/// Checks an id or a source as the fleet will.
fn attribute(text: &str) -> Result<String, String> {
    let most = tenantry_contracts::envelope::ATTRIBUTE_BYTES;
    if text.is_empty() || text.len() > most || text.chars().any(char::is_control) {
        return Err(format!("write 1 to {most} bytes without control characters"));
    }
    Ok(text.to_owned())
}

/// A fresh id.
pub(crate) fn fresh_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Who asks where nobody says otherwise: this program, for the operating system's user.
pub(crate) fn source() -> String {
    format!("tenantry-cli/{}", user())
}

/// The operating system's user; nobody verified it.
pub(crate) fn user() -> String {
    let id = nix::unistd::Uid::current();
    match nix::unistd::User::from_uid(id) {
        Ok(Some(user)) => user.name,
        _ => format!("uid {id}"),
    }
}

/// A request in its final form.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Its id.
    pub(crate) id: RequestId,
    /// Its slug, where it names one that can be read.
    pub(crate) slug: Option<tenantry_contracts::Slug>,
    /// What the fleet will say, where it refuses.
    pub(crate) refusal: Option<tenantry_contracts::Refusal>,
    /// The request as the fleet will understand it, where it does.
    pub(crate) heard: Option<tenantry_contracts::request::Heard>,
    /// The headers.
    pub(crate) headers: Headers,
    /// The value.
    pub(crate) data: Bytes,
}
