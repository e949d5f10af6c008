//! What several test files need: a broker as a process of its own, and clients of librdkafka.
#![allow(dead_code, reason = "every test file uses another part of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::OwnedMessage;

/// Longest wait for anything that should come at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A broker process; killed with SIGKILL when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    pub(crate) fn start(data_dir: &Path) -> Process {
        let mut child =
            Command::new(example()).arg(data_dir).stdout(Stdio::piped()).spawn().expect("the example starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut line).expect("the example prints its address");
        assert!(!line.is_empty(), "the example ended before it was ready");
        Process { child, address: line.trim().to_owned() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself, which the test will notice in other ways.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// The example beside the test's own binary; built now if only the tests were.
fn example() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.parent().and_then(Path::parent).expect("tests are built into target/<profile>/deps");
    let example = profile.join("examples").join("broker");
    if !example.exists() {
        let target = profile.parent().expect("the profile is in the target directory");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--example", "broker", "--package", env!("CARGO_PKG_NAME"), "--target-dir"])
            .arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "the example does not build");
    }
    example
}

pub(crate) fn config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", address)
        .set("broker.address.family", "v4")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500");
    config
}

/// Idempotent and gapless.
pub(crate) fn producer_config(address: &str) -> ClientConfig {
    let mut config = config(address);
    config
        .set("enable.idempotence", "true")
        .set("enable.gapless.guarantee", "true")
        .set("acks", "all")
        .set("linger.ms", "1")
        .set("message.timeout.ms", "60000");
    config
}

pub(crate) fn consumer_config(address: &str, group: &str) -> ClientConfig {
    let mut config = config(address);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200")
        .set("partition.assignment.strategy", "range");
    config
}

pub(crate) fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    config(address).create().expect("an admin client")
}

pub(crate) async fn create_topic(address: &str, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (name, value) in configs {
        topic = topic.set(name, value);
    }
    let results = admin(address).create_topics([&topic], &AdminOptions::new()).await.expect("an answer");
    assert_eq!(results, [Ok(name.to_owned())]);
}

/// Polls until `count` messages came.
pub(crate) fn take(consumer: &BaseConsumer, count: usize) -> Vec<OwnedMessage> {
    let until = Instant::now() + PATIENCE;
    let mut messages = Vec::with_capacity(count);
    while messages.len() < count {
        assert!(Instant::now() < until, "only {} of {count} messages came", messages.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.expect("no error").detach());
        }
    }
    messages
}

/// Polls all until `done`, panics when patience ends.
pub(crate) fn poll_until(consumers: &[&BaseConsumer], what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "waited in vain until {what}");
        for consumer in consumers {
            if let Some(Err(error)) = consumer.poll(Duration::from_millis(20)) {
                panic!("{what}: {error}");
            }
        }
    }
}

/// Numbers of the partitions that a consumer holds, ascending.
pub(crate) fn held(consumer: &BaseConsumer) -> Vec<i32> {
    let assignment = consumer.assignment().expect("an assignment");
    let mut held: Vec<i32> = assignment.elements().iter().map(|one| one.partition()).collect();
    held.sort_unstable();
    held
}
