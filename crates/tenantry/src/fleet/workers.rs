//! The workers by name, and their steps on their providers.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::ValueEnum;
use tenantry_contracts::{Json, MasterKey, StepName, WorkerName, steps};
use tenantry_ports::{Bus, Clock, Entropy, Keys, Ledger};
use tenantry_serve::Server;
use tenantry_step::{Answer, Cx, Observed, Step, Trouble};
use tenantry_worker_capacity::{Commit, Reserve};
use tenantry_worker_config::Config;
use tenantry_worker_credentials::Credentials;
use tenantry_worker_database::Database;
use tenantry_worker_identity::Identity;
use tenantry_worker_notify::{Notify, Transport};
use tenantry_worker_policy::Policy;
use tenantry_worker_quota::Quota;
use tenantry_worker_receipt::{Receipts, Signer};
use tenantry_worker_secrets::Secrets;
use tenantry_worker_storage::Storage;
use tenantry_worker_validate::Validate;
use tenantry_worker_verify::Verify;

use super::Work;
use crate::out::{Refused, usage};

/// A worker, by the name of its crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Worker {
    /// Asks the policies whether it may be done.
    Policy,
    /// Checks requests, and claims what only one tenant can have.
    Validate,
    /// Sets aside what the tenant will need.
    Capacity,
    /// Makes the tenant's record, namespace and partitions.
    Identity,
    /// Makes the tenant's tables in PostgreSQL.
    Database,
    /// Makes the place for the tenant's files.
    Storage,
    /// Makes the tenant's keys.
    Secrets,
    /// Assigns what the tenant may use in a day.
    Quota,
    /// Puts the tenant's configuration in force.
    Config,
    /// Looks whether all is healthy and isolated.
    Verify,
    /// Writes the mail with the one-time link.
    Credentials,
    /// Seals the receipts.
    Receipt,
    /// Tells the contact and the admins.
    Notify,
}

impl Worker {
    /// All of them, in the order of their work.
    pub const ALL: [Self; 13] = [
        Self::Policy,
        Self::Validate,
        Self::Capacity,
        Self::Identity,
        Self::Database,
        Self::Storage,
        Self::Secrets,
        Self::Quota,
        Self::Config,
        Self::Verify,
        Self::Credentials,
        Self::Receipt,
        Self::Notify,
    ];

    /// Its name on the wire.
    pub fn name(self) -> WorkerName {
        match self {
            Self::Policy => steps::policy::WORKER,
            Self::Validate => steps::validate::WORKER,
            Self::Capacity => steps::capacity::WORKER,
            Self::Identity => steps::identity::WORKER,
            Self::Database => steps::database::WORKER,
            Self::Storage => steps::storage::WORKER,
            Self::Secrets => steps::secrets::WORKER,
            Self::Quota => steps::quota::WORKER,
            Self::Config => steps::config::WORKER,
            Self::Verify => steps::verify::WORKER,
            Self::Credentials => steps::credentials::WORKER,
            Self::Receipt => steps::receipt::WORKER,
            Self::Notify => steps::notify::WORKER,
        }
    }

    /// The names of all of them, for the topics.
    pub fn names() -> Vec<WorkerName> {
        Self::ALL.map(Self::name).to_vec()
    }

    /// Where its steps can be broken on purpose.
    pub const fn points(self) -> &'static [&'static str] {
        match self {
            Self::Policy => tenantry_worker_policy::POINTS,
            Self::Validate => tenantry_worker_validate::POINTS,
            Self::Capacity => tenantry_worker_capacity::POINTS,
            Self::Identity => tenantry_worker_identity::POINTS,
            Self::Database => tenantry_worker_database::POINTS,
            Self::Storage => tenantry_worker_storage::POINTS,
            Self::Secrets => tenantry_worker_secrets::POINTS,
            Self::Quota => tenantry_worker_quota::POINTS,
            Self::Config => tenantry_worker_config::POINTS,
            Self::Verify => tenantry_worker_verify::POINTS,
            Self::Credentials => tenantry_worker_credentials::POINTS,
            Self::Receipt => tenantry_worker_receipt::POINTS,
            Self::Notify => tenantry_worker_notify::POINTS,
        }
    }
}

