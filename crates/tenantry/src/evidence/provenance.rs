//! Which build made a bundle.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The exact versions of everything that was built in.
const LOCK: &[u8] = include_bytes!("../../../../Cargo.lock");

/// Where this program comes from.
#[derive(Debug, Serialize)]
pub(super) struct Provenance {
    program: &'static str,
    version: &'static str,
    /// The revision of the source, where the build was told it.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'static str>,
    /// What it was built for.
    target: &'static str,
    /// SHA-256 of the lock file that it was built with.
    cargo_lock_sha256: String,
}

impl Provenance {
    pub(super) fn of_this_build() -> Self {
        Self {
            program: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            revision: option_env!("TENANTRY_REVISION").filter(|revision| !revision.is_empty()),
            target: env!("TENANTRY_TARGET"),
            cargo_lock_sha256: hex::encode(Sha256::digest(LOCK)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_knows_what_it_is() {
        let built = Provenance::of_this_build();
        assert_eq!((built.program, built.cargo_lock_sha256.len()), ("tenantry", 64));
        assert!(built.target.contains('-'), "{}", built.target);
    }
}
