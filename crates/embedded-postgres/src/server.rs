//! A running `postgres`: started by us, or left behind by an owner that was killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::Error;
use crate::account::Account;
use crate::binaries::Binaries;
use crate::layout::Layout;
use crate::leftover;

/// How often a process is looked at.
const POLL: Duration = Duration::from_millis(10);

/// The server's main process.
#[derive(Debug)]
pub(crate) struct Server {
    pid: u32,
    /// `None` for one that was taken over: its end is seen in the process table.
    child: Option<Child>,
    data: PathBuf,
}

impl Server {
    /// Starts `postgres`. It is not ready yet.
    pub(crate) fn spawn(binaries: &Binaries, layout: &Layout, account: &Account) -> Result<Server, Error> {
        let said = layout.log.join("start.log");
        let out = File::create(&said).map_err(Error::files("cannot write", &said))?;
        account.give(&said)?;
        let err = out.try_clone().map_err(Error::files("cannot write", &said))?;
        let program = binaries.bin.join("postgres");
        let mut command = account.command(&program, &layout.root);
        command
            .arg("-D")
            .arg(&layout.data)
            .arg("-c")
            .arg(format!("config_file={}", layout.root.join("postgresql.conf").display()));
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(Error::files("cannot run", &program))?;
        Ok(Server { pid: child.id(), child: Some(child), data: layout.data.clone() })
    }

    /// One that runs already.
    pub(crate) fn adopt(pid: u32, data: &Path) -> Server {
        Server { pid, child: None, data: data.to_owned() }
    }

    /// The process id of the postmaster.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it runs. A child of ours that has ended is reaped here.
    pub(crate) fn alive(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => leftover::is_postmaster_of(self.pid, &self.data),
        }
    }

    /// Sends a signal, if it still runs, so that the number of an ended process is never used.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.alive()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            // A process that has just ended is as good.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Stops it: fast (clients are cut off, everything is written), then at once, then by SIGKILL. Returns whether it is gone.
    pub(crate) async fn stop(&mut self) -> bool {
        for (signal, seconds) in [(Signal::SIGINT, 30), (Signal::SIGQUIT, 10), (Signal::SIGKILL, 10)] {
            self.signal(signal);
            let end = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < end {
                if !self.alive() {
                    return true;
                }
                tokio::time::sleep(POLL).await;
            }
        }
        false
    }

    /// The same for places that cannot wait long or are not async: one signal, and up to `patience` for the end.
    pub(crate) fn end(&mut self, signal: Signal, patience: Duration) {
        self.signal(signal);
        let end = Instant::now() + patience;
        while self.alive() && Instant::now() < end {
            std::thread::sleep(POLL);
        }
    }
}
