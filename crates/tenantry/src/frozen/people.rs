//! Who stands behind a run, and whether they are enough.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use sha2::{Digest, Sha256};
use tenantry_contracts::RequestId;
use tenantry_contracts::operation::{Actor, Operation, OperationVerb, Target, same_account};

use super::progress::Head;
use crate::out::{Refused, usage};
use crate::settings::{Person, read_key, sign};

/// Who decides about many things at once, and why.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct People {
    #[command(flatten)]
    pub(crate) person: Person,
    /// The file with the second person's private key: whoever answers for many things signs each of them, in this process
    #[arg(long, env = "TENANTRY_SECOND_SIGN_WITH", value_name = "KEYFILE", requires = "second")]
    second_sign_with: Option<PathBuf>,
    /// More than this need a second person (--second)
    #[arg(long, env = "TENANTRY_FOUR_EYES_ABOVE", value_name = "N", default_value_t = 100)]
    four_eyes_above: usize,
}

impl People {
    /// Refuses so many things that nobody else answers for. `destroys`: they take something away, however little.
    pub(crate) fn demand(&self, many: usize, destroys: bool) -> Result<(), Refused> {
        let (person, actor) = (&self.person, self.person.account());
        if person.reason.trim().is_empty() {
            return Err(usage("reason_missing", "give a reason with --reason; it is part of the audit"));
        }
        match &person.second {
            Some(second) if second.trim().is_empty() || same_account(second, &actor) => {
                let text = format!("{second:?} is not another person; somebody else must answer for it");
                Err(usage("second_is_actor", text))
            }
            None if destroys => {
                Err(usage("second_missing", "this destroys: name who else answers for it with --second"))
            }
            None if many > self.four_eyes_above => {
                let most = self.four_eyes_above;
                let text = format!("{many} are more than {most}: name who else answers for it with --second");
                Err(usage("second_missing", text))
            }
            _ => Ok(()),
        }
    }

    /// Whose work it is where this is the first run of this selection.
    pub(crate) fn head(&self, selection: &str) -> Head {
        let Person { reason, second, .. } = &self.person;
        Head {
            selection: selection.to_owned(),
            actor: Actor::unverified(&self.person.account()),
            reason: reason.clone(),
            second: second.as_deref().map(Actor::unverified),
        }
    }

    /// The same people, saying what the first run said.
    ///
    /// # Errors
    /// Where they sign, and are others than those.
    pub(crate) fn of(&self, head: &Head) -> Result<Self, Refused> {
        let second = head.second.as_ref().map(|second| second.name.clone());
        let same = |one: &str, other: Option<&str>| other.is_some_and(|other| same_account(one, other));
        let theirs = same(&self.person.account(), Some(&head.actor.name));
        let seconds = self.person.second.as_deref().is_none_or(|one| same(one, second.as_deref()));
        if !theirs && self.person.sign_with.is_some() || !seconds && self.second_sign_with.is_some() {
            let with = second.map(|second| format!(" and {second}")).unwrap_or_default();
            let text = format!(
                "{}{with} began this, and their words stand; sign with their keys, or plan anew",
                head.actor.name
            );
            return Err(usage("run_of_others", text));
        }
        let person = Person {
            reason: head.reason.clone(),
            actor: Some(head.actor.name.clone()),
            second,
            sign_with: self.person.sign_with.clone(),
        };
        Ok(Self { person, ..self.clone() })
    }

    /// The first of them alone.
    pub(crate) fn alone(&self) -> Self {
        Self { person: Person { second: None, ..self.person.clone() }, ..self.clone() }
    }

    /// The operation in which they say so, signed by whoever has a key here.
    pub(crate) fn operation(
        &self,
        id: RequestId,
        verb: OperationVerb,
        target: Option<Target>,
        expected_version: Option<i64>,
    ) -> Result<Operation, Refused> {
        let mut operation = self.person.operation(id, verb, target, expected_version, None)?;
        if let (Some(second), Some(file)) = (&self.person.second, &self.second_sign_with) {
            sign(&mut operation, second, &read_key(file)?)?;
        }
        Ok(operation)
    }

    /// The same for the same people with the same reason, and different for others.
    pub(crate) fn digest(&self) -> String {
        let second = self.person.second.as_deref().unwrap_or_default();
        let all = [self.person.account().as_str(), second, self.person.reason.as_str()].join("\n");
        hex::encode(&Sha256::digest(all)[..8])
    }

    /// The same people, with more to say of why.
    pub(crate) fn because(&self, more: &str) -> Self {
        let reason = format!("{} ({more})", self.person.reason);
        Self { person: Person { reason, ..self.person.clone() }, ..self.clone() }
    }
}
