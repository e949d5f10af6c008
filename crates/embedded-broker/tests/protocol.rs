//! The protocol itself, by a client of a few lines: every api in every version, and what librdkafka would never send.

#[path = "common/raw.rs"]
mod raw;

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::RecordBatchDecoder;
use tenantry_embedded_broker::{Broker, Options};

use raw::{Raw, batch};

async fn broker() -> (Broker, Raw, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts");
    let client = Raw::connect(broker.address()).await;
    (broker, client, dir)
}

fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

fn topic(name: impl Into<String>) -> TopicName {
    TopicName(text(name))
}

async fn create(client: &mut Raw, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| {
        let config = create_topics_request::CreatableTopicConfig::default().with_name(text(*name));
        config.with_value(Some(text(*value)))
    });
    let wanted = create_topics_request::CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default().with_topics(vec![wanted]);
    let ResponseKind::CreateTopics(response) = client.call(ApiKey::CreateTopics, 7, request).await else {
        panic!()
    };
    assert_eq!(response.topics[0].error_code, 0);
}

fn produce_request(name: &str, partition: i32, records: Bytes) -> ProduceRequest {
    let part =
        produce_request::PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let data =
        produce_request::TopicProduceData::default().with_name(topic(name)).with_partition_data(vec![part]);
    ProduceRequest::default().with_acks(-1).with_topic_data(vec![data])
}

async fn produce(client: &mut Raw, name: &str, partition: i32, records: Bytes) -> Result<i64, ResponseError> {
    let request = produce_request(name, partition, records);
    let ResponseKind::Produce(response) = client.call(ApiKey::Produce, 9, request).await else { panic!() };
    let part = &response.responses[0].partition_responses[0];
    ResponseError::try_from_code(part.error_code).map_or(Ok(part.base_offset), Err)
}

fn fetch_request(name: &str, partitions: i32, offset: i64, max: i32, partition_max: i32) -> FetchRequest {
    let parts = (0..partitions).map(|number| {
        let part = fetch_request::FetchPartition::default().with_partition(number);
        part.with_fetch_offset(offset).with_partition_max_bytes(partition_max)
    });
    let wanted =
        fetch_request::FetchTopic::default().with_topic(topic(name)).with_partitions(parts.collect());
    FetchRequest::default().with_max_bytes(max).with_min_bytes(1).with_topics(vec![wanted])
}

/// Bytes that came for each partition.
async fn fetched(client: &mut Raw, request: FetchRequest) -> Vec<usize> {
    let ResponseKind::Fetch(response) = client.call(ApiKey::Fetch, 11, request).await else { panic!() };
    let parts = response.responses.iter().flat_map(|topic| &topic.partitions);
    parts.map(|part| part.records.as_ref().map_or(0, Bytes::len)).collect()
}

