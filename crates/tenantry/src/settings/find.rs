//! How commands of people find a fleet.

use clap::Args;
use tenantry_contracts::Fleet;
use tenantry_kafka::Options;

use super::Secret;
use super::args::{Kafka, Store, Where};
use super::home::{Home, Running};
use crate::out::{Refused, failed};

/// How commands of people find a fleet: by flags, else by the `tenantry up` that runs on the data directory.
#[derive(Clone, Debug, Default, Args)]
pub struct Find {
    /// Which fleet.
    #[command(flatten)]
    pub at: Where,
    /// Its bus.
    #[command(flatten)]
    pub kafka: Kafka,
    /// Its store.
    #[command(flatten)]
    pub store: Store,
}

impl Find {
    /// The `up` that runs on the data directory.
    ///
    /// # Errors
    /// Where one runs, and this account may not read where.
    pub fn running(&self) -> Result<Option<Running>, Refused> {
        Home::running(&self.at.data_dir())
    }

    /// The fleet's name: of the flag, else of what runs, else `local`.
    ///
    /// # Errors
    /// As [`Find::running`].
    pub fn fleet(&self) -> Result<Fleet, Refused> {
        match &self.at.fleet {
            Some(fleet) => Ok(fleet.clone()),
            None if self.kafka.brokers.is_some() => Ok(self.at.fleet()),
            None => Ok(self.running()?.map_or_else(|| self.at.fleet(), |up| up.fleet)),
        }
    }

    /// How to reach the bus.
    ///
    /// # Errors
    /// `not_running` where neither flags nor a running `up` say it.
    pub fn bus(&self) -> Result<Options, Refused> {
        let fleet = self.fleet()?;
        if let Some(options) = self.kafka.options(&fleet)? {
            return Ok(options);
        }
        let up = self.running()?.ok_or_else(|| self.not_running("--brokers (TENANTRY_BROKERS)"))?;
        let mut options = Options::new(up.brokers, fleet.as_str());
        options.properties = up.kafka_properties;
        options.properties.extend(self.kafka.properties()?);
        Ok(options)
    }

    /// The store's URL.
    ///
    /// # Errors
    /// `not_running` where neither flags nor a running `up` say it.
    pub fn store(&self) -> Result<Secret, Refused> {
        if let Some(url) = self.store.url()? {
            return Ok(url);
        }
        let up = self.running()?.ok_or_else(|| self.not_running("--database-url (TENANTRY_DATABASE_URL)"))?;
        Ok(Secret::new(up.database_url))
    }

    fn not_running(&self, flag: &str) -> Refused {
        let dir = self.at.data_dir();
        failed(
            "not_running",
            format!("no `tenantry up` runs on {}; start one, or give {flag}", dir.display()),
        )
    }
}
