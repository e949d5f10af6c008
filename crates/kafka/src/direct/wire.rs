//! One connection to one broker: a request, its answer, and nothing else at the same time.
//!
//! Each request has one version, which Apache Kafka 2.8 to 4 and the embedded broker speak; later ones bring nothing that
//! is of use here, and the last ones of Produce name topics by id.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, InitProducerIdRequest, MetadataRequest, ProduceRequest, RequestHeader,
    ResponseHeader, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::settings::{Family, Settings};
use super::{sasl, shape, tls};

/// Far more than any answer here has. What is larger is no Kafka.
const ANSWER_BYTES: usize = 16 << 20;

/// A request in the version that is spoken here.
pub(crate) trait Spoken: Request {
    const VERSION: i16;
    const ANSWER: Answer;
}

/// What an answer looks like, so that it can be seen to hold what it claims.
pub(crate) enum Answer {
    /// In the newer form, as [`shape::check`] reads it.
    Fields(&'static str),
    /// In the older form: an error code, then a list whose elements take so many bytes at least.
    List(usize),
}

impl Spoken for ApiVersionsRequest {
    const VERSION: i16 = 2;
    const ANSWER: Answer = Answer::List(6);
}

impl Spoken for MetadataRequest {
    const VERSION: i16 = 9;
    const ANSWER: Answer = Answer::Fields("i[isis]si[hsb[hiii(i)(i)(i)]i]i");
}

impl Spoken for InitProducerIdRequest {
    const VERSION: i16 = 3;
    const ANSWER: Answer = Answer::Fields("ihlh");
}

impl Spoken for ProduceRequest {
    const VERSION: i16 = 9;
    const ANSWER: Answer = Answer::Fields("[s[ihlll[is]s]]i");
}

impl Spoken for SaslAuthenticateRequest {
    const VERSION: i16 = 2;
    const ANSWER: Answer = Answer::Fields("hssl");
}

impl Spoken for SaslHandshakeRequest {
    const VERSION: i16 = 1;
    const ANSWER: Answer = Answer::List(2);
}

/// What a broker must speak, apart from SASL, which only those need who use it.
const NEEDED: [(ApiKey, i16); 3] = [
    (ApiKey::Produce, ProduceRequest::VERSION),
    (ApiKey::Metadata, MetadataRequest::VERSION),
    (ApiKey::InitProducerId, InitProducerIdRequest::VERSION),
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// It may go better the next time.
    #[error("{0}")]
    Passing(String),
    /// It will not go better: the broker is too old, or the settings are wrong.
    #[error("{0}")]
    Lasting(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Passing(error.to_string())
    }
}

/// A TCP connection, with TLS or without.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection that is ready for requests. Whoever meets an error drops it.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    client: StrBytes,
    correlation: i32,
}

impl Connection {
    /// Connects, and says who we are.
    async fn open(settings: &Settings, address: &str) -> Result<Self, Trouble> {
        match tokio::time::timeout(settings.timeout, Self::handshake(settings, address)).await {
            Ok(done) => done,
            Err(_) => Err(Trouble::Passing(format!("{address}: no connection after {:?}", settings.timeout))),
        }
    }

    /// The same connection where the broker has not hung up meanwhile, else a new one.
    pub(crate) async fn reopen(
        before: Option<Self>,
        settings: &Settings,
        address: &str,
    ) -> Result<Self, Trouble> {
        if let Some(mut connection) = before
            && connection.alive()
        {
            return Ok(connection);
        }
        Self::open(settings, address).await
    }

    async fn handshake(settings: &Settings, address: &str) -> Result<Self, Trouble> {
        let stream = connect(address, settings.family).await;
        let stream = stream.map_err(|error| Trouble::Passing(format!("{address}: {error}")))?;
        let stream: Box<dyn Stream> = match &settings.tls {
            Some(connector) => tls::wrap(connector, host(address), stream).await?,
            None => Box::new(stream),
        };
        let client = StrBytes::from_string(settings.client.clone());
        let mut connection = Self { stream, client, correlation: 0 };
        connection.agree(settings.timeout).await?;
        if let Some(who) = &settings.sasl {
            sasl::authenticate(&mut connection, who, settings.timeout).await?;
        }
        Ok(connection)
    }

