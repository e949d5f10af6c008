//! Produce and InitProducerId: the way of records in.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ProducerId,
};

use crate::Shared;
use crate::topic::Topic;

pub(crate) fn produce(shared: &Shared, request: ProduceRequest) -> ProduceResponse {
    let refused = if !matches!(request.acks, -1..=1) {
        Some(ResponseError::InvalidRequiredAcks)
    } else {
        request.transactional_id.map(|_| ResponseError::TransactionalIdAuthorizationFailed)
    };
    let topics = request.topic_data.into_iter().map(|data| {
        let topic = refused.map_or_else(|| shared.store.topic(&data.name), Err);
        let answers = data.partition_data.into_iter().map(|part| match &topic {
            Ok(topic) => answer(part.index, append(topic, &part)),
            Err(error) => answer(part.index, Err(*error)),
        });
        TopicProduceResponse::default().with_partition_responses(answers.collect()).with_name(data.name)
    });
    ProduceResponse::default().with_responses(topics.collect())
}

fn append(topic: &Topic, part: &PartitionProduceData) -> Result<(i64, i64), ResponseError> {
    let records = part.records.as_ref().ok_or(ResponseError::InvalidRecord)?;
    topic.partition(part.index)?.append(records, &topic.settings)
}

fn answer(index: i32, stored: Result<(i64, i64), ResponseError>) -> PartitionProduceResponse {
    let answer = PartitionProduceResponse::default().with_index(index).with_log_append_time_ms(-1);
    match stored {
        Ok((offset, start)) => answer.with_base_offset(offset).with_log_start_offset(start),
        Err(error) => {
            tracing::debug!(%error, partition = index, "a batch is refused");
            answer.with_base_offset(-1).with_log_start_offset(-1).with_error_code(error.code())
        }
    }
}

/// Ids for idempotent producers; there are no transactions.
pub(crate) fn init_producer_id(shared: &Shared, request: &InitProducerIdRequest) -> InitProducerIdResponse {
    let given = match &request.transactional_id {
        Some(_) => Err(ResponseError::TransactionalIdAuthorizationFailed),
        None if *request.producer_id >= 0 && (0..i16::MAX).contains(&request.producer_epoch) => {
            Ok((*request.producer_id, request.producer_epoch + 1))
        }
        None => shared.store.new_producer_id().map(|id| (id, 0)),
    };
    let answer = InitProducerIdResponse::default();
    match given {
        Ok((id, epoch)) => answer.with_producer_id(ProducerId(id)).with_producer_epoch(epoch),
        Err(error) => {
            answer.with_producer_id(ProducerId(-1)).with_producer_epoch(-1).with_error_code(error.code())
        }
    }
}
