//! A tenant for a check: fresh ids, a key, and contexts as `serve` would hand them in.

use std::sync::Arc;

use tenantry_contracts::sealed::Place;
use tenantry_contracts::{DataKey, Environment, Fleet, Sealed, Slug, TenantId, Time, Token};

use crate::{Cx, Keyring, Points};

/// The time of every context: tests with dates of their own put them around it.
pub const NOW: Time = Time(1_800_000_000_000);

/// A tenant that nobody else has.
#[derive(Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its slug; a check may give two tenants similar ones.
    pub slug: Slug,
    /// The installation.
    pub fleet: Fleet,
    /// How long a question may take, in milliseconds.
    pub limit_ms: i64,
    key: DataKey,
}

impl Tenant {
    /// A tenant with a random id.
    #[allow(clippy::missing_panics_doc)]
    pub fn fresh() -> Self {
        let random = entropy();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[..10]);
        let id = TenantId::new(NOW, tail);
        let slug =
            Slug::parse(&format!("kit-{}", &id.simple()[20..])).expect("hexadecimal digits are allowed");
        Self { id, slug, fleet: Fleet::new("kit"), limit_ms: 30_000, key: DataKey::new(random) }
    }

    /// The context of a question with this token.
    pub fn cx(&self, token: i64) -> Cx {
        self.cx_at(token, Arc::new(()))
    }

    /// The same with points armed.
    pub fn cx_at(&self, token: i64, points: Arc<dyn Points>) -> Cx {
        Cx::new(
            self.fleet.clone(),
            self.id,
            self.slug.clone(),
            Environment::default(),
            None,
            Token(token),
            NOW,
            NOW.plus(self.limit_ms),
            entropy(),
            Keyring::new(self.key.clone()),
            points,
        )
    }

    /// Seals a field of the tenant's request.
    pub fn seal(&self, field: &str, clear: &str) -> Sealed {
        let mut nonce = [0; 12];
        // The same text each time, so that the same input is the same.
        for (at, byte) in field.bytes().enumerate() {
            nonce[at % 12] ^= byte;
        }
        self.key.seal(&Place { fleet: &self.fleet, tenant: self.id, field }, clear, nonce)
    }
}

fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    bytes
}