/// A request of this api and version that reaches deep, about things that exist and things that do not.
fn request(key: ApiKey, version: i16) -> RequestKind {
    let unique = format!("{}-{version}", key as i16);
    let group = || GroupId(text(unique.clone()));
    let names = || vec![topic("there"), topic("not-there"), topic("not legal")];
    match key {
        ApiKey::Produce => produce_request("there", 0, batch(&["a", "b"], None)).into(),
        ApiKey::Fetch => fetch_request("there", 5, 0, 1000, 1000).into(),
        ApiKey::ListOffsets => {
            let parts = [-1, -2, 0, i64::MAX].map(|timestamp| {
                list_offsets_request::ListOffsetsPartition::default().with_timestamp(timestamp)
            });
            let wanted = list_offsets_request::ListOffsetsTopic::default().with_name(topic("there"));
            ListOffsetsRequest::default().with_topics(vec![wanted.with_partitions(parts.to_vec())]).into()
        }
        ApiKey::Metadata => {
            let wanted = |name| metadata_request::MetadataRequestTopic::default().with_name(Some(name));
            MetadataRequest::default().with_topics(Some(names().into_iter().map(wanted).collect())).into()
        }
        ApiKey::OffsetCommit => {
            let part =
                offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(1);
            let part = part.with_committed_metadata(Some(text("m")));
            let wanted = |name| {
                let topic = offset_commit_request::OffsetCommitRequestTopic::default().with_name(name);
                topic.with_partitions(vec![part.clone()])
            };
            let topics = names().into_iter().map(wanted).collect();
            let request = OffsetCommitRequest::default().with_group_id(GroupId(text("committed")));
            request.with_generation_id_or_member_epoch(-1).with_topics(topics).into()
        }
        ApiKey::OffsetFetch => {
            let request = OffsetFetchRequest::default().with_group_id(GroupId(text("committed")));
            let wanted = |name| {
                let topic = offset_fetch_request::OffsetFetchRequestTopic::default().with_name(name);
                topic.with_partition_indexes(vec![0, 9])
            };
            let named = Some(names().into_iter().map(wanted).collect());
            request.with_topics(if version >= 2 { None } else { named }).into()
        }
        ApiKey::FindCoordinator => {
            let kind = if version >= 1 { i8::from(version % 2 == 0) } else { 0 };
            FindCoordinatorRequest::default().with_key(text("g")).with_key_type(kind).into()
        }
        ApiKey::JoinGroup => {
            let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
            let instance = if version >= 5 { Some(text("i")) } else { None };
            let request = JoinGroupRequest::default().with_group_id(group()).with_session_timeout_ms(60_000);
            let request = request.with_rebalance_timeout_ms(if version >= 1 { 60_000 } else { -1 });
            request
                .with_protocol_type(text("consumer"))
                .with_protocols(vec![protocol])
                .with_group_instance_id(instance)
                .into()
        }
        ApiKey::SyncGroup => SyncGroupRequest::default().with_group_id(group()).into(),
        ApiKey::Heartbeat => HeartbeatRequest::default().with_group_id(group()).into(),
        ApiKey::LeaveGroup if version >= 3 => {
            let member = leave_group_request::MemberIdentity::default().with_member_id(text("m"));
            LeaveGroupRequest::default()
                .with_members(vec![member.with_group_instance_id(Some(text("i")))])
                .into()
        }
        ApiKey::LeaveGroup => LeaveGroupRequest::default().with_member_id(text("m")).into(),
        ApiKey::DescribeGroups => {
            let groups = ["11-5", "committed", "not-there"].map(|name| GroupId(text(name)));
            DescribeGroupsRequest::default().with_groups(groups.to_vec()).into()
        }
        ApiKey::ListGroups => ListGroupsRequest::default().into(),
        ApiKey::ApiVersions => ApiVersionsRequest::default().into(),
        ApiKey::CreateTopics => {
            let wanted = |name| {
                create_topics_request::CreatableTopic::default().with_name(name).with_num_partitions(1)
            };
            let wanted = names().into_iter().chain([topic(unique.clone())]).map(wanted);
            let wanted = wanted.map(|topic| topic.with_replication_factor(1));
            CreateTopicsRequest::default().with_topics(wanted.collect()).into()
        }
        ApiKey::DeleteTopics if version >= 6 => {
            let wanted = |name| delete_topics_request::DeleteTopicState::default().with_name(Some(name));
            DeleteTopicsRequest::default()
                .with_topics(vec![wanted(topic("19-7")), wanted(topic("gone"))])
                .into()
        }
        ApiKey::DeleteTopics => DeleteTopicsRequest::default()
            .with_topic_names(vec![topic(format!("19-{version}")), topic("gone")])
            .into(),
        ApiKey::DeleteRecords => {
            let part = delete_records_request::DeleteRecordsPartition::default().with_offset(1);
            let wanted = |name| {
                let topic = delete_records_request::DeleteRecordsTopic::default().with_name(name);
                topic.with_partitions(vec![part.clone()])
            };
            DeleteRecordsRequest::default().with_topics(names().into_iter().map(wanted).collect()).into()
        }
        ApiKey::InitProducerId => InitProducerIdRequest::default().into(),
        ApiKey::DescribeConfigs => {
            let wanted = |(kind, name): (i8, &str)| {
                let resource = describe_configs_request::DescribeConfigsResource::default();
                resource.with_resource_type(kind).with_resource_name(text(name)).with_configuration_keys(None)
            };
            let wanted = [(2, "there"), (2, "not-there"), (4, "1"), (9, "x")].map(wanted);
            DescribeConfigsRequest::default()
                .with_include_synonyms(true)
                .with_resources(wanted.to_vec())
                .into()
        }
        ApiKey::AlterConfigs => {
            let config = alter_configs_request::AlterableConfig::default().with_name(text("retention.ms"));
            let wanted = alter_configs_request::AlterConfigsResource::default().with_resource_type(2);
            let wanted = wanted.with_resource_name(text("there"));
            let right = wanted.clone().with_configs(vec![config.clone().with_value(Some(text("-1")))]);
            let wrong = wanted.with_configs(vec![config.with_value(None)]);
            AlterConfigsRequest::default().with_resources(vec![right, wrong]).into()
        }
        ApiKey::IncrementalAlterConfigs => {
            let config = |operation, name, value| {
                let config =
                    incremental_alter_configs_request::AlterableConfig::default().with_name(text(name));
                config.with_config_operation(operation).with_value(Some(text(value)))
            };
            let configs = vec![config(0, "segment.bytes", "2000000"), config(2, "cleanup.policy", "compact")];
            let wanted =
                incremental_alter_configs_request::AlterConfigsResource::default().with_resource_type(2);
            let wanted = wanted.with_resource_name(text("there")).with_configs(configs);
            IncrementalAlterConfigsRequest::default().with_resources(vec![wanted]).into()
        }
        ApiKey::CreatePartitions => {
            let wanted = |name| create_partitions_request::CreatePartitionsTopic::default().with_name(name);
            let count = 10 + i32::from(version);
            let wanted =
                names().into_iter().map(|name| wanted(name).with_count(count).with_assignments(None));
            CreatePartitionsRequest::default().with_topics(wanted.collect()).into()
        }
        ApiKey::DeleteGroups => {
            let groups = ["11-5", "not-there"].map(|name| GroupId(text(name)));
            DeleteGroupsRequest::default().with_groups_names(groups.to_vec()).into()
        }
        other => panic!("{other:?} is listed and has no example"),
    }
}

