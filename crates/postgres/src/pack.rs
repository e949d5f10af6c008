//! How journal rows are stored: entry and facts in one piece, since they tell the same in other words, shortened against
//! a dictionary of what rows of the product's own plans have in common.
//!
//! The bytes that come out are the bytes that went in; a fact stays exactly as it will be said. The first byte of the
//! entry's column says how a row is stored, so that every format that ever was can be read. A row that would not get
//! shorter stays as it is.

use std::cell::RefCell;
use std::sync::LazyLock;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// As it is: each column holds its own value.
const PLAIN: u8 = 0;
/// Zstandard against the first dictionary, entry and facts together in the entry's column; the lengths of both come first.
const TOGETHER: u8 = 2;

/// Trained on rows of the product's own plans by `examples/dictionary.rs`. Never edited: another dictionary is another
/// format.
const DICTIONARY: &[u8] = include_bytes!("pack/rows-1.zdict");
/// The fastest level that still codes by frequency: half the bytes of the levels below it, and no slower than they are
/// once the bytes that are not written count.
const LEVEL: i32 = 1;

/// Room that stays for the next row.
const KEPT: usize = 64 << 10;
/// Larger than any row: what claims to be larger is no row of ours.
const LARGEST: usize = 64 << 20;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    // Their tables are made once for a thread, not once for a row.
    static PACKING: RefCell<Option<Packing>> = RefCell::new(Packing::new());
    static UNPACKING: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER).ok());
}

/// What packing needs again and again.
struct Packing {
    compressor: Compressor<'static>,
    whole: Vec<u8>,
    packed: Vec<u8>,
}

impl Packing {
    fn new() -> Option<Self> {
        let compressor = Compressor::with_prepared_dictionary(&ENCODER).ok()?;
        Some(Self { compressor, whole: Vec::new(), packed: Vec::new() })
    }

    /// Entry and facts in one piece, after their lengths.
    fn together(&mut self, entry: &[u8], facts: &[u8]) -> Option<Vec<u8>> {
        self.whole.clear();
        self.whole.extend_from_slice(entry);
        self.whole.extend_from_slice(facts);
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.whole.len()));
        self.compressor.compress_to_buffer(&self.whole, &mut self.packed).ok()?;
        let mut stored = Vec::with_capacity(1 + 4 + 4 + self.packed.len());
        stored.push(TOGETHER);
        stored.extend_from_slice(&u32::try_from(entry.len()).ok()?.to_be_bytes());
        stored.extend_from_slice(&u32::try_from(facts.len()).ok()?.to_be_bytes());
        stored.extend_from_slice(&self.packed);
        // One row that is far larger than the others does not keep its room for ever.
        self.whole.shrink_to(KEPT);
        self.packed.shrink_to(KEPT);
        Some(stored)
    }
}

/// The columns `entry` and `facts` of a row, as they are stored.
pub(crate) fn pack(entry: &[u8], facts: &[u8]) -> (Vec<u8>, Vec<u8>) {
    PACKING
        .with_borrow_mut(|packing| packing.as_mut()?.together(entry, facts))
        .filter(|packed| packed.len() < entry.len() + facts.len())
        .map_or_else(|| (plain(entry), plain(facts)), |packed| (packed, Vec::new()))
}

fn plain(value: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(value.len() + 1);
    stored.push(PLAIN);
    stored.extend_from_slice(value);
    stored
}

/// The entry and the facts that were stored. `None` where the bytes are of no format that this program knows, or damaged.
pub(crate) fn unpack(entry: &[u8], facts: &[u8]) -> Option<(Bytes, Bytes)> {
    match entry.split_first()? {
        (&PLAIN, entry) => {
            let (&PLAIN, facts) = facts.split_first()? else { return None };
            Some((Bytes::copy_from_slice(entry), Bytes::copy_from_slice(facts)))
        }
        (&TOGETHER, rest) if facts.is_empty() => {
            let (entry, rest) = rest.split_first_chunk::<4>()?;
            let (facts, packed) = rest.split_first_chunk::<4>()?;
            let [entry, facts] = [entry, facts].map(|length| u32::from_be_bytes(*length) as usize);
            let length = entry.checked_add(facts).filter(|length| *length <= LARGEST)?;
            let value =
                UNPACKING.with_borrow_mut(|unpacking| unpacking.as_mut()?.decompress(packed, length).ok())?;
            let mut facts = Bytes::from(value);
            (facts.len() == length).then(|| (facts.split_to(entry), facts))
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
            entry in proptest::collection::vec(any::<u8>(), 0..600),
            facts in proptest::collection::vec(any::<u8>(), 0..2000),
            flip in any::<(prop::sample::Index, u8)>(),
        ) {
            let (mut stored, other) = pack(&entry, &facts);
            prop_assert_eq!(unpack(&stored, &other).unwrap(), (Bytes::from(entry.clone()), Bytes::from(facts.clone())));
            prop_assert!(stored.len() + other.len() <= entry.len() + facts.len() + 2);
            let at = flip.0.index(stored.len());
            stored[at] ^= flip.1;
            let _ = unpack(&stored, &other);
            let _ = unpack(&stored[..at], &other);
        }
    }

    #[test]
    fn a_step_of_any_plan_gets_to_less_than_a_third() {
        let entry = r#"{"v":1,"c":{"r":{"topic":"tenant.results","partition":2,"offset":815}},"h":"2187fa880513e30d12f7aaa42d5e10b22224f7356fbe80cad154e1c9f61c267a","x":{"what":"tenant.step.succeeded","run":3,"output":{"database":"acme_intel","role":"acme_intel_owner"}}}"#;
        let event = r#"{"format":1,"fleet":"local","chain":"01a20029-6383-78ba-bec7-8c0dcaa3d4d3","seq":7,"prev":"6fbe80cad154e1c9f61c267a2187fa880513e30d12f7aaa42d5e10b22224f735","type":"tenant.step.succeeded","at":"2026-11-21T22:10:43.155Z","lane":2,"n":4711,"cause":{"topic":"tenant.results","partition":2,"offset":815},"digest":"2187fa880513e30d12f7aaa42d5e10b22224f7356fbe80cad154e1c9f61c267a","tenant":{"id":"01a20029-6383-78ba-bec7-8c0dcaa3d4d3","slug":"acme-intel","environment":"prod"},"state":"PROVISIONING","saga":"640245ee-c7be-539f-8912-4b5643b65301","row":"database","step":"database.provision","token":42,"took_ms":843,"operation":{"source":"https://crm.example.com","id":"7f9c2a"},"commitment":"0513e30d12f7aaa42d5e10b22224f7356fbe80cad154e1c9f61c267a2187fa88"}"#;
        let (packed, empty) = pack(entry.as_bytes(), event.as_bytes());
        assert!(empty.is_empty());
        let whole = entry.len() + event.len();
        assert!(packed.len() * 3 < whole, "{} of {whole}", packed.len());
    }

    #[test]
    fn a_format_of_the_future_is_not_guessed_at() {
        assert_eq!(unpack(&[9, 1, 2, 3], &[]), None);
        assert_eq!(unpack(&[], &[]), None);
        assert_eq!(unpack(&[TOGETHER, 255, 255, 255, 255, 0, 0, 0, 0, 0], &[]), None);
        assert_eq!(unpack(&[PLAIN], &[]), None);
    }
}
