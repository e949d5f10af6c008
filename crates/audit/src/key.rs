//! Keys of those who sign checkpoints and evidence: Ed25519, under a name, as C2SP's signed notes have them.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

/// The byte that says Ed25519.
const ED25519: u8 = 1;
/// How many hexadecimal digits of a public key's SHA-256 make its id in an envelope.
const KEY_ID: usize = 32;

/// Why a key or a name cannot be read. Never repeats what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key.
    #[error(
        "key_invalid: this is no Ed25519 key in PKCS#8 PEM form; `openssl genpkey -algorithm ed25519` writes one"
    )]
    Private,
    /// No public key.
    #[error(
        "key_invalid: this is no Ed25519 public key; give PEM text (`openssl pkey -pubout` writes it) or a line \
         `name+hash+key` as signed notes have it"
    )]
    Public,
    /// No name of a key.
    #[error("key_name_invalid: a key's name is text without white space and without `+`; choose another")]
    Name,
}

/// A name of a key or a log: not empty, no white space, no control characters, no plus sign.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

/// Signs. Never printed.
pub struct Signer {
    key: SigningKey,
    public: PublicKey,
}

impl Signer {
    /// The key of a PKCS#8 PEM text, under the name that stands beside its signatures: that of the log.
    ///
    /// # Errors
    /// Where the text is no such key, or the name none.
    pub fn from_pem(name: &str, text: &str) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(text).map_err(|_| KeyError::Private)?;
        Self::new(name, key)
    }

    /// A key from 32 random bytes. Whoever has them can sign.
    ///
    /// # Errors
    /// Where the name is none.
    pub fn from_entropy(name: &str, entropy: [u8; 32]) -> Result<Self, KeyError> {
        Self::new(name, SigningKey::from_bytes(&entropy))
    }

    fn new(name: &str, key: SigningKey) -> Result<Self, KeyError> {
        let public = PublicKey { key: key.verifying_key(), name: None }.named(name)?;
        Ok(Self { key, public })
    }

    /// The PEM text to keep it in. Whoever has the text can sign.
    #[allow(clippy::missing_panics_doc, reason = "see the reason at its place")]
    pub fn to_pem(&self) -> String {
        self.key.to_pkcs8_pem(LineEnding::LF).expect("32 bytes always have a PKCS#8 form").to_string()
    }

    /// The public half, with the name.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs these bytes as they are; whoever uses it frames them, so that no two meanings have the same bytes.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.public).finish()
    }
}

/// Checks signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    /// Text in PEM form has none: it goes by the name of the log that it is used for.
    name: Option<String>,
}

impl PublicKey {
    /// Reads PEM text, or a verifier line `<name>+<hash>+<key>`.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("-----BEGIN") {
            let key = VerifyingKey::from_public_key_pem(text).map_err(|_| KeyError::Public)?;
            return Ok(Self { key, name: None });
        }
        let mut parts = text.splitn(3, '+');
        let (name, hash, key) = (parts.next(), parts.next(), parts.next());
        let decoded = key.and_then(|key| STANDARD.decode(key).ok()).ok_or(KeyError::Public)?;
        let Some((&ED25519, bytes)) = decoded.split_first() else { return Err(KeyError::Public) };
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyError::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Public)?;
        let key = Self { key, name: None }.named(name.unwrap_or_default())?;
        if hash == Some(&hex::encode(key.hash())) { Ok(key) } else { Err(KeyError::Public) }
    }

    /// The same key under this name.
    ///
    /// # Errors
    /// Where it is no name.
    pub fn named(self, name: &str) -> Result<Self, KeyError> {
        if is_name(name) { Ok(Self { name: Some(name.to_owned()), ..self }) } else { Err(KeyError::Name) }
    }

    /// The name, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The first four bytes of the SHA-256 over the name, a line feed, the kind of key and its bytes.
    pub fn hash(&self) -> [u8; 4] {
        self.hash_as(self.name.as_deref().unwrap_or_default())
    }

    /// The hash that it would have under this name.
    pub(crate) fn hash_as(&self, name: &str) -> [u8; 4] {
        let digest =
            Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(self.key.as_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Whether this is that key: the same bytes, under the same name where both have one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.key == other.key && self.name.as_ref().zip(other.name.as_ref()).is_none_or(|(a, b)| a == b)
    }

    /// Its id in an envelope, whatever its name: the beginning of its SHA-256, hexadecimal.
    pub fn id(&self) -> String {
        let mut id = hex::encode(Sha256::digest(self.key.as_bytes()));
        id.truncate(KEY_ID);
        id
    }

    /// The key's 32 bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// As PEM text.
    #[allow(clippy::missing_panics_doc, reason = "see the reason at its place")]
    pub fn to_pem(&self) -> String {
        self.key.to_public_key_pem(LineEnding::LF).expect("32 bytes always have a form in PEM")
    }

    /// As a verifier line.
    pub fn to_line(&self) -> String {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        let name = self.name.as_deref().unwrap_or_default();
        format!("{name}+{}+{}", hex::encode(self.hash()), STANDARD.encode(key))
    }

    /// Whether the key signed exactly these bytes.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}