/// Every step on its provider.
pub struct Steps {
    policy: Arc<Policy>,
    validate: Arc<Validate>,
    reserve: Arc<Reserve>,
    commit: Arc<Commit>,
    identity: Arc<Identity>,
    database: Arc<Database>,
    storage: Arc<Storage>,
    secrets: Arc<Secrets>,
    quota: Arc<Quota>,
    config: Arc<Config>,
    verify: Arc<Verify>,
    credentials: Arc<Credentials>,
    receipts: Option<Arc<Receipts>>,
    notify: Arc<Notify>,
}

/// What a look at a step's thing tells.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What is there.
    pub observed: Answer<Observed>,
    /// What the step would answer.
    pub foreseen: Answer<Option<Json>>,
}

impl Steps {
    /// The steps, with what they need. Nothing is reached or made yet.
    ///
    /// # Errors
    /// `receipt_key_invalid`, `mail_settings_invalid`, or the tenants' database has no address that can be read.
    pub fn new(work: &Work, master: &MasterKey) -> Result<Self, Refused> {
        let (pool, databases) = work.connect()?;
        let places = &work.places;
        let letters = &work.letters;
        let invalid = |code| move |trouble: Trouble| usage(code, trouble.to_string());
        let signer = work.receipt_key.as_ref().map(|key| Signer::from_pem(key.expose())).transpose();
        let signer = signer.map_err(invalid("receipt_key_invalid"))?;
        let transport = match &letters.smtp {
            Some(url) => Transport::Smtp(url.expose().to_owned()),
            None => Transport::Files(places.outbox.clone()),
        };
        let words = tenantry_worker_notify::Settings {
            from: letters.from.clone(),
            base_url: letters.base_url.clone(),
            support_url: letters.support_url.clone(),
        };
        let notify = Notify::new(&places.outbox, transport, &letters.admins, words);
        Ok(Self {
            policy: Arc::new(Policy::new(pool.clone(), work.engine.clone())),
            validate: Arc::new(Validate::new(pool.clone(), work.catalogue.clone())),
            reserve: Arc::new(Reserve::new(pool.clone())),
            commit: Arc::new(Commit::new(pool.clone())),
            identity: Arc::new(Identity::new(pool.clone())),
            database: Arc::new(Database::new(pool.clone(), databases.clone())),
            storage: Arc::new(Storage::new(&places.storage, None)),
            secrets: Arc::new(Secrets::new(&places.secrets, master.clone())),
            quota: Arc::new(Quota::new(pool.clone(), work.catalogue.clone())),
            config: Arc::new(Config::new(pool.clone(), work.catalogue.clone())),
            verify: Arc::new(Verify::new(
                pool.clone(),
                databases.clone(),
                &places.storage,
                &places.secrets,
                master.clone(),
            )),
            credentials: Arc::new(Credentials::new(
                pool.clone(),
                databases,
                &places.outbox,
                &letters.base_url,
            )),
            receipts: signer.map(|signer| Arc::new(Receipts::new(pool, &places.receipts, signer))),
            notify: Arc::new(notify.map_err(invalid("mail_settings_invalid"))?),
        })
    }

    /// The server with the steps of these workers.
    pub fn serve<B: Bus, L: Ledger, K: Keys, C: Clock, E: Entropy>(
        &self,
        server: Server<B, L, K, C, E>,
        workers: &BTreeSet<Worker>,
    ) -> Server<B, L, K, C, E> {
        workers.iter().fold(server, |server, worker| match worker {
            Worker::Policy => server.with(self.policy.clone()),
            Worker::Validate => server.with(self.validate.clone()),
            Worker::Capacity => server.with(self.reserve.clone()).with(self.commit.clone()),
            Worker::Identity => server.with(self.identity.clone()),
            Worker::Database => server.with(self.database.clone()),
            Worker::Storage => server.with(self.storage.clone()),
            Worker::Secrets => server.with(self.secrets.clone()),
            Worker::Quota => server.with(self.quota.clone()),
            Worker::Config => server.with(self.config.clone()),
            Worker::Verify => server.with(self.verify.clone()),
            Worker::Credentials => server.with(self.credentials.clone()),
            Worker::Receipt => match &self.receipts {
                Some(receipts) => server.with(receipts.clone()),
                None => server,
            },
            Worker::Notify => server.with(self.notify.clone()),
        })
    }

