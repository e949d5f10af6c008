//! Stable codes of refusals and failures. A code never changes its meaning; each has a page in `deploy/runbook`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares [`Code`] with its text on the wire, one line of what to do, and its page, so that no code can lack one.
macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal, $advice:literal;)*) => {
        /// Why something was refused or failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Code {
            $($(#[doc = $doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*),)* }
            }

            /// What the reader can do about it, in one sentence.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }

            /// Its page in the runbook (Markdown): cause, what to look at, what to do. Written by hand.
            pub const fn page(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../../../deploy/runbook/codes/", $text, ".md")),)* }
            }
        }
    };
}

codes! {
    // Records that cannot be read: quarantine.
    /// The value is no JSON document.
    NotJson = "not_json", "send one JSON document in UTF-8 as the record's value";
    /// The record has no value.
    EmptyValue = "empty_value", "send the request as the record's value; an empty value means nothing on this topic";
    /// A string holds U+0000.
    NulCharacter = "nul_character", "remove U+0000 from the document; it cannot be stored";
    /// Nested deeper than is read.
    TooDeep = "too_deep", "nest objects and arrays at most 32 deep";
    /// Larger than is read.
    TooLarge = "too_large", "keep the document under 256 KiB";
    /// More members or elements than are read.
    TooManyNodes = "too_many_nodes", "keep the document under 10,000 values";
    /// The same member twice in one object.
    DuplicateMember = "duplicate_member", "name each member of an object once";
    /// A string longer than is read.
    StringTooLong = "string_too_long", "keep each string under 4 KiB";
    /// A newer version of a known type.
    VersionUnknown = "version_unknown", "upgrade the fleet, or publish the version that it knows";
    /// A type that does not belong on this topic.
    TypeUnknown = "type_unknown", "publish tenant.requested.v1 on tenant.requests";
    /// A CloudEvents attribute is missing or malformed.
    EnvelopeInvalid = "envelope_invalid", "send CloudEvents 1.0 (binary or structured mode) or plain JSON";
    /// A process died repeatedly while it stepped this record.
    CrashLoop = "crash_loop", "look at the record with `tenantry dlq`, report the bug, and publish a corrected request";

    // Requests that could be read and are refused.
    /// A member that the contract does not have.
    FieldUnknown = "field_unknown", "remove the member, or spell it as the schema does";
    /// A member that must be there is not.
    FieldMissing = "field_missing", "add the member";
    /// A member has the wrong type or a value outside its range.
    FieldInvalid = "field_invalid", "correct the value as the schema says";
    /// The slug breaks the grammar.
    SlugInvalid = "slug_invalid", "use 3 to 32 lower-case ASCII letters, digits and single hyphens, a letter first";
    /// The slug is reserved.
    SlugReserved = "slug_reserved", "choose another slug";
    /// The name yields no slug.
    SlugUnderivable = "slug_underivable", "send a slug; none can be derived from this name";
    /// Another living tenant holds the slug.
    SlugTaken = "slug_taken", "choose another slug, or offboard the tenant that holds it";
    /// The environment breaks the grammar.
    EnvironmentInvalid = "environment_invalid", "use 1 to 16 lower-case ASCII letters and digits, a letter first";
    /// The record's key names another slug than its body.
    KeyMismatch = "key_mismatch", "publish with the slug as the record's key";
    /// The same request id came with other content.
    RequestIdReused = "request_id_reused", "send a new request under a fresh id";
    /// An id that is not known, on a request older than ids are remembered.
    RequestTooOld = "request_too_old", "publish the request anew with a fresh id and time";
    /// The tenant id that upstream brought is taken.
    TenantIdTaken = "tenant_id_taken", "let the fleet choose the id, or bring an unused UUID";
    /// The e-mail address cannot be one.
    EmailInvalid = "email_invalid", "send an address of the form local@domain";
    /// The plan does not exist.
    PlanUnknown = "plan_unknown", "use one of the plans that the answer lists";
    /// The region does not lie in the residency asked for.
    RegionOutsideResidency = "region_outside_residency", "choose a region inside the residency, or another residency";
    /// The residency is not known.
    ResidencyUnknown = "residency_unknown", "use one of the residencies that the answer lists";
    /// The region is not known.
    RegionUnknown = "region_unknown", "use one of the regions that the answer lists";
    /// The display name is claimed by another tenant, or looks like one that is.
    NameTaken = "name_taken", "choose another name, or offboard the tenant that holds it";
    /// The name holds characters that are not allowed.
    NameInvalid = "name_invalid", "use printable text of one line, at most 200 characters";
    /// The domain is claimed by another tenant.
    DomainTaken = "domain_taken", "choose another domain, or offboard the tenant that holds it";
    /// The domain is no host name.
    DomainInvalid = "domain_invalid", "send a lower-case host name such as acme.example.com";
    /// A secret stands in the request.
    SecretInRequest = "secret_in_request", "take the secret out and change it where it is valid; the fleet makes credentials itself";
    /// The tenant's validity ended already.
    ValidityEnded = "validity_ended", "send a validity that ends in the future";
    /// The module does not exist.
    ModuleUnknown = "module_unknown", "enable only modules that the fleet has";
    /// The plan's template does not allow this customisation.
    CustomisationNotAllowed = "customisation_not_allowed", "leave it out, or choose a plan whose template allows it; the answer lists what is allowed";
    /// A customisation breaks a rule of the template.
    CustomisationInvalid = "customisation_invalid", "correct the value as the template's rule says";
    /// The plan does not include this feature.
    FeatureNotInPlan = "feature_not_in_plan", "leave the feature out, or choose a plan that includes it";
    /// The integration does not exist, or the plan does not include it.
    IntegrationUnknown = "integration_unknown", "use one of the integrations that the answer lists";
    /// More is asked for than the plan gives.
    OverPlan = "over_plan", "ask for less, or choose a larger plan";
    /// The template that was pinned when the saga began is not among those that the worker has.
    TemplateMoved = "template_moved", "give the workers the same --templates as the coordinator, then retry";
    /// A policy said no.
    PolicyDenied = "policy_denied", "the reasons stand in the message; change the request, or talk to the owner of the policy";
    /// The request was planned, and what it would meet has changed since.
    PlanStale = "plan_stale", "look at the new plan with `tenantry plan`, and publish with its digest";
    /// This kind of request is not served yet by this fleet.
    KindUnsupported = "kind_unsupported", "this fleet has no plan for this kind of request; look at `tenantry plan`";

    // Operations of people.
    /// No such tenant.
    TenantUnknown = "tenant_unknown", "look at `tenantry tenant ls`";
    /// The tenant moved on since the operation was decided.
    VersionStale = "version_stale", "look at the tenant again and repeat the operation if it still applies";
    /// The verb does not apply in this state.
    VerbNotAllowed = "verb_not_allowed", "look at `tenantry tenant show` for the verbs that apply now";
    /// The operation lacks a reason.
    ReasonMissing = "reason_missing", "give a reason with --reason; it is part of the audit";

    /// The verb needs a second person.
    SecondMissing = "second_missing", "let a second person answer for it: --second, and their signature where the fleet demands one";
    /// The second person is the first one.
    SecondIsActor = "second_is_actor", "somebody else must answer for it";
    /// The fleet demands signatures, and this operation lacks one.
    SignatureMissing = "signature_missing", "sign it: --sign-with, or `tenantry operation sign`";
    /// A signature is not one of these words with that account's key.
    SignatureInvalid = "signature_invalid", "sign it again with the key whose public half stands in the fleet's operators file";
    /// The tenant is under a legal hold.
    LegalHold = "legal_hold", "nothing of it may be destroyed; whoever placed the hold can release it, with a second person";
    /// The step's own look does not prove what the verb needs.
    ProofRefused = "proof_refused", "look at what the message says is there, remove or mend it, or let a second person answer for it";
    /// No such row, or it is not in a state for this verb.
    RowUnknown = "row_unknown", "look at `tenantry tenant show` for the rows of the running saga";
    /// More tenants than the fleet allows in an hour would be undone.
    BlastRadius = "blast_radius", "wait, or let a second person answer for more";
    /// The store ends before what was published: it was restored from a backup.
    StoreRestored = "store_restored", "look at what is missing, then restore a newer backup, or go on with `tenantry fleet accept-restore`";

    /// Whoever asked for the tenant must not approve it.
    ApproverIsRequester = "approver_is_requester", "somebody else with the gate's role must decide";
    /// This account may not decide at this gate.
    ApproverNotAllowed = "approver_not_allowed", "let somebody decide who has the gate's role in the approvers file";
    /// What was seen is not what stands now.
    EvidenceChanged = "evidence_changed", "look at the tenant again, and approve with the digest that it shows now";

    // Failures of steps.
    /// The pools do not have enough of something.
    CapacityInsufficient = "capacity_insufficient", "add capacity to the pools that the message names, then retry";
    /// A pool is nearly used up.
    CapacityLow = "capacity_low", "add capacity to the pool before it is used up";
    /// A health check failed.
    HealthFailed = "health_failed", "look at the check that the message names, mend its cause, then retry";
    /// The tenant works with less than it should have.
    HealthDegraded = "health_degraded", "look at the check that the message names; the tenant can be used meanwhile";
    /// A mail server refused the message or its recipient for good.
    MailRefused = "mail_refused", "correct the address or the mail server's settings, then retry";
    /// A receipt is not what was signed, or was signed with another key.
    ReceiptInvalid = "receipt_invalid", "take the receipt and the public key from where the worker `receipt` keeps them, and look who changed this one";
    /// A thing of that name exists and is not ours.
    OwnedByOther = "owned_by_other", "look who made it; it is never adopted and never removed by the fleet";
    /// No answer came in time.
    NoAnswer = "no_answer", "look whether the worker runs and what it waits for, then retry";
    /// The worker could not handle the command; it lies in the dead letters.
    DeadLettered = "dead_lettered", "look at the letter with `tenantry dlq show`, mend the cause, then retry";
    /// The question's deadline had passed when the worker saw it.
    Expired = "expired", "nothing to do: it is asked again while the step's own deadline stands";
    /// Retries inside the deadline did not help.
    Exhausted = "exhausted", "look at the cause in the timeline, mend the dependency, then retry";
    /// The worker lacks something that a person must configure.
    Misconfigured = "misconfigured", "correct the worker's configuration, then retry";
    /// An output did not have the shape that the contract says.
    OutputInvalid = "output_invalid", "report the bug; worker and coordinator disagree about the contract";
    /// The isolation probe saw what it must not see.
    IsolationBroken = "isolation_broken", "page the security owner; the tenant is not activated";
    /// A migration of a module failed.
    MigrationFailed = "migration_failed", "correct the migration, then retry; the ledger resumes at the failed module";
    /// A fault switch of a drill or test.
    FaultInjected = "fault_injected", "switch the fault off (TENANTRY_FAULTS), then retry";
    /// A bug in the fleet itself.
    Bug = "bug", "report it with the output of `tenantry tenant timeline`";
    /// Cancelled by a person.
    Cancelled = "cancelled", "nothing to do";
    /// Refused by a reviewer.
    GateRejected = "gate_rejected", "talk to the reviewer; the reason is in the timeline";
    /// Nobody decided in time.
    GateExpired = "gate_expired", "publish a new request when somebody can decide";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The class of a failure; end policies of plans speak of classes (`spec`: failure taxonomy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The request or an input is wrong.
    Validation,
    /// A policy said no.
    Policy,
    /// The business says no: name taken, card declined.
    Business,
    /// Not enough of something.
    Capacity,
    /// It exists and is not ours.
    Conflict,
    /// The worker is not set up for it.
    Config,
    /// Tried as often as the plan allows.
    Exhausted,
    /// Nobody can tell whether it happened.
    UnknownOutcome,
    /// A defect of the fleet.
    Bug,
}

impl Class {
    /// The class on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validation => "validation",
            Self::Policy => "policy",
            Self::Business => "business",
            Self::Capacity => "capacity",
            Self::Conflict => "conflict",
            Self::Config => "config",
            Self::Exhausted => "exhausted",
            Self::UnknownOutcome => "unknown-outcome",
            Self::Bug => "bug",
        }
    }
}

/// A *no* with its reason: what was wrong, where, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{code}{}: {message}", .pointer.as_deref().map(|p| format!(" at {p}")).unwrap_or_default())]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// JSON pointer (RFC 6901) into what was refused; absent where it concerns the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// One sentence for a person. Never holds a secret or personal data.
    pub message: String,
}

impl Refusal {
    /// A refusal of the whole document.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, pointer: None, message: message.into() }
    }

    /// The same, at a place.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}
