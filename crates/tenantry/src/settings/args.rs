//! The groups of flags that commands share, and what each group comes to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tenantry_contracts::{Fleet, MasterKey};
use tenantry_kafka::{Options, ProducerKind};

use super::home::{parse_master_key, read_master_key};
use super::{Secret, property_shown, url_shown};
use crate::out::{Refused, usage};

/// Which installation.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which fleet")]
pub struct Where {
    /// The name of the installation [default: local]
    #[arg(long, env = "TENANTRY_FLEET", value_parser = fleet)]
    pub fleet: Option<Fleet>,
    /// Where `tenantry up` keeps everything [default: /var/lib/tenantry as root, else $XDG_DATA_HOME/tenantry]
    #[arg(long, env = "TENANTRY_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
}

/// The bus.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Kafka")]
pub struct Kafka {
    /// Where the brokers are: host:port, several with commas
    #[arg(long, env = "TENANTRY_BROKERS", value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// A property of librdkafka as it is, for TLS, SASL and anything else; may be repeated.
    /// TENANTRY_KAFKA_PROPERTIES holds several, separated by commas or line ends
    #[arg(long = "kafka-property", value_name = "NAME=VALUE", value_parser = property)]
    pub kafka_property: Vec<Property>,
    /// A file with such properties, one a line, for those that are secret
    #[arg(long, env = "TENANTRY_KAFKA_PROPERTIES_FILE", value_name = "FILE")]
    pub kafka_properties_file: Option<PathBuf>,
    /// What sends records
    #[arg(long, env = "TENANTRY_PRODUCER", value_enum, default_value_t)]
    pub producer: Producer,
}

/// What sends records. Both promise the same.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Producer {
    /// The fleet's own: one request carries the records of all partitions that wait
    #[default]
    Direct,
    /// The one of librdkafka, for properties that only it knows
    Librdkafka,
}

impl From<Producer> for ProducerKind {
    fn from(producer: Producer) -> Self {
        match producer {
            Producer::Direct => Self::Direct,
            Producer::Librdkafka => Self::Librdkafka,
        }
    }
}

/// The fleet's store.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "PostgreSQL")]
pub struct Store {
    /// The fleet's store: postgres://user:password@host:port/database?sslmode=verify-full&sslrootcert=...
    #[arg(long, env = "TENANTRY_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Secret>,
    /// A file with that URL
    #[arg(long, env = "TENANTRY_DATABASE_URL_FILE", value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,
}

/// The database that workers make tenants in.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "PostgreSQL")]
pub struct Tenants {
    /// The database in which tenants are made; must not be the store
    #[arg(long, env = "TENANTRY_TENANTS_URL", value_name = "URL", hide_env_values = true)]
    pub tenants_url: Option<Secret>,
    /// A file with that URL
    #[arg(long, env = "TENANTRY_TENANTS_URL_FILE", value_name = "FILE")]
    pub tenants_url_file: Option<PathBuf>,
}

/// What wraps the tenants' keys.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Keys")]
pub struct Key {
    /// A file with the master key, 64 hexadecimal digits; TENANTRY_MASTER_KEY holds the key itself
    #[arg(long, env = "TENANTRY_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,
}

/// The address of `/metrics`, `/healthz` and `/readyz`.
#[derive(Clone, Copy, Debug, Args)]
pub struct Serve {
    /// Where /metrics, /healthz and /readyz are: a port on this machine (0: any free one), or address:port
    #[arg(long, env = "TENANTRY_HTTP", value_name = "[ADDRESS:]PORT", value_parser = http)]
    pub http: Option<SocketAddr>,
}

/// A property of librdkafka.
#[derive(Clone, PartialEq, Eq)]
pub struct Property(pub String, pub String);

impl std::fmt::Debug for Property {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.0, property_shown(&self.0, &self.1))
    }
}

impl Where {
    /// The fleet's name, `local` where nothing was said.
    pub fn fleet(&self) -> Fleet {
        self.fleet.clone().unwrap_or(Fleet::new("local"))
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| {
            let postgres = tenantry_embedded_postgres::suggested_data_dir();
            postgres.parent().map_or(postgres.clone(), Path::to_path_buf)
        })
    }
}

