//! Who decides, why, and with which key: the flags that every verb of a person has.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use tenantry_audit::Signer;
use tenantry_contracts::RequestId;
use tenantry_contracts::operation::{Actor, Operation, OperationVerb, Signature, Target, same_account};

use super::Secret;
use crate::out::{Refused, failed, usage};
use crate::request::user;

/// Who decides, and why.
#[derive(Clone, Debug, Args)]
pub struct Person {
    /// Why; it is part of the audit
    #[arg(short, long, env = "TENANTRY_REASON")]
    pub reason: String,
    /// Who decides [default: the operating system's user]; verified only by --sign-with
    #[arg(long, env = "TENANTRY_ACTOR", value_name = "ACCOUNT")]
    pub actor: Option<String>,
    /// Who else answers for it, where the verb needs a second person; they sign a --draft with `tenantry operation sign`
    #[arg(long, env = "TENANTRY_SECOND", value_name = "ACCOUNT")]
    pub second: Option<String>,
    /// The file with your private key: the audit then says that it was you (`tenantry keys new` makes one)
    #[arg(long, env = "TENANTRY_SIGN_WITH", value_name = "KEYFILE")]
    pub sign_with: Option<PathBuf>,
}

impl Person {
    /// The account that decides.
    pub fn account(&self) -> String {
        self.actor.clone().unwrap_or_else(user)
    }

    /// The operation, signed where a key was named. `expected_version`: the tenant's version that the person saw; `seen`:
    /// the digest of what they saw at a gate.
    ///
    /// # Errors
    /// The key cannot be read, or others can read it; the reason is empty; both persons are one.
    pub fn operation(
        &self,
        id: RequestId,
        verb: OperationVerb,
        target: Option<Target>,
        expected_version: Option<i64>,
        seen: Option<String>,
    ) -> Result<Operation, Refused> {
        let (account, second) = (self.account(), self.second.as_deref());
        if self.reason.trim().is_empty() {
            return Err(usage("reason_missing", "--reason is empty; say why: it is part of the audit"));
        }
        if second.is_some_and(|second| same_account(second, &account)) {
            let text = format!("{account} decides already; --second names another person");
            return Err(usage("second_is_actor", text));
        }
        let mut operation = Operation {
            expected_version,
            seen,
            second: second.map(Actor::unverified),
            ..Operation::new(id, verb, target, &account, &self.reason)
        };
        if let Some(file) = &self.sign_with {
            sign(&mut operation, &account, &read_key(file)?)?;
        }
        Ok(operation)
    }
}

/// Puts this account's signature beside the others, in the place of an earlier one of its own.
///
/// # Errors
/// Where the operation has no JSON form, which is a defect.
pub fn sign(operation: &mut Operation, account: &str, key: &Signer) -> Result<(), Refused> {
    let words = operation.signed_bytes().map_err(|error| {
        failed("internal", format!("the operation cannot be signed: {error}; report this"))
    })?;
    operation.signatures.retain(|signed| !same_account(&signed.account, account));
    operation.signatures.push(Signature::new(account, &key.sign(&words)));
    Ok(())
}

/// The private key of a file that nobody else can read.
///
/// # Errors
/// `key_open_to_others`, `key_invalid`, or the file cannot be read.
pub fn read_key(path: &Path) -> Result<Signer, Refused> {
    let open = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if open {
        let text = format!(
            "{}: other accounts can read this private key; close it with chmod 600, and make a new one if somebody did",
            path.display()
        );
        return Err(usage("key_open_to_others", text));
    }
    // The name stands beside signatures of logs; those of operations say an account instead.
    Signer::from_pem("operator", Secret::read(path)?.expose()).map_err(|_| {
        let text = format!(
            "{}: this is no Ed25519 key in PKCS#8 PEM form; `tenantry keys new` makes one",
            path.display()
        );
        usage("key_invalid", text)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn person(actor: &str, second: Option<&str>, sign_with: Option<PathBuf>) -> Person {
        Person {
            reason: "because".to_owned(),
            actor: Some(actor.to_owned()),
            second: second.map(str::to_owned),
            sign_with,
        }
    }

    fn operation(person: &Person) -> Result<Operation, Refused> {
        let id = RequestId { source: "cli".to_owned(), id: "1".to_owned() };
        person.operation(id, OperationVerb::AcceptRestore, None, Some(7), None)
    }

    #[test]
    fn a_key_signs_what_is_said_and_one_that_others_can_read_signs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.pem");
        let key = Signer::from_entropy("ada", [1; 32]).unwrap();
        std::fs::write(&path, key.to_pem()).unwrap();
        let ada = person("ada", Some("bob"), Some(path.clone()));
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert_eq!(operation(&ada).unwrap_err().code, "key_open_to_others");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let mut signed = operation(&ada).unwrap();
        let words = signed.signed_bytes().unwrap();
        assert!(key.public().signed(&words, &signed.signatures[0].bytes().unwrap()));

        let bob = Signer::from_entropy("bob", [2; 32]).unwrap();
        for _ in 0..2 {
            sign(&mut signed, "Bob", &bob).unwrap();
        }
        let accounts: Vec<_> = signed.signatures.iter().map(|signed| signed.account.as_str()).collect();
        assert_eq!(accounts, ["ada", "Bob"], "one signature for each account");
        assert_eq!(signed.signed_bytes().unwrap(), words, "both sign the same bytes");
    }

    #[test]
    fn what_is_no_key_is_not_repeated_and_nobody_is_two_people() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "hunter2").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let refused = operation(&person("ada", None, Some(path))).unwrap_err();
        assert!(refused.code == "key_invalid" && !refused.text.contains("hunter2"), "{refused}");
        assert_eq!(operation(&person("ada", Some("Ada "), None)).unwrap_err().code, "second_is_actor");
    }
}
