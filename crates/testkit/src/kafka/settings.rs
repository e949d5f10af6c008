//! The settings of a small node with short delays.

use std::path::Path;

use super::secure::Secure;

/// Where a node of the cluster is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// From 1.
    pub(super) id: usize,
    /// For clients.
    pub(super) port: u16,
    /// For the other controllers.
    pub(super) controller_port: u16,
    /// Its listener with TLS and SASL, where there is one.
    pub(super) secure: Option<Secure>,
    /// Names the controller's directory in the first quorum.
    pub(super) directory: String,
}

/// The properties of node `id`, which keeps its records in `data`.
pub(super) fn properties(place: &Place, all: &[Place], data: &Path) -> String {
    let (replicas, in_sync) = if all.len() >= 3 { (3, 2) } else { (1, 1) };
    let quorum: Vec<String> =
        all.iter().map(|place| format!("127.0.0.1:{}", place.controller_port)).collect();
    let secure = place.secure.as_ref();
    let listener = secure.map_or_else(String::new, |at| format!("SASL_SSL://127.0.0.1:{},", at.port));
    format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.bootstrap.servers={quorum}
listeners={listener}PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners={listener}PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}

auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1

# As large as the largest record of the project.
message.max.bytes=6291456
replica.fetch.max.bytes=6291456

# Members join at once and may expire quickly.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# After kill -9 the controller refuses the node until its old session has ended.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000

# Few threads and small files: the default index is a sparse map of 10 MiB, two for each partition.
num.network.threads=2
num.io.threads=2
num.replica.fetchers=1
background.threads=2
group.coordinator.threads=1
log.cleaner.dedupe.buffer.size=4194304
log.segment.bytes=16777216
log.index.size.max.bytes=1048576
log.initial.task.delay.ms=1000
log.segment.delete.delay.ms=1000
log.retention.check.interval.ms=5000
metadata.log.segment.bytes=8388608
{security}",
        id = place.id,
        port = place.port,
        controller_port = place.controller_port,
        quorum = quorum.join(","),
        data = data.display(),
        security = secure.map_or_else(String::new, Secure::properties),
    )
}
