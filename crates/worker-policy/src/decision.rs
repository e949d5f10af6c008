//! What the policies are asked, how their answer is read, and the names under which both are remembered. Pure.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tenantry_contracts::steps::Notice;
use tenantry_contracts::steps::policy::{Input, Output};
use tenantry_contracts::{Class, Code, Environment, Slug, TenantId};
use tenantry_step::{Answer, Cx, Trouble, shelf};

/// The bundle of an engine that does not tell which policies it has.
pub(crate) const UNKNOWN: &str = "unknown";

/// The most that is told of a list of reasons or notices, and of one message in it.
const MOST: usize = 20;
const LONGEST: usize = 300;

/// A question to the policies.
pub(crate) struct Question {
    seen: Seen,
    digest: String,
}

/// What the policies see as `input`. Everything in it is named here or in [`Input`], and none of it is personal data:
/// that makes it fit for the log.
#[derive(Serialize)]
pub(crate) struct Seen {
    tenant: Tenant,
    #[serde(flatten)]
    asked: Input,
}

#[derive(Serialize)]
struct Tenant {
    id: TenantId,
    slug: Slug,
    environment: Environment,
}

impl Question {
    /// The question that an input is, with what the context knows of the tenant.
    ///
    /// # Errors
    /// `field_invalid` where the query is no path: it becomes part of a query and of an address.
    pub(crate) fn of(cx: &Cx, input: &Input) -> Answer<Self> {
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if !input.query.split('/').all(is_word) {
            let message = "a query is a path of lower-case words, such as tenants/provision";
            return Err(Trouble::no_at(Code::FieldInvalid, Class::Validation, "/query", message));
        }
        let mut asked = input.clone();
        if asked.region.is_none() {
            asked.region.clone_from(&cx.region);
        }
        let tenant = Tenant { id: cx.tenant, slug: cx.slug.clone(), environment: cx.environment.clone() };
        let seen = Seen { tenant, asked };
        let digest = shelf::digest(&seen);
        Ok(Self { seen, digest })
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Hexadecimal SHA-256 of what the policies see.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn query(&self) -> &str {
        &self.seen.asked.query
    }

    /// What the policies see, as JSON.
    pub(crate) fn text(&self) -> Answer<String> {
        serde_json::to_string(&self.seen)
            .map_err(|_| Trouble::no(Code::Bug, Class::Bug, "the question has no JSON form"))
    }
}

/// Why not: the rule and one sentence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    pub(crate) id: String,
    pub(crate) message: String,
}

/// The decision's document, as the policies give it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    allow: Option<bool>,
    #[serde(default)]
    deny: Vec<Reason>,
    #[serde(default)]
    notices: Vec<Notice>,
}

/// What the policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) allow: bool,
    /// In order, and at least one where it is not allowed.
    pub(crate) reasons: Vec<Reason>,
    notices: Vec<Notice>,
    /// Which policies said it.
    pub(crate) bundle: String,
    /// Which engine.
    pub(crate) engine: &'static str,
}

impl Verdict {
    /// Reads the document that an engine gave; `None` where it gave none. Only `allow` that is true without any reason
    /// against it allows.
    ///
    /// # Errors
    /// `misconfigured` where it is none that this worker understands in every part.
    pub(crate) fn read(document: Option<&str>, bundle: String, engine: &'static str) -> Answer<Self> {
        let nothing = Document { allow: None, deny: Vec::new(), notices: Vec::new() };
        let document = match document {
            None => nothing,
            Some(text) => serde_json::from_str(text).map_err(|error| {
                let error = cut(&error.to_string());
                broken(&format!("the decision has another shape than allow, deny and notices: {error}"))
            })?,
        };
        let mut reasons = document.deny;
        let because = |id: &str, message: &str| Reason { id: id.to_owned(), message: message.to_owned() };
        if document.allow.is_none() {
            reasons.push(because("decision.undefined", "the policies decide nothing about this query"));
        } else if document.allow == Some(false) && reasons.is_empty() {
            reasons.push(because("decision.denied", "the policies do not allow it and give no reason"));
        }
        for reason in &mut reasons {
            *reason = Reason { id: cut(&reason.id), message: cut(&reason.message) };
        }
        reasons.sort();
        reasons.dedup();
        reasons.truncate(MOST);
        let mut notices = document.notices;
        for notice in &mut notices {
            notice.message = cut(&notice.message);
        }
        notices.sort_by(|one, two| (one.code, &one.message).cmp(&(two.code, &two.message)));
        notices.dedup();
        notices.truncate(MOST);
        Ok(Self { allow: reasons.is_empty(), reasons, notices, bundle, engine })
    }

    /// The decision's id: the same policies say the same about the same question under the same id. Where it cannot be
    /// told which policies spoke, what they said stands for them.
    pub(crate) fn id(&self, question: &Question) -> String {
        let mut hash = Sha256::new();
        hash.update("tenantry/1\ndecision\n");
        for part in [&self.bundle, &question.digest, &question.seen.tenant.id.to_string()] {
            hash.update(part);
            hash.update("\n");
        }
        if self.bundle == UNKNOWN {
            for Reason { id, message } in &self.reasons {
                hash.update(format!("{id}\n{message}\n"));
            }
            for Notice { code, message } in &self.notices {
                hash.update(format!("{code}\n{message}\n"));
            }
        }
        let digest = hex::encode(hash.finalize());
        format!("dec_{}", &digest[..24])
    }

    /// What the step answers.
    ///
    /// # Errors
    /// `policy_denied`, with all reasons.
    pub(crate) fn answer(&self, question: &Question) -> Answer<Output> {
        let decision = self.id(question);
        if !self.allow {
            let reasons: Vec<_> =
                self.reasons.iter().map(|Reason { id, message }| format!("{id}: {message}")).collect();
            let message = format!("{decision}: {}", reasons.join("; "));
            return Err(Trouble::no(Code::PolicyDenied, Class::Policy, message));
        }
        Ok(Output {
            decision,
            allow: true,
            bundle: self.bundle.clone(),
            input: question.digest.clone(),
            engine: self.engine.to_owned(),
            notices: self.notices.clone(),
        })
    }
}

/// The policies, or the engine's settings, must be mended by a person.
pub(crate) fn broken(message: &str) -> Trouble {
    let message = format!("{message}; nothing is allowed until the policies are corrected");
    Trouble::no(Code::Misconfigured, Class::Config, message)
}

/// One line of bounded length: what policies say goes into the audit.
pub(crate) fn cut(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
