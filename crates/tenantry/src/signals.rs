//! SIGINT, SIGTERM and SIGHUP: the first one asks for a clean stop, the second one ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::out::{Refused, complain, failed};

/// What a process that was interrupted twice exits with.
const INTERRUPTED: i32 = 130;

/// The signals, heard from here on.
pub struct Signals([Signal; 3]);

impl Signals {
    /// Begins to hear them.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn new() -> Result<Self, Refused> {
        let hear = |kind| {
            signal(kind)
                .map_err(|error| failed("signals", format!("signals cannot be heard: {error}; report this")))
        };
        Ok(Self([
            hear(SignalKind::interrupt())?,
            hear(SignalKind::terminate())?,
            hear(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one.
    pub async fn first(&mut self) {
        let [one, two, three] = &mut self.0;
        tokio::select! {
            _ = one.recv() => {}
            _ = two.recv() => {}
            _ = three.recv() => {}
        }
    }

    /// From here on a further one ends the process, whatever it does.
    pub fn second_ends_at_once(mut self) {
        tokio::spawn(async move {
            self.first().await;
            complain("stopped at once; what was unfinished goes on at the next start");
            std::process::exit(INTERRUPTED);
        });
    }
}
