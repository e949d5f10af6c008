//! A request that is corrected by a person: a JSON merge patch (RFC 7396) of the fleet's own shape, checked as a request that
//! comes from upstream is. What is personal is sealed already, and what the saga chose its rows by is pinned: neither can be
//! corrected.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Admin, Request, canonical};
use crate::{Code, Json, Refusal, Sealed, pointer, strict};

/// The members that can be corrected.
pub const CORRECTABLE: [&str; 13] = [
    "billing_cycle",
    "features",
    "domain",
    "integrations",
    "residency",
    "region",
    "retention_days",
    "encryption",
    "seats",
    "storage_bytes",
    "modules",
    "demo_data",
    "valid_until",
];

/// Where the patch stands in an operation.
const PLACE: &str = "/verb/correct";

impl Request<Sealed> {
    /// The request with this patch.
    ///
    /// # Errors
    /// `field_unknown` for a member that cannot be corrected, and whatever a request with such a value is refused with; the
    /// pointer leads into the operation.
    pub fn corrected(&self, patch: &Json) -> Result<Self, Refusal> {
        let patch: BTreeMap<String, Value> = patch.read().map_err(|_| {
            Refusal::new(Code::FieldInvalid, "a correction is an object of the members that change").at(PLACE)
        })?;
        if patch.is_empty() {
            return Err(Refusal::new(Code::FieldInvalid, "a correction changes something").at(PLACE));
        }
        if let Some(member) = patch.keys().find(|member| !CORRECTABLE.contains(&member.as_str())) {
            let message = format!("this member cannot be corrected; these can: {}", CORRECTABLE.join(", "));
            return Err(Refusal::new(Code::FieldUnknown, message).at(inside(&pointer_to(member))));
        }
        let bug = |_| Refusal::new(Code::Bug, "the request has no form in the fleet's own shape").at(PLACE);
        let document = serde_json::to_value(canonical::Document::from(self.masked())).map_err(bug)?;
        let mut members: Map<String, Value> = serde_json::from_value(document).map_err(bug)?;
        for (member, value) in patch {
            if value.is_null() {
                members.remove(&member);
            } else {
                members.insert(member, value);
            }
        }
        let text = serde_json::to_string(&members).map_err(bug)?;
        let outline = crate::limits::check(text.as_bytes()).and_then(|outline| {
            let document: canonical::Document = strict::read(outline.text)?;
            document.draft()?.finish(&self.plan)
        });
        let (request, _) = outline.map_err(|refusal| {
            let place = inside(refusal.pointer.as_deref().unwrap_or_default());
            refusal.at(place)
        })?;
        Ok(self.with_personal(Request { kind: self.kind, ..request }))
    }

    /// Hexadecimal SHA-256 of its normal form.
    pub fn digest(&self) -> String {
        // It was read from JSON and always has that form.
        hex::encode(Sha256::digest(serde_json::to_vec(self).unwrap_or_default()))
    }

    /// The members that differ, by name.
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let members = |request: &Self| -> Map<String, Value> {
            serde_json::to_value(request)
                .ok()
                .and_then(|value| serde_json::from_value(value).ok())
                .unwrap_or_default()
        };
        let (before, after) = (members(self), members(other));
        CORRECTABLE.into_iter().filter(|member| before.get(*member) != after.get(*member)).collect()
    }

    /// The same with something in the place of what is sealed, that passes every check.
    fn masked(&self) -> Request<String> {
        let text = |_: &Sealed| "masked".to_owned();
        Request {
            kind: self.kind,
            environment: self.environment.clone(),
            slug: self.slug.clone(),
            tenant: self.tenant,
            requested_by: self.requested_by.as_ref().map(text),
            initiator: self.initiator.clone(),
            approval: self.approval.clone(),
            name: "masked".to_owned(),
            organization: self.organization.as_ref().map(text),
            admin: self.admin.as_ref().map(|admin| Admin {
                email: "masked@masked.example".to_owned(),
                first_name: admin.first_name.as_ref().map(text),
                last_name: admin.last_name.as_ref().map(text),
                role: admin.role.clone(),
            }),
            plan: self.plan.clone(),
            billing_cycle: self.billing_cycle.clone(),
            features: self.features.clone(),
            domain: self.domain.clone(),
            integrations: self.integrations.clone(),
            customisation: None,
            residency: self.residency.clone(),
            region: self.region.clone(),
            retention_days: self.retention_days,
            encryption: self.encryption.clone(),
            seats: self.seats,
            storage_bytes: self.storage_bytes,
            modules: self.modules.clone(),
            demo_data: self.demo_data,
            valid_until: self.valid_until,
        }
    }

    /// A masked request with what is sealed in this one.
    fn with_personal(&self, masked: Request<String>) -> Self {
        let admin = self.admin.as_ref();
        let sealed = |field: &'static str| match field {
            "requested_by" => self.requested_by.clone(),
            "organization" => self.organization.clone(),
            "admin.email" => admin.map(|admin| admin.email.clone()),
            "admin.first_name" => admin.and_then(|admin| admin.first_name.clone()),
            "admin.last_name" => admin.and_then(|admin| admin.last_name.clone()),
            _ => None,
        };
        let request = masked.seal(|field, _| sealed(field).unwrap_or_else(|| self.name.clone()));
        Self { customisation: self.customisation.clone(), ..request }
    }
}

fn pointer_to(member: &str) -> String {
    let mut place = String::new();
    pointer::push(&mut place, member);
    place
}

fn inside(place: &str) -> String {
    format!("{PLACE}{place}")
}
