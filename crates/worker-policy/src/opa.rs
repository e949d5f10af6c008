//! Policies evaluated by an Open Policy Agent server, over its data API (`POST /v1/data/<query>`).
//!
//! A server that cannot be reached, is too slow or fails is asked again later; one that asks for patience gets it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tenantry_contracts::Time;
use tenantry_contracts::catalogue::Fault;
use tenantry_step::{Answer, Trouble};

use crate::decision::{Question, UNKNOWN, Verdict, broken};
use crate::provider::fault;

/// How the engine is called in outputs and in the log.
pub(crate) const NAME: &str = "opa";

/// The most that is read of an answer, in bytes.
const LARGEST: usize = 256 * 1024;
/// The longest that a server may put off a question.
const LONGEST_WAIT_MS: u64 = 3_600_000;
/// The longest revision that is told as it is.
const LONGEST_REVISION: usize = 128;

/// A server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Opa {
    client: Client,
    base: Url,
}

/// What the server answers; members that are not named here do not matter.
#[derive(Deserialize)]
struct Answered {
    result: Option<Box<RawValue>>,
    #[serde(default)]
    provenance: Provenance,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Provenance {
    revision: String,
    bundles: BTreeMap<String, Bundle>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bundle {
    revision: String,
}

impl Opa {
    /// The server at `base`.
    pub(crate) fn at(base: &str) -> Result<Self, Fault> {
        let broken =
            |why: &str| fault("policies", format!("{why}; give it as http://host:port or https://host:port"));
        let base =
            Url::parse(base.trim_end_matches('/')).map_err(|_| broken("the address cannot be read"))?;
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() || base.fragment().is_some() {
            return Err(broken("the address is none of an OPA server"));
        }
        // Settings of the environment have no say, and no answer leads elsewhere.
        let client = Client::builder().no_proxy().redirect(Policy::none()).build();
        let client = client.map_err(|_| broken("the client for it cannot be made"))?;
        Ok(Self { client, base })
    }

    /// What the server says.
    pub(crate) async fn decide(&self, now: Time, question: &Question, patience: Duration) -> Answer<Verdict> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1/data/{}", self.base.path().trim_end_matches('/'), question.query()));
        url.set_query(Some("provenance=true"));
        let body = format!("{{\"input\":{}}}", question.text()?);
        let request =
            self.client.post(url).header(CONTENT_TYPE, "application/json").timeout(patience).body(body);
        let response = request.send().await.map_err(|error| trouble(&error))?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(refused(status, retry_after(&response, now)));
        }
        let answered: Answered = serde_json::from_slice(&read(response).await?)
            .map_err(|_| broken("the policy server's answer is none of OPA's; is the address right?"))?;
        let document = answered.result.as_ref().map(|result| result.get());
        Verdict::read(document, answered.provenance.revision(), NAME)
    }
}

impl Provenance {
    /// Which policies spoke, as far as the server tells.
    fn revision(&self) -> String {
        let told: Vec<_> = self.bundles.iter().filter(|(_, bundle)| !bundle.revision.is_empty()).collect();
        let revision = match told[..] {
            [] => self.revision.clone(),
            [(_, bundle)] if self.bundles.len() == 1 => bundle.revision.clone(),
            _ => {
                let each = self.bundles.iter().map(|(name, bundle)| format!("{name}={}", bundle.revision));
                each.collect::<Vec<_>>().join(",")
            }
        };
        match revision.len() {
            0 => UNKNOWN.to_owned(),
            1..=LONGEST_REVISION => revision,
            _ => hex::encode(Sha256::digest(revision)),
        }
    }
}

/// The body, as long as it is no longer than a decision can be.
async fn read(mut response: Response) -> Answer<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| trouble(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return Err(broken("the policy server's answer is larger than a decision can be"));
        }
    }
    Ok(body)
}

/// When the server wants to be asked again: seconds from now, or a date.
fn retry_after(response: &Response, now: Time) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let ms = match text.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => {
            let date = DateTime::parse_from_rfc2822(text).ok()?.timestamp_millis();
            u64::try_from(Time(date).since(now)).unwrap_or(0)
        }
    };
    Some(Duration::from_millis(ms.clamp(1, LONGEST_WAIT_MS)))
}

/// Any answer that is none.
fn refused(status: StatusCode, retry_after: Option<Duration>) -> Trouble {
    let patience = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    match retry_after {
        Some(after) if patience => Trouble::NotYet(after),
        _ if patience || status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            Trouble::Shaky(format!("the policy server answered {}", status.as_u16()))
        }
        _ => broken(&format!(
            "the policy server answered {}; look at its address and its rights",
            status.as_u16()
        )),
    }
}

/// Only what kind of error it was: its own words hold the address.
fn trouble(error: &reqwest::Error) -> Trouble {
    if error.is_builder() {
        broken("the policy server's address cannot be used")
    } else if error.is_timeout() {
        Trouble::shaky("the policy server gave no decision in time")
    } else if error.is_connect() {
        Trouble::shaky("the policy server cannot be reached")
    } else {
        Trouble::shaky("the connection to the policy server broke")
    }
}
