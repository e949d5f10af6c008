//! Ends a server when the test process is gone, however it went: a static is never dropped, and `kill -9` drops nothing.
//!
//! A small shell waits at the reading end of a pipe whose writing end only we hold. When we end, the system closes it,
//! and the shell kills the server and removes its folder.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Arguments: the process, the folder it works in, the folder to remove (or nothing). The process is killed only if it
/// still works in that folder, so that a number that was given to another process hurts nobody.
const WATCH: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
if [ -d /proc/self ]; then ours() { [ "$(readlink "/proc/$1/cwd")" = "$2" ]; }; else ours() { kill -0 "$1"; }; fi
ours "$1" "$2" && kill -KILL "$1"
n=0
while ours "$1" "$2" && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
if [ -n "$3" ]; then rm -rf "$3" || { sleep 1; rm -rf "$3"; }; fi
"#;

/// While this lives, the server does; dropped, the server is killed.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Watches over process `pid`, which works in the folder `works_in`; removes the folder `remove` in the end.
    pub(crate) fn over(pid: u32, works_in: &Path, remove: Option<&Path>) -> std::io::Result<Guard> {
        Self::start(&pid.to_string(), works_in, remove)
    }

    /// Removes a folder in the end, and nothing else.
    pub(crate) fn over_folder(folder: &Path) -> std::io::Result<Guard> {
        Self::start("no-process", folder, Some(folder))
    }

    fn start(pid: &str, works_in: &Path, remove: Option<&Path>) -> std::io::Result<Guard> {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCH, "server-guard", pid]).arg(works_in).arg(remove.unwrap_or(Path::new("")));
        // Its own group, so that Ctrl-C does not end the guard before the server.
        shell.process_group(0).current_dir("/");
        Ok(Guard(shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself now; waiting leaves no zombie.
        let _ = self.0.wait();
    }
}
