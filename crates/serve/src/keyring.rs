//! The tenants' keys: read when a command carries something sealed, and kept for a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tenantry_contracts::{DataKey, TenantId, Time, command::Body};
use tenantry_ports::{Clock, Entropy, Keys};
use tenantry_step::Keyring;

use crate::patience::Patience;

/// How long a key may be used after it was read: an erased tenant's key is gone everywhere after that.
const KEPT_MS: i64 = 60_000;
/// The most keys that are kept.
const KEPT: usize = 1024;

/// Reads keys, and keeps those that were read lately.
pub(crate) struct KeyCache<K> {
    keys: K,
    kept: Mutex<BTreeMap<TenantId, (Time, DataKey)>>,
}

impl<K: Keys> KeyCache<K> {
    /// An empty cache.
    pub(crate) fn new(keys: K) -> Self {
        Self { keys, kept: Mutex::new(BTreeMap::new()) }
    }

    /// What opens the command's sealed values; empty where it carries none or the key is gone. Waits while the store
    /// is down.
    pub(crate) async fn open<C: Clock, E: Entropy>(
        &self,
        tenant: TenantId,
        body: &Body,
        patience: &Patience<C, E>,
    ) -> Keyring {
        if !carries_sealed(body) {
            return Keyring::default();
        }
        let now = patience.clock.now();
        if let Some(key) = self.kept(tenant, now) {
            return Keyring::new(key);
        }
        match patience.insist("keys", || self.keys.key(tenant)).await {
            Some(key) => {
                self.keep(tenant, now, key.clone());
                Keyring::new(key)
            }
            None => Keyring::default(),
        }
    }

    fn kept(&self, tenant: TenantId, now: Time) -> Option<DataKey> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&tenant).filter(|(read, _)| now.since(*read) < KEPT_MS).map(|(_, key)| key.clone())
    }

    fn keep(&self, tenant: TenantId, now: Time, key: DataKey) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            kept.retain(|_, (read, _)| now.since(*read) < KEPT_MS);
        }
        if kept.len() >= KEPT {
            kept.pop_first();
        }
        kept.insert(tenant, (now, key));
    }
}

/// A sealed value stands somewhere in the command. Saves most commands a round trip; may err only towards `true`.
fn carries_sealed(body: &Body) -> bool {
    let sealed = |text: &str| text.contains("\"v1:");
    sealed(body.input.text()) || body.made.as_ref().is_some_and(|made| sealed(made.text()))
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::sealed::Place;
    use tenantry_contracts::{Environment, Fleet, Json, Slug, StepName};

    use super::*;

    #[test]
    fn a_sealed_value_is_found_wherever_it_stands() {
        let fleet = Fleet::new("local");
        let place = Place { fleet: &fleet, tenant: TenantId(uuid::Uuid::nil()), field: "email" };
        let sealed = DataKey::new([1; 32]).seal(&place, "ada@example.com", [2; 12]);
        let mut body = Body {
            fleet: Fleet::new("local"),
            cell: 0,
            step: StepName::new("a.b"),
            slug: Slug::parse("acme").unwrap(),
            environment: Environment::default(),
            region: None,
            supersedes: false,
            input: Json::of(&["plain", "v2"]).unwrap(),
            made: None,
        };
        assert!(!carries_sealed(&body));
        body.made = Some(Json::of(&(1, [[&sealed]])).unwrap());
        assert!(carries_sealed(&body));
        body.input = Json::of(&[("email", &sealed)]).unwrap();
        body.made = None;
        assert!(carries_sealed(&body));
    }
}
