//! One connection: its requests are read ahead, handled in order, and answered in order.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, RequestHeader, RequestKind, ResponseHeader, ResponseKind,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

use crate::{Shared, admin, configs, fetch, frame, groups_api, offsets_api, produce, shape};

/// Requests of one connection read ahead of the one being handled.
const READ_AHEAD: usize = 8;
/// Room for an answer without records. Bytes.
const SMALL_ANSWER: usize = 512;

/// What is spoken, with the first and last version. Below the forms that name topics by id, where there are such.
/// Produce 0 to 2 are listed and refused: older librdkafka takes their absence for a broker without compression.
pub(crate) const APIS: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 0, 9),
    (ApiKey::Fetch, 4, 11),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 7),
    (ApiKey::FindCoordinator, 0, 3),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 4),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
];

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("a request that cannot be read: {0}")]
    Request(&'static str),
    #[error("version {version} of api {api} is not spoken here")]
    Version { api: i16, version: i16 },
    #[error("a request or an answer that the codec refuses: {0}")]
    Codec(Box<dyn std::error::Error + Send + Sync>),
}

/// Who asks.
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) peer: SocketAddr,
    gone: watch::Receiver<()>,
}

impl Client {
    /// Waits until the client hangs up.
    pub(crate) async fn gone(&self) {
        let mut gone = self.gone.clone();
        while gone.changed().await.is_ok() {}
    }
}

