//! Apache Kafka itself, without Docker: one node or three as JVMs on loopback.
//!
//! The jars come once through Maven into a cache (`TENANTRY_TEST_CACHE`, default `~/.cache/tenantry-tests`).

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nix::sys::signal::Signal;
use tokio::sync::OnceCell;

use self::jars::{Archive, Jars};
use self::node::Node;
use self::secure::Secure;
use self::settings::{Place, properties};
use crate::ports;

mod jars;
mod node;
pub mod secure;
mod settings;

/// A Kafka cluster. Dropped, its processes are killed; its files stay in the folder that the caller gave.
#[derive(Debug)]
pub struct Kafka {
    jars: Jars,
    nodes: Vec<Node>,
}

static SHARED: OnceCell<Kafka> = OnceCell::const_new();

impl Kafka {
    /// One new node, which keeps everything in `dir`.
    ///
    /// # Errors
    /// Java or Maven is missing (the text says what to install), the jars cannot be fetched, or the node does not come up.
    pub async fn start(dir: &Path) -> anyhow::Result<Kafka> {
        Self::cluster(dir, 1).await
    }

    /// `nodes` new nodes. From three on topics have three replicas, two of which must be in sync.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub async fn cluster(dir: &Path, nodes: usize) -> anyhow::Result<Kafka> {
        let mut kafka = Self::make(Jars::ready().await?, dir, nodes, false).await?;
        kafka.run(Archive::Use).await?;
        Ok(kafka)
    }

    /// One new node that has, beside its plain listener for administrators, one with TLS and SASL: PLAIN and SCRAM, for
    /// the users of [`secure`].
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub async fn secured(dir: &Path) -> anyhow::Result<Kafka> {
        let mut kafka = Self::make(Jars::ready().await?, dir, 1, true).await?;
        kafka.run(Archive::Use).await?;
        Ok(kafka)
    }

    /// One node for all tests of this process, started by the first who asks and gone with the process. Topics and groups
    /// need names of their own.
    ///
    /// # Panics
    /// It cannot be started; the text says why and what to do.
    pub async fn shared() -> &'static Kafka {
        let start = async {
            let dir = tempfile::Builder::new().prefix("tenantry-test-kafka-").tempdir()?;
            let mut kafka = Self::make(Jars::ready().await?, dir.path(), 1, false).await?;
            kafka.nodes.iter_mut().for_each(|node| node.remove_with_process = Some(dir.path().to_owned()));
            kafka.run(Archive::Use).await?;
            // From here on the guard of the node removes it.
            let _: PathBuf = dir.keep();
            anyhow::Ok(kafka)
        };
        match SHARED.get_or_try_init(|| start).await {
            Ok(shared) => shared,
            Err(error) => panic!("no Apache Kafka for the tests: {error:#}"),
        }
    }

    /// The addresses for clients, separated by commas.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        let all: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.place.port)).collect();
        all.join(",")
    }

    /// The address of the secure listener, and the root that its certificate is under; where there is one.
    #[must_use]
    pub fn secure(&self) -> Option<(String, PathBuf)> {
        let secure = self.nodes.first()?.place.secure.as_ref()?;
        Some((format!("127.0.0.1:{}", secure.port), secure.root.clone()))
    }

    /// Stops all nodes in order, as an upgrade would.
    ///
    /// # Errors
    /// A node had to be killed.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.stop().await?;
        }
        Ok(())
    }

    /// `kill -9` of all nodes.
    pub fn kill(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
    }

    /// `kill -9` of one node, counted from 0.
    pub fn kill_node(&mut self, node: usize) {
        self.nodes[node].kill();
    }

    /// Halts all nodes (`on`) so that they are alive and answer nothing, or lets them go on.
    ///
    /// # Errors
    /// The system refuses the signal.
    pub fn freeze(&mut self, on: bool) -> anyhow::Result<()> {
        let signal = if on { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.nodes.iter_mut().try_for_each(|node| node.signal(signal))
    }

    /// Starts the nodes that are down, on the same data and ports, and waits until all know each other.
    ///
    /// # Errors
    /// A node does not come up.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.run(Archive::Use).await
    }

    /// Formats the folders of new nodes.
    async fn make(jars: Jars, dir: &Path, count: usize, secure: bool) -> anyhow::Result<Kafka> {
        let dir = std::path::absolute(dir)?;
        let ports = ports::free(3 * count).context("ports for Kafka")?;
        let mut places = Vec::new();
        for (index, three) in ports.chunks_exact(3).enumerate() {
            places.push(Place {
                id: index + 1,
                port: three[0],
                controller_port: three[1],
                secure: secure.then(|| Secure::make(three[2], &dir)).transpose()?,
                directory: id(),
            });
        }
        let voters: Vec<String> = places
            .iter()
            .map(|p| format!("{}@127.0.0.1:{}:{}", p.id, p.controller_port, p.directory))
            .collect();
        let (cluster, voters) = (id(), voters.join(","));
        let mut nodes = Vec::new();
        for place in &places {
            let folder = dir.join(place.id.to_string());
            std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            // Without links, as the system shows the folder of a process.
            let folder = folder.canonicalize()?;
            std::fs::write(
                folder.join("server.properties"),
                properties(place, &places, &folder.join("data")),
            )?;
            let node = Node::new(place.clone(), folder);
            node.format(&jars, &cluster, &voters).await?;
            nodes.push(node);
        }
        Ok(Kafka { jars, nodes })
    }

    async fn run(&mut self, archive: Archive) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.spawn(&self.jars, archive)?;
        }
        let count = self.nodes.len();
        for node in &mut self.nodes {
            node.ready(count).await?;
        }
        Ok(())
    }
}

/// An id as Kafka writes them: 16 bytes in base64 for URLs, not beginning with a hyphen.
fn id() -> String {
    let mut bytes = uuid::Uuid::new_v4().into_bytes();
    bytes[0] &= 0x7f;
    URL_SAFE_NO_PAD.encode(bytes)
}
