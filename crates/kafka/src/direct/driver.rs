//! The task behind a producer: it moves what was said into the core, and what is due out of it.
//!
//! One request is under way for each broker; what is said meanwhile gathers and goes with the next one. Requests and
//! errands (who are we, who leads) are futures of this one task, so that nothing is shared and nothing is locked.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    InitProducerIdRequest, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, ProducerId,
    TopicName,
};

use super::Shared;
use super::batch::Identity;
use super::core::{self, Core, Leader, Part, pause};
use super::settings::Settings;
use super::verdict::text;
use super::wire::{Connection, Trouble};

/// How long brokers may wait for their replicas.
const REPLICAS: Duration = Duration::from_secs(10);
/// How long an answer may take. A broker that is silent for longer is asked anew, over a new connection.
const ANSWER: Duration = Duration::from_secs(15);

/// Runs until the producer is spent, or dropped with the task.
pub(crate) async fn run(settings: Arc<Settings>, shared: Arc<Shared>) {
    let core = Core::new(settings.compression);
    let mut driver = Driver {
        settings,
        core,
        shared,
        room: Vec::new(),
        identity: None,
        brokers: HashMap::new(),
        jobs: FuturesUnordered::new(),
        errand: Errand::default(),
    };
    while driver.turn().await {}
}

struct Driver {
    settings: Arc<Settings>,
    core: Core,
    shared: Arc<Shared>,
    /// Empty, for the next taking.
    room: Vec<core::Said>,
    identity: Option<Identity>,
    brokers: HashMap<i32, Broker>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    errand: Errand,
}

/// A broker, as metadata names it.
#[derive(Default)]
struct Broker {
    address: String,
    /// Not while a request is under way.
    connection: Option<Connection>,
    busy: bool,
    tries: u32,
    rests_until: Option<Instant>,
}

/// The asking for our identity and for leaders. It has a connection of its own, since requests with records may wait
/// long for replicas.
#[derive(Default)]
struct Errand {
    /// With its address. Not while an errand is under way.
    connection: Option<(String, Connection)>,
    /// Counts connections: the next one goes to the next broker.
    turn: usize,
    busy: bool,
    tries: u32,
    rests_until: Option<Instant>,
}

/// What an errand brings back.
struct News {
    connection: Connection,
    address: String,
    identity: Identity,
    metadata: MetadataResponse,
}

/// What has come of a job.
enum Done {
    Said(Said, Result<(Connection, ProduceResponse), Unsaid>),
    Learned(Result<News, Trouble>),
}

/// What went where.
struct Said {
    node: i32,
    address: String,
    parts: Vec<Part>,
}

/// A request without an answer.
struct Unsaid {
    trouble: Trouble,
    /// The broker may have read it.
    written: bool,
}

