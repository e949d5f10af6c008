//! Where a key lives: murmur2 as Kafka's own clients compute it.

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`), seed `0x9747b28c`.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut h: u32 = 0x9747_b28c ^ (data.len() as u32);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
        k = k.wrapping_mul(M);
        k ^= k >> R;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M);
        h ^= k;
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^= h >> 15;
    h
}

/// The partition of `key` among `partitions`; the mask makes the hash positive as Kafka's `toPositive` does.
///
/// `partitions` of zero is treated as one.
pub fn partition_of(key: &[u8], partitions: u16) -> u16 {
    ((murmur2(key) & 0x7fff_ffff) % u32::from(partitions.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    // The vectors of Kafka's own UtilsTest.testMurmur2.
    #[test]
    fn murmur2_agrees_with_kafka() {
        let cases: [(&str, i32); 7] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (text, want) in cases {
            assert_eq!(murmur2(text.as_bytes()) as i32, want, "{text}");
        }
    }
}
