//! A running `tenantry`, and what can be asked of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long anything may take before the test gives up: long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder that PostgreSQL's own account can reach, removed afterwards.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("tenantry-fleet-{}", uuid::Uuid::new_v4().simple());
        Self(PathBuf::from("/var/tmp").join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with these arguments, and nothing of this process's `TENANTRY_...`.
pub(crate) fn program(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TENANTRY_")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").args(args);
    command
}

/// What a command that ended said: its exit code, standard output, standard error.
pub(crate) fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A process that is killed when the test ends.
pub(crate) struct Running {
    child: Child,
    /// Where `/readyz` is.
    pub(crate) http: String,
    /// What it told of itself.
    pub(crate) told: Value,
}

impl Running {
    /// `tenantry up --json` on a folder; returns when it is ready.
    pub(crate) fn up(dir: &Path, env: &[(&str, &str)]) -> Self {
        let dir = dir.to_str().expect("the test's own folder is UTF-8");
        let mut command = program(&["up", "--json", "--data-dir", dir]);
        let mut child = command
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut text = String::new();
        while !text.ends_with("}\n") {
            let line = lines.next().expect("up tells where everything is").unwrap();
            text = format!("{text}{line}\n");
        }
        std::thread::spawn(move || lines.for_each(drop));
        let told: Value = serde_json::from_str(&text).unwrap();
        let http = told["http"].as_str().unwrap().trim_start_matches("http://").to_owned();
        Self { child, http, told }
    }

    /// `tenantry serve ...`; returns when it serves.
    pub(crate) fn serve(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = program(&["serve"]);
        command.args(args).args(["--http", "0", "--log-format", "json"]).envs(env.iter().copied());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told: Value = loop {
            let line = lines.next().expect("serve logs that it serves").unwrap();
            match serde_json::from_str::<Value>(&line) {
                Ok(told) if told["message"] == "serving" => break told,
                _ => eprintln!("{line}"),
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let http = told["http"].as_str().unwrap().to_owned();
        let running = Self { child, http, told };
        running.wait(|| running.get("/readyz").0 == 200, "ready");
        running
    }

    /// Asks over HTTP: the status and the body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "the process does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until something holds.
    pub(crate) fn wait(&self, mut holds: impl FnMut() -> bool, what: &str) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "it does not come to be {what}: {}", self.get("/readyz").1);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A clean end, so that no PostgreSQL outlives a test that failed.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}
