//! What exists: metadata, and making, growing and deleting topics and records.

use std::collections::HashSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest,
    MetadataResponse, TopicName,
};
use uuid::Uuid;

use crate::Shared;
use crate::settings::{self, Configs};
use crate::store::lock;
use crate::topic::Topic;
use crate::wire::text;

/// The only node.
pub(crate) const NODE: BrokerId = BrokerId(1);
/// A guard against a slip of the hand, far above what one process can use.
const MAX_PARTITIONS: i32 = 1000;

/// What went wrong, and in words.
type Refusal = (ResponseError, String);

pub(crate) fn metadata(shared: &Shared, request: MetadataRequest, version: i16) -> MetadataResponse {
    let topics: Vec<_> = match request.topics {
        Some(wanted) if version > 0 || !wanted.is_empty() => {
            wanted.into_iter().map(|wanted| one_topic(shared, wanted)).collect()
        }
        _ => shared.store.topics().iter().map(|topic| describe(topic)).collect(),
    };
    let topics = topics.into_iter().map(|topic| match version {
        10.. => topic,
        _ => topic.with_topic_id(Uuid::nil()),
    });
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE)
        .with_host(text(shared.address.ip().to_string()))
        .with_port(i32::from(shared.address.port()));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(text(shared.store.cluster_id.to_string())))
        .with_controller_id(NODE)
        .with_topics(topics.collect())
}

fn one_topic(shared: &Shared, wanted: MetadataRequestTopic) -> MetadataResponseTopic {
    let found = match &wanted.name {
        Some(name) => shared.store.topic(name),
        None => by_id(shared, wanted.topic_id),
    };
    match found {
        Ok(topic) => describe(&topic),
        Err(error) => {
            let error = match &wanted.name {
                Some(name) if check_name(name).is_err() => ResponseError::InvalidTopicException,
                _ => error,
            };
            let answer = MetadataResponseTopic::default().with_error_code(error.code());
            answer.with_name(wanted.name).with_topic_id(wanted.topic_id)
        }
    }
}

