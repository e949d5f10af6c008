//! Answers that are none.

use proptest::prelude::*;

use super::*;

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
