//! Shapes against the codec.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;

use super::*;
use crate::wire::APIS;

fn some() -> Option<StrBytes> {
    Some(StrBytes::from_static_str("some text"))
}

/// A request with something in every array that the version has.
fn filled(key: ApiKey, version: i16) -> RequestKind {
    let text = || StrBytes::from_static_str("text");
    let topic = || TopicName(text());
    match key {
        ApiKey::Produce => {
            let part = produce_request::PartitionProduceData::default()
                .with_records(Some(Bytes::from_static(b"abc")));
            let data = produce_request::TopicProduceData::default().with_name(topic());
            let data = data.with_partition_data(vec![part.clone(), part.with_records(None)]);
            ProduceRequest::default().with_topic_data(vec![data.clone(), data]).into()
        }
        ApiKey::Fetch => {
            let part = fetch_request::FetchPartition::default();
            let wanted = fetch_request::FetchTopic::default()
                .with_topic(topic())
                .with_partitions(vec![part.clone(), part]);
            let forgotten =
                fetch_request::ForgottenTopic::default().with_topic(topic()).with_partitions(vec![1, 2]);
            let forgotten = if version >= 7 { vec![forgotten] } else { Vec::new() };
            FetchRequest::default().with_topics(vec![wanted]).with_forgotten_topics_data(forgotten).into()
        }
        ApiKey::ListOffsets => {
            let part = list_offsets_request::ListOffsetsPartition::default();
            let wanted = list_offsets_request::ListOffsetsTopic::default().with_name(topic());
            ListOffsetsRequest::default()
                .with_topics(vec![wanted.with_partitions(vec![part.clone(), part])])
                .into()
        }
        ApiKey::Metadata => {
            let wanted = metadata_request::MetadataRequestTopic::default().with_name(Some(topic()));
            MetadataRequest::default().with_topics(Some(vec![wanted.clone(), wanted])).into()
        }
        ApiKey::OffsetCommit => {
            let part = offset_commit_request::OffsetCommitRequestPartition::default()
                .with_committed_metadata(some());
            let wanted = offset_commit_request::OffsetCommitRequestTopic::default().with_name(topic());
            let wanted = wanted.with_partitions(vec![part.clone(), part]);
            OffsetCommitRequest::default().with_topics(vec![wanted]).into()
        }
        ApiKey::OffsetFetch => {
            let wanted = offset_fetch_request::OffsetFetchRequestTopic::default()
                .with_partition_indexes(vec![1, 2, 3]);
            OffsetFetchRequest::default().with_topics(Some(vec![wanted.clone(), wanted])).into()
        }
        ApiKey::FindCoordinator => FindCoordinatorRequest::default().with_key(text()).into(),
        ApiKey::JoinGroup => {
            let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text());
            let protocol = protocol.with_metadata(Bytes::from_static(b"abc"));
            let instance = if version >= 5 { some() } else { None };
            let request = JoinGroupRequest::default().with_protocols(vec![protocol.clone(), protocol]);
            request.with_protocol_type(text()).with_group_instance_id(instance).into()
        }
        ApiKey::Heartbeat => HeartbeatRequest::default().with_member_id(text()).into(),
        ApiKey::LeaveGroup if version >= 3 => {
            let member = leave_group_request::MemberIdentity::default().with_group_instance_id(some());
            LeaveGroupRequest::default().with_members(vec![member.clone(), member]).into()
        }
        ApiKey::LeaveGroup => LeaveGroupRequest::default().with_member_id(text()).into(),
        ApiKey::SyncGroup => {
            let part = sync_group_request::SyncGroupRequestAssignment::default().with_member_id(text());
            let (kind, name) = if version >= 5 { (some(), some()) } else { (None, None) };
            let request = SyncGroupRequest::default().with_assignments(vec![part.clone(), part]);
            request.with_protocol_type(kind).with_protocol_name(name).into()
        }
        ApiKey::DescribeGroups => {
            DescribeGroupsRequest::default().with_groups(vec![GroupId(text()); 3]).into()
        }
        ApiKey::ListGroups => {
            let states = if version >= 4 { vec![text(); 2] } else { Vec::new() };
            ListGroupsRequest::default().with_states_filter(states).into()
        }
        ApiKey::ApiVersions if version >= 3 => ApiVersionsRequest::default()
            .with_client_software_name(text())
            .with_client_software_version(text())
            .into(),
        ApiKey::ApiVersions => ApiVersionsRequest::default().into(),
        ApiKey::CreateTopics => {
            let assigned = create_topics_request::CreatableReplicaAssignment::default()
                .with_broker_ids(vec![BrokerId(1); 2]);
            let config =
                create_topics_request::CreatableTopicConfig::default().with_name(text()).with_value(some());
            let wanted = create_topics_request::CreatableTopic::default().with_name(topic());
            let wanted = wanted
                .with_assignments(vec![assigned.clone(), assigned])
                .with_configs(vec![config.clone(), config]);
            CreateTopicsRequest::default().with_topics(vec![wanted.clone(), wanted]).into()
        }
        ApiKey::DeleteTopics if version >= 6 => {
            let wanted = delete_topics_request::DeleteTopicState::default().with_name(Some(topic()));
            DeleteTopicsRequest::default().with_topics(vec![wanted.clone(), wanted]).into()
        }
        ApiKey::DeleteTopics => DeleteTopicsRequest::default().with_topic_names(vec![topic(); 2]).into(),
        ApiKey::DeleteRecords => {
            let part = delete_records_request::DeleteRecordsPartition::default();
            let wanted = delete_records_request::DeleteRecordsTopic::default()
                .with_partitions(vec![part.clone(), part]);
            DeleteRecordsRequest::default().with_topics(vec![wanted]).into()
        }
        ApiKey::InitProducerId => InitProducerIdRequest::default().into(),
        ApiKey::DescribeConfigs => {
            let keys = Some(vec![text(); 2]);
            let wanted =
                describe_configs_request::DescribeConfigsResource::default().with_configuration_keys(keys);
            DescribeConfigsRequest::default().with_resources(vec![wanted.clone(), wanted]).into()
        }
        ApiKey::AlterConfigs => {
            let config = alter_configs_request::AlterableConfig::default().with_value(some());
            let wanted = alter_configs_request::AlterConfigsResource::default()
                .with_configs(vec![config.clone(), config]);
            AlterConfigsRequest::default().with_resources(vec![wanted]).into()
        }
        ApiKey::IncrementalAlterConfigs => {
            let config = incremental_alter_configs_request::AlterableConfig::default().with_value(some());
            let wanted = incremental_alter_configs_request::AlterConfigsResource::default();
            let wanted = wanted.with_configs(vec![config.clone(), config]);
            IncrementalAlterConfigsRequest::default().with_resources(vec![wanted]).into()
        }
        ApiKey::CreatePartitions => {
            let assigned = create_partitions_request::CreatePartitionsAssignment::default();
            let assigned = assigned.with_broker_ids(vec![BrokerId(1); 2]);
            let wanted = create_partitions_request::CreatePartitionsTopic::default().with_name(topic());
            let wanted = wanted.with_assignments(Some(vec![assigned.clone(), assigned]));
            CreatePartitionsRequest::default()
                .with_topics(vec![wanted.clone(), wanted.with_assignments(None)])
                .into()
        }
        ApiKey::DeleteGroups => {
            DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text()); 2]).into()
        }
        other => panic!("{other:?} has no example"),
    }
}

