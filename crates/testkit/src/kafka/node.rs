//! One node: its process, its folder, and when it is ready.

use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::jars::{Archive, Jars, no_java};
use super::secure::Secure;
use super::settings::Place;
use crate::guard::Guard;

/// A start takes 4 s on a quiet machine; tests often run on a busy one.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);
/// What a node says in its log when it is ready.
const READY: &str = "Kafka Server started";

/// A node that runs or not.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    /// Its settings, log and data.
    pub(super) dir: PathBuf,
    /// A folder that nobody drops, to be removed when the test process is gone.
    pub(super) remove_with_process: Option<PathBuf>,
    running: Option<(Child, Guard)>,
}

impl Node {
    pub(super) fn new(place: Place, dir: PathBuf) -> Node {
        Node { place, dir, remove_with_process: None, running: None }
    }

    fn log(&self) -> PathBuf {
        self.dir.join("out.log")
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Makes the data folder of a new node.
    pub(super) async fn format(&self, jars: &Jars, cluster: &str, voters: &str) -> anyhow::Result<()> {
        let mut java = jars.java(Archive::Use);
        java.args(["kafka.tools.StorageTool", "format", "-t", cluster, "-c"])
            .arg(self.dir.join("server.properties"));
        java.args(["--initial-controllers", voters]);
        if self.place.secure.is_some() {
            java.args(Secure::users());
        }
        let done = tokio::process::Command::from(java).kill_on_drop(true).output().await.map_err(no_java)?;
        ensure!(
            done.status.success(),
            "Kafka's format failed: {}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(())
    }

    /// Starts the process. It is not ready yet.
    pub(super) fn spawn(&mut self, jars: &Jars, archive: Archive) -> anyhow::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        if self.log().exists() {
            std::fs::rename(self.log(), self.dir.join("out.log.1"))?;
        }
        let out = File::create(self.log())?;
        let mut java = jars.java(archive);
        java.arg("kafka.Kafka").arg(self.dir.join("server.properties")).current_dir(&self.dir);
        let child = java.stdout(out.try_clone()?).stderr(out).spawn().map_err(no_java)?;
        let guard = Guard::over(child.id(), &self.dir, self.remove_with_process.as_deref())
            .context("the guard of a node")?;
        self.running = Some((child, guard));
        Ok(())
    }

    /// Waits until the node has said that it is ready and knows `nodes` nodes.
    pub(super) async fn ready(&mut self, nodes: usize) -> anyhow::Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            if log.contains(READY) && self.known_nodes().await.is_ok_and(|known| known >= nodes) {
                return Ok(());
            }
            let why = match &mut self.running {
                None => bail!("Kafka node {} does not run", self.place.id),
                Some((child, _)) => child.try_wait()?.map(|status| format!("ended ({status})")),
            };
            let late =
                (Instant::now() >= end).then(|| format!("is not ready after {} s", PATIENCE.as_secs()));
            if let Some(why) = why.or(late) {
                let last: Vec<&str> = log.lines().rev().take(15).collect();
                bail!(
                    "Kafka node {} {why}; its log {} ends: {}",
                    self.place.id,
                    self.log().display(),
                    last.into_iter().rev().collect::<Vec<_>>().join("\n")
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks the node how many nodes there are.
    async fn known_nodes(&self) -> anyhow::Result<usize> {
        const VERSION: i16 = 4;
        let mut frame = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(ApiKey::Metadata as i16)
            .with_request_api_version(VERSION);
        header
            .with_client_id(Some(StrBytes::from_static_str("testkit")))
            .encode(&mut frame, ApiKey::Metadata.request_header_version(VERSION))?;
        MetadataRequest::default().with_topics(Some(Vec::new())).encode(&mut frame, VERSION)?;
        let ask = async {
            let mut socket = TcpStream::connect(("127.0.0.1", self.place.port)).await?;
            socket.write_all(&u32::try_from(frame.len())?.to_be_bytes()).await?;
            socket.write_all(&frame).await?;
            let length = socket.read_u32().await?;
            ensure!(length < 1 << 20, "an answer of {length} bytes");
            let mut answer = vec![0; length as usize];
            socket.read_exact(&mut answer).await?;
            let mut answer = Bytes::from(answer);
            ResponseHeader::decode(&mut answer, ApiKey::Metadata.response_header_version(VERSION))?;
            Ok(MetadataResponse::decode(&mut answer, VERSION)?.brokers.len())
        };
        tokio::time::timeout(Duration::from_secs(5), ask).await?
    }

    /// SIGTERM, and the end of the process; SIGKILL if it takes too long.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        self.signal(Signal::SIGTERM)?;
        let end = Instant::now() + Duration::from_secs(60);
        while let Some((child, _)) = &mut self.running {
            if child.try_wait()?.is_some() {
                self.running = None;
            } else if Instant::now() >= end {
                self.kill();
                bail!("Kafka node {} had to be killed: it did not stop within 60 s", self.place.id);
            } else {
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// SIGKILL, and the end of the process.
    pub(super) fn kill(&mut self) {
        if let Some((mut child, _guard)) = self.running.take() {
            // Already ended is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP and SIGCONT as well: a node that is alive and answers nothing.
    pub(super) fn signal(&mut self, signal: Signal) -> anyhow::Result<()> {
        if let Some((child, _)) = &mut self.running
            && child.try_wait()?.is_none()
        {
            kill(Pid::from_raw(i32::try_from(child.id())?), signal)
                .with_context(|| format!("sending {signal} to Kafka"))?;
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