#[tokio::test]
async fn every_api_answers_in_every_version_that_is_listed() {
    let (_broker, mut client, _dir) = broker().await;
    create(&mut client, "there", 2, &[("retention.ms", "-1")]).await;
    let listed = client
        .call(ApiKey::ApiVersions, 3, ApiVersionsRequest::default().with_client_software_name(text("t")))
        .await;
    let ResponseKind::ApiVersions(listed) = listed else { panic!() };
    assert_eq!(listed.api_keys.len(), 23);
    for api in listed.api_keys {
        let key = ApiKey::try_from(api.api_key).expect("a known api");
        for version in api.min_version.max(key.valid_versions().min)..=api.max_version {
            client.call(key, version, request(key, version)).await;
        }
    }
    let configs = describe_configs(&mut client, "there").await;
    assert_eq!(configs["cleanup.policy"], "delete,compact");
    assert_eq!(configs["segment.bytes"], "2000000");
    assert_eq!(configs["retention.ms"], "-1");
}

async fn describe_configs(client: &mut Raw, name: &str) -> BTreeMap<String, String> {
    let wanted = describe_configs_request::DescribeConfigsResource::default().with_resource_type(2);
    let wanted = wanted.with_resource_name(text(name)).with_configuration_keys(None);
    let request = DescribeConfigsRequest::default().with_resources(vec![wanted]);
    let ResponseKind::DescribeConfigs(response) = client.call(ApiKey::DescribeConfigs, 4, request).await
    else {
        panic!()
    };
    let configs = response.results[0].configs.iter();
    configs
        .map(|config| (config.name.to_string(), config.value.clone().unwrap_or_default().to_string()))
        .collect()
}

#[tokio::test]
async fn a_version_of_api_versions_from_the_future_is_answered_in_the_oldest_form() {
    let (_broker, mut client, _dir) = broker().await;
    let mut frame = raw::frame(ApiKey::ApiVersions, 3, &ApiVersionsRequest::default().into()).to_vec();
    frame[6..8].copy_from_slice(&99i16.to_be_bytes());
    client.write(&frame).await.expect("writes");
    let ResponseKind::ApiVersions(response) = client.receive(ApiKey::ApiVersions, 0).await else { panic!() };
    assert_eq!(response.error_code, ResponseError::UnsupportedVersion.code());
    assert!(!response.api_keys.is_empty());
}

#[tokio::test]
async fn requests_that_nobody_handles_close_their_connection_and_no_other() {
    let (broker, mut client, _dir) = broker().await;
    let good = raw::frame(ApiKey::Metadata, 9, &MetadataRequest::default().into());
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = good.to_vec();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    let bad = [
        with(4, &99i16.to_be_bytes()),
        with(6, &99i16.to_be_bytes()),
        with(6, &(-1i16).to_be_bytes()),
        with(0, &(-1i32).to_be_bytes()),
        with(0, &i32::MAX.to_be_bytes()),
        vec![0, 0, 0, 0],
        vec![0, 0, 0, 3, 0, 3, 0],
    ];
    for frame in bad {
        let mut other = Raw::connect(broker.address()).await;
        other.write(&frame).await.expect("writes");
        assert!(other.read().await.is_none(), "{frame:?}");
    }
    client.call(ApiKey::Metadata, 9, MetadataRequest::default()).await;
}

#[tokio::test]
async fn sequences_are_checked_and_remembered_over_a_restart() {
    let (broker, mut client, dir) = broker().await;
    create(&mut client, "once", 1, &[]).await;
    assert_eq!(produce(&mut client, "once", 0, batch(&["a", "b"], Some(0))).await, Ok(0));
    assert_eq!(produce(&mut client, "once", 0, batch(&["c"], Some(2))).await, Ok(2));
    assert_eq!(produce(&mut client, "once", 0, batch(&["a", "b"], Some(0))).await, Ok(0));
    let gap = Err(ResponseError::OutOfOrderSequenceNumber);
    assert_eq!(produce(&mut client, "once", 0, batch(&["e"], Some(4))).await, gap);
    broker.stop().await;
    let broker = Broker::start(Options::new(dir.path())).await.expect("starts again");
    let mut client = Raw::connect(broker.address()).await;
    assert_eq!(produce(&mut client, "once", 0, batch(&["a", "b"], Some(0))).await, Ok(0));
    assert_eq!(produce(&mut client, "once", 0, batch(&["e"], Some(4))).await, gap);
    assert_eq!(produce(&mut client, "once", 0, batch(&["d"], Some(3))).await, Ok(3));
}