fn by_id(shared: &Shared, id: Uuid) -> Result<std::sync::Arc<Topic>, ResponseError> {
    shared.store.topics().into_iter().find(|topic| topic.id == id).ok_or(ResponseError::UnknownTopicId)
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).take(topic.partitions.len()).map(|number| {
        MetadataResponsePartition::default()
            .with_partition_index(number)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(text(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}

pub(crate) fn create_topics(
    shared: &Shared,
    request: CreateTopicsRequest,
    version: i16,
) -> CreateTopicsResponse {
    let mut names = HashSet::new();
    let twice: HashSet<TopicName> = request
        .topics
        .iter()
        .filter(|topic| !names.insert(&topic.name))
        .map(|topic| topic.name.clone())
        .collect();
    let results = request.topics.iter().map(|wanted| {
        let made = if twice.contains(&wanted.name) {
            Err((ResponseError::InvalidRequest, "the topic stands twice in one request".to_owned()))
        } else {
            create_topic(shared, wanted, request.validate_only)
        };
        let result = CreatableTopicResult::default().with_name(wanted.name.clone());
        match made {
            Err((error, why)) => result.with_error_code(error.code()).with_error_message(Some(text(why))),
            Ok((id, partitions, configs)) if version >= 5 => {
                let id = if version >= 7 { id } else { Uuid::nil() };
                let configs = configs.into_iter().map(|(name, value)| {
                    let config =
                        CreatableTopicConfigs::default().with_name(text(name)).with_value(Some(text(value)));
                    config.with_config_source(crate::configs::SOURCE_TOPIC)
                });
                let result =
                    result.with_topic_id(id).with_num_partitions(partitions).with_replication_factor(1);
                result.with_configs(Some(configs.collect()))
            }
            Ok(_) => result,
        }
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

fn create_topic(
    shared: &Shared,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, i32, Configs), Refusal> {
    check_name(&wanted.name)?;
    let partitions = match (wanted.num_partitions, wanted.assignments.len()) {
        (-1, 0) => 1,
        (-1, assigned) => i32::try_from(assigned).unwrap_or(i32::MAX),
        (number, _) => number,
    };
    if !(1..=MAX_PARTITIONS).contains(&partitions) {
        let why = format!("{partitions} partitions, but a topic has between 1 and {MAX_PARTITIONS}");
        return Err((ResponseError::InvalidPartitions, why));
    }
    if !matches!(wanted.replication_factor, -1 | 1) {
        let why = format!("replication factor {}, but there is one broker", wanted.replication_factor);
        return Err((ResponseError::InvalidReplicationFactor, why));
    }
    let mut configs = Configs::new();
    for config in &wanted.configs {
        let value = config.value.as_deref().unwrap_or_default();
        settings::check(&config.name, value).map_err(|why| (ResponseError::InvalidConfig, why))?;
        configs.insert(config.name.to_string(), value.to_owned());
    }
    let exists = |error| (error, format!("the topic {:?} cannot be made: {error}", wanted.name.as_str()));
    if validate_only {
        if shared.store.topic(&wanted.name).is_ok() {
            return Err(exists(ResponseError::TopicAlreadyExists));
        }
        return Ok((Uuid::nil(), partitions, configs));
    }
    let count = usize::try_from(partitions).unwrap_or_default();
    let id = shared.store.create(&wanted.name, count, configs.clone()).map_err(exists)?;
    Ok((id, partitions, configs))
}

/// Apache Kafka's rule for names of topics; they are also safe as parts of a path.
fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=249).contains(&name.len()) && name.bytes().all(legal) && !matches!(name, "." | "..") {
        return Ok(());
    }
    let why = "a topic's name is 1 to 249 letters, digits, dots, underscores and hyphens, and not only one or two dots";
    Err((ResponseError::InvalidTopicException, why.to_owned()))
}

pub(crate) fn delete_topics(
    shared: &Shared,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let named = request.topic_names.into_iter().map(|name| (Some(name), Uuid::nil()));
    let wanted = named.chain(request.topics.into_iter().map(|topic| (topic.name, topic.topic_id)));
    let results = wanted.map(|(name, id)| {
        let topic = match &name {
            Some(name) => shared.store.topic(name),
            None => by_id(shared, id),
        };
        let deleted = topic.and_then(|topic| {
            shared.store.delete(&topic.name)?;
            lock(&shared.offsets).delete_topic(topic.id).map_err(crate::offsets_api::storage)?;
            Ok(topic)
        });
        let result = DeletableTopicResult::default();
        let (result, id) = match deleted {
            Ok(topic) => (result.with_name(Some(TopicName(text(topic.name.clone())))), topic.id),
            Err(error) => (result.with_name(name).with_error_code(error.code()), id),
        };
        if version >= 6 { result.with_topic_id(id) } else { result }
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

pub(crate) fn create_partitions(
    shared: &Shared,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let results = request.topics.into_iter().map(|wanted| {
        let grown = shared.store.topic(&wanted.name).and_then(|topic| {
            let have = topic.partitions.len();
            let count = usize::try_from(wanted.count).unwrap_or_default();
            if count <= have || wanted.count > MAX_PARTITIONS {
                return Err(ResponseError::InvalidPartitions);
            }
            if request.validate_only { Ok(()) } else { shared.store.grow(&wanted.name, count) }
        });
        let result = CreatePartitionsTopicResult::default().with_name(wanted.name);
        match grown {
            Ok(()) => result,
            Err(error) => {
                let why = format!(
                    "{} partitions: {error}; a topic only grows, to {MAX_PARTITIONS} at most",
                    wanted.count
                );
                result.with_error_code(error.code()).with_error_message(Some(text(why)))
            }
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

pub(crate) fn delete_records(shared: &Shared, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|wanted| {
        let partitions = wanted.partitions.iter().map(|part| {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(part.partition_index);
            match shared.store.delete_records(&wanted.name, part.partition_index, part.offset) {
                Ok(start) => result.with_low_watermark(start),
                Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        DeleteRecordsTopicResult::default().with_name(wanted.name).with_partitions(partitions)
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}
