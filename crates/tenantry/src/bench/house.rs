//! What every measurement stands on: a broker, a database, the fleet's topics, and the parts as processes of their own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use tenantry_audit::Report;
use tenantry_contracts::Time;
use tenantry_embedded_postgres::Cluster;
use tenantry_kafka::Options;
use tenantry_ports::Clock;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::Ground;
use super::cpu::{Used, used};
use super::fill::{Filled, fill};
use super::ground::{Folder, make_topics, written};
use super::load::{self, Load};
use super::part::{Part, Stands, kafka, word};
use super::plan::FAILS_EVERY;
use super::steps::fails;
use super::store::Store;
use super::work::{Pace, Work};
use crate::clock::SystemClock;
use crate::out::{self, usage};

pub(super) const GENERATOR: &str = "generator";
/// The first coordinator, or the only one.
pub(super) const COORDINATOR: &str = "coordinator";
const POSTGRES: &str = "postgres";
const BROKER: &str = "broker";
/// What is not ours to make small.
pub(super) const OUTSIDE: [&str; 3] = [GENERATOR, POSTGRES, BROKER];
/// How long a part may take to start, and to end when it is told so.
const PART_TAKES: Duration = Duration::from_secs(60);
/// How many tenants are an example of all: one of them fails.
const EXAMPLES: u64 = FAILS_EVERY;

/// A process of the benchmark.
struct Running {
    part: Part,
    name: String,
    child: Child,
    /// How it stands, if it is a coordinator.
    stands: watch::Receiver<Stands>,
}

/// Starts a part and waits for its first line.
async fn start(part: Part, name: &str, args: &[(&str, String)]) -> anyhow::Result<(Running, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "part", part.word()]);
    for (flag, value) in args {
        command.arg(flag).arg(value);
    }
    command.env_remove("TENANTRY_BROKERS").env_remove("TENANTRY_DATABASE_URL");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().with_context(|| format!("{name} could not be started"))?;
    let out = child.stdout.take().context("a part without output")?;
    let mut lines = BufReader::new(out).lines();
    let line = tokio::time::timeout(PART_TAKES, lines.next_line()).await;
    let line = line.ok().and_then(Result::ok).flatten().with_context(|| format!("{name} did not start"))?;
    let (stand, stands) = watch::channel(Stands::default());
    // Whatever it says is read: it must not wait for us.
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(now) = serde_json::from_str(&line) {
                stand.send_replace(now);
            }
        }
    });
    Ok((Running { part, name: name.to_owned(), child, stands }, line))
}

/// Everything that is measured, and what it needs.
pub(super) struct House {
    pub(super) ground: Ground,
    pub(super) options: Options,
    pub(super) url: String,
    pub(super) store: Store,
    /// Coordinators tell how they stand. Not where they are measured: telling costs time.
    pub(super) watched: bool,
    /// The finished tenants that were there before.
    pub(super) filled: Option<Filled>,
    /// What was made from then on is in the audit, all of it.
    since: Time,
    parts: Vec<Running>,
    postgres: Option<u32>,
    cluster: Option<Cluster>,
    dir: Folder,
}

impl House {
    /// Broker, database and topics, all of them unused; then as many finished tenants as were asked for.
    pub(super) async fn open(ground: Ground) -> anyhow::Result<Self> {
        let dir = Folder::new(ground.dir.clone())?;
        let mut parts = Vec::new();
        let brokers = match &ground.brokers {
            Some(brokers) => brokers.clone(),
            None => {
                let data = dir.path().join("broker").display().to_string();
                let (broker, address) = start(Part::Broker, BROKER, &[("--dir", data)]).await?;
                parts.push(broker);
                address
            }
        };
        let options = kafka(&brokers, ground.linger_ms, ground.producer);
        make_topics(&options, &ground).await?;
        let (cluster, url) = match &ground.database_url {
            Some(url) => (None, url.clone()),
            None => {
                let options = tenantry_embedded_postgres::Options::new(dir.path().join("postgres"));
                let cluster = Cluster::start(options).await?;
                cluster.create_database("bench").await?;
                let url = cluster.url("bench");
                (Some(cluster), url)
            }
        };
        tenantry_postgres::migrate(&url).await?;
        let store = Store::new(&url).await?;
        if store.is_used().await? {
            let text = "the database holds a fleet's store, which does not belong to new topics; give an empty database, \
                        or another folder as --dir";
            return Err(usage("bench_database_used", text).into());
        }
        let postgres = ground.postgres_pid.or_else(|| cluster.as_ref().map(Cluster::pid));
        let mut house = Self {
            ground,
            options,
            url,
            store,
            filled: None,
            since: Time(0),
            watched: false,
            parts,
            postgres,
            cluster,
            dir,
        };
        if house.ground.finished > 0 {
            house.filled = Some(house.fill().await.context("filling the store")?);
            house.since = SystemClock::default().now();
        }
        Ok(house)
    }