    /// What is there of a step's thing, and what the step would answer. Read-only.
    pub async fn look(&self, step: &StepName, cx: &Cx, input: &Json) -> Option<Looked> {
        Some(match step {
            step if *step == steps::policy::DECIDE => look(&*self.policy, cx, input).await,
            step if *step == steps::validate::REQUEST => look(&*self.validate, cx, input).await,
            step if *step == steps::capacity::RESERVE => look(&*self.reserve, cx, input).await,
            step if *step == steps::capacity::COMMIT => look(&*self.commit, cx, input).await,
            step if *step == steps::identity::CREATE => look(&*self.identity, cx, input).await,
            step if *step == steps::database::PROVISION => look(&*self.database, cx, input).await,
            step if *step == steps::storage::ALLOCATE => look(&*self.storage, cx, input).await,
            step if *step == steps::secrets::CREATE => look(&*self.secrets, cx, input).await,
            step if *step == steps::quota::ASSIGN => look(&*self.quota, cx, input).await,
            step if *step == steps::config::APPLY => look(&*self.config, cx, input).await,
            step if *step == steps::verify::TENANT => look(&*self.verify, cx, input).await,
            step if *step == steps::credentials::DELIVER => look(&*self.credentials, cx, input).await,
            step if *step == steps::receipt::SEAL => look(&**self.receipts.as_ref()?, cx, input).await,
            step if *step == steps::notify::SEND => look(&*self.notify, cx, input).await,
            _ => return None,
        })
    }
}

async fn look<S: Step>(step: &S, cx: &Cx, input: &Json) -> Looked {
    let bug = |what: &str| Trouble::no(tenantry_contracts::Code::Bug, tenantry_contracts::Class::Bug, what);
    let input: S::Input = match input.read() {
        Ok(input) => input,
        Err(_) => {
            let no = bug("the plan makes an input that the step does not read");
            return Looked { observed: Err(no.clone()), foreseen: Err(no) };
        }
    };
    let foreseen = match step.foresee(cx, &input).await {
        Ok(Some(output)) => Json::of(&output).map(Some).map_err(|_| bug("an output without JSON form")),
        Ok(None) => Ok(None),
        Err(trouble) => Err(trouble),
    };
    Looked { observed: step.observe(cx, &input).await, foreseen }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::{DataKey, Environment, Fleet, Slug, TenantId, Time, Token};
    use tenantry_saga::{Rules, What, plans};
    use tenantry_step::Keyring;

    use super::*;
    use crate::fleet::{Letters, Places};
    use crate::settings::{Governance, Secret};

    /// Nobody listens at the address, so nothing is found; that each step is there to be asked is the point.
    fn steps() -> Steps {
        let governance = Governance::default();
        let place = || std::env::temp_dir().join("tenantry-nobody");
        let work = Work {
            tenants_url: Secret::new("postgres://nobody@127.0.0.1:1/nothing"),
            places: Places { outbox: place(), storage: place(), secrets: place(), receipts: place() },
            letters: Letters {
                from: "no-reply@example.com".into(),
                base_url: "https://example.com".into(),
                support_url: "https://example.com".into(),
                smtp: None,
                admins: Vec::new(),
            },
            catalogue: governance.rules().unwrap().catalogue,
            engine: governance.engine().unwrap(),
            pools: governance.pools().unwrap(),
            receipt_key: Some(Secret::new(tenantry_worker_receipt::Signer::generate([7; 32]).0)),
            concurrency: 1,
        };
        Steps::new(&work, &MasterKey::new([7; 32])).unwrap()
    }

    #[tokio::test]
    async fn every_step_of_every_plan_has_a_worker_and_can_be_looked_at() {
        let (steps, names) = (steps(), Worker::names());
        let cx = Cx::new(
            Fleet::new("local"),
            TenantId::new(Time(0), [1; 10]),
            Slug::parse("acme").unwrap(),
            Environment::default(),
            None,
            Token(1),
            Time(0),
            Time(1_000),
            [0; 32],
            Keyring::new(DataKey::new([7; 32])),
            Arc::new(()),
        );
        let nothing: Json = serde_json::from_str("{}").unwrap();
        for row in plans::all(Rules::default()).plans().iter().flat_map(|plan| plan.rows) {
            let What::Step { worker, step, .. } = &row.what else { continue };
            assert!(names.contains(worker), "{worker} is not among the workers");
            assert!(steps.look(step, &cx, &nothing).await.is_some(), "{step} cannot be looked at");
        }
        assert_eq!(names.len(), <Worker as ValueEnum>::value_variants().len(), "`ALL` names every worker");
    }
}