#[tokio::test]
async fn records_that_cannot_be_stored_are_refused_with_the_right_code() {
    let (_broker, mut client, _dir) = broker().await;
    create(&mut client, "small", 1, &[("max.message.bytes", "100")]).await;
    let mut damaged = batch(&["a"], None).to_vec();
    damaged[30] ^= 1;
    let long = batch(&["a text that is a little longer than what the topic allows its batches to be"], None);
    let missing = produce(&mut client, "not-there", 0, batch(&["a"], None)).await;
    assert_eq!(missing, Err(ResponseError::UnknownTopicOrPartition));
    let missing = produce(&mut client, "small", 1, batch(&["a"], None)).await;
    assert_eq!(missing, Err(ResponseError::UnknownTopicOrPartition));
    assert_eq!(produce(&mut client, "small", 0, damaged.into()).await, Err(ResponseError::CorruptMessage));
    assert_eq!(produce(&mut client, "small", 0, long).await, Err(ResponseError::MessageTooLarge));
    assert_eq!(produce(&mut client, "small", 0, Bytes::new()).await, Err(ResponseError::CorruptMessage));
    assert_eq!(produce(&mut client, "small", 0, batch(&["a"], None)).await, Ok(0));
}

#[tokio::test]
async fn a_fetch_keeps_to_its_limits_and_always_brings_one_batch() {
    let (_broker, mut client, _dir) = broker().await;
    create(&mut client, "limits", 3, &[]).await;
    let one = batch(&["some text of a certain length"], None);
    let size = one.len();
    let bytes = |batches: usize| i32::try_from(batches * size).expect("small");
    for partition in 0..3 {
        for _ in 0..4 {
            produce(&mut client, "limits", partition, one.clone()).await.expect("stored");
        }
    }
    let fetch = |offset, max, partition_max| fetch_request("limits", 3, offset, max, partition_max);
    assert_eq!(fetched(&mut client, fetch(0, bytes(100), bytes(100))).await, [4 * size; 3]);
    assert_eq!(fetched(&mut client, fetch(0, bytes(100), bytes(3) - 1)).await, [2 * size; 3]);
    assert_eq!(fetched(&mut client, fetch(0, bytes(5), bytes(100))).await, [4 * size, size, 0]);
    assert_eq!(fetched(&mut client, fetch(0, 1, 1)).await, [size, 0, 0]);
    assert_eq!(fetched(&mut client, fetch(3, bytes(100), bytes(100))).await, [size; 3]);
    assert_eq!(fetched(&mut client, fetch(4, bytes(100), bytes(100))).await, [0; 3]);
}

#[tokio::test]
async fn fetched_batches_carry_the_offsets_of_the_log() {
    let (_broker, mut client, _dir) = broker().await;
    create(&mut client, "placed", 1, &[]).await;
    for _ in 0..3 {
        produce(&mut client, "placed", 0, batch(&["a", "b"], None)).await.expect("stored");
    }
    let request = fetch_request("placed", 1, 3, 10_000, 10_000);
    let ResponseKind::Fetch(response) = client.call(ApiKey::Fetch, 11, request).await else { panic!() };
    let part = &response.responses[0].partitions[0];
    assert_eq!((part.high_watermark, part.log_start_offset), (6, 0));
    let mut records = part.records.clone().expect("records");
    let sets = RecordBatchDecoder::decode_all(&mut records).expect("decodes, checksums included");
    let offsets: Vec<i64> = sets.iter().flat_map(|set| &set.records).map(|record| record.offset).collect();
    assert_eq!(offsets, [2, 3, 4, 5]);
}

#[tokio::test]
async fn what_a_client_sent_before_it_hung_up_is_stored() {
    let (broker, mut client, _dir) = broker().await;
    create(&mut client, "farewell", 1, &[]).await;
    let mut other = Raw::connect(broker.address()).await;
    let request = produce_request("farewell", 0, batch(&["a"], None)).with_acks(0);
    for _ in 0..10 {
        other.send(ApiKey::Produce, 9, &request.clone().into()).await;
    }
    drop(other);
    let mut offset = 0;
    while offset < 10 {
        let fetch = fetch_request("farewell", 1, offset, 1, 1).with_max_wait_ms(60_000);
        assert_ne!(fetched(&mut client, fetch).await, [0], "nothing came at offset {offset}");
        offset += 1;
    }
}