    /// A short life of the fleet, multiplied.
    async fn fill(&mut self) -> anyhow::Result<Filled> {
        self.start(Part::Coordinator, COORDINATOR).await?;
        self.start_workers().await?;
        self.load(work("example", EXAMPLES, Pace::Closed(EXAMPLES))).await?.finish().await?;
        for name in [COORDINATOR, Part::WorkersA.word(), Part::WorkersB.word()] {
            self.stop(name).await?;
        }
        fill(&self.url, &self.store, self.ground.finished).await
    }

    fn take(&mut self, name: &str) -> anyhow::Result<Running> {
        let at = self.parts.iter().position(|part| part.name == name);
        Ok(self.parts.remove(at.with_context(|| format!("there is no {name}"))?))
    }

    /// Lets a part finish what it does, and go.
    pub(super) async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        let mut part = self.take(name)?;
        drop(part.child.stdin.take());
        let ended = tokio::time::timeout(PART_TAKES, part.child.wait()).await;
        let status = ended.with_context(|| format!("{name} does not end"))??;
        if !status.success() {
            bail!("{name} ended badly: {status}");
        }
        Ok(())
    }

    /// Where a measurement may keep something.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a part under a name.
    pub(super) async fn start(&mut self, part: Part, name: &str) -> anyhow::Result<()> {
        let mut told = vec![
            ("--brokers", self.options.brokers.clone()),
            ("--database-url", self.url.clone()),
            ("--lanes", self.ground.lanes.to_string()),
            ("--linger-ms", self.ground.linger_ms.to_string()),
            ("--producer", word(self.ground.producer)),
        ];
        if part == Part::Coordinator {
            told.push(("--member", format!("bench-{name}")));
            told.push(("--watched", self.watched.to_string()));
        }
        self.parts.push(start(part, name, &told).await?.0);
        Ok(())
    }

    /// Ends a part as a failing machine would.
    pub(super) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        Ok(self.take(name)?.child.kill().await?)
    }

    /// Waits until every lane is served, and every coordinator serves its share.
    pub(super) async fn until_shared(&mut self) -> anyhow::Result<()> {
        let lanes = u64::from(self.ground.lanes);
        self.until(|all| {
            let share = lanes / all.len().max(1) as u64;
            let served: u64 = all.iter().map(|one| one.lanes).sum();
            served == lanes && all.iter().all(|one| one.lanes >= share)
        })
        .await
    }

    /// Waits until the coordinators have so many tenants in memory.
    pub(super) async fn until_held(&mut self, tenants: u64) -> anyhow::Result<()> {
        self.until(|all| all.iter().map(|one| one.tenants).sum::<u64>() == tenants).await
    }

    /// Waits until the coordinators, which are watched, stand as is wanted.
    async fn until(&mut self, wanted: impl Fn(&[Stands]) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + self.timeout();
        loop {
            let coordinators = self.parts.iter().filter(|part| part.part == Part::Coordinator);
            let all: Vec<Stands> = coordinators.map(|part| *part.stands.borrow()).collect();
            if wanted(&all) {
                return Ok(());
            }
            self.still_run()?;
            if Instant::now() > end {
                bail!("after {:?} the coordinators still stand so: {all:?}", self.timeout());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The coordinators and workers, with their process ids.
    pub(super) fn fleet(&self) -> Vec<(String, u32)> {
        let fleet = self.parts.iter().filter(|part| part.part != Part::Broker);
        fleet.filter_map(|part| Some((part.name.clone(), part.child.id()?))).collect()
    }

    /// Resident memory of a part, in MiB.
    pub(super) fn rss_of(&self, name: &str) -> f64 {
        let pid = self.parts.iter().find(|part| part.name == name).and_then(|part| part.child.id());
        pid.map_or(0.0, |pid| used(pid, false).rss_mib)
    }

    /// Starts further coordinators where some run, so that there are so many.
    pub(super) async fn start_coordinators(&mut self, running: u16, wanted: u16) -> anyhow::Result<()> {
        for number in running + 1..=wanted {
            self.start(Part::Coordinator, &coordinator(number)).await?;
        }
        Ok(())
    }

    /// Starts both processes of workers.
    pub(super) async fn start_workers(&mut self) -> anyhow::Result<()> {
        for part in [Part::WorkersA, Part::WorkersB] {
            self.start(part, part.word()).await?;
        }
        Ok(())
    }

    /// Groups settle, connections open, statements are prepared: not part of any measurement.
    pub(super) async fn warm_up(&self) -> anyhow::Result<()> {
        self.load(work("warm", 64, Pace::Closed(64))).await?.finish().await.context("warm-up")?;
        Ok(())
    }

    /// How long anything may take.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs(self.ground.timeout_s)
    }

    /// Sagas of twelve steps, about to begin.
    pub(super) async fn load(&self, work: Work) -> anyhow::Result<Load> {
        Load::open(&self.options, self.ground.lanes, self.timeout(), work).await
    }

    /// What every process has used so far.
    pub(super) fn used(&self) -> Vec<(String, Used)> {
        let own =
            self.parts.iter().filter_map(|part| Some((part.name.clone(), used(part.child.id()?, false))));
        let broker = self.ground.broker_pid.map(|pid| (BROKER.to_owned(), used(pid, false)));
        let store = self.postgres.map(|pid| (POSTGRES.to_owned(), used(pid, true)));
        let generator = (GENERATOR.to_owned(), used(std::process::id(), false));
        own.chain(broker).chain(store).chain([generator]).collect()
    }

    /// What grew by the work so far.
    pub(super) async fn counted(&self) -> anyhow::Result<Counted> {
        let (wal, rows) = self.store.counted().await?;
        Ok(Counted { wal, rows, messages: written(&self.options).await? })
    }

    /// Every tenant is at rest, and the audit has all that the store says of it.
    pub(super) async fn verify(&self) -> anyhow::Result<Report> {
        self.store.at_peace().await?;
        let expected = self.store.expected(self.since).await?;
        load::verify(&self.options, Some(&expected)).await.context("the audit does not verify")
    }

    /// No part ended by itself.
    pub(super) fn still_run(&mut self) -> anyhow::Result<()> {
        for part in &mut self.parts {
            if let Some(status) = part.child.try_wait()? {
                bail!("{} ended during the run: {status}", part.name);
            }
        }
        Ok(())
    }

    /// Shows what was found, and ends all parts, the broker last: the others still use it.
    pub(super) async fn end<T: Serialize>(mut self, found: &T, print: impl FnOnce(&T)) -> anyhow::Result<()> {
        if self.ground.json {
            out::json(found)?;
        } else {
            print(found);
        }
        while self.parts.pop().is_some() {}
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().await?;
        }
        Ok(())
    }
}

/// The name of a coordinator, counted from one.
pub(super) fn coordinator(number: u16) -> String {
    if number == 1 { COORDINATOR.to_owned() } else { format!("{COORDINATOR}-{number}") }
}

/// Sagas of twelve steps, one in twenty of which must fail.
pub(super) fn work(run: &str, sagas: u64, pace: Pace) -> Work {
    Work { fails, ..Work::new(run, sagas, pace) }
}

/// A name for this run's slugs: a database or topic that was used before does not answer for it.
pub(super) fn run_name() -> String {
    let millis = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    format!("{:x}", millis & 0xff_ffff_ffff)
}

/// What grows by the work.
pub(super) struct Counted {
    pub(super) wal: i64,
    pub(super) rows: i64,
    pub(super) messages: i64,
}
