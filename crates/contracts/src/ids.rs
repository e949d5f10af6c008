//! Names and numbers that identify things, each in its own type so that they cannot be mixed up.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::{Code, Refusal, Time, partition};

/// A tenant, for ever. A UUIDv7 from the time heard and entropy handed in, or what upstream brought.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TenantId(pub Uuid);

impl TenantId {
    /// A fresh id from the time heard (first 48 bits) and ten bytes of entropy.
    pub fn new(heard: Time, entropy: [u8; 10]) -> Self {
        let millis = u64::try_from(heard.0).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &entropy).into_uuid())
    }

    /// The id without hyphens, 32 hexadecimal digits: the stem of every internal name of anything outside.
    pub fn simple(&self) -> String {
        self.0.simple().to_string()
    }
}

/// One run of a plan for one tenant; the same for every replay of the same journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SagaId(pub Uuid);

impl SagaId {
    /// The `ordinal`-th saga of a tenant, counted from one.
    pub fn of(tenant: TenantId, ordinal: u32) -> Self {
        Self(Uuid::new_v5(&tenant.0, &ordinal.to_be_bytes()))
    }
}

macro_rules! shown_as_uuid {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}
shown_as_uuid!(TenantId, SagaId);

/// The fencing number of a question: the journal number of the row that asked it. Grows for ever within a lane.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Token(pub i64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Partition k of the keyed topics taken together: one owner, one journal, one committer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Lane(pub u16);

impl Lane {
    /// The home of a slug among `lanes` lanes. A slug never changes its lane.
    pub fn of(slug: &Slug, lanes: u16) -> Self {
        Self(partition::partition_of(slug.as_str().as_bytes(), lanes))
    }

    /// The name of the lane's own audit chain, `lane-<k>`.
    pub fn chain(self) -> String {
        format!("lane-{}", self.0)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A tenant's short name: lower-case ASCII letters, digits and single hyphens, 3 to 32 characters, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = crate::schema::SLUG, "minLength" = 3, "maxLength" = 32))]
pub struct Slug(String);

/// Slugs that would shadow something of the platform's own.
const RESERVED: &[&str] = &[
    "admin", "api", "www", "root", "system", "platform", "default", "master", "public", "postgres",
    "internal", "support", "status", "mail", "con", "nul",
];

impl Slug {
    /// Checks the grammar and the reserved names.
    ///
    /// # Errors
    /// `slug_invalid` or `slug_reserved`; the pointer is the caller's to set.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let bytes = text.as_bytes();
        let grammar = (3..=32).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
            && bytes.last() != Some(&b'-')
            && !bytes.windows(2).any(|pair| pair == b"--");
        if !grammar {
            return Err(Refusal::new(
                Code::SlugInvalid,
                "a slug has 3 to 32 lower-case ASCII letters, digits and single hyphens, and begins with a letter",
            ));
        }
        let reserved = RESERVED.contains(&text)
            || ["lane-", "kube-", "pg-", "xn-", "platform-"].iter().any(|stem| text.starts_with(stem));
        if reserved {
            return Err(Refusal::new(
                Code::SlugReserved,
                "this slug is reserved for the platform; choose another",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The tenant's environment (prod, staging, ...): 1 to 16 lower-case ASCII letters and digits, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = crate::schema::ENVIRONMENT))]
pub struct Environment(String);

impl Environment {
    /// Checks the grammar.
    ///
    /// # Errors
    /// `environment_invalid`; the pointer is the caller's to set.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let bytes = text.as_bytes();
        let grammar = (1..=16).contains(&bytes.len())
            && bytes[0].is_ascii_lowercase()
            && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if grammar {
            Ok(Self(text.to_owned()))
        } else {
            Err(Refusal::new(
                Code::EnvironmentInvalid,
                "an environment has 1 to 16 lower-case ASCII letters and digits, and begins with a letter",
            ))
        }
    }

    /// The environment as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self("prod".to_owned())
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Environment {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(std::borrow::Cow<'static, str>);

        impl $name {
            /// A name that is known when the program is compiled.
            pub const fn new(name: &'static str) -> Self {
                Self(std::borrow::Cow::Borrowed(name))
            }

            /// A name that was read.
            pub fn read(name: impl Into<String>) -> Self {
                Self(std::borrow::Cow::Owned(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

words! {
    /// A row of a plan. The same step may stand in two rows.
    RowName;
    /// One unit of work, owned by exactly one worker.
    StepName;
    /// A worker: the crate, its command topic, its deployment.
    WorkerName;
    /// An installation. Part of every internal record, of group ids, and of what personal data is sealed with.
    Fleet;
}

/// What a question asks of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Make it so.
    Execute,
    /// Make it as if it had never been.
    Compensate,
    /// Say what is there. Read-only.
    Observe,
}

impl Verb {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::Compensate => "compensate",
            Self::Observe => "observe",
        }
    }

    /// Reads the word on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Execute, Self::Compensate, Self::Observe].into_iter().find(|verb| verb.as_str() == text)
    }
}

/// What upstream calls its request: equal pairs are the same request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct RequestId {
    /// The system that asks (`ce_source`).
    pub source: String,
    /// Its id for the request (`ce_id`).
    pub id: String,
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.source, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_keep_to_their_grammar() {
        for good in ["acme", "acme-intel", "a1b", "x-1-y"] {
            assert!(Slug::parse(good).is_ok(), "{good}");
        }
        let odd = [
            "ac",
            "-acme",
            "acme-",
            "ac--me",
            "ACME",
            "1acme",
            "acme.",
            "аcme",
            "acme\u{2011}intel",
            "..",
            "con",
            "lane-1",
            "xn--a",
        ];
        for bad in odd {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_saga_id_is_the_same_each_time_and_differs_by_ordinal() {
        let tenant = TenantId::new(Time(1), [7; 10]);
        assert_eq!(SagaId::of(tenant, 1), SagaId::of(tenant, 1));
        assert_ne!(SagaId::of(tenant, 1), SagaId::of(tenant, 2));
        assert_eq!(tenant.0.get_version_num(), 7);
    }
}
