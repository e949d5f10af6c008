//! `tenantry drill`: one of the usual nights, made on a fleet of its own, to practise on.
//!
//! The trouble is real: real workers fail, a real schema is in the way. The same table is what the tests of `tenantry why`
//! are made from, and each solution is played there.

pub mod nights;
pub mod stage;

mod fleet;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::out::{self, usage};
use crate::show::Style;
use crate::show::style::{duration, wrap};
use crate::signals::Signals;
use fleet::Fleet;
use nights::{Move, NIGHTS, Night};
use stage::Stage;

/// How often it is looked whether the night is over.
const LOOK: Duration = Duration::from_millis(500);

/// Practise one of the ten usual nights, on a local fleet of its own
///
/// Without a name it lists them. It makes the trouble, says what whoever is called is told, and watches until the night is
/// over. In between work from another terminal, as you would. Here: h and Enter for a hint, m when the cause is mended
/// outside the fleet (a rollout: the fleet starts again), q to end.
///
/// Exit codes: 0 the night is over (or they were listed); 1 it was ended before; 2 a wrong command line.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Which nights; `ls` or nothing lists them, `all` is all of them at once
    #[arg(value_name = "NIGHT")]
    nights: Vec<String>,
    /// Give all hints at once, and do not make the trouble
    #[arg(long, env = "TENANTRY_DRILL_HINT", conflicts_with = "solve")]
    hint: bool,
    /// Play the solution
    #[arg(long, env = "TENANTRY_DRILL_SOLVE")]
    solve: bool,
    /// Where the fleet keeps everything; a new folder [default: one that is removed at the end]
    #[arg(long, env = "TENANTRY_DRILL_FOLDER", value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// Where there is no such night, or the fleet cannot be started.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let nights = chosen(&args.nights)?;
    let style = Style::detect();
    if nights.is_empty() {
        for night in &NIGHTS {
            out::line(format_args!("{:<9} {}", style.bold(night.name), night.page));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if args.hint {
        for line in nights.iter().flat_map(|night| night.hints) {
            out::line(line);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let folder = Folder::new(args.folder.as_deref())?;
    let rules: Vec<_> = nights.iter().map(|night| night.faults).filter(|rule| !rule.is_empty()).collect();
    out::line("starting a fleet of its own");
    let mut signals = Signals::new()?;
    let fleet = Fleet::start(&folder.path, &rules.join("; "), false).await?;
    let mut drill = Drill { folder: &folder.path, fleet, nights, hints: 0, style };
    let told = tokio::select! {
        told = drill.tell(args.solve) => told,
        () = signals.first() => Ok(false),
    };
    signals.second_ends_at_once();
    drill.fleet.stop().await;
    Ok(if told? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Night>> {
    match names {
        [] => return Ok(Vec::new()),
        [one] if one == "ls" => return Ok(Vec::new()),
        [one] if one == "all" => return Ok(NIGHTS.iter().collect()),
        _ => {}
    }
    let find = |name: &String| {
        let known = || NIGHTS.map(|night| night.name).join(", ");
        let unknown = || usage("night_unknown", format!("there is no night {name}; there are {}", known()));
        Ok(Night::find(name).ok_or_else(unknown)?)
    };
    names.iter().map(find).collect()
}

/// A drill that runs.
struct Drill<'a> {
    folder: &'a Path,
    fleet: Fleet,
    nights: Vec<&'static Night>,
    /// How many hints were given.
    hints: usize,
    style: Style,
}

impl Drill<'_> {
    async fn stage(&self) -> anyhow::Result<Stage> {
        Stage::of(&self.fleet.running).await
    }

    /// Rolls out what was mended: nothing is broken any more, and there is room.
    async fn mend(&mut self) -> anyhow::Result<()> {
        out::line("the mended build and settings are rolled out");
        self.fleet.stop().await;
        self.fleet = Fleet::start(self.folder, "", true).await?;
        Ok(())
    }

    /// Makes the trouble, and watches until it is over. Whether it is.
    async fn tell(&mut self, solve: bool) -> anyhow::Result<bool> {
        self.stage().await?.trouble(&self.nights).await?;
        let began = Instant::now();
        out::line("");
        for night in &self.nights {
            for line in wrap(&format!("page: {}", night.page), 0) {
                out::line(self.style.title(&line));
            }
        }
        out::line(format_args!("point commands at it:  --data-dir {}", self.folder.display()));
        out::line("the tenants' database, for psql:  tenants_url in its up.json");
        out::line("h: a hint, m: mended outside the fleet, q: end (and Enter)");
        let over = if solve { self.solve().await? } else { self.watch().await? };
        let took = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        for night in self.nights.iter().filter(|_| over) {
            let page = night.runbook;
            out::line(format_args!("{} is over; its page of the runbook: deploy/runbook/{page}", night.name));
        }
        let word = if over { "the night is over, after" } else { "ended, after" };
        out::line(format_args!("{word} {}, with {} hints", duration(took), self.hints));
        Ok(over)
    }

    async fn solve(&mut self) -> anyhow::Result<bool> {
        let mut mended = false;
        for night in self.nights.clone() {
            for each in night.solution {
                if matches!(each, Move::Mend) && !mended {
                    self.mend().await?;
                    mended = true;
                }
                self.stage().await?.play(night, each).await?;
            }
            self.stage().await?.until(night, night.over).await?;
            out::line(format_args!("solved: {}", night.name));
        }
        Ok(true)
    }

    async fn watch(&mut self) -> anyhow::Result<bool> {
        let mut keys = keys();
        let mut stage = self.stage().await?;
        let mut shown = String::new();
        loop {
            let mut over = true;
            let mut now = Vec::new();
            for night in &self.nights {
                over &= stage.are(night, night.over).await.unwrap_or(false);
                for (slug, row) in stage.tenants(night).await.unwrap_or_default() {
                    now.extend(row.map(|row| format!("{slug} {}", row.state)));
                }
            }
            let now = now.join(", ");
            if now != shown {
                out::line(self.style.dim(&now));
                shown = now;
            }
            if over {
                return Ok(true);
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                Some(key) = keys.recv() => match key.trim() {
                    "h" => self.hint(),
                    "m" => {
                        self.mend().await?;
                        stage = self.stage().await?;
                    }
                    "q" => return Ok(false),
                    _ => out::line("h: a hint, m: mended outside the fleet, q: end (and Enter)"),
                },
            }
        }
    }

    fn hint(&mut self) {
        let hints: Vec<_> = self.nights.iter().flat_map(|night| night.hints).collect();
        match hints.get(self.hints) {
            Some(hint) => {
                self.hints += 1;
                out::line(hint);
            }
            None => out::line("that was all; `tenantry drill <night> --solve` plays the solution"),
        }
    }
}

/// The lines that a person types. A thread of its own: standing input cannot be asked to stop.
fn keys() -> mpsc::UnboundedReceiver<String> {
    let (tell, hear) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    hear
}

/// The folder of a drill, removed at its end where it was made for it.
struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    fn new(wanted: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = wanted {
            if path.join("identity.json").exists() || path.join("up.json").exists() {
                let text = format!("{}: a fleet lives there; name a new folder", path.display());
                return Err(usage("drill_folder", text).into());
            }
            std::fs::create_dir_all(path)?;
            return Ok(Self { path: path.to_owned(), ours: false });
        }
        let name = format!("tenantry-drill-{}", crate::request::fresh_id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self { path, ours: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
