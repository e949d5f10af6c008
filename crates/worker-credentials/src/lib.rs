//! Worker `credentials`: a one-time link with which the first administrator claims the account.
//!
//! The secret is minted here, stands in the mail and nowhere else; beside the account stands its digest. A repeat of a
//! question finds its mail and answers the same. It runs after the pivot, and is `ONCE`: a mail that was picked up
//! cannot be found again, so the first answer stands.

mod mail;
mod outbox;
mod provider;

use std::path::PathBuf;

use deadpool_postgres::Pool;
use tenantry_contracts::steps::credentials::{DELIVER, Input, Output};
use tenantry_contracts::{Code, Json, StepName};
use tenantry_step::postgres::{Databases, Provider};
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Step, Trouble};

use mail::Mail;
use outbox::Outbox;
use provider::Claim;

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_credentials";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "credentials.before-mint",
    "credentials.before-mail",
    "credentials.before-answer",
    "credentials.before-remove",
    "credentials.before-revoke",
    "credentials.after-revoke",
];

/// Step `credentials.deliver`.
pub struct Credentials {
    provider: Provider,
    databases: Databases,
    outbox: Outbox,
    base_url: String,
}

/// Makes what the worker needs for itself in the tenants' database: its fence. Can be repeated and run at once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Provider::new(pool.clone(), SCHEMA).prepare("").await
}

impl Credentials {
    /// The step on the tenants' database; `databases` is the way into others of its server. Mails are written into `outbox`, from where a mail transport takes them; it
    /// is made with mode 0700 if it is not there. Links begin with `base_url`.
    pub fn new(pool: Pool, databases: Databases, outbox: impl Into<PathBuf>, base_url: &str) -> Self {
        Self {
            provider: Provider::new(pool, SCHEMA),
            databases,
            outbox: Outbox::new(outbox.into()),
            base_url: base_url.trim_end_matches('/').to_owned(),
        }
    }
}

impl Step for Credentials {
    const NAME: StepName = DELIVER;
    const ONCE: bool = true;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("credentials", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let Some(email) = &input.email else {
            return Ok(Output { message: "none".to_owned(), expires: None });
        };
        let email = mail::address(cx.open("admin.email", email)?)?;
        let name = cx.open("name", &input.name)?;
        let desk = self.outbox.enter(cx).await?;
        cx.point("credentials.before-mint").await?;
        if let Some(expires) = desk.standing(cx).await? {
            return Ok(Output { message: outbox::message(cx, cx.token.0), expires: Some(expires) });
        }
        let mail = Mail::mint(cx, &self.base_url, &email, &name);
        Claim::of(self, cx, input)?.replace(&self.resource(cx, input), &mail).await?;
        cx.point("credentials.before-mail").await?;
        desk.write(cx, mail.text).await?;
        cx.point("credentials.before-answer").await?;
        Ok(Output { message: outbox::message(cx, cx.token.0), expires: Some(mail.expires) })
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        let desk = self.outbox.enter(cx).await?;
        cx.point("credentials.before-remove").await?;
        desk.remove(cx).await?;
        cx.point("credentials.before-revoke").await?;
        Claim::of(self, cx, input)?.revoke(&self.resource(cx, input)).await?;
        cx.point("credentials.after-revoke").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        let found = self.outbox.look(cx).await?;
        let claim = match Claim::of(self, cx, input)?.stands().await {
            Err(Trouble::No { code: Code::OwnedByOther, message, .. }) => {
                return Ok(Observed::Foreign { hint: message });
            }
            answer => answer?,
        };
        if found.ours == 0 && !claim {
            return Ok(if found.foreign > 0 {
                Observed::Foreign { hint: "a mail of this tenant's name has no owner tag of ours".to_owned() }
            } else {
                Observed::Absent
            });
        }
        // A claim without a mail is as it should be: the mail was picked up.
        let missing = if claim { None } else { Json::of(&true).ok().zip(Json::of(&false).ok()) };
        let differences = missing.map(|(want, have)| Difference { path: "/claim".to_owned(), want, have });
        Ok(Observed::Ours { differences: differences.into_iter().collect() })
    }
}
