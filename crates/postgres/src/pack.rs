//! How journal rows are stored: shortened against a dictionary of the words that every row has.
//!
//! The bytes that come out are the bytes that went in; a fact stays exactly as it will be said. The first byte says how
//! a value is stored, so that every format that ever was can be read. A value that would not get shorter stays as it is.

use bytes::Bytes;

/// As it is.
const PLAIN: u8 = 0;
/// LZ4 against the first dictionary; the length follows.
const FIRST: u8 = 1;

/// The words of entries and facts, the most frequent ones last. Never edited: another dictionary is another format.
const WORDS: &[u8] = include_bytes!("pack/words-1.bin");

/// Larger than any row: what claims to be larger is no row of ours.
const LARGEST: usize = 64 << 20;

/// A value as it is stored.
pub(crate) fn pack(value: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(value.len() / 2 + 16);
    packed.push(FIRST);
    packed.extend_from_slice(&(value.len() as u32).to_be_bytes());
    packed.extend_from_slice(&lz4_flex::block::compress_with_dict(value, WORDS));
    if packed.len() > value.len() {
        packed.clear();
        packed.push(PLAIN);
        packed.extend_from_slice(value);
    }
    packed
}

/// The value that was stored. `None` where the bytes are of no format that this program knows, or damaged.
pub(crate) fn unpack(stored: &[u8]) -> Option<Bytes> {
    match stored.split_first()? {
        (&PLAIN, value) => Some(Bytes::copy_from_slice(value)),
        (&FIRST, rest) => {
            let (length, packed) = rest.split_first_chunk::<4>()?;
            let length =
                usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= LARGEST)?;
            let value = lz4_flex::block::decompress_with_dict(packed, length, WORDS).ok()?;
            (value.len() == length).then(|| value.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_packed_comes_out_and_damage_never_panics(
            value in proptest::collection::vec(any::<u8>(), 0..2000),
            flip in any::<(prop::sample::Index, u8)>(),
        ) {
            let mut packed = pack(&value);
            prop_assert_eq!(unpack(&packed).unwrap(), &value[..]);
            prop_assert!(packed.len() <= value.len() + 1);
            let at = flip.0.index(packed.len());
            packed[at] ^= flip.1;
            let _ = unpack(&packed);
            let _ = unpack(&packed[..at]);
        }
    }

    #[test]
    fn an_audit_event_gets_less_than_half_as_long() {
        let event = r#"{"format":1,"fleet":"local","chain":"01a20029-6383-78ba-bec7-8c0dcaa3d4d3","seq":7,"prev":"6fbe80cad154e1c9f61c267a2187fa880513e30d12f7aaa42d5e10b22224f735","type":"tenant.step.succeeded","at":"2026-11-21T22:10:43.155Z","lane":2,"n":4711,"cause":{"topic":"tenant.results","partition":2,"offset":815},"digest":"2187fa880513e30d12f7aaa42d5e10b22224f7356fbe80cad154e1c9f61c267a","tenant":{"id":"01a20029-6383-78ba-bec7-8c0dcaa3d4d3","slug":"acme-intel","environment":"prod"},"state":"PROVISIONING","saga":"640245ee-c7be-539f-8912-4b5643b65301","row":"database","step":"database.provision","token":42,"took_ms":843,"operation":{"source":"https://crm.example.com","id":"7f9c2a"},"commitment":"0513e30d12f7aaa42d5e10b22224f7356fbe80cad154e1c9f61c267a2187fa88"}"#;
        let packed = pack(event.as_bytes()).len();
        assert!(packed * 2 < event.len(), "{packed} of {}", event.len());
    }

    #[test]
    fn a_format_of_the_future_is_not_guessed_at() {
        assert_eq!(unpack(&[9, 1, 2, 3]), None);
        assert_eq!(unpack(&[]), None);
        assert_eq!(unpack(&[FIRST, 255, 255, 255, 255, 0]), None);
    }
}
