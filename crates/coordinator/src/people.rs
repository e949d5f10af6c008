//! Whose verbs these are: accounts, their keys, and whether an operation must be signed.

use std::collections::BTreeMap;

use serde::Deserialize;
use tenantry_audit::PublicKey;
use tenantry_contracts::operation::{Actor, Operation, same_account};
use tenantry_contracts::{Code, Refusal, strict};

/// The people who operate a fleet. Without a file nobody has a key, and nothing is demanded.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    keys: BTreeMap<String, PublicKey>,
    demand: bool,
}

impl Operators {
    /// Reads the file: `{"demand_signatures": true, "keys": {"ada": "<PEM or a line name+hash+key>"}}`.
    ///
    /// # Errors
    /// Where it breaks its form, with the JSON pointer.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            demand_signatures: bool,
            #[serde(default)]
            keys: BTreeMap<String, String>,
        }
        let file: File = strict::read(text)?;
        let mut keys = BTreeMap::new();
        for (account, text) in file.keys {
            let key = PublicKey::read(&text).map_err(|error| {
                let mut place = "/keys".to_owned();
                tenantry_contracts::pointer::push(&mut place, &account);
                Refusal::new(Code::FieldInvalid, error.to_string()).at(place)
            })?;
            keys.insert(account, key);
        }
        Ok(Self { keys, demand: file.demand_signatures })
    }

    /// The operation with its people marked as what they are: verified where their signature is theirs.
    ///
    /// # Errors
    /// `signature_invalid`, `signature_missing`, `second_is_actor`.
    pub(crate) fn verified(&self, operation: &Operation) -> Result<Operation, Refusal> {
        let mut marked = operation.clone();
        self.mark(operation, &mut marked.actor, "/actor/name")?;
        if let Some(second) = &mut marked.second {
            operation.needs_second()?;
            self.mark(operation, second, "/second/name")?;
        }
        Ok(marked)
    }

    fn mark(&self, operation: &Operation, person: &mut Actor, place: &str) -> Result<(), Refusal> {
        person.verified = false;
        let name = person.name.as_str();
        let theirs = operation.signatures.iter().find(|signed| same_account(&signed.account, name));
        let Some(theirs) = theirs else {
            let message = format!("{name} has not signed it, and this fleet demands signatures");
            let missing = Refusal::new(Code::SignatureMissing, message).at(place);
            return if self.demand { Err(missing) } else { Ok(()) };
        };
        let invalid = |what: &str| Refusal::new(Code::SignatureInvalid, format!("{name}: {what}")).at(place);
        let (_, key) = self
            .keys
            .iter()
            .find(|(account, _)| same_account(account, name))
            .ok_or_else(|| invalid("the fleet's operators file has no key of this account"))?;
        let sig = theirs.bytes().ok_or_else(|| invalid("the signature is no base64"))?;
        let words =
            operation.signed_bytes().map_err(|_| invalid("the operation has no form to be signed"))?;
        if !key.signed(&words, &sig) {
            return Err(invalid("the signature is not one of this operation with this account's key"));
        }
        person.verified = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tenantry_audit::Signer;
    use tenantry_contracts::RequestId;
    use tenantry_contracts::operation::{OperationVerb, Signature};

    use super::*;

    fn operation(second: Option<&str>) -> Operation {
        let actor = |name: &str| Actor { name: name.to_owned(), verified: true };
        Operation {
            id: RequestId { source: "cli".to_owned(), id: "1".to_owned() },
            verb: OperationVerb::AcceptRestore,
            target: None,
            expected_version: None,
            seen: None,
            actor: actor("ada"),
            reason: "because".to_owned(),
            second: second.map(actor),
            signatures: Vec::new(),
        }
    }

    fn key(entropy: u8) -> Signer {
        Signer::from_entropy("key", [entropy; 32]).unwrap()
    }

    fn signed(mut operation: Operation, by: &[(&str, u8)]) -> Operation {
        let words = operation.signed_bytes().unwrap();
        for (account, entropy) in by {
            operation.signatures.push(Signature::new(account, &key(*entropy).sign(&words)));
        }
        operation
    }

    fn operators(demand: bool) -> Operators {
        let pem = |entropy: u8| key(entropy).public().to_pem().replace('\n', "\\n");
        let (ada, bob) = (pem(1), pem(2));
        Operators::read(&format!(
            r#"{{"demand_signatures":{demand},"keys":{{"ada":"{ada}","Bob":"{bob}"}}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn nobody_is_verified_by_what_a_record_says() {
        let marked = Operators::default().verified(&operation(Some("bob"))).unwrap();
        assert!(!marked.actor.verified && !marked.second.unwrap().verified);
    }

    #[test]
    fn a_signature_verifies_its_own_account_only() {
        let marked = operators(false).verified(&signed(operation(Some("bob")), &[("ada", 1)])).unwrap();
        assert!(marked.actor.verified && !marked.second.unwrap().verified);
        let both = signed(operation(Some("bob")), &[("ada", 1), ("bob", 2)]);
        let marked = operators(true).verified(&both).unwrap();
        assert!(marked.actor.verified && marked.second.unwrap().verified);
    }

    #[test]
    fn what_is_wrong_with_a_signature_is_named_by_code_and_place() {
        let refused = |operation: &Operation| {
            let refusal = operators(true).verified(operation).unwrap_err();
            (refusal.code, refusal.pointer.unwrap_or_default())
        };
        let bare = operation(Some("bob"));
        let mut altered = signed(bare.clone(), &[("ada", 1), ("bob", 2)]);
        altered.reason.push('!');
        for (operation, code, place) in [
            (bare.clone(), Code::SignatureMissing, "/actor/name"),
            (signed(bare.clone(), &[("ada", 1)]), Code::SignatureMissing, "/second/name"),
            (signed(bare.clone(), &[("ada", 2), ("bob", 2)]), Code::SignatureInvalid, "/actor/name"),
            (altered, Code::SignatureInvalid, "/actor/name"),
            (signed(operation(Some("Ada ")), &[("ada", 1)]), Code::SecondIsActor, "/second/name"),
        ] {
            assert_eq!(refused(&operation), (code, place.to_owned()));
        }
        let mut stranger = bare;
        stranger.actor.name = "eve".to_owned();
        let refusal = operators(false).verified(&signed(stranger, &[("eve", 3)])).unwrap_err();
        assert_eq!(refusal.code, Code::SignatureInvalid);
    }

    #[test]
    fn a_file_that_is_not_sound_is_named_by_place() {
        let refusal = Operators::read(r#"{"keys":{"ada":"x"}}"#).unwrap_err();
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::FieldInvalid, Some("/keys/ada")));
    }
}
