//! What workers are told about their work: folders, mails, keys, how much at a time.

use std::path::{Path, PathBuf};

use clap::Args;

use super::args::one_of;
use super::{Governance, Secret};
use crate::fleet::{self, Letters, Places};
use crate::out::{Refused, usage};

/// What workers are told about their work.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Work")]
pub struct Work {
    /// The folder that mails are written into [default: `outbox` in the data directory]
    #[arg(long, env = "TENANTRY_OUTBOX", value_name = "FOLDER")]
    pub outbox: Option<PathBuf>,
    /// The folder that tenants' files lie in [default: `storage` in the data directory]
    #[arg(long, env = "TENANTRY_STORAGE", value_name = "FOLDER")]
    pub storage: Option<PathBuf>,
    /// The folder that tenants' sealed keys lie in [default: `secrets` in the data directory]
    #[arg(long, env = "TENANTRY_SECRETS", value_name = "FOLDER")]
    pub secrets: Option<PathBuf>,
    /// The folder that receipts lie in [default: `receipts` in the data directory]
    #[arg(long, env = "TENANTRY_RECEIPTS", value_name = "FOLDER")]
    pub receipts: Option<PathBuf>,
    /// A file with the private key that signs receipts (Ed25519, PKCS#8 PEM)
    #[arg(long, env = "TENANTRY_RECEIPT_KEY_FILE", value_name = "FILE")]
    pub receipt_key_file: Option<PathBuf>,
    /// What the links in mails begin with
    #[arg(long, env = "TENANTRY_BASE_URL", value_name = "URL", default_value = "https://tenants.localhost")]
    pub base_url: String,
    /// Where people find help; mails name it
    #[arg(
        long,
        env = "TENANTRY_SUPPORT_URL",
        value_name = "URL",
        default_value = "https://tenants.localhost/support"
    )]
    pub support_url: String,
    /// The sender of mails
    #[arg(
        long,
        env = "TENANTRY_MAIL_FROM",
        value_name = "ADDRESS",
        default_value = "Tenantry <no-reply@tenants.localhost>"
    )]
    pub mail_from: String,
    /// The mail server that takes notifications: smtp://user:password@host:port or smtps://...; written into the
    /// outbox where there is none
    #[arg(long, env = "TENANTRY_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,
    /// A file with that URL
    #[arg(long, env = "TENANTRY_SMTP_URL_FILE", value_name = "FILE")]
    pub smtp_url_file: Option<PathBuf>,
    /// The admins who are told of new tenants
    #[arg(
        long = "admin-mail",
        env = "TENANTRY_ADMIN_MAILS",
        value_name = "ADDRESS,...",
        value_delimiter = ','
    )]
    pub admins: Vec<String>,
    /// How many commands a worker process runs at a time
    #[arg(long, env = "TENANTRY_CONCURRENCY", value_name = "N", default_value_t = 64,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,
}

impl Work {
    /// The folders; those that were not named lie in `base`.
    pub fn places(&self, base: &Path) -> Places {
        let place = |given: &Option<PathBuf>, name: &str| given.clone().unwrap_or_else(|| base.join(name));
        Places {
            outbox: place(&self.outbox, "outbox"),
            storage: place(&self.storage, "storage"),
            secrets: place(&self.secrets, "secrets"),
            receipts: place(&self.receipts, "receipts"),
        }
    }

    /// The key that signs receipts, where a file was named.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn receipt_key(&self) -> Result<Option<Secret>, Refused> {
        self.receipt_key_file.as_deref().map(Secret::read).transpose()
    }

    /// The same, for whoever signs.
    ///
    /// # Errors
    /// `receipt_key_missing`.
    pub fn required_receipt_key(&self) -> Result<Secret, Refused> {
        self.receipt_key()?.ok_or_else(|| {
            usage(
                "receipt_key_missing",
                "receipts cannot be signed without a key; give --receipt-key-file (TENANTRY_RECEIPT_KEY_FILE); `openssl genpkey -algorithm ed25519` makes one: keep a copy",
            )
        })
    }

    /// Everything that workers need.
    ///
    /// # Errors
    /// A file of the rules that cannot be used.
    pub fn needs(
        &self,
        tenants_url: Secret,
        places: Places,
        receipt_key: Option<Secret>,
        governance: &Governance,
        rules: &tenantry_saga::Rules,
    ) -> Result<fleet::Work, Refused> {
        Ok(fleet::Work {
            tenants_url,
            places,
            letters: Letters {
                from: self.mail_from.clone(),
                base_url: self.base_url.clone(),
                support_url: self.support_url.clone(),
                smtp: one_of("smtp-url", self.smtp_url.as_ref(), self.smtp_url_file.as_deref())?,
                admins: self.admins.clone(),
            },
            catalogue: rules.catalogue.clone(),
            engine: governance.engine()?,
            pools: governance.pools()?,
            receipt_key,
            concurrency: self.concurrency,
        })
    }

    /// What `--print-config` shows.
    pub(crate) fn shown(&self, base: &Path) -> serde_json::Value {
        let smtp = self.smtp_url.is_some() || self.smtp_url_file.is_some();
        serde_json::json!({
            "places": self.places(base),
            "receipt_key_file": self.receipt_key_file,
            "base_url": self.base_url,
            "support_url": self.support_url,
            "smtp": if smtp { "given" } else { "none" },
            "admins": self.admins.len(),
            "concurrency": self.concurrency,
        })
    }
}
