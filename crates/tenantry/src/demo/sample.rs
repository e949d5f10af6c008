//! The sample request: what seed 002's admin console sends, with somebody to write to. Each run has a fresh name, since
//! names stay taken.

use bytes::Bytes;
use serde::Serialize;
use tenantry_contracts::{Headers, RequestId, Slug};
use tenantry_ports::Clock;

use crate::clock::SystemClock;
use crate::out::Refused;
use crate::request::{Document, fresh_id};

/// Who asks.
const SOURCE: &str = "tenantry-demo";

/// A request that is ready to be published.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) id: RequestId,
    pub(super) slug: Slug,
    pub(super) headers: Headers,
    pub(super) data: Bytes,
}

/// Our own reader refuses our own sample.
#[derive(Debug)]
pub(super) struct Unready(pub(super) String);

#[derive(Serialize)]
struct Body {
    name: String,
    slug: String,
    environment: &'static str,
    plan: &'static str,
    residency: &'static str,
    region: &'static str,
    seats: u32,
    storage_bytes: u64,
    admin: Admin,
}

#[derive(Serialize)]
struct Admin {
    email: &'static str,
    first_name: &'static str,
}

impl Sample {
    /// A sample under a fresh name.
    pub(super) fn new(clock: &SystemClock) -> Result<Self, Refused> {
        let suffix: String = uuid::Uuid::new_v4().simple().to_string().chars().take(5).collect();
        let body = Body {
            name: format!("Acme Intel {}", suffix.to_ascii_uppercase()),
            slug: format!("acme-intel-{suffix}"),
            environment: "prod",
            plan: "enterprise",
            residency: "US",
            region: "us-east-1",
            seats: 250,
            storage_bytes: 500_000_000_000,
            admin: Admin { email: "ada@acme-intel.example", first_name: "Ada" },
        };
        let document = Document::of(&body).map_err(|error| Unready(error.to_string()))?;
        let ready = document.ready(1, clock.now(), Some(&fresh_id()), Some(SOURCE));
        if let Some(refusal) = ready.refusal {
            return Err(Unready(refusal.to_string()).into());
        }
        let slug = ready.slug.ok_or_else(|| Unready("it has no slug".to_owned()))?;
        Ok(Self { id: ready.id, slug, headers: ready.headers, data: ready.data })
    }

    /// The document, for people.
    pub(super) fn shown(&self) -> Vec<String> {
        let value: Option<serde_json::Value> = serde_json::from_slice(&self.data).ok();
        let Some(serde_json::Value::Object(members)) = value else { return Vec::new() };
        let pairs: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        crate::show::style::wrap(&format!("{{{}}}", pairs.join(", ")), 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_read_by_the_contract_and_each_one_is_another() {
        let clock = SystemClock::default();
        let (one, two) = (Sample::new(&clock).unwrap(), Sample::new(&clock).unwrap());
        assert_ne!(one.slug, two.slug);
        assert_ne!(one.id, two.id);
        assert!(one.shown().iter().all(|line| line.chars().count() <= 80), "{:?}", one.shown());
        assert!(one.shown().concat().contains("ada@acme-intel.example"));
    }
}
