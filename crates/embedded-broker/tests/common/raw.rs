//! A client of a few lines, for what librdkafka would never send.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Raw {
        Raw(TcpStream::connect(address).await.expect("connects"))
    }

    pub(crate) async fn send(&mut self, key: ApiKey, version: i16, request: &RequestKind) {
        self.write(&frame(key, version, request)).await.expect("writes");
    }

    pub(crate) async fn receive(&mut self, key: ApiKey, version: i16) -> ResponseKind {
        let mut bytes = self.read().await.expect("an answer");
        let header =
            ResponseHeader::decode(&mut bytes, key.response_header_version(version)).expect("a header");
        assert_eq!(header.correlation_id, 77);
        let response = ResponseKind::decode(key, &mut bytes, version).expect("a response");
        assert!(bytes.is_empty(), "{key:?} {version}: {} bytes too many", bytes.len());
        response
    }

    pub(crate) async fn call(
        &mut self,
        key: ApiKey,
        version: i16,
        request: impl Into<RequestKind>,
    ) -> ResponseKind {
        self.send(key, version, &request.into()).await;
        self.receive(key, version).await
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// The next frame; `None` where the broker hung up.
    pub(crate) async fn read(&mut self) -> Option<Bytes> {
        let length = self.0.read_i32().await.ok()?;
        let mut bytes = vec![0; usize::try_from(length).expect("a length")];
        self.0.read_exact(&mut bytes).await.ok()?;
        Some(bytes.into())
    }
}

/// A batch of records with these payloads; a sequence makes it idempotent, of producer 7.
pub(crate) fn batch(payloads: &[&'static str], sequence: Option<i32>) -> Bytes {
    let records = payloads.iter().zip(0..).map(|(payload, number)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: sequence.map_or(-1, |_| 7),
        producer_epoch: sequence.map_or(-1, |_| 0),
        timestamp_type: TimestampType::Creation,
        offset: i64::from(number),
        sequence: sequence.unwrap_or(-1) + number,
        timestamp: 1_700_000_000_000,
        key: None,
        value: Some(Bytes::from_static(payload.as_bytes())),
        headers: Default::default(),
    });
    let records: Vec<Record> = records.collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).expect("encodes");
    bytes.freeze()
}

/// A request with its length, header and body.
pub(crate) fn frame(key: ApiKey, version: i16, request: &RequestKind) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(77)
        .with_client_id(Some(StrBytes::from_static_str("raw")));
    header.encode(&mut bytes, key.request_header_version(version)).expect("a header");
    request.encode(&mut bytes, version).expect("a request");
    let length = i32::try_from(bytes.len() - 4).expect("short");
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}
