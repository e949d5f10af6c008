//! The command line: what there is, and what each exit means.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{
    audit, batch, bench, capacity, demo, dlq, drill, evidence, explain, faults, journal, keys, logs, migrate,
    operation, out, plan, platform, request, serve, sim, tenant, top, topics, up, verify, why,
};

const EXITS: &str = "\
Exit codes: 0 done or stopped; 1 it failed, or a check found something; 2 the command line or a setting is wrong;
  70 the process cannot go on and should be started again. Every error begins with a stable code.
Every flag is also an environment variable, shown as [env: ...]. NO_COLOR is respected.";

/// Tenants from an event: provisioned by a saga of small workers, undone when a step fails, proved by an audit trail
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, after_help = EXITS, max_term_width = 120)]
struct Cli {
    #[command(flatten)]
    logs: logs::Args,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the main job from nothing: a fleet, one request to its end, what was made, and the proof of it
    #[command(after_help = faults::HELP)]
    Demo(Box<demo::Args>),
    /// Run a whole fleet in this process, on an embedded broker and a private PostgreSQL or on given ones
    #[command(after_help = faults::HELP)]
    Up(Box<up::Args>),
    /// Run a part of a fleet, or all of it, on given brokers and databases
    Serve(Box<serve::Args>),
    Request(Box<request::Args>),
    Tenant(Box<tenant::Args>),
    Operation(operation::Args),
    Fleet(Box<platform::Args>),
    Why(Box<why::Args>),
    Top(Box<top::Args>),
    Explain(explain::Args),
    Dlq(Box<dlq::Args>),
    Batch(Box<batch::Args>),
    Drill(drill::Args),
    Audit(Box<audit::Args>),
    Journal(Box<journal::Args>),
    Evidence(Box<evidence::Args>),
    Verify(verify::Args),
    Keys(keys::Args),
    Capacity(capacity::Args),
    /// Bring the databases to this program's version
    Migrate(migrate::Args),
    /// Make or verify the topics
    Topics(topics::Args),
    /// Show the plans: what is done for a tenant, in which order, and what a failure means
    Plan(Box<plan::Args>),
    /// Run the seeded world: the real coordinator and servers through loss, repeats, crashes and zombies
    Sim(sim::Args),
    Bench(bench::Args),
}

/// Reads the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match begin(cli) {
        Ok(exit) => exit,
        Err(error) => out::end(&error),
    }
}

fn begin(cli: Cli) -> anyhow::Result<ExitCode> {
    logs::start(&cli.logs, cli.command.usual_logs())?;
    let mut runtime = if cli.command.is_one_loop() {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = runtime.enable_all().build()?;
    let ended = runtime.block_on(cli.command.run());
    // What still blocks a thread (librdkafka being put away) must not hold the end up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    ended
}

impl Command {
    fn is_one_loop(&self) -> bool {
        match self {
            Self::Serve(args) => args.is_one_loop(),
            Self::Bench(args) => args.is_one_loop(),
            _ => false,
        }
    }

    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Demo(args) => demo::run(*args).await,
            Self::Up(args) => up::run(*args).await,
            Self::Serve(args) => serve::run(*args).await,
            Self::Request(args) => request::run(*args).await,
            Self::Tenant(args) => tenant::run(*args).await,
            Self::Operation(args) => operation::run(args).await,
            Self::Fleet(args) => platform::run(*args).await,
            Self::Why(args) => why::run(*args).await,
            Self::Top(args) => top::run(*args).await,
            Self::Explain(args) => explain::run(&args),
            Self::Dlq(args) => dlq::run(*args).await,
            Self::Batch(args) => batch::run(*args).await,
            Self::Drill(args) => drill::run(args).await,
            Self::Audit(args) => audit::run(*args).await,
            Self::Journal(args) => journal::run(*args).await,
            Self::Evidence(args) => evidence::run(*args).await,
            Self::Verify(args) => verify::run(&args),
            Self::Keys(args) => keys::run(&args),
            Self::Capacity(args) => capacity::run(args).await,
            Self::Migrate(args) => migrate::run(args).await,
            Self::Topics(args) => topics::run(args).await,
            Self::Plan(args) => plan::run(*args).await,
            Self::Sim(args) => sim::run(args).await,
            Self::Bench(args) => bench::run(args).await,
        }
    }

    /// A service tells what it does; a command that people wait for only what is wrong.
    fn usual_logs(&self) -> &'static str {
        match self {
            Self::Up(_) | Self::Serve(_) => "info",
            // They say themselves what is wrong; a client's passing troubles would only be in the way.
            Self::Demo(_)
            | Self::Drill(_)
            | Self::Request(_)
            | Self::Tenant(_)
            | Self::Operation(_)
            | Self::Fleet(_)
            | Self::Why(_)
            | Self::Dlq(_)
            | Self::Batch(_)
            | Self::Audit(_)
            | Self::Evidence(_)
            | Self::Capacity(_) => "error,librdkafka=off,rdkafka=off",
            // A statement over a range of many rows takes its time.
            Self::Journal(_) => "error,sqlx=error",
            // A line in between would tear the board.
            Self::Top(_) => "off",
            // In a world of faults every warning is as it should be; what is broken, the report says.
            Self::Sim(_) => "off",
            // Its parts come and go, and every twentieth saga fails on purpose.
            Self::Bench(_) => "error,librdkafka=off,rdkafka=off,tenantry_kafka=off",
            Self::Migrate(_)
            | Self::Topics(_)
            | Self::Plan(_)
            | Self::Explain(_)
            | Self::Verify(_)
            | Self::Keys(_) => "warn",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
