//! `tenantry demo`: the first command that a person runs. A fleet, one request shown to its end, what was made, and the
//! proof of it. With `--fail` a step is broken on purpose.

mod next;
mod sample;
mod seen;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args as ClapArgs, ValueEnum};
use tenantry_contracts::{Lane, State, Topic};
use tenantry_ports::Place;
use tenantry_postgres::Queries;
use tenantry_saga::{Rules, plans};
use tokio::time::{Instant, sleep};

use crate::clock::SystemClock;
use crate::faults::Faults;
use crate::out::{Refused, failed};
use crate::settings::{Running, url_shown};
use crate::show::Style;
use crate::show::code::Outcome;
use crate::show::progress::Screen;
use crate::show::story::Story;
use crate::show::style::{count, duration, wrap};
use crate::signals::Signals;
use crate::up::{self, Up};
use crate::watch::{self, Ear};
use crate::{audit, out};

use sample::Sample;

/// How long unfinished work of an earlier run may take before the demo goes on without waiting.
const UNFINISHED: Duration = Duration::from_secs(60);
/// How long the store may take to note that everything was said.
const RESTING: Duration = Duration::from_secs(8);
/// How long the sample request may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// What a process that was interrupted exits with.
const INTERRUPTED: u8 = 130;

/// Arguments of `tenantry demo`.
#[derive(Debug, ClapArgs)]
#[group(skip)]
#[command(mut_arg("json", |arg| arg.hide(true)), mut_arg("print_config", |arg| arg.hide(true)))]
pub struct Args {
    /// Stay up afterwards, until Ctrl-C
    #[arg(long, env = "TENANTRY_DEMO_STAY", help_heading = "Demo")]
    stay: bool,
    /// Break this step on purpose, and show what the fleet does about it
    #[arg(long, env = "TENANTRY_DEMO_FAIL", value_name = "STEP", value_enum, help_heading = "Demo")]
    fail: Option<Broken>,
    #[command(flatten)]
    up: up::Args,
}

/// A step that the demo can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// The first one: nothing was made yet.
    Validate,
    /// The middle one, when schema, role and tables stand already: everything is undone.
    Database,
    /// The last one, behind the point of no return: a person must act.
    Credentials,
}

impl Broken {
    /// The rule for the switches, for this slug alone.
    fn rule(self, slug: &str) -> String {
        let point = match self {
            Self::Validate => "validate.before-answer",
            Self::Database => "database.before-probe",
            Self::Credentials => "credentials.before-mail",
        };
        format!("{point}=no:slug:{slug}")
    }

    fn expected(self) -> Outcome {
        match self {
            Self::Validate => Outcome::Rejected,
            Self::Database => Outcome::RolledBack,
            Self::Credentials => Outcome::Parked,
        }
    }
}

/// One run.
struct Demo<'a> {
    args: &'a Args,
    sample: &'a Sample,
    running: &'a Running,
    /// The data directory.
    home: &'a Path,
}

/// Runs the demo.
///
/// # Errors
/// Where the fleet cannot be started, with what to do about it.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new()?;
    let mut screen = Screen::new(Style::detect());
    let sample = Sample::new(&SystemClock::from_env()?)?;
    let style = screen.style();
    screen.line(&style.title("tenantry demo: from one event to a tenant, and the proof of it"));
    screen.line("");
    screen.line(&style.bold("1  A fleet in this process"));
    screen.doing("starting broker, PostgreSQL, coordinator and workers");
    let mut up = start(&args, &sample).await?;
    screen.done();
    for line in standing(&up, style) {
        screen.line(&line);
    }
    let (running, home) = (up.running.clone(), up.home.dir().to_owned());
    let demo = Demo { args: &args, sample: &sample, running: &running, home: &home };
    let told = tokio::select! {
        told = tell(&demo, &mut screen) => told.map(Some),
        refused = up.failed() => Err(refused.into()),
        () = signals.first() => Ok(None),
    };
    screen.done();
    let (fine, interrupted) = match &told {
        Ok(Some(fine)) => (*fine, false),
        Ok(None) => (false, true),
        Err(_) => (false, false),
    };
    if fine && args.stay {
        screen.line("");
        let pid = up.running.pid;
        screen.lines(&wrap(&format!("The fleet stays up (process {pid}). Ctrl-C stops it."), 0));
        tokio::select! {
            () = signals.first() => {}
            refused = up.failed() => out::complain(format_args!("error: {refused}")),
        }
    }
    signals.second_ends_at_once();
    if interrupted {
        screen.line("interrupted: what is unfinished goes on at the next start");
    }
    up.stop().await;
    told?;
    Ok(match (fine, interrupted) {
        (true, _) => ExitCode::SUCCESS,
        (_, true) => ExitCode::from(INTERRUPTED),
        _ => ExitCode::FAILURE,
    })
}

async fn start(args: &Args, sample: &Sample) -> anyhow::Result<Up> {
    let faults = match args.fail {
        Some(broken) => Faults::parse(&broken.rule(sample.slug.as_str()))?,
        None => {
            let faults = Faults::from_env()?;
            faults.warn();
            faults
        }
    };
    up::start_with(&args.up, Arc::new(faults)).await
}

