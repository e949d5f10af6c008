//! Answers that are none, and brokers that are none.

use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use proptest::prelude::*;
use tokio::net::TcpListener;

use super::*;
use crate::options::Options;

/// Any bytes, with what a decoder would believe at their beginning.
fn answer() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![2 => Just(0), 1 => Just(0xff), 3 => any::<u8>()];
    (any::<bool>(), prop::collection::vec(byte, 0..200)).prop_map(|(fits, bytes)| match fits {
        true => [vec![0, 0, 0, 1], bytes].concat(),
        false => bytes,
    })
}

proptest! {
    #[test]
    fn any_bytes_are_an_answer_or_an_error(bytes in answer()) {
        let bytes = Bytes::from(bytes);
        // Neither panics, nor makes room for what is not there.
        let _ = decode::<ApiVersionsRequest>(bytes.clone(), 1);
        let _ = decode::<MetadataRequest>(bytes.clone(), 1);
        let _ = decode::<InitProducerIdRequest>(bytes.clone(), 1);
        let _ = decode::<ProduceRequest>(bytes.clone(), 1);
        let _ = decode::<SaslHandshakeRequest>(bytes.clone(), 1);
        let _ = decode::<SaslAuthenticateRequest>(bytes, 1);
    }
}

#[test]
fn an_answer_that_claims_too_much_is_refused() {
    // Correlation, no tags, then more topics than there are atoms in it.
    let bytes = [0, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(decode::<ProduceRequest>(Bytes::copy_from_slice(&bytes), 1).is_err());
}

#[test]
fn a_list_that_claims_too_much_is_refused() {
    let mut bytes = vec![0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff];
    bytes.extend([0; 100]);
    assert!(decode::<ApiVersionsRequest>(Bytes::from(bytes), 1).is_err());
}

/// A broker that answers the first request with the versions it speaks, and then nothing.
async fn broker(spoken: &[(ApiKey, i16, i16)]) -> String {
    let versions = spoken.iter().map(|(key, least, most)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*least).with_max_version(*most)
    });
    let answer = ApiVersionsResponse::default().with_api_keys(versions.collect());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; stream.read_u32().await.unwrap() as usize];
        stream.read_exact(&mut request).await.unwrap();
        let mut frame = BytesMut::from(&request[4..8]);
        answer.encode(&mut frame, ApiVersionsRequest::VERSION).unwrap();
        stream.write_u32(frame.len() as u32).await.unwrap();
        stream.write_all(&frame).await.unwrap();
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test]
async fn a_broker_that_lacks_a_version_is_told_apart() {
    let settings = Settings::read(&Options::new("127.0.0.1:1", "f")).unwrap_or_else(|why| panic!("{why}"));
    let rest = [(ApiKey::Metadata, 0, 12), (ApiKey::InitProducerId, 0, 4)];
    for (produce, lacks) in [((3, 13), false), ((0, 9), false), ((0, 8), true), ((10, 13), true)] {
        let address = broker(&[[(ApiKey::Produce, produce.0, produce.1)].as_slice(), &rest].concat()).await;
        match Connection::open(&settings, &address).await {
            Ok(_) => assert!(!lacks, "{produce:?}"),
            Err(Trouble::Lasting(why)) => assert!(lacks && why.starts_with("bus_version: "), "{why}"),
            Err(trouble) => panic!("{produce:?}: {trouble}"),
        }
    }
}

#[tokio::test]
async fn what_is_no_broker_is_no_end() {
    let settings = Settings::read(&Options::new("127.0.0.1:1", "f")).unwrap_or_else(|why| panic!("{why}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let Err(Trouble::Passing(why)) = Connection::open(&settings, &address).await else {
        panic!("it is taken")
    };
    assert!(why.contains("is this a port of Kafka"), "{why}");
}