    /// Sees that the broker speaks what is needed.
    async fn agree(&mut self, within: Duration) -> Result<(), Trouble> {
        let answer = self.call(&ApiVersionsRequest::default(), within).await?;
        for (key, version) in NEEDED {
            let range = answer.api_keys.iter().find(|api| api.api_key == key as i16);
            if !range.is_some_and(|api| (api.min_version..=api.max_version).contains(&version)) {
                let has = range.map_or("not at all".into(), |api| {
                    format!("in versions {} to {}", api.min_version, api.max_version)
                });
                return Err(Trouble::Lasting(format!(
                    "bus_version: the broker speaks {key:?} {has}, not in version {version}; use Apache Kafka 2.8 or \
                     later, or the producer of librdkafka"
                )));
            }
        }
        Ok(())
    }

    /// Between two requests nothing is to be read.
    fn alive(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
        matches!(read, Poll::Pending)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call<R: Spoken>(
        &mut self,
        request: &R,
        within: Duration,
    ) -> Result<R::Response, Trouble> {
        let frame = self.encode(request).map_err(|error| Trouble::Lasting(error.to_string()))?;
        let exchange = async {
            self.stream.write_all(&frame).await?;
            self.stream.flush().await?;
            read(&mut self.stream).await
        };
        let answer = tokio::time::timeout(within, exchange).await;
        let answer = answer.map_err(|_| Trouble::Passing(format!("no answer after {within:?}")))??;
        decode::<R>(answer, self.correlation)
    }

    fn encode<R: Spoken>(&mut self, request: &R) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(R::VERSION)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client.clone()));
        let header_version = R::header_version(R::VERSION);
        let size = header.compute_size(header_version)? + request.compute_size(R::VERSION)?;
        let mut frame = BytesMut::with_capacity(4 + size);
        frame.put_i32(i32::try_from(size)?);
        header.encode(&mut frame, header_version)?;
        request.encode(&mut frame, R::VERSION)?;
        Ok(frame.freeze())
    }
}

async fn read(stream: &mut Box<dyn Stream>) -> Result<Bytes, Trouble> {
    let length = stream.read_u32().await? as usize;
    if length > ANSWER_BYTES {
        return Err(Trouble::Passing(format!(
            "an answer of {length} bytes; is this a port of Kafka, and is TLS meant?"
        )));
    }
    // Memory grows with what really comes.
    let mut frame = BytesMut::with_capacity(length.min(4 << 10));
    let mut rest = stream.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(frame.freeze())
}

fn decode<R: Spoken>(mut frame: Bytes, correlation: i32) -> Result<R::Response, Trouble> {
    let unreadable = |why: &str| Trouble::Passing(format!("an answer that cannot be read: {why}"));
    let header = ResponseHeader::decode(&mut frame, R::Response::header_version(R::VERSION))
        .map_err(|error| unreadable(&error.to_string()))?;
    if header.correlation_id != correlation {
        return Err(unreadable("it is to something else"));
    }
    let fits = match R::ANSWER {
        Answer::Fields(shape) => shape::check(&frame, shape),
        Answer::List(least) => shape::list(&frame, least),
    };
    fits.ok_or_else(|| unreadable("its fields do not fit its length"))?;
    R::Response::decode(&mut frame, R::VERSION).map_err(|error| unreadable(&error.to_string()))
}

/// The name in an address, without brackets where it is one of IPv6.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

async fn connect(address: &str, family: Family) -> io::Result<TcpStream> {
    let mut last =
        io::Error::new(io::ErrorKind::NotFound, "the name has no address of the family that is asked for");
    for address in tokio::net::lookup_host(address).await?.filter(|address| family.takes(address)) {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_keepalive(true)?;
        socket.set_nodelay(true)?;
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests;