/// Serves one connection to its end. What was asked before a client hung up is still done.
pub(crate) async fn serve(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let (frames, queue) = mpsc::channel(READ_AHEAD);
    let (alive, gone) = watch::channel(());
    let client = Client { id: String::new(), peer, gone };
    let reading = async {
        let end = read(reader, frames, shared.max_frame_bytes).await;
        drop(alive);
        if let Err(error) = end {
            tracing::debug!(%peer, %error, "reading from a client ended");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        done = answer(shared, queue, writer, client) => done,
        () = reading => Ok(()),
    }
}

async fn read(mut reader: OwnedReadHalf, frames: mpsc::Sender<Bytes>, max: usize) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    while let Some(frame) = frame::read(&mut reader, &mut buffer, max).await? {
        if frames.send(frame).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn answer(
    shared: &Arc<Shared>,
    mut queue: mpsc::Receiver<Bytes>,
    mut writer: OwnedWriteHalf,
    mut client: Client,
) -> Result<(), Closed> {
    while let Some(frame) = queue.recv().await {
        if let Some(reply) = one(shared, &mut client, frame).await? {
            writer.write_all(&reply).await?;
        }
    }
    Ok(())
}

/// Handles one request; `None` where no answer is wanted.
async fn one(shared: &Arc<Shared>, client: &mut Client, mut frame: Bytes) -> Result<Option<Bytes>, Closed> {
    let Some(&[k0, k1, v0, v1, ..]) = frame.first_chunk::<8>() else {
        return Err(Closed::Request("it is too short"));
    };
    let (api, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
    let known = APIS.iter().find(|(key, ..)| *key as i16 == api);
    let Some(&(key, least, last)) = known else { return Err(Closed::Version { api, version }) };
    if key == ApiKey::ApiVersions && version > last {
        // Whoever asks in a version from the future is told, in the oldest form, which ones there are.
        let correlation = RequestHeader::decode(&mut frame, 1).map_err(codec)?.correlation_id;
        return encode(key, 0, correlation, &api_versions(ResponseError::UnsupportedVersion.code()))
            .map(Some);
    }
    if version < least.max(key.valid_versions().min) || version > last {
        return Err(Closed::Version { api, version });
    }
    shape::check(key, version, &frame).ok_or(Closed::Request("its fields do not fit its length"))?;
    let header = RequestHeader::decode(&mut frame, key.request_header_version(version)).map_err(codec)?;
    let request = RequestKind::decode(key, &mut frame, version).map_err(codec)?;
    if client.id.is_empty() {
        client.id = header.client_id.as_deref().unwrap_or_default().to_owned();
    }
    let reply = handle(shared, client, request, version).await?;
    reply.map(|reply| encode(key, version, header.correlation_id, &reply)).transpose()
}

async fn handle(
    shared: &Arc<Shared>,
    client: &Client,
    request: RequestKind,
    version: i16,
) -> Result<Option<ResponseKind>, Closed> {
    Ok(Some(match request {
        RequestKind::Produce(request) => {
            let wanted = request.acks != 0;
            let reply = produce::produce(shared, request);
            return Ok(wanted.then(|| reply.into()));
        }
        RequestKind::InitProducerId(request) => produce::init_producer_id(shared, &request).into(),
        RequestKind::Fetch(request) => fetch::fetch(shared, client, request).await.into(),
        RequestKind::ListOffsets(request) => fetch::list_offsets(shared, request, version).into(),
        RequestKind::ApiVersions(_) => api_versions(0),
        RequestKind::Metadata(request) => admin::metadata(shared, request, version).into(),
        RequestKind::CreateTopics(request) => admin::create_topics(shared, request, version).into(),
        RequestKind::DeleteTopics(request) => admin::delete_topics(shared, request, version).into(),
        RequestKind::CreatePartitions(request) => admin::create_partitions(shared, request).into(),
        RequestKind::DeleteRecords(request) => admin::delete_records(shared, request).into(),
        RequestKind::DescribeConfigs(request) => configs::describe(shared, request, version).into(),
        RequestKind::AlterConfigs(request) => configs::alter(shared, request).into(),
        RequestKind::IncrementalAlterConfigs(request) => configs::alter_some(shared, request).into(),
        RequestKind::FindCoordinator(request) => {
            groups_api::find_coordinator(shared, &request, version).into()
        }
        RequestKind::JoinGroup(request) => groups_api::join(shared, client, request, version).await.into(),
        RequestKind::SyncGroup(request) => groups_api::sync(shared, client, request, version).await.into(),
        RequestKind::Heartbeat(request) => groups_api::heartbeat(shared, &request).into(),
        RequestKind::LeaveGroup(request) => groups_api::leave(shared, request, version).into(),
        RequestKind::ListGroups(request) => groups_api::list(shared, &request, version).into(),
        RequestKind::DescribeGroups(request) => groups_api::describe(shared, request, version).into(),
        RequestKind::DeleteGroups(request) => groups_api::delete(shared, request).into(),
        RequestKind::OffsetCommit(request) => offsets_api::commit(shared, request).into(),
        RequestKind::OffsetFetch(request) => offsets_api::fetch(shared, request, version).into(),
        _ => return Err(Closed::Request("nobody handles it")),
    }))
}

fn api_versions(error: i16) -> ResponseKind {
    let keys = APIS.iter().map(|(key, least, last)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*least).with_max_version(*last)
    });
    ApiVersionsResponse::default().with_error_code(error).with_api_keys(keys.collect()).into()
}

fn encode(key: ApiKey, version: i16, correlation: i32, reply: &ResponseKind) -> Result<Bytes, Closed> {
    let mut bytes = BytesMut::with_capacity(SMALL_ANSWER + records_in(reply));
    bytes.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut bytes, key.response_header_version(version)).map_err(codec)?;
    reply.encode(&mut bytes, version).map_err(codec)?;
    let length = i32::try_from(bytes.len() - 4).map_err(|_| Closed::Request("its answer is too large"))?;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    Ok(bytes.freeze())
}

/// Bytes of records, the only large part of any answer.
fn records_in(reply: &ResponseKind) -> usize {
    let ResponseKind::Fetch(fetch) = reply else { return 0 };
    let parts = fetch.responses.iter().flat_map(|topic| &topic.partitions);
    parts.filter_map(|part| part.records.as_ref()).map(Bytes::len).sum()
}

fn codec(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Closed {
    Closed::Codec(error.into())
}

/// Text for an answer.
pub(crate) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
