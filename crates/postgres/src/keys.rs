//! [`PgKeys`]: the tenants' keys, unwrapped, for workers that must open what is sealed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tenantry_contracts::{DataKey, Fleet, MasterKey, TenantId};
use tenantry_ports::{Keys, StoreError};
use uuid::Uuid;

use crate::Error;
use crate::connect::{Hot, Purpose, prepared};
use crate::gather::{Gather, Trouble};

const KEYS: Purpose = Purpose { name: "keys", connections: 1, statement_ms: 10_000, lock_ms: 2_000 };
const SQL: &str = "select k.tenant, k.wrapped from unnest($1::uuid[]) as a(tenant) join tenant_key k on k.tenant = a.tenant";

/// The most keys that are held in memory.
const HELD: usize = 4_096;
/// How long a key that was destroyed may still be used here.
const HELD_FOR: Duration = Duration::from_secs(30);

/// Keys on PostgreSQL. Holds up to 4,096 of them for up to thirty seconds: a key that was destroyed opens nothing any
/// more after that time.
#[derive(Clone)]
pub struct PgKeys {
    read: Gather<TenantId, Option<Vec<u8>>>,
    held: Arc<Mutex<HashMap<TenantId, (DataKey, Instant)>>>,
    fleet: Fleet,
    master: MasterKey,
}

impl PgKeys {
    /// Connects. Call it within the runtime that will use it.
    ///
    /// # Errors
    /// Where the URL cannot be used or the server cannot be reached.
    pub async fn connect(url: &str, fleet: Fleet, master: MasterKey) -> Result<Self, Error> {
        let pool = Hot::new(url, KEYS)?;
        pool.try_out().await?;
        let read = Gather::start(move |tenants| wrapped(pool.clone(), tenants));
        Ok(Self { read, held: Arc::default(), fleet, master })
    }

    /// The statements of the hot path, by name: for tests of their plans.
    #[doc(hidden)]
    #[must_use]
    pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
        vec![("keys", SQL)]
    }

    fn held(&self, tenant: TenantId) -> Option<DataKey> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&tenant).filter(|(_, since)| since.elapsed() < HELD_FOR).map(|(key, _)| key.clone())
    }

    fn hold(&self, tenant: TenantId, key: DataKey) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= HELD {
            held.retain(|_, (_, since)| since.elapsed() < HELD_FOR);
        }
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(tenant, (key, Instant::now()));
    }
}

impl Keys for PgKeys {
    async fn key(&self, tenant: TenantId) -> Result<Option<DataKey>, StoreError> {
        if let Some(key) = self.held(tenant) {
            return Ok(Some(key));
        }
        let Some(wrapped) = self.read.ask(vec![tenant]).await?.pop().flatten() else { return Ok(None) };
        let key = self.master.unwrap(&self.fleet, tenant, &wrapped).map_err(|_| {
            StoreError(
                "the key of a tenant does not open with this fleet's master key; start with the master key file \
                 and the fleet name that it was made with"
                    .to_owned(),
            )
        })?;
        self.hold(tenant, key.clone());
        Ok(Some(key))
    }
}

async fn wrapped(pool: Hot, tenants: Vec<TenantId>) -> Result<Vec<Option<Vec<u8>>>, Trouble> {
    let client = pool.lease().await?;
    let statement = prepared(&client, SQL).await?;
    let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
    let rows = client.query(&statement, &[&ids]).await?;
    let mut found: HashMap<Uuid, Vec<u8>> = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}
