//! A server of ours that outlived its owner: `kill -9` of the owner leaves `postgres` running.
//!
//! `postmaster.pid` tells its process and port. The file also stays when the server itself was killed, and then the
//! number in it may belong to any other process by now, so it is believed only after a look at that process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::layout::Layout;
use crate::server::Server;
use crate::sql::{Address, Identity};
use crate::{Error, Options};

/// For a server that starts or recovers to answer, before it is stopped instead.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `postmaster.pid` says.
struct Claim {
    pid: u32,
    port: u16,
}

/// Takes over the server that runs on this data, if there is one and it is as wanted; stops one that is not.
pub(crate) async fn take_over(
    layout: &Layout,
    options: &Options,
) -> Result<Option<(Server, Address, Identity)>, Error> {
    let file = layout.data.join("postmaster.pid");
    let Some(claim) = read(&file) else { return Ok(None) };
    if !is_postmaster_of(claim.pid, &layout.data) {
        // PostgreSQL clears a stale file by itself, unless the number has been given to another process of the same user.
        if is_process(claim.pid) {
            std::fs::remove_file(&file).map_err(Error::files("cannot remove a stale", &file))?;
        }
        return Ok(None);
    }
    let mut server = Server::adopt(claim.pid, &layout.data);
    if let Ok(password) = layout.password(false) {
        let address = Address { port: claim.port, password };
        let end = Instant::now() + PATIENCE;
        while server.alive() && Instant::now() < end {
            match address.identify().await {
                Some(identity) if is_wanted(&identity, layout, options) => {
                    tracing::info!(pid = claim.pid, data = %layout.root.display(), "took over a PostgreSQL that was left running");
                    return Ok(Some((server, address, identity)));
                }
                Some(_) => break,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    tracing::info!(pid = claim.pid, data = %layout.root.display(), "stopping a PostgreSQL that was left running");
    if server.stop().await {
        Ok(None)
    } else {
        Err(Error::Stop { path: layout.root.clone(), pid: claim.pid })
    }
}

/// The same data, and as durable as was asked for.
fn is_wanted(identity: &Identity, layout: &Layout, options: &Options) -> bool {
    Path::new(&identity.data_directory) == layout.data && identity.fsync == options.fsync
}

/// Lines: process, data directory, start time, port, socket folder, address, ...; the port comes a moment after the process.
fn read(file: &Path) -> Option<Claim> {
    let text = std::fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok()?;
    Some(Claim { pid, port: lines.nth(2).and_then(|port| port.trim().parse().ok()).unwrap_or(0) })
}

/// Whether the process is a living postmaster of these data: it works in that folder. An ended one that nobody reaped is not.
pub(crate) fn is_postmaster_of(pid: u32, data: &Path) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return is_server_in(&PathBuf::from(format!("/proc/{pid}")), data);
    }
    let said = Command::new("ps").args(["-o", "stat=,command=", "-p", &pid.to_string()]).output();
    said.is_ok_and(|said| {
        let line = String::from_utf8_lossy(&said.stdout).into_owned();
        !line.trim_start().starts_with('Z') && line.contains(&format!("-D {}", data.display()))
    })
}

/// Whether any process has this number.
fn is_process(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(nix::errno::Errno::ESRCH)
    })
}

/// Waits until the helpers of a killed postmaster are gone: they see its death by themselves, but one that is busy sees it later.
pub(crate) async fn wait_for_orphans(data: &Path) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end && processes_in(data) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether any process of a server works in the folder. Without `/proc` none is seen, and PostgreSQL's own check has to do.
fn processes_in(data: &Path) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|process| is_server_in(&process, data))
}

/// Whether a folder of `/proc` is a living process of a server of these data.
fn is_server_in(process: &Path, data: &Path) -> bool {
    std::fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == data)
        && std::fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres")
}