impl Driver {
    /// Does what is due, and waits for the next thing. `false` at the end.
    async fn turn(&mut self) -> bool {
        self.shared.take(&mut self.room);
        for said in self.room.drain(..) {
            self.core.push(&said);
        }
        let wake = self.start(Instant::now());
        if self.tell() {
            return false;
        }
        let listens = self.listens();
        let wake = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(done) = self.jobs.next() => self.done(done, Instant::now()),
            () = self.shared.said.notified(), if listens => {}
            () = wake => {}
        }
        true
    }

    /// Whether there is a broker that could take more. Where all are busy, what is said gathers without waking us.
    fn listens(&self) -> bool {
        self.brokers.is_empty() && !self.errand.busy || self.brokers.values().any(|broker| !broker.busy)
    }

    /// Starts what is due; says when more will be.
    fn start(&mut self, now: Instant) -> Option<Instant> {
        let due = self.core.due(now);
        let mut wake = due.wake;
        let mut rests = |until: Option<Instant>| match until.filter(|until| *until > now) {
            Some(until) => {
                wake = wake.into_iter().chain([until]).min();
                true
            }
            None => false,
        };
        if (due.leaderless || self.identity.is_none()) && !self.errand.busy && !rests(self.errand.rests_until)
        {
            self.errand.busy = true;
            let errand = self.errand();
            self.jobs.push(Box::pin(errand));
        }
        let Some(identity) = self.identity else { return wake };
        for node in due.nodes {
            let Some(broker) = self.brokers.get_mut(&node) else { continue };
            if broker.busy || rests(broker.rests_until) {
                continue;
            }
            let parts = self.core.take(node, now, identity);
            if parts.is_empty() {
                continue;
            }
            broker.busy = true;
            let connection = broker.connection.take();
            let said = Said { node, address: broker.address.clone(), parts };
            self.jobs.push(Box::pin(say(Arc::clone(&self.settings), connection, said)));
            self.shared.requests.fetch_add(1, Ordering::Relaxed);
        }
        wake
    }

    fn done(&mut self, done: Done, now: Instant) {
        match done {
            Done::Said(said, result) => self.said(said, result, now),
            Done::Learned(result) => {
                self.errand.busy = false;
                self.learned(result, now);
            }
        }
    }

    fn said(&mut self, said: Said, result: Result<(Connection, ProduceResponse), Unsaid>, now: Instant) {
        let broker = self.brokers.entry(said.node).or_default();
        broker.busy = false;
        let (connection, answer) = match result {
            Ok(done) => done,
            Err(Unsaid { trouble, written }) => {
                tracing::warn!(target: "tenantry_kafka", %trouble, broker = said.address, "records are said again");
                broker.rests_until = Some(now + pause(broker.tries));
                broker.tries += 1;
                self.core.lost(said.parts.iter().map(|part| part.id), written);
                // Who has lost touch with the others would go on naming the same leader.
                self.errand.connection = None;
                return;
            }
        };
        broker.connection = Some(connection).filter(|_| broker.address == said.address);
        broker.tries = 0;
        let throttle = u64::try_from(answer.throttle_time_ms).unwrap_or_default();
        broker.rests_until = (throttle > 0).then(|| now + Duration::from_millis(throttle));
        let mut open: HashMap<(TopicName, i32), usize> =
            said.parts.into_iter().map(|part| ((part.topic, part.partition), part.id)).collect();
        for topic in answer.responses {
            for partition in topic.partition_responses {
                if let Some(id) = open.remove(&(topic.name.clone(), partition.index)) {
                    self.core.answered(id, partition.error_code, partition.base_offset, now);
                }
            }
        }
        // What the answer leaves out has none.
        for id in open.into_values() {
            self.core.answered(id, ResponseError::NetworkException.code(), -1, now);
        }
    }

    fn learned(&mut self, result: Result<News, Trouble>, now: Instant) {
        let News { connection, address, identity, metadata } = match result {
            Ok(news) => news,
            Err(trouble @ Trouble::Lasting(_)) if self.identity.is_none() => {
                return self.core.refuse(&trouble.to_string());
            }
            Err(trouble) => {
                tracing::warn!(target: "tenantry_kafka", %trouble, "brokers do not say who leads; asked again");
                self.errand.rests_until = Some(now + pause(self.errand.tries));
                self.errand.tries += 1;
                return;
            }
        };
        self.identity.get_or_insert(identity);
        self.errand.connection = Some((address, connection));
        (self.errand.tries, self.errand.rests_until) = (0, None);
        for broker in metadata.brokers {
            let address = format!("{}:{}", broker.host, broker.port);
            let known = self.brokers.entry(*broker.node_id).or_default();
            if known.address != address {
                *known = Broker { address, busy: known.busy, ..Broker::default() };
            }
        }
        let mut leaders = HashMap::new();
        let mut refused = HashMap::new();
        for topic in metadata.topics {
            let Some(name) = topic.name else { continue };
            for partition in topic.partitions {
                let leader = match *partition.leader_id {
                    node if self.brokers.contains_key(&node) => Leader::At(node),
                    _ => Leader::None(ResponseError::LeaderNotAvailable.code()),
                };
                leaders.insert((name.clone(), partition.partition_index), leader);
            }
            refused.insert(name, topic.error_code);
        }
        self.core.lead(now, |topic, partition| {
            let missing = ResponseError::UnknownTopicOrPartition.code();
            match (refused.get(topic).copied().unwrap_or(missing), leaders.get(&(topic.clone(), partition))) {
                (0, Some(leader)) => *leader,
                (0, None) => Leader::None(missing),
                (code, _) => Leader::None(code),
            }
        });
    }

    /// Asks any broker who we are, where that is not known yet, and who leads what.
    fn errand(&mut self) -> impl Future<Output = Done> + use<> {
        let (address, connection) = match self.errand.connection.take() {
            Some((address, connection)) => (address, Some(connection)),
            None => (self.anyone(), None),
        };
        let (settings, identity, topics) = (Arc::clone(&self.settings), self.identity, self.core.topics());
        async move { Done::Learned(learn(&settings, address, connection, identity, topics).await) }
    }

    /// The address of the next broker to ask, in turn; none that is in trouble, where there are others.
    fn anyone(&mut self) -> String {
        self.errand.turn += 1;
        let known = self.brokers.values();
        let troubled =
            |address: &&String| known.clone().any(|known| known.tries > 0 && known.address == **address);
        let all = self.settings.brokers.iter().chain(known.clone().map(|known| &known.address));
        let (troubled, well): (Vec<_>, Vec<_>) = all.partition(troubled);
        let asked = if well.is_empty() { troubled } else { well };
        asked[self.errand.turn % asked.len()].clone()
    }

    /// Reports what there is to report. `true` where that was the end.
    fn tell(&mut self) -> bool {
        let (reports, released, fatal) = self.core.told();
        let end = fatal.is_some();
        self.shared.tell(reports, released, fatal);
        end
    }
}

