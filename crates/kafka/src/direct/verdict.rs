//! What a broker's error code means for the batch that it answers.

use kafka_protocol::ResponseError as Code;

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is there.
    Stored,
    /// Send the same bytes again. `written`: they may be there already.
    Again { written: bool },
    /// The broker does not know the partition. New topics are known to all brokers a moment later.
    Missing,
    /// This batch is refused for good, and was not written by this attempt.
    Refused,
    /// The sequence is broken, or nobody knows what this means: nothing that is open can be told apart any more.
    Fatal,
}

/// Reads the error code of a partition.
pub(crate) fn verdict(code: i16) -> Verdict {
    let Some(error) = Code::try_from_code(code) else { return Verdict::Stored };
    match error {
        Code::DuplicateSequenceNumber => Verdict::Stored,
        Code::UnknownTopicOrPartition => Verdict::Missing,
        Code::NotEnoughReplicasAfterAppend | Code::RequestTimedOut | Code::NetworkException => {
            Verdict::Again { written: true }
        }
        Code::CorruptMessage
        | Code::MessageTooLarge
        | Code::RecordListTooLarge
        | Code::InvalidTopicException
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::InvalidRequiredAcks
        | Code::TopicAuthorizationFailed
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::PolicyViolation => Verdict::Refused,
        Code::BrokerNotAvailable => Verdict::Again { written: false },
        retriable if retriable.is_retriable() => Verdict::Again { written: false },
        _ => Verdict::Fatal,
    }
}

/// The error code as text.
pub(crate) fn text(code: i16) -> String {
    Code::try_from_code(code).map_or_else(String::new, |error| format!("{error} ({code})"))
}
