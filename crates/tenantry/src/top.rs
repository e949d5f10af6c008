//! `tenantry top`: a live board of the fleet. Reads the store and the metrics, writes nothing; works over ssh.

mod board;
mod draw;
mod prometheus;
mod workers;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args as ClapArgs;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tenantry_contracts::Time;
use tenantry_ports::Clock;
use tokio::sync::mpsc;

use self::board::{Board, Gatherer};
use self::draw::View;
use self::workers::Pages;
use crate::clock::SystemClock;
use crate::out::{self, usage};
use crate::settings::Find;
use crate::show::Style;
use crate::signals::Signals;
use crate::tenant::find;

/// How often the keyboard's thread looks whether the board is gone.
const KEYS: Duration = Duration::from_millis(200);
/// Two looks so far apart give a rate.
const BETWEEN: Duration = Duration::from_millis(1000);

/// A live board: tenants by state, who waits for a person and why, workers, lanes
///
/// Keys: q quits, r refreshes, p pauses, up and down scroll. Asks for no more rights than the reader's of the store.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where processes of the fleet tell their metrics, as host:port or http://host:port/metrics; several with commas
    /// [default: the `tenantry up` that runs]
    #[arg(long, env = "TENANTRY_METRICS", value_name = "URL,...", value_delimiter = ',')]
    metrics: Vec<String>,
    /// How often the board is made anew
    #[arg(long, env = "TENANTRY_EVERY_S", value_name = "SECONDS", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=3600))]
    every_s: u16,
    /// Print one plain frame, for scripts
    #[arg(long, env = "TENANTRY_ONCE")]
    once: bool,
    #[command(flatten)]
    find: Find,
}

/// Shows the board until it is left.
///
/// # Errors
/// Where the fleet cannot be found or its store not be reached; `terminal_missing` where there is none.
pub async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let clock = SystemClock::from_env()?;
    let terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if !args.once && !terminal {
        let text = "a live board needs a terminal; give --once for one plain frame (over ssh: ssh -t)";
        return Err(usage("terminal_missing", text).into());
    }
    let mut urls = args.metrics.clone();
    if urls.is_empty()
        && args.find.store.url()?.is_none()
        && let Some(up) = args.find.running()?
    {
        urls.push(up.http.to_string());
    }
    let mut gatherer = Gatherer::new(find::store(&args.find).await?, Pages::new(&urls)?);
    let first = gatherer.board(clock.now()).await?;
    if args.once {
        tokio::time::sleep(BETWEEN).await;
        let board = gatherer.board(clock.now()).await?;
        draw::lines(&board).iter().for_each(out::line);
        return Ok(ExitCode::SUCCESS);
    }
    let every = Duration::from_secs(args.every_s.into());
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, &mut gatherer, first, every, || clock.now()).await;
    ratatui::try_restore()?;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    gatherer: &mut Gatherer,
    mut board: Board,
    every: Duration,
    now: impl Fn() -> Time,
) -> anyhow::Result<()> {
    let mut view = View { plain: !Style::detect().color, ..View::default() };
    let mut keys = Keys::listen();
    // Whoever closes the window or stops the process gets the terminal back as it was.
    let mut signals = Signals::new()?;
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        terminal.draw(|frame| draw::draw(frame, &board, view))?;
        let refresh = tokio::select! {
            event = keys.next() => match event {
                Some(Event::Key(key)) => match pressed(key, &mut view) {
                    Pressed::Quit => return Ok(()),
                    Pressed::Refresh => true,
                    Pressed::Other => false,
                },
                // Drawn anew: the window's size may have changed.
                Some(_) => false,
                None => return Ok(()),
            },
            _ = ticks.tick() => !view.paused,
            () = signals.first() => return Ok(()),
        };
        if refresh {
            match gatherer.board(now()).await {
                Ok(new) => board = new,
                // The last board stays, with why it is old.
                Err(error) => board.wrong = vec![format!("the store cannot be asked: {error}")],
            }
        }
    }
}

enum Pressed {
    Quit,
    Refresh,
    Other,
}

fn pressed(key: KeyEvent, view: &mut View) -> Pressed {
    if key.kind == KeyEventKind::Release {
        return Pressed::Other;
    }
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => return Pressed::Quit,
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Pressed::Quit,
        KeyCode::Char('r') => return Pressed::Refresh,
        KeyCode::Char('p') => view.paused = !view.paused,
        KeyCode::Down | KeyCode::Char('j') => view.past = view.past.saturating_add(1),
        KeyCode::Up | KeyCode::Char('k') => view.past = view.past.saturating_sub(1),
        KeyCode::Home => view.past = 0,
        _ => {}
    }
    Pressed::Other
}

/// The keyboard, read on a thread of its own: reading it blocks.
struct Keys {
    events: mpsc::Receiver<Event>,
    stop: Arc<AtomicBool>,
}

impl Keys {
    fn listen() -> Self {
        let (tell, events) = mpsc::channel(16);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        tokio::task::spawn_blocking(move || {
            while !stopped.load(Ordering::Relaxed) {
                match event::poll(KEYS) {
                    Ok(false) => {}
                    Ok(true) => {
                        let Ok(event) = event::read() else { return };
                        if tell.blocking_send(event).is_err() {
                            return;
                        }
                    }
                    Err(_) => return,
                }
            }
        });
        Self { events, stop }
    }

    async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_do_what_the_footer_says() {
        let mut view = View::default();
        let mut press = |code, modifiers| pressed(KeyEvent::new(code, modifiers), &mut view);
        assert!(matches!(press(KeyCode::Char('q'), KeyModifiers::NONE), Pressed::Quit));
        assert!(matches!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Pressed::Quit));
        assert!(matches!(press(KeyCode::Char('c'), KeyModifiers::NONE), Pressed::Other));
        assert!(matches!(press(KeyCode::Char('r'), KeyModifiers::NONE), Pressed::Refresh));
        press(KeyCode::Down, KeyModifiers::NONE);
        press(KeyCode::Char('p'), KeyModifiers::NONE);
        assert!(view.paused && view.past == 1);
    }
}
