//! The text of a key file: what wraps what, and how it is known to be unaltered. Pure: entropy comes with the question.
//!
//! `standard`: the master key wraps each key. `enhanced`: a key of the tenant's own wraps each key, and the master key
//! wraps that one; it is made anew whenever the text is written. The oldest key seals the digest of everything else, so
//! that keys which are exchanged, left out or taken from elsewhere are noticed.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::sealed::{MasterKey, Place};
use tenantry_contracts::{Class, Code, DataKey, Sealed};
use tenantry_step::{Answer, Cx, Trouble};

/// The field under which the tenant's wrapping key is sealed.
const WRAPPING_KEY: &str = "secrets.wrapping-key";
/// The field under which the digest of the text is sealed.
const DIGEST: &str = "secrets.digest";

/// What wraps a tenant's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The master key.
    Standard,
    /// A key of the tenant's own.
    Enhanced,
}

impl Level {
    pub(crate) fn read(text: &str) -> Option<Self> {
        [Self::Standard, Self::Enhanced].into_iter().find(|level| level.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Enhanced => "enhanced",
        }
    }
}

/// A tenant's keys in clear, the oldest first.
pub(crate) struct Keys {
    /// The owner tag of the question that made the first.
    owner: String,
    pub(crate) level: Level,
    keys: Vec<Key>,
}

struct Key {
    id: String,
    key: DataKey,
}

/// The text, as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    owner: String,
    level: Level,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wrapping: Option<Wrapping>,
    keys: Vec<Wrapped>,
    /// The digest of the text without it, sealed with the oldest key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Sealed>,
}

/// The tenant's wrapping key, sealed with a key that the master key wraps: a data key shows its bytes to nobody, and
/// only a master key can wrap.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapping {
    wrapped: String,
    sealed: Sealed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    generation: u32,
    id: String,
    wrapped: String,
}

impl Text {
    fn json(&self) -> Answer<String> {
        serde_json::to_string(self)
            .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "the keys have no JSON form"))
    }

    fn digest(&self) -> Answer<String> {
        Ok(hex::encode(Sha256::digest(self.json()?)))
    }
}

impl Keys {
    /// No key yet.
    pub(crate) fn none(cx: &Cx, level: Level) -> Self {
        Self { owner: cx.owner_tag(), level, keys: Vec::new() }
    }

    pub(crate) fn generation(&self) -> u32 {
        u32::try_from(self.keys.len()).unwrap_or(u32::MAX)
    }

    /// The id of the newest key; empty where there is none.
    pub(crate) fn newest_id(&self) -> &str {
        self.keys.last().map_or("", |key| &key.id)
    }

    pub(crate) fn into_keys(self) -> Vec<DataKey> {
        self.keys.into_iter().map(|key| key.key).collect()
    }

    /// Mints what lacks up to `generation`.
    pub(crate) fn extend(&mut self, cx: &Cx, level: Level, generation: u32) {
        self.level = level;
        for generation in self.generation() + 1..=generation {
            let bytes = chance(cx, "key", generation);
            // Over a text of its own, so that the id is no plain digest of the key.
            let id = Sha256::new().chain_update("tenantry/1 key id\n").chain_update(bytes).finalize();
            self.keys.push(Key { id: hex::encode(&id[..8]), key: DataKey::new(bytes) });
        }
    }

    /// The text in which the keys are kept.
    pub(crate) fn seal(&self, cx: &Cx, master: &MasterKey) -> Answer<String> {
        let (wrapping, wrapper) = match self.level {
            Level::Standard => (None, master.clone()),
            Level::Enhanced => {
                let bytes = chance(cx, "wrapping key", 0);
                let around = DataKey::new(chance(cx, "around wrapping key", 0));
                let wrapped = master.wrap(&cx.fleet, cx.tenant, &around, nonce(cx, "around wrapping key", 0));
                let sealed =
                    around.seal(&place(cx, WRAPPING_KEY), &hex::encode(bytes), nonce(cx, "wrapping key", 0));
                (Some(Wrapping { wrapped: BASE64.encode(wrapped), sealed }), MasterKey::new(bytes))
            }
        };
        let wrapped = |(generation, Key { id, key }): (u32, &Key)| {
            let wrapped = wrapper.wrap(&cx.fleet, cx.tenant, key, nonce(cx, "key", generation));
            Wrapped { generation, id: id.clone(), wrapped: BASE64.encode(wrapped) }
        };
        let keys = (1..).zip(&self.keys).map(wrapped).collect();
        let mut text = Text { owner: self.owner.clone(), level: self.level, wrapping, keys, digest: None };
        if let Some(oldest) = self.keys.first() {
            let digest = oldest.key.seal(&place(cx, DIGEST), &text.digest()?, nonce(cx, "digest", 0));
            text.digest = Some(digest);
        }
        text.json()
    }

    /// Opens every key of a text.
    ///
    /// # Errors
    /// `misconfigured` where a key does not open with this master key, or anything was altered.
    pub(crate) fn open(cx: &Cx, master: &MasterKey, text: &str) -> Answer<Self> {
        let altered = || no("the tenant's key file was altered; restore it from a backup");
        let mut text: Text = serde_json::from_str(text).map_err(|_| altered())?;
        let wrapper = match (text.level, &text.wrapping) {
            (Level::Standard, None) => master.clone(),
            (Level::Enhanced, Some(wrapping)) => {
                let around = unwrap(cx, master, &wrapping.wrapped)?;
                let bytes = around.open(&place(cx, WRAPPING_KEY), &wrapping.sealed).map_err(|_| altered())?;
                MasterKey::parse(&bytes).ok_or_else(altered)?
            }
            _ => return Err(altered()),
        };
        let mut keys = Vec::new();
        for (generation, wrapped) in (1..).zip(&text.keys) {
            if wrapped.generation != generation {
                return Err(altered());
            }
            let key = unwrap(cx, &wrapper, &wrapped.wrapped)?;
            keys.push(Key { id: wrapped.id.clone(), key });
        }
        let (oldest, digest) = keys.first().zip(text.digest.take()).ok_or_else(altered)?;
        let digest = oldest.key.open(&place(cx, DIGEST), &digest).map_err(|_| altered())?;
        if digest != text.digest()? {
            return Err(altered());
        }
        Ok(Self { owner: text.owner, level: text.level, keys })
    }
}

fn unwrap(cx: &Cx, wrapper: &MasterKey, text: &str) -> Answer<DataKey> {
    let bytes = BASE64.decode(text).ok();
    bytes.and_then(|bytes| wrapper.unwrap(&cx.fleet, cx.tenant, &bytes).ok()).ok_or_else(|| {
        no("the tenant's keys do not open: give the worker the master key they were made with, or restore the key file")
    })
}

fn place<'a>(cx: &'a Cx, field: &'static str) -> Place<'a> {
    Place { fleet: &cx.fleet, tenant: cx.tenant, field }
}

/// 32 bytes of this try's entropy, other ones for each use.
fn chance(cx: &Cx, what: &str, number: u32) -> [u8; 32] {
    Sha256::new()
        .chain_update(format!("tenantry/1\nsecrets\n{}\n{what}\n{number}\n", cx.tenant))
        .chain_update(cx.entropy)
        .finalize()
        .into()
}

fn nonce(cx: &Cx, of: &str, number: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce.copy_from_slice(&chance(cx, &format!("nonce of {of}"), number)[..12]);
    nonce
}

fn no(message: &str) -> Trouble {
    Trouble::no(Code::Misconfigured, Class::Config, message)
}
