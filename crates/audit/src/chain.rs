//! Links of a chain: each record holds the SHA-256 of the exact bytes of the one before.

use sha2::{Digest, Sha256};
use tenantry_contracts::audit::GENESIS_TAG;

/// The last link of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its place, counted from one; zero before the first record.
    pub seq: i64,
    /// The digest of its bytes, or the genesis digest before the first record.
    pub digest: [u8; 32],
}

impl Head {
    /// Before the first record of a chain.
    pub fn start(chain: &str) -> Self {
        Self { seq: 0, digest: genesis(chain) }
    }

    /// What the next record must hold as `prev`, hexadecimal.
    pub fn prev(&self) -> String {
        hex::encode(self.digest)
    }

    /// After a record with these bytes.
    #[must_use]
    pub fn after(&self, value: &[u8]) -> Self {
        Self { seq: self.seq + 1, digest: digest(value) }
    }
}

/// The digest of a record's value.
pub fn digest(value: &[u8]) -> [u8; 32] {
    Sha256::digest(value).into()
}

/// What the first record of a chain commits to: the fixed tag, a line feed and the chain's name.
pub fn genesis(chain: &str) -> [u8; 32] {
    digest(format!("{GENESIS_TAG}\n{chain}").as_bytes())
}