impl Drop for Driver {
    /// However the task ends, whoever waits for reports learns of it.
    fn drop(&mut self) {
        self.core.fail("bus_internal: the task of the producer has ended; open a new producer");
        self.tell();
    }
}

async fn say(settings: Arc<Settings>, connection: Option<Connection>, said: Said) -> Done {
    let result = async {
        let mut connection = Connection::reopen(connection, &settings, &said.address)
            .await
            .map_err(|trouble| Unsaid { trouble, written: false })?;
        let answer = connection.call(&request(&said.parts), ANSWER).await;
        answer.map(|answer| (connection, answer)).map_err(|trouble| Unsaid { trouble, written: true })
    };
    let result = result.await;
    Done::Said(said, result)
}

fn request(parts: &[Part]) -> ProduceRequest {
    let mut topics: HashMap<&TopicName, Vec<PartitionProduceData>> = HashMap::new();
    for part in parts {
        let data =
            PartitionProduceData::default().with_index(part.partition).with_records(Some(part.bytes.clone()));
        topics.entry(&part.topic).or_default().push(data);
    }
    let topic = |(name, parts): (&TopicName, _)| {
        TopicProduceData::default().with_name(name.clone()).with_partition_data(parts)
    };
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(REPLICAS.as_millis() as i32)
        .with_topic_data(topics.into_iter().map(topic).collect())
}

async fn learn(
    settings: &Settings,
    address: String,
    connection: Option<Connection>,
    identity: Option<Identity>,
    topics: Vec<TopicName>,
) -> Result<News, Trouble> {
    let mut connection = Connection::reopen(connection, settings, &address).await?;
    let identity = match identity {
        Some(identity) => identity,
        None => identify(&mut connection).await?,
    };
    let topics = topics.into_iter().map(|name| MetadataRequestTopic::default().with_name(Some(name)));
    let request =
        MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false);
    let metadata = connection.call(&request, ANSWER).await?;
    Ok(News { connection, address, identity, metadata })
}

async fn identify(connection: &mut Connection) -> Result<Identity, Trouble> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = connection.call(&request, ANSWER).await?;
    match ResponseError::try_from_code(answer.error_code) {
        None => Ok((*answer.producer_id, answer.producer_epoch)),
        Some(
            ResponseError::ClusterAuthorizationFailed
            | ResponseError::UnsupportedVersion
            | ResponseError::InvalidRequest,
        ) => Err(Trouble::Lasting(format!("bus_refused: {}", text(answer.error_code)))),
        Some(_) => Err(Trouble::Passing(text(answer.error_code))),
    }
}
