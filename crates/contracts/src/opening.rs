//! Commitments: personal data stands in the audit only as a digest over a salt and the value.
//!
//! The salt is a function of the tenant's key, so an opening is not stored: it is made from the sealed value and the key, and
//! once the key is destroyed nobody can make it again or find the value by guessing. What was said in the audit stands.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sealed::{DataKey, Place};

/// The field of the commitment to the request as upstream said it: to the hexadecimal SHA-256 of the document's bytes.
pub const DOCUMENT: &str = "document";

/// What opens a commitment: whoever is given it can check it, and tell nobody else anything by it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The field, by its name in the request.
    pub field: String,
    /// The salt: 32 bytes, hexadecimal.
    pub salt: String,
    /// The value.
    pub value: String,
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opening({})", self.field)
    }
}

impl Opening {
    /// The opening of a value in its place.
    pub fn new(key: &DataKey, place: &Place<'_>, value: &str) -> Self {
        Self { field: place.field.to_owned(), salt: hex::encode(key.salt(place)), value: value.to_owned() }
    }

    /// The commitment: hexadecimal SHA-256 over the line `tenantry-commitment/1`, the field, the salt, each with a line feed,
    /// and the value.
    pub fn commitment(&self) -> String {
        let Self { field, salt, value } = self;
        hex::encode(Sha256::digest(format!("tenantry-commitment/1\n{field}\n{salt}\n{value}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fleet, TenantId};

    #[test]
    fn a_commitment_is_salted_by_key_and_place() {
        let fleet = Fleet::new("a");
        let place = |field| Place { fleet: &fleet, tenant: TenantId(uuid::Uuid::from_u128(1)), field };
        let of =
            |key: u8, field, value| Opening::new(&DataKey::new([key; 32]), &place(field), value).commitment();
        let one = of(1, "name", "Acme");
        assert_eq!(one, of(1, "name", "Acme"));
        for other in [of(2, "name", "Acme"), of(1, "admin.email", "Acme"), of(1, "name", "Acme ")] {
            assert_ne!(one, other);
        }
        let opening = Opening::new(&DataKey::new([1; 32]), &place("name"), "Acme");
        assert!(!format!("{opening:?}").contains("Acme"));
    }
}