impl Kafka {
    /// All properties: of the file, of the environment, of the flags; later ones win.
    ///
    /// # Errors
    /// Where one is malformed or the file cannot be read.
    pub fn properties(&self) -> Result<Vec<(String, String)>, Refused> {
        let mut all = Vec::new();
        if let Some(path) = &self.kafka_properties_file {
            all.extend(properties(Secret::read(path)?.expose())?);
        }
        if let Ok(text) = std::env::var("TENANTRY_KAFKA_PROPERTIES") {
            all.extend(properties(&text)?);
        }
        all.extend(self.kafka_property.iter().cloned());
        Ok(all.into_iter().map(|Property(name, value)| (name, value)).collect())
    }

    /// How to reach the brokers that were named; `None` where none were.
    ///
    /// # Errors
    /// As [`Kafka::properties`].
    pub fn options(&self, fleet: &Fleet) -> Result<Option<Options>, Refused> {
        let properties = self.properties()?;
        Ok(self.brokers.as_ref().map(|brokers| {
            let mut options = Options::new(brokers, fleet.as_str());
            options.properties = properties;
            options.producer = self.producer.into();
            options
        }))
    }

    /// The same, for commands that cannot do without.
    ///
    /// # Errors
    /// `brokers_missing`.
    pub fn required(&self, fleet: &Fleet) -> Result<Options, Refused> {
        self.options(fleet)?.ok_or_else(|| {
            usage("brokers_missing", "no brokers were named; give --brokers host:port,... (TENANTRY_BROKERS)")
        })
    }
}

impl Store {
    /// The URL, from the flag or the file.
    ///
    /// # Errors
    /// Where both are given or the file cannot be read.
    pub fn url(&self) -> Result<Option<Secret>, Refused> {
        one_of("database-url", self.database_url.as_ref(), self.database_url_file.as_deref())
    }

    /// The same, for commands that cannot do without.
    ///
    /// # Errors
    /// `database_url_missing`.
    pub fn required(&self) -> Result<Secret, Refused> {
        self.url()?.ok_or_else(|| {
            usage(
                "database_url_missing",
                "the store's database was not named; give --database-url or --database-url-file (TENANTRY_DATABASE_URL, TENANTRY_DATABASE_URL_FILE)",
            )
        })
    }
}

impl Tenants {
    /// The URL, from the flag or the file.
    ///
    /// # Errors
    /// Where both are given or the file cannot be read.
    pub fn url(&self) -> Result<Option<Secret>, Refused> {
        one_of("tenants-url", self.tenants_url.as_ref(), self.tenants_url_file.as_deref())
    }

    /// The same, for commands that cannot do without.
    ///
    /// # Errors
    /// `tenants_url_missing`.
    pub fn required(&self) -> Result<Secret, Refused> {
        self.url()?.ok_or_else(|| {
            usage(
                "tenants_url_missing",
                "the tenants' database was not named; give --tenants-url or --tenants-url-file (TENANTRY_TENANTS_URL, TENANTRY_TENANTS_URL_FILE)",
            )
        })
    }
}

