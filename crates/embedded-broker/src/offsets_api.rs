//! OffsetCommit and OffsetFetch.

use std::time::Instant;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use crate::Shared;
use crate::groups::Caller;
use crate::groups_api::with_group;
use crate::offsets::Committed;
use crate::store::lock;
use crate::wire::text;

/// Largest metadata beside an offset. Bytes.
const MAX_METADATA: usize = 4096;

pub(crate) fn commit(shared: &Shared, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let group = request.group_id.as_str();
    let caller = Caller {
        member_id: &request.member_id,
        instance: request.group_instance_id.as_deref(),
        generation: request.generation_id_or_member_epoch,
    };
    let allowed = if group.is_empty() {
        Err(ResponseError::InvalidGroupId)
    } else {
        with_group(shared, group, |group| group.may_commit(&caller, Instant::now()))
    };
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in request.topics {
        let topic = shared.store.topic(&wanted.name);
        let mut results = Vec::with_capacity(wanted.partitions.len());
        for part in wanted.partitions {
            let accepted = allowed.and_then(|()| {
                let topic = topic.as_ref().map_err(|error| *error)?;
                topic.partition(part.partition_index)?;
                let metadata = part.committed_metadata.as_deref().unwrap_or_default().to_owned();
                if metadata.len() > MAX_METADATA {
                    return Err(ResponseError::OffsetMetadataTooLarge);
                }
                let (offset, leader_epoch) = (part.committed_offset, part.committed_leader_epoch);
                offsets
                    .push(((topic.id, part.partition_index), Committed { offset, leader_epoch, metadata }));
                Ok(())
            });
            let result = OffsetCommitResponsePartition::default().with_partition_index(part.partition_index);
            results.push(result.with_error_code(accepted.map_or_else(|error| error.code(), |()| 0)));
        }
        topics.push(OffsetCommitResponseTopic::default().with_name(wanted.name).with_partitions(results));
    }
    if let Err(error) = lock(&shared.offsets).commit(group, offsets) {
        let error = storage(error).code();
        for part in
            topics.iter_mut().flat_map(|topic| &mut topic.partitions).filter(|part| part.error_code == 0)
        {
            part.error_code = error;
        }
    }
    OffsetCommitResponse::default().with_topics(topics)
}

pub(crate) fn fetch(shared: &Shared, request: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let offsets = lock(&shared.offsets);
    let group = request.group_id.as_str();
    let epoch = |epoch| if version >= 5 { epoch } else { -1 };
    let part = |number: i32, committed: Option<&Committed>| {
        let part = OffsetFetchResponsePartition::default().with_partition_index(number);
        match committed {
            Some(found) => part
                .with_committed_offset(found.offset)
                .with_committed_leader_epoch(epoch(found.leader_epoch))
                .with_metadata(Some(text(found.metadata.clone()))),
            None => part.with_committed_offset(-1).with_metadata(Some(text(""))),
        }
    };
    let topics = match request.topics {
        Some(wanted) => wanted
            .into_iter()
            .map(|wanted| {
                let id = shared.store.topic(&wanted.name).ok().map(|topic| topic.id);
                let parts = wanted
                    .partition_indexes
                    .iter()
                    .map(|number| part(*number, id.and_then(|id| offsets.get(group, (id, *number)))));
                let parts = parts.collect();
                OffsetFetchResponseTopic::default().with_name(wanted.name).with_partitions(parts)
            })
            .collect(),
        None => shared
            .store
            .topics()
            .iter()
            .map(|topic| {
                let mine = offsets.all(group).filter(|((id, _), _)| *id == topic.id);
                let parts = mine.map(|((_, number), committed)| part(*number, Some(committed)));
                let name = TopicName(text(topic.name.clone()));
                OffsetFetchResponseTopic::default().with_name(name).with_partitions(parts.collect())
            })
            .filter(|topic| !topic.partitions.is_empty())
            .collect(),
    };
    OffsetFetchResponse::default().with_topics(topics)
}

/// What a client is told when a journal could not be written.
pub(crate) fn storage(error: crate::Error) -> ResponseError {
    tracing::error!(%error, "a journal could not be written");
    ResponseError::KafkaStorageError
}
