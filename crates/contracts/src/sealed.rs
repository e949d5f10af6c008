//! Personal data is sealed from the moment it is heard.
//!
//! Each tenant has a random 256-bit [`DataKey`], wrapped by the fleet's [`MasterKey`] and kept in PostgreSQL only.
//! A [`Sealed`] value is ChaCha20-Poly1305 with the fleet, the tenant and the field as associated data, so that it
//! opens only where it belongs. Destroying the data key erases every value that was sealed with it.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Fleet, TenantId};

const NONCE: usize = 12;

/// A sealed value as text: `v1:<key generation>:<base64 of nonce and ciphertext>`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Sealed(String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

impl Sealed {
    /// The sealed text, as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A sealed text that was stored.
    pub fn read(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A sealed value or a wrapped key did not open: other key, other place, or altered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open with this key in this place")]
pub struct Unopenable;

/// A tenant's key. Never printed, never serialised but wrapped.
#[derive(Clone)]
pub struct DataKey([u8; 32]);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl DataKey {
    /// A key from 32 bytes of entropy.
    pub fn new(entropy: [u8; 32]) -> Self {
        Self(entropy)
    }

    /// Seals one field. `nonce` must be fresh entropy.
    pub fn seal(&self, place: &Place<'_>, clear: &str, nonce: [u8; NONCE]) -> Sealed {
        let sealed = encrypt(&self.0, &place.associated(), clear.as_bytes(), nonce);
        Sealed(format!("v1:1:{}", BASE64.encode(sealed)))
    }

    /// Opens one field.
    ///
    /// # Errors
    /// [`Unopenable`] where key or place differ or the text was altered.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<String, Unopenable> {
        let text = sealed.0.strip_prefix("v1:1:").ok_or(Unopenable)?;
        let bytes = BASE64.decode(text).map_err(|_| Unopenable)?;
        let clear = decrypt(&self.0, &place.associated(), &bytes)?;
        String::from_utf8(clear).map_err(|_| Unopenable)
    }
}

impl DataKey {
    /// The salt of commitments to this field. Hashed twice, so that no salt leads to that of a longer name.
    pub(crate) fn salt(&self, place: &Place<'_>) -> [u8; 32] {
        let inner = Sha256::new().chain_update(b"tenantry/1 salt\n").chain_update(self.0);
        Sha256::digest(inner.chain_update(place.associated()).finalize()).into()
    }
}

/// The fleet's key, from a file that only the fleet's own account can read.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// A key from 32 bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok().map(|()| Self(bytes))
    }

    /// Wraps a tenant's key. `nonce` must be fresh entropy.
    pub fn wrap(&self, fleet: &Fleet, tenant: TenantId, key: &DataKey, nonce: [u8; NONCE]) -> Vec<u8> {
        encrypt(&self.0, &Place { fleet, tenant, field: "data-key" }.associated(), &key.0, nonce)
    }

    /// Unwraps a tenant's key.
    ///
    /// # Errors
    /// [`Unopenable`] where the master key, the fleet or the tenant differ or the bytes were altered.
    pub fn unwrap(&self, fleet: &Fleet, tenant: TenantId, wrapped: &[u8]) -> Result<DataKey, Unopenable> {
        let bytes = decrypt(&self.0, &Place { fleet, tenant, field: "data-key" }.associated(), wrapped)?;
        bytes.try_into().map(DataKey).map_err(|_| Unopenable)
    }
}

/// Where a sealed value belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The installation.
    pub fleet: &'a Fleet,
    /// The tenant.
    pub tenant: TenantId,
    /// The field, by its name in the request.
    pub field: &'a str,
}

impl Place<'_> {
    fn associated(&self) -> Vec<u8> {
        format!("tenantry/1\n{}\n{}\n{}", self.fleet, self.tenant, self.field).into_bytes()
    }
}

fn encrypt(key: &[u8; 32], aad: &[u8], msg: &[u8], nonce: [u8; NONCE]) -> Vec<u8> {
    let cipher = ChaCha20Poly1305::new(key.into());
    // Encryption into memory fails only for inputs of 256 GiB and more; requests end at 256 KiB.
    let sealed = cipher.encrypt(&Nonce::from(nonce), Payload { msg, aad }).unwrap_or_default();
    [nonce.as_slice(), &sealed].concat()
}

fn decrypt(key: &[u8; 32], aad: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Unopenable> {
    let (nonce, msg) = bytes.split_at_checked(NONCE).ok_or(Unopenable)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| Unopenable)?;
    ChaCha20Poly1305::new(key.into())
        .decrypt(&Nonce::from(nonce), Payload { msg, aad })
        .map_err(|_| Unopenable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_where_it_belongs() {
        let (fleet, other) = (Fleet::new("a"), Fleet::new("b"));
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        let key = DataKey::new([3; 32]);
        let place = Place { fleet: &fleet, tenant, field: "email" };
        let sealed = key.seal(&place, "ada@example.com", [9; 12]);
        assert!(!sealed.as_str().contains("ada"));
        assert_eq!(key.open(&place, &sealed).unwrap(), "ada@example.com");
        assert_eq!(key.open(&Place { field: "name", ..place }, &sealed), Err(Unopenable));
        assert_eq!(key.open(&Place { fleet: &other, ..place }, &sealed), Err(Unopenable));
        assert_eq!(
            key.open(&Place { tenant: TenantId(uuid::Uuid::nil()), ..place }, &sealed),
            Err(Unopenable)
        );
        assert_eq!(DataKey::new([4; 32]).open(&place, &sealed), Err(Unopenable));
        assert_eq!(key.open(&place, &Sealed::read("v1:1:AAAA")), Err(Unopenable));
    }

    #[test]
    fn a_wrapped_key_comes_back() {
        let fleet = Fleet::new("a");
        let tenant = TenantId(uuid::Uuid::from_u128(1));
        let master = MasterKey::parse(&"07".repeat(32)).unwrap();
        let wrapped = master.wrap(&fleet, tenant, &DataKey::new([5; 32]), [1; 12]);
        assert_eq!(master.unwrap(&fleet, tenant, &wrapped).unwrap().0, [5; 32]);
        assert!(master.unwrap(&Fleet::new("b"), tenant, &wrapped).is_err());
    }
}
