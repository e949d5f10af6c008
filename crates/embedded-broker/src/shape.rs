//! A look at a request before it is decoded. The decoder makes room for as many elements as an array claims to have, so a frame
//! of forty bytes could ask for hundreds of gigabytes; here the claims are held against the bytes that really came.

use kafka_protocol::messages::ApiKey;

/// The fields of each request, from a version on. `b`, `h`, `i`, `l`, `u`: 1, 2, 4, 8, 16 bytes; `s`: text; `y`: bytes;
/// `[..]`: array of structures; `(.)`: array of plain values.
const SHAPES: &[(ApiKey, i16, &str)] = &[
    (ApiKey::Produce, 3, "shi[s[iy]]"),
    (ApiKey::Fetch, 4, "iiiib[s[ili]]"),
    (ApiKey::Fetch, 5, "iiiib[s[illi]]"),
    (ApiKey::Fetch, 7, "iiiibii[s[illi]][s(i)]"),
    (ApiKey::Fetch, 9, "iiiibii[s[iilli]][s(i)]"),
    (ApiKey::Fetch, 11, "iiiibii[s[iilli]][s(i)]s"),
    (ApiKey::ListOffsets, 1, "i[s[il]]"),
    (ApiKey::ListOffsets, 2, "ib[s[il]]"),
    (ApiKey::ListOffsets, 4, "ib[s[iil]]"),
    (ApiKey::Metadata, 0, "[s]"),
    (ApiKey::Metadata, 4, "[s]b"),
    (ApiKey::Metadata, 8, "[s]bbb"),
    (ApiKey::Metadata, 10, "[us]bbb"),
    (ApiKey::Metadata, 11, "[us]bb"),
    (ApiKey::OffsetCommit, 2, "sisl[s[ils]]"),
    (ApiKey::OffsetCommit, 5, "sis[s[ils]]"),
    (ApiKey::OffsetCommit, 6, "sis[s[ilis]]"),
    (ApiKey::OffsetCommit, 7, "siss[s[ilis]]"),
    (ApiKey::OffsetFetch, 1, "s[s(i)]"),
    (ApiKey::OffsetFetch, 7, "s[s(i)]b"),
    (ApiKey::FindCoordinator, 0, "s"),
    (ApiKey::FindCoordinator, 1, "sb"),
    (ApiKey::JoinGroup, 0, "siss[sy]"),
    (ApiKey::JoinGroup, 1, "siiss[sy]"),
    (ApiKey::JoinGroup, 5, "siisss[sy]"),
    (ApiKey::JoinGroup, 8, "siisss[sy]s"),
    (ApiKey::Heartbeat, 0, "sis"),
    (ApiKey::Heartbeat, 3, "siss"),
    (ApiKey::LeaveGroup, 0, "ss"),
    (ApiKey::LeaveGroup, 3, "s[ss]"),
    (ApiKey::LeaveGroup, 5, "s[sss]"),
    (ApiKey::SyncGroup, 0, "sis[sy]"),
    (ApiKey::SyncGroup, 3, "siss[sy]"),
    (ApiKey::SyncGroup, 5, "sissss[sy]"),
    (ApiKey::DescribeGroups, 0, "(s)"),
    (ApiKey::DescribeGroups, 3, "(s)b"),
    (ApiKey::ListGroups, 0, ""),
    (ApiKey::ListGroups, 4, "(s)"),
    (ApiKey::ApiVersions, 0, ""),
    (ApiKey::ApiVersions, 3, "ss"),
    (ApiKey::CreateTopics, 2, "[sih[i(i)][ss]]ib"),
    (ApiKey::DeleteTopics, 1, "(s)i"),
    (ApiKey::DeleteTopics, 6, "[su]i"),
    (ApiKey::DeleteRecords, 0, "[s[il]]i"),
    (ApiKey::InitProducerId, 0, "si"),
    (ApiKey::InitProducerId, 3, "silh"),
    (ApiKey::DescribeConfigs, 1, "[bs(s)]b"),
    (ApiKey::DescribeConfigs, 3, "[bs(s)]bb"),
    (ApiKey::AlterConfigs, 0, "[bs[ss]]b"),
    (ApiKey::CreatePartitions, 0, "[si[(i)]]ib"),
    (ApiKey::DeleteGroups, 0, "(s)"),
    (ApiKey::IncrementalAlterConfigs, 0, "[bs[sbs]]b"),
];

/// Walks over a whole request; `None` where its bytes cannot hold what it claims, else the number of bytes left over.
pub(crate) fn check(key: ApiKey, version: i16, frame: &[u8]) -> Option<usize> {
    let fields = SHAPES.iter().rev().find(|(api, from, _)| *api == key && *from <= version)?.2;
    let header_version = key.request_header_version(version);
    let mut rest = Rest { bytes: frame, flexible: false };
    rest.fields(if header_version == 0 { b"hhi" } else { b"hhis" })?;
    rest.flexible = header_version >= 2;
    rest.tags()?;
    rest.fields(fields.as_bytes())?;
    rest.tags()?;
    Some(rest.bytes.len())
}

struct Rest<'a> {
    bytes: &'a [u8],
    /// Lengths are variable, structures end in tagged fields.
    flexible: bool,
}

impl Rest<'_> {
    fn fields(&mut self, mut shape: &[u8]) -> Option<()> {
        while let Some((field, after)) = shape.split_first() {
            shape = after;
            match field {
                b'b' => self.skip(1)?,
                b'h' => self.skip(2)?,
                b'i' => self.skip(4)?,
                b'l' => self.skip(8)?,
                b'u' => self.skip(16)?,
                b's' => {
                    let length = self.length(2)?;
                    self.skip(length)?;
                }
                b'y' => {
                    let length = self.length(4)?;
                    self.skip(length)?;
                }
                open => {
                    let (element, after) = shape.split_at_checked(closing(shape)?)?;
                    shape = after.get(1..)?;
                    let count = self.length(4)?;
                    if count > self.bytes.len() {
                        return None;
                    }
                    for _ in 0..count {
                        self.fields(element)?;
                        if *open == b'[' {
                            self.tags()?;
                        }
                    }
                }
            }
        }
        Some(())
    }

    /// A length or count, of that many bytes where lengths are not variable. Absent counts as zero.
    fn length(&mut self, bytes: usize) -> Option<usize> {
        if self.flexible {
            return Some(self.varint()?.saturating_sub(1));
        }
        let (length, rest) = self.bytes.split_at_checked(bytes)?;
        self.bytes = rest;
        let negative = length[0] & 0x80 != 0;
        let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        Some(if negative { 0 } else { length })
    }

    fn tags(&mut self) -> Option<()> {
        if !self.flexible {
            return Some(());
        }
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let (first, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= usize::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.get(bytes..)?;
        Some(())
    }
}

/// Where the bracket that was opened just before `shape` closes.
fn closing(shape: &[u8]) -> Option<usize> {
    let mut open = 1;
    shape.iter().position(|field| {
        match field {
            b'[' | b'(' => open += 1,
            b']' | b')' => open -= 1,
            _ => {}
        }
        open == 0
    })
}

#[cfg(test)]
mod tests;
