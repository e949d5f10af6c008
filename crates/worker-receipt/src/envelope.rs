//! The signature: a receipt's exact bytes in a DSSE envelope, signed with Ed25519. Any tool that knows DSSE can check
//! it with the public key; the same receipt signed with the same key has the same envelope, byte for byte.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use tenantry_contracts::dsse::{Envelope, signed_bytes};
use tenantry_contracts::receipt::{MEDIA_TYPE, Receipt};
use tenantry_contracts::{Class, Code, Refusal};
use tenantry_step::{Answer, Trouble};

/// How many hexadecimal digits of a public key's SHA-256 make the key's id.
const KEY_ID: usize = 32;

/// The key that signs receipts. Never printed.
pub struct Signer {
    key: SigningKey,
    id: String,
}

impl Signer {
    /// The key of a PKCS#8 PEM text, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// `misconfigured` where the text is no such key. The message never repeats it.
    pub fn from_pem(text: &str) -> Answer<Self> {
        SigningKey::from_pkcs8_pem(text).map(Self::of).map_err(|_| {
            let message = "the key file for receipts holds no Ed25519 key in PKCS#8 PEM form; \
                           `openssl genpkey -algorithm ed25519` writes one";
            Trouble::no(Code::Misconfigured, Class::Config, message)
        })
    }

    /// A new key from 32 random bytes, and the PEM text to keep it in. Whoever has the text can sign.
    #[allow(clippy::missing_panics_doc, reason = "see the reason at its place")]
    pub fn generate(entropy: [u8; 32]) -> (String, Self) {
        let signer = Self::of(SigningKey::from_bytes(&entropy));
        let pem = signer.key.to_pkcs8_pem(LineEnding::LF);
        (pem.expect("32 bytes always have a PKCS#8 form").to_string(), signer)
    }

    fn of(key: SigningKey) -> Self {
        let id = key_id(&key.verifying_key());
        Self { key, id }
    }

    /// The id of the key: the beginning of the SHA-256 of its public half.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half.
    pub fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// The public half as PEM text, for those who verify.
    pub(crate) fn public_pem(&self) -> String {
        let pem = self.public().to_public_key_pem(LineEnding::LF);
        pem.expect("32 bytes always have a PKCS#8 form")
    }

    /// The receipt's bytes in their envelope.
    pub(crate) fn seal(&self, receipt: &[u8]) -> Vec<u8> {
        let sign = |message: &[u8]| self.key.sign(message).to_bytes();
        let envelope = Envelope::seal(MEDIA_TYPE, receipt, &self.id, sign);
        serde_json::to_vec(&envelope).expect("text members have a JSON form")
    }
}

/// The id of a public key: the beginning of its SHA-256, hexadecimal.
pub fn key_id(key: &VerifyingKey) -> String {
    let mut id = hex::encode(Sha256::digest(key.as_bytes()));
    id.truncate(KEY_ID);
    id
}

/// Checks an envelope with a public key, and gives the receipt in it. Needs nothing but these bytes.
///
/// # Errors
/// `receipt_invalid`: it was changed, it was signed with another key, or it is no receipt.
pub fn verify(envelope: &[u8], key: &VerifyingKey) -> Result<Receipt, Refusal> {
    let receipt = open(envelope, key)?;
    serde_json::from_slice(&receipt).map_err(|_| invalid("/payload", "what was signed is no receipt"))
}

/// Checks an envelope and gives the exact bytes that were signed.
pub(crate) fn open(envelope: &[u8], key: &VerifyingKey) -> Result<Vec<u8>, Refusal> {
    let envelope: Envelope =
        serde_json::from_slice(envelope).map_err(|_| invalid("", "this is no envelope of a receipt"))?;
    if envelope.payload_type != MEDIA_TYPE {
        return Err(invalid("/payloadType", "the envelope holds something else than a receipt"));
    }
    let [signed] = envelope.signatures.as_slice() else {
        return Err(invalid("/signatures", "a receipt has one signature"));
    };
    if signed.keyid != key_id(key) {
        return Err(invalid("/signatures/0/keyid", "it was signed with another key than this one"));
    }
    let receipt = envelope.payload().ok_or_else(|| invalid("/payload", "it is no base64"))?;
    let signature = signed.bytes().and_then(|bytes| Signature::from_slice(&bytes).ok());
    let message = signed_bytes(MEDIA_TYPE, &receipt);
    let checked = signature.and_then(|signature| key.verify_strict(&message, &signature).ok());
    checked.map(|()| receipt).ok_or_else(|| {
        invalid("/signatures/0/sig", "the signature is not one of these bytes with this key: it was changed")
    })
}

/// Whether an envelope holds the receipt with this digest, whoever signed it.
pub(crate) fn holds(envelope: &[u8], digest: &str) -> bool {
    let envelope: Option<Envelope> = serde_json::from_slice(envelope).ok();
    let receipt = envelope.and_then(|envelope| envelope.payload());
    receipt.is_some_and(|receipt| hex::encode(Sha256::digest(receipt)) == digest)
}

fn invalid(at: &str, message: &str) -> Refusal {
    Refusal::new(Code::ReceiptInvalid, message).at(at)
}