fn encoded(key: ApiKey, version: i16) -> BytesMut {
    let mut bytes = BytesMut::new();
    let header = RequestHeader::default().with_request_api_key(key as i16).with_request_api_version(version);
    header.with_client_id(some()).encode(&mut bytes, key.request_header_version(version)).expect("a header");
    filled(key, version).encode(&mut bytes, version).expect("a request");
    bytes
}

fn all() -> impl Iterator<Item = (ApiKey, i16)> {
    let spoken = |(key, least, last): &(ApiKey, i16, i16)| {
        let key = *key;
        (key.valid_versions().min.max(*least)..=*last).map(move |version| (key, version))
    };
    APIS.iter().flat_map(spoken)
}

#[test]
fn every_shape_agrees_with_the_codec_in_every_version_that_is_spoken() {
    for (key, version) in all() {
        let bytes = encoded(key, version);
        assert_eq!(check(key, version, &bytes), Some(0), "{key:?} {version}");
        assert_eq!(check(key, version, &bytes[..bytes.len() - 1]), None, "{key:?} {version}, cut short");
    }
}

#[test]
fn an_array_that_claims_more_than_came_is_refused() {
    for version in [4, 12] {
        let mut bytes = BytesMut::new();
        let header = RequestHeader::default().with_request_api_key(3).with_request_api_version(version);
        header.encode(&mut bytes, ApiKey::Metadata.request_header_version(version)).expect("a header");
        bytes.extend_from_slice(&[0x7f; 5]);
        assert_eq!(check(ApiKey::Metadata, version, &bytes), None);
    }
}

proptest! {
    /// Whatever passes the check can be decoded or refused, without a panic and without much memory.
    #[test]
    fn damaged_requests_are_decoded_or_refused(pick in any::<prop::sample::Index>(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let all: Vec<_> = all().collect();
        let (key, version) = *pick.get(&all);
        let mut bytes = encoded(key, version);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if check(key, version, &bytes).is_some() {
            let mut bytes = bytes.freeze();
            if kafka_protocol::protocol::Decodable::decode(&mut bytes, key.request_header_version(version)).map(|_: RequestHeader| ()).is_ok() {
                drop(RequestKind::decode(key, &mut bytes, version));
            }
        }
    }
}
