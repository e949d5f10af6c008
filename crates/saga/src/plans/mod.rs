//! The plans themselves, one file for each kind.

mod provision;

use crate::Registry;

pub use provision::PROVISION_1;

/// Every plan of the product, with these capability packs.
pub fn all(packs: impl Into<Vec<String>>) -> Registry {
    Registry::new([&PROVISION_1], packs)
}