/// Everything after the start. Whether it all was as it should be.
async fn tell(demo: &Demo<'_>, screen: &mut Screen) -> anyhow::Result<bool> {
    let Demo { args, sample, running, .. } = demo;
    let style = screen.style();
    let store = Queries::connect(&running.database_url).await?;
    finish_old(&store, screen).await?;

    screen.line("");
    screen.line(&style.bold("2  A request: TenantRequested on tenant.requests"));
    screen.lines(&sample.shown().iter().map(|line| style.dim(line)).collect::<Vec<_>>());
    let story = follow(sample, running, screen).await?;
    let outcome = story.outcome().unwrap_or(Outcome::Timeout);

    screen.line("");
    screen.line(&style.bold("4  What is there now"));
    if let Some(tenant) = story.tenant() {
        let seen = seen::look(&running.tenants_url, &running.places, tenant.id).await?;
        screen.lines(&seen.lines(style));
    }

    screen.line("");
    screen.line(&style.bold("5  What upstream read on tenant.events"));
    for event in story.answer().into_iter().chain(story.closing()) {
        let state = event.state.map(|state| state.seeds().outcome).unwrap_or_default();
        screen.line(&format!("   {:<32} {}", event.event.event_type(), style.dim(state)));
    }

    screen.line("");
    screen.line(&style.bold("6  The proof: the audit trail, verified from its beginning"));
    let options = options(running);
    rest(&store, screen).await?;
    let verdict = audit::verify(&options, Some(&store)).await?;
    screen.lines(&verdict.lines(style).iter().map(|line| format!("   {line}")).collect::<Vec<_>>());

    let expected = args.fail.map_or(Outcome::Done, Broken::expected);
    let fine = outcome == expected && verdict.exit() == 0;
    screen.line("");
    screen.lines(&next::lines(demo, outcome, style));
    if outcome != expected {
        let slug = &sample.slug;
        out::complain(format_args!(
            "error: demo_outcome: the sample request should have ended otherwise; look at `tenantry tenant timeline {slug}` \
             while `tenantry up` runs"
        ));
    }
    Ok(fine)
}

async fn follow(sample: &Sample, running: &Running, screen: &mut Screen) -> anyhow::Result<Story> {
    let style = screen.style();
    let options = options(running);
    let lane = Lane::of(&sample.slug, running.lanes).0;
    let mut ear = Ear::open(&options, lane).await?;
    let place = Place { topic: Topic::Requests, partition: lane };
    let key = Some(Bytes::copy_from_slice(sample.slug.as_str().as_bytes()));
    let origin = watch::publish(&options, place, key, sample.headers.clone(), sample.data.clone()).await?;
    screen.line(&format!("   published as {origin}"));
    screen.line("");
    screen.line(&style.bold("3  What the fleet makes of it"));
    let mut story = Story::new(style, plans::all(Rules::default()), sample.id.clone(), true);
    story.at(origin);
    let outcome = ear.follow(&mut story, Some(screen), Instant::now() + PATIENCE).await?;
    screen.done();
    if outcome == Outcome::Timeout {
        let seconds = PATIENCE.as_secs();
        let text = format!(
            "no outcome within {seconds} s; run it again with --log info to see what the workers wait for"
        );
        return Err(failed("demo_timeout", text).into());
    }
    Ok(story)
}

/// Lets what an earlier run left unfinished finish first.
async fn finish_old(store: &Queries, screen: &mut Screen) -> anyhow::Result<()> {
    let until = Instant::now() + UNFINISHED;
    let mut said = false;
    loop {
        let counts = store.counts().await?;
        let open = counts.iter().filter(|(state, _)| under_way(*state)).map(|(_, n)| n).sum::<i64>();
        if open == 0 {
            break;
        }
        let open = count(usize::try_from(open).unwrap_or(usize::MAX), "tenant");
        if Instant::now() > until {
            screen.done();
            screen.lines(&wrap(
                &format!("{open} of an earlier run still under way; the demo goes on beside"),
                3,
            ));
            return Ok(());
        }
        if !said {
            screen.lines(&wrap(&format!("{open} of an earlier run unfinished: that comes first"), 3));
            said = true;
        }
        screen.doing(&format!("{open} of an earlier run"));
        sleep(Duration::from_millis(200)).await;
    }
    screen.done();
    if said {
        screen.line("   finished");
    }
    Ok(())
}

/// Waits until the store knows that everything it holds is on the topic, so that the ends of the chains can be compared.
/// Where that takes longer, the verdict says what was not compared.
async fn rest(store: &Queries, screen: &mut Screen) -> anyhow::Result<()> {
    let until = Instant::now() + RESTING;
    screen.doing("waiting for the lanes to rest");
    while Instant::now() < until && store.lanes().await?.iter().any(|lane| lane.spoken < lane.n) {
        sleep(Duration::from_millis(100)).await;
    }
    screen.done();
    Ok(())
}

fn under_way(state: State) -> bool {
    Outcome::of(state).is_none()
}

fn options(running: &Running) -> tenantry_kafka::Options {
    let mut options = tenantry_kafka::Options::new(running.brokers.clone(), running.fleet.as_str());
    options.properties.clone_from(&running.kafka_properties);
    options
}

/// Where everything is.
fn standing(up: &Up, style: Style) -> Vec<String> {
    let took = i64::try_from(up.took.as_millis()).unwrap_or(i64::MAX);
    let running = &up.running;
    let row = |name: &str, value: String| format!("   {name:<12}{value}");
    vec![
        format!("   {} ready in {}", style.green("✓"), duration(took)),
        row("Kafka", running.brokers.clone()),
        row("PostgreSQL", url_shown(&running.database_url)),
        row("data", up.home.dir().display().to_string()),
    ]
}

impl From<sample::Unready> for Refused {
    fn from(unready: sample::Unready) -> Self {
        failed("internal", format!("the sample request is refused: {}; report this", unready.0))
    }
}
