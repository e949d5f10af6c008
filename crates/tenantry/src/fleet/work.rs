//! What workers need from outside: the tenants' database, their folders, their rules; and making all of it ready.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use serde::{Deserialize, Serialize};
use tenantry_contracts::catalogue::Catalogue;
use tenantry_step::postgres::Databases;
use tenantry_worker_capacity::Pools;
use tenantry_worker_policy::Engine;

use super::Worker;
use crate::out::{Refused, failed};
use crate::settings::Secret;

/// The most connections to the tenants' database: more do not make DDL faster.
const CONNECTIONS: usize = 24;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What workers need.
#[derive(Clone, Debug)]
pub struct Work {
    /// The database that tenants are made in.
    pub tenants_url: Secret,
    /// Their folders.
    pub places: Places,
    /// How they write to people.
    pub letters: Letters,
    /// The templates.
    pub catalogue: Arc<Catalogue>,
    /// Who evaluates policies.
    pub engine: Engine,
    /// The pools of capacity.
    pub pools: Pools,
    /// The private key that signs receipts, as PEM; only the worker `receipt` needs it.
    pub receipt_key: Option<Secret>,
    /// How many commands run at a time.
    pub concurrency: u16,
}

/// Folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Where mails are written.
    pub outbox: PathBuf,
    /// Where tenants' files lie.
    pub storage: PathBuf,
    /// Where tenants' sealed keys lie.
    pub secrets: PathBuf,
    /// Where receipts lie.
    pub receipts: PathBuf,
}

/// How workers write to people.
#[derive(Clone, Debug)]
pub struct Letters {
    /// The sender, as in `Tenantry <no-reply@example.com>`.
    pub from: String,
    /// What links in mails begin with.
    pub base_url: String,
    /// Where people find help.
    pub support_url: String,
    /// The mail server; mails are written into the outbox where there is none.
    pub smtp: Option<Secret>,
    /// The admins who are told.
    pub admins: Vec<String>,
}

impl Work {
    /// A pool of connections to the tenants' database, and the way into other databases of its server.
    ///
    /// # Errors
    /// `tenants_database`: the address cannot be read.
    pub fn connect(&self) -> Result<(Pool, Databases), Refused> {
        connect(&self.tenants_url, usize::from(self.concurrency))
    }
}

/// A pool of connections to the tenants' database, for a command of a person.
///
/// # Errors
/// `tenants_database`: the address cannot be read.
pub(crate) fn tenants_pool(url: &Secret) -> Result<Pool, Refused> {
    connect(url, 1).map(|(pool, _)| pool)
}

fn connect(url: &Secret, concurrency: usize) -> Result<(Pool, Databases), Refused> {
    let refused = |why: String| failed("tenants_database", why);
    let (mut config, tls) =
        tenantry_postgres::connect::plain(url.expose()).map_err(|error| refused(error.to_string()))?;
    if config.get_application_name().is_none() {
        config.application_name("tenantry workers");
    }
    config.connect_timeout(PATIENCE).keepalives_idle(Duration::from_secs(10));
    let databases = Databases::new(config.clone(), tls.clone());
    // Nothing that one tenant's work has set may reach the next lease.
    let manager =
        Manager::from_config(config, tls, ManagerConfig { recycling_method: RecyclingMethod::Clean });
    let pool = Pool::builder(manager)
        .max_size(concurrency.clamp(1, CONNECTIONS))
        .timeouts(Timeouts { wait: None, create: Some(PATIENCE), recycle: Some(PATIENCE) })
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| refused(error.to_string()))?;
    Ok((pool, databases))
}

/// Makes what workers need for themselves, in the tenants' database and in their folders.
///
/// # Errors
/// As [`prepare_database`]; `folder_unusable`: a folder cannot be made or written.
pub async fn prepare(work: &Work, workers: &BTreeSet<Worker>) -> Result<(), Refused> {
    prepare_database(&work.tenants_url, workers, &work.pools).await?;
    let Places { outbox, storage, secrets, .. } = &work.places;
    for worker in workers {
        let prepared = match worker {
            Worker::Storage => tenantry_worker_storage::prepare(storage).await,
            Worker::Secrets => tenantry_worker_secrets::prepare(secrets).await,
            Worker::Notify => tenantry_worker_notify::prepare(outbox).await,
            _ => Ok(()),
        };
        prepared.map_err(|trouble| {
            let advice = "check the folder's path and its rights";
            failed("folder_unusable", format!("worker {}: {trouble}; {advice}", worker.name()))
        })?;
    }
    Ok(())
}

/// Makes what workers need for themselves in the tenants' database.
///
/// # Errors
/// `tenants_database`: it cannot be reached, or the account may not create schemas.
pub async fn prepare_database(
    url: &Secret,
    workers: &BTreeSet<Worker>,
    pools: &Pools,
) -> Result<(), Refused> {
    let (pool, _) = connect(url, 1)?;
    for worker in workers {
        let prepared = match worker {
            Worker::Policy => tenantry_worker_policy::prepare(&pool).await,
            Worker::Validate => tenantry_worker_validate::prepare(&pool).await,
            Worker::Capacity => tenantry_worker_capacity::prepare(&pool, pools).await,
            Worker::Identity => tenantry_worker_identity::prepare(&pool).await,
            Worker::Database => tenantry_worker_database::prepare(&pool).await,
            Worker::Quota => tenantry_worker_quota::prepare(&pool).await,
            Worker::Config => tenantry_worker_config::prepare(&pool).await,
            Worker::Verify => tenantry_worker_verify::prepare(&pool).await,
            Worker::Credentials => tenantry_worker_credentials::prepare(&pool).await,
            Worker::Receipt => tenantry_worker_receipt::prepare(&pool).await,
            Worker::Storage | Worker::Secrets | Worker::Notify => Ok(()),
        };
        prepared.map_err(|trouble| {
            let name = worker.name();
            let advice = "check --tenants-url, that the server runs, and that the account may create schemas, roles and databases";
            failed("tenants_database", format!("worker {name} cannot prepare the tenants' database: {trouble}; {advice}"))
        })?;
    }
    Ok(())
}
