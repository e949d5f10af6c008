//! Both brokers behind one value, so that a suite runs on the embedded one and on Apache Kafka by parameter.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use tenantry_embedded_broker::{Broker, Error, Options};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::guard::Guard;
use crate::kafka::Kafka;
use crate::ports;

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ours, in this process.
    Embedded,
    /// Apache Kafka, a JVM.
    Apache,
}

static SHARED_EMBEDDED: OnceCell<(Embedded, Guard)> = OnceCell::const_new();

impl Kind {
    /// Both, for a loop over a suite.
    pub const ALL: [Kind; 2] = [Kind::Embedded, Kind::Apache];

    /// The address of the one broker of this kind that all tests of this process share. It starts at the first call and is
    /// gone with the process. Topics and groups need names of their own.
    ///
    /// # Panics
    /// It cannot be started; the text says why and what to do.
    pub async fn shared(self) -> String {
        match self {
            Kind::Apache => Kafka::shared().await.bootstrap(),
            Kind::Embedded => match SHARED_EMBEDDED.get_or_try_init(shared_embedded).await {
                Ok((broker, _)) => broker.bootstrap(),
                Err(error) => panic!("no embedded broker for the tests: {error:#}"),
            },
        }
    }
}

/// A broker that belongs to one test, which may stop it and kill it.
#[derive(Debug)]
pub enum AnyBroker {
    /// Ours.
    Embedded(Embedded),
    /// Apache Kafka.
    Apache(Kafka),
}

impl AnyBroker {
    /// Starts a new broker that keeps everything in `dir`.
    ///
    /// # Errors
    /// It does not come up; for Apache Kafka also: Java or Maven is missing.
    pub async fn start(kind: Kind, dir: &Path) -> anyhow::Result<AnyBroker> {
        Ok(match kind {
            Kind::Embedded => AnyBroker::Embedded(Embedded::start(dir).await?),
            Kind::Apache => AnyBroker::Apache(Kafka::start(dir).await?),
        })
    }

    /// Which one it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            AnyBroker::Embedded(_) => Kind::Embedded,
            AnyBroker::Apache(_) => Kind::Apache,
        }
    }

    /// The address for clients. It stays the same after a stop and after a kill.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        match self {
            AnyBroker::Embedded(broker) => broker.bootstrap(),
            AnyBroker::Apache(broker) => broker.bootstrap(),
        }
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// It had to be killed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        match self {
            AnyBroker::Embedded(broker) => broker.stop().await,
            AnyBroker::Apache(broker) => broker.stop().await,
        }
    }

    /// Ends it where it stands: `kill -9` for Apache Kafka. The embedded one is in this process, so all its tasks are
    /// dropped at once instead; `kill -9` of a process with it is a case for the tests of the binary.
    pub fn kill(&mut self) {
        match self {
            AnyBroker::Embedded(broker) => broker.kill(),
            AnyBroker::Apache(broker) => broker.kill(),
        }
    }

    /// Starts it again on the same data and address.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        match self {
            AnyBroker::Embedded(broker) => broker.start_again().await,
            AnyBroker::Apache(broker) => broker.start_again().await,
        }
    }
}

/// The embedded broker on threads of its own, so that it neither ends with the runtime of the test that started it, nor
/// stands still while a test blocks.
#[derive(Debug)]
pub struct Embedded {
    dir: PathBuf,
    port: u16,
    running: Option<(Runtime, Broker)>,
}

impl Embedded {
    /// Starts a broker on a new free port.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn start(dir: &Path) -> anyhow::Result<Embedded> {
        let port = ports::free(1).context("a port for the embedded broker")?[0];
        let mut broker = Embedded { dir: dir.to_owned(), port, running: None };
        broker.start_again().await?;
        Ok(broker)
    }

    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some((runtime, broker)) = self.running.take() {
            let stopped = runtime.spawn(broker.stop()).await;
            runtime.shutdown_background();
            stopped.context("the embedded broker panicked while it stopped")?;
        }
        Ok(())
    }

    fn kill(&mut self) {
        if let Some((runtime, broker)) = self.running.take() {
            // Drops the tasks as they stand, without waiting: a runtime must not be dropped inside of another one.
            runtime.shutdown_background();
            drop(broker);
        }
    }

    async fn start_again(&mut self) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let threads = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("embedded-broker")
            .enable_all()
            .build();
        let runtime = threads.context("threads for the embedded broker")?;
        let end = Instant::now() + Duration::from_secs(30);
        let started = loop {
            let options = Options { port: self.port, ..Options::new(&self.dir) };
            match runtime.spawn(Broker::start(options)).await {
                // The tasks of a killed one end a moment later.
                Ok(Err(Error::Locked { .. } | Error::Listen { .. })) if Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(10)).await
                }
                Ok(started) => break started.map_err(anyhow::Error::from),
                Err(panicked) => break Err(anyhow::Error::from(panicked)),
            }
        };
        match started {
            Ok(broker) => self.running = Some((runtime, broker)),
            Err(error) => {
                runtime.shutdown_background();
                return Err(error.context("the embedded broker did not start"));
            }
        }
        Ok(())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn shared_embedded() -> anyhow::Result<(Embedded, Guard)> {
    let dir = tempfile::Builder::new().prefix("tenantry-test-broker-").tempdir()?;
    let guard = Guard::over_folder(dir.path()).context("the guard of the folder")?;
    let broker = Embedded::start(dir.path()).await?;
    // From here on the guard removes it.
    let _: PathBuf = dir.keep();
    Ok((broker, guard))
}
