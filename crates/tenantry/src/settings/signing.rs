//! How the audit is signed: with which key, how often, and where what the signer keeps lies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tenantry_contracts::Fleet;

use crate::out::{Refused, usage};
use crate::signer::{Settings, read_key};
use crate::trail;

/// How the audit is signed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Signing the audit")]
pub struct Signing {
    /// A file with the private key that signs the audit (Ed25519, PKCS#8 PEM)
    #[arg(long, alias = "key-file", env = "TENANTRY_SIGNER_KEY_FILE", value_name = "FILE")]
    pub signer_key_file: Option<PathBuf>,
    /// The key that signed until now, where another takes over: both sign that it does, and the new one goes on
    #[arg(
        long,
        alias = "previous-key-file",
        env = "TENANTRY_PREVIOUS_SIGNER_KEY_FILE",
        value_name = "FILE",
        requires = "signer_key_file"
    )]
    pub previous_signer_key_file: Option<PathBuf>,
    /// The name of the log, and of the keys that sign for it [default: tenantry/audit/<fleet>]
    #[arg(long, env = "TENANTRY_LOG_ORIGIN", value_name = "NAME")]
    pub log_origin: Option<String>,
    /// The folder of what the signer remembers [default: `signer` in the data directory]
    #[arg(long, env = "TENANTRY_SIGNER_DIR", value_name = "FOLDER")]
    pub signer_dir: Option<PathBuf>,
    /// The folder of the witness: a second copy of every checkpoint, best on another disk [default: `witness` in the data
    /// directory]
    #[arg(long, env = "TENANTRY_WITNESS_DIR", value_name = "FOLDER")]
    pub witness_dir: Option<PathBuf>,
    /// The longest time from one checkpoint to the next, in milliseconds, also when nothing happens
    #[arg(long, env = "TENANTRY_CHECKPOINT_EVERY_MS", value_name = "MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(50..=86_400_000))]
    pub checkpoint_every_ms: u64,
    /// The most records from one checkpoint to the next
    #[arg(long, env = "TENANTRY_CHECKPOINT_RECORDS", value_name = "N", default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub checkpoint_records: u32,
}

impl Signing {
    /// The key's file.
    ///
    /// # Errors
    /// `signer_key_missing`.
    pub fn required_key_file(&self) -> Result<&Path, Refused> {
        self.signer_key_file.as_deref().ok_or_else(|| {
            usage(
                "signer_key_missing",
                "the audit cannot be signed without a key; give --signer-key-file (TENANTRY_SIGNER_KEY_FILE); `openssl genpkey -algorithm ed25519` makes one: keep a copy",
            )
        })
    }

    /// Everything that the signer needs. What was not named lies in `base`.
    ///
    /// # Errors
    /// A key that cannot be used.
    pub fn needs(&self, fleet: &Fleet, key_file: &Path, base: &Path) -> Result<Settings, Refused> {
        let origin = trail::origin(self.log_origin.as_deref(), fleet);
        let key = Arc::new(read_key(key_file, &origin)?);
        let previous = self.previous_signer_key_file.as_deref();
        let previous = previous.map(|path| read_key(path, &origin)).transpose()?.map(Arc::new);
        let place = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| base.join(name));
        Ok(Settings {
            key,
            previous,
            dir: place(&self.signer_dir, "signer"),
            witness: place(&self.witness_dir, "witness"),
            every: Duration::from_millis(self.checkpoint_every_ms),
            records: usize::try_from(self.checkpoint_records).unwrap_or(usize::MAX),
            origin,
        })
    }

    /// What `--print-config` shows.
    pub(crate) fn shown(&self, fleet: &Fleet, base: &Path) -> serde_json::Value {
        let place = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| base.join(name));
        serde_json::json!({
            "origin": trail::origin(self.log_origin.as_deref(), fleet),
            "signer_key_file": self.signer_key_file,
            "previous_signer_key_file": self.previous_signer_key_file,
            "signer_dir": place(&self.signer_dir, "signer"),
            "witness_dir": place(&self.witness_dir, "witness"),
            "checkpoint_every_ms": self.checkpoint_every_ms,
            "checkpoint_records": self.checkpoint_records,
        })
    }
}