impl Key {
    /// The master key that was given; `None` where none was.
    ///
    /// # Errors
    /// Where it is given twice, cannot be read, or is no key.
    pub fn given(&self) -> Result<Option<MasterKey>, Refused> {
        let text = std::env::var("TENANTRY_MASTER_KEY").ok().filter(|text| !text.is_empty());
        match (&self.master_key_file, text) {
            (Some(_), Some(_)) => Err(usage(
                "given_twice",
                "TENANTRY_MASTER_KEY and --master-key-file (TENANTRY_MASTER_KEY_FILE) are both given; keep one",
            )),
            (Some(path), None) => read_master_key(path).map(Some),
            (None, Some(text)) => parse_master_key(&text, "TENANTRY_MASTER_KEY").map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The same, for commands that cannot do without.
    ///
    /// # Errors
    /// `master_key_missing`.
    pub fn required(&self) -> Result<MasterKey, Refused> {
        self.given()?.ok_or_else(|| {
            usage(
                "master_key_missing",
                "personal data cannot be sealed without a master key; give --master-key-file (TENANTRY_MASTER_KEY_FILE) or TENANTRY_MASTER_KEY (`openssl rand -hex 32` makes one: keep a copy)",
            )
        })
    }
}

pub(super) fn one_of(
    name: &str,
    given: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, Refused> {
    match (given, file) {
        (Some(_), Some(_)) => Err(usage(
            "given_twice",
            format!("--{name} and --{name}-file (or their variables) are both given; keep one"),
        )),
        (Some(text), None) => Ok(Some(text.clone())),
        (None, Some(path)) => Secret::read(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// Reads a fleet's name.
///
/// # Errors
/// In words, for the command line.
pub fn fleet(text: &str) -> Result<Fleet, String> {
    let grammar = (1..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if grammar {
        Ok(Fleet::read(text))
    } else {
        Err("a fleet has 1 to 32 lower-case ASCII letters, digits and hyphens, and begins with a letter"
            .to_owned())
    }
}

/// Reads a port on this machine, or an address with its port.
///
/// # Errors
/// In words, for the command line.
pub fn http(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<u16>() {
        Ok(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
        Err(_) => text
            .parse()
            .map_err(|_| "write a port, or an address with its port such as 0.0.0.0:9464".to_owned()),
    }
}

fn property(text: &str) -> Result<Property, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok(Property(name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write name=value, such as security.protocol=ssl".to_owned()),
    }
}

/// Reads many properties: one a line, else separated by commas. Lines that begin with # are comments.
///
/// # Errors
/// `kafka_property_invalid`, which names the place and not what stands there: it may be secret.
pub fn properties(text: &str) -> Result<Vec<Property>, Refused> {
    let text = text.trim();
    let parts: Vec<&str> =
        if text.contains('\n') { text.lines().collect() } else { text.split(',').collect() };
    let said = parts.into_iter().map(str::trim).enumerate();
    said.filter(|(_, part)| !part.is_empty() && !part.starts_with('#'))
        .map(|(at, part)| {
            property(part).map_err(|advice| {
                usage(
                    "kafka_property_invalid",
                    format!("entry {} of the Kafka properties cannot be read; {advice}", at + 1),
                )
            })
        })
        .collect()
}

/// What `--print-config` shows of a URL.
pub(crate) fn shown(url: Option<&Secret>, otherwise: &str) -> String {
    url.map_or_else(|| otherwise.to_owned(), |url| url_shown(url.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_come_as_lines_or_with_commas_and_a_bad_one_is_not_shown() {
        let pairs =
            |text: &str| properties(text).unwrap().into_iter().map(|p| (p.0, p.1)).collect::<Vec<_>>();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs("a=1, b=2=3"), [pair("a", "1"), pair("b", "2=3")]);
        assert_eq!(pairs("# c\na=1,2\n\nb=2\n"), [pair("a", "1,2"), pair("b", "2")]);
        assert!(pairs("  ").is_empty());
        let refused = properties("a=1,hunter2").unwrap_err();
        assert_eq!(refused.code, "kafka_property_invalid");
        assert!(!refused.text.contains("hunter2"), "{refused}");
    }

    #[test]
    fn a_port_alone_is_on_this_machine() {
        assert_eq!(http("9464").unwrap().to_string(), "127.0.0.1:9464");
        assert_eq!(http("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
        assert!(http("x").is_err());
        assert!(fleet("Local").is_err() && fleet("").is_err() && fleet("eu-1").is_ok());
    }

    #[test]
    fn a_url_and_its_file_at_once_are_refused() {
        let store =
            Store { database_url: Some(Secret::new("postgres://a")), database_url_file: Some("/x".into()) };
        assert_eq!(store.url().unwrap_err().code, "given_twice");
        assert_eq!(Store::default().required().unwrap_err().code, "database_url_missing");
    }
}
