//! A fleet as a process of its own: started, killed with signal 9, started again on the same folder.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tenantry_testkit::postgres::reachable_dir;

/// The program under test. `cargo test --workspace` builds it; so does `cargo build -p tenantry`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let program =
        test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>").join("tenantry");
    assert!(program.is_file(), "{} is missing: cargo build -p tenantry", program.display());
    program
}

/// Where everything of a running fleet is, as `up.json` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Running {
    /// The process.
    pub pid: u32,
    /// How many lanes there are.
    pub lanes: u16,
    /// The fleet's name.
    pub fleet: String,
    /// The brokers.
    pub brokers: String,
    /// The store.
    pub database_url: String,
    /// The tenants' database.
    pub tenants_url: String,
    /// The probes.
    pub http: std::net::SocketAddr,
    /// The workers' folders.
    pub places: Places,
}

/// The folders of the workers.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Places {
    /// Mails.
    pub outbox: PathBuf,
    /// Tenants' files.
    pub storage: PathBuf,
    /// Tenants' sealed keys.
    pub secrets: PathBuf,
    /// Receipts.
    pub receipts: PathBuf,
}

/// `tenantry up` on a folder of its own.
pub struct Up {
    dir: tempfile::TempDir,
    args: Vec<String>,
    faults: String,
    child: Option<Child>,
    /// Where everything is.
    pub running: Running,
}

impl Up {
    /// Starts a fleet on a new folder, with these faults armed (see `tenantry up --help`) and further arguments.
    pub fn start(faults: &str, args: &[&str]) -> Self {
        let dir = reachable_dir("tenantry-fleet").expect("a folder that PostgreSQL's account can reach");
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (child, running) = launch(dir.path(), &args, faults);
        Self { dir, args, faults: faults.to_owned(), child: Some(child), running }
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("test.log")).unwrap_or_default()
    }

    /// Kills the whole process with signal 9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    /// Starts it again on the same folder, with other faults armed.
    pub fn start_again_with(&mut self, faults: &str) {
        faults.clone_into(&mut self.faults);
        self.start_again();
    }

    /// Starts it again on the same folder.
    pub fn start_again(&mut self) {
        let (child, running) = launch(self.dir.path(), &self.args, &self.faults);
        self.child = Some(child);
        self.running = running;
    }

    /// The same with other arguments from here on.
    pub fn start_again_as(&mut self, args: &[&str]) {
        self.args = args.iter().map(|arg| (*arg).to_owned()).collect();
        self.start_again();
    }

    /// Kills the private PostgreSQL with signal 9. The fleet itself goes on, or is started again.
    pub fn kill_postgres(&mut self) {
        let file = self.dir.path().join("postgres/data/postmaster.pid");
        let text = std::fs::read_to_string(&file).expect("a running PostgreSQL has a pid file");
        let pid: i32 =
            text.lines().next().and_then(|line| line.parse().ok()).expect("its first line is the pid");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
            .expect("kill -9");
    }

    /// Whether the process still runs.
    pub fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Asks it to stop, and says how long it took.
    pub fn stop(&mut self) -> Duration {
        let began = Instant::now();
        if let Some(mut child) = self.child.take() {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
            let end = Instant::now() + Duration::from_secs(30);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        began.elapsed()
    }

    /// Runs a command of the program against this fleet.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(args).arg("--data-dir").arg(self.dir.path()).env("NO_COLOR", "1").stdin(Stdio::null());
        command.output().expect("the program starts")
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail = log.lines().rev().take(60).collect::<Vec<_>>();
            #[allow(clippy::print_stderr)]
            {
                eprintln!("-- the end of the fleet's log ({})", self.dir.path().display());
                for line in tail.into_iter().rev() {
                    eprintln!("{line}");
                }
            }
        }
        self.stop();
    }
}

fn launch(dir: &Path, args: &[String], faults: &str) -> (Child, Running) {
    let _ = std::fs::remove_file(dir.join("up.json"));
    let log = OpenOptions::new().create(true).append(true).open(dir.join("test.log")).expect("a log file");
    let out: File = log.try_clone().expect("a second handle");
    let mut command = Command::new(binary());
    command.arg("up").arg("--data-dir").arg(dir).args(["--http", "127.0.0.1:0"]).args(args);
    command.env("NO_COLOR", "1").env("TENANTRY_LOG", "info").stdin(Stdio::null()).stdout(out).stderr(log);
    if !faults.is_empty() {
        command.env("TENANTRY_FAULTS", faults);
    }
    let mut child = command.spawn().expect("the program starts");
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let found = std::fs::read_to_string(dir.join("up.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok());
        if let Some(running) = found {
            return (child, running);
        }
        if let Ok(Some(status)) = child.try_wait() {
            let log = std::fs::read_to_string(dir.join("test.log")).unwrap_or_default();
            panic!("the fleet did not start ({status}):\n{log}");
        }
        assert!(Instant::now() < end, "the fleet did not start in two minutes");
        std::thread::sleep(Duration::from_millis(50));
    }
}
