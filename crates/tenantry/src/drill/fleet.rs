//! The fleet of a drill: `tenantry up` as a process of its own, on a folder of its own. Whatever the environment says of other
//! fleets is taken away from it, since a drill breaks things.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use super::stage;
use crate::out::failed;
use crate::settings::{Home, Running};

/// How long the start may take.
const START: Duration = Duration::from_secs(120);
/// How long the stop may take.
const STOP: Duration = Duration::from_secs(20);

/// A fleet that runs.
pub(super) struct Fleet {
    child: Child,
    /// Where everything is.
    pub(super) running: Running,
}

impl Fleet {
    /// Starts it on this folder, with these rules of faults, and returns when it is ready.
    pub(super) async fn start(folder: &Path, faults: &str, mended: bool) -> anyhow::Result<Self> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("drill.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENANTRY_") {
                command.env_remove(name);
            }
        }
        command.arg("up").arg("--data-dir").arg(folder).args(stage::settings(folder, mended)?);
        command.env("TENANTRY_FAULTS", faults).kill_on_drop(true);
        // A Ctrl-C is meant for the drill, which stops it in order.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        let end = Instant::now() + START;
        loop {
            if let Some(running) = Home::running(folder)? {
                return Ok(Self { child, running });
            }
            let ended = child.try_wait()?;
            if ended.is_some() || Instant::now() > end {
                let text = format!("the fleet did not start; {} has why", folder.join("drill.log").display());
                return Err(failed("not_ready", text).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops it, and waits until it is gone.
    pub(super) async fn stop(&mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            if timeout(STOP, self.child.wait()).await.is_err() {
                let _ = self.child.kill().await;
            }
        }
    }
}
