//! The dry run: the saga is thought through with the real plan, and each row's own worker looks, in this process and
//! without writing, at what is there. What is personal is sealed under a key that is forgotten afterwards.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tenantry_contracts::request::Heard;
use tenantry_contracts::sealed::Place;
use tenantry_contracts::{Code, DataKey, Fleet, State, TenantId, Time, Token};
use tenantry_ports::{Clock, Entropy};
use tenantry_postgres::{Queries, TenantFilter};
use tenantry_saga::{Born, Preview, Registry, What, plans};
use tenantry_step::{Cx, Keyring, Observed, Trouble as No};
use uuid::Uuid;

use super::Look;
use super::foreseen::{Estimate, Foreseen, Row, Will};
use crate::clock::{OsEntropy, SystemClock};
use crate::fleet::{Looked, Steps};
use crate::out::{Refused, failed};
use crate::request::document::Document;
use crate::settings::{Home, Secret};
use crate::show::code::Outcome;
use crate::show::trouble::Trouble;

/// How long one row may look, in milliseconds.
const PATIENCE_MS: i64 = 20_000;
/// How many tenants the estimate looks at, at most.
const HISTORY: u16 = 1_000;

/// What a dry run works on.
struct Ground {
    fleet: Fleet,
    lanes: u16,
    plans: Registry,
    steps: Steps,
    store: Queries,
}

/// Thinks a request through.
///
/// # Errors
/// Where the fleet's databases cannot be found or reached. What is wrong with the request is in the answer.
pub(crate) async fn run(look: &Look, document: Document) -> anyhow::Result<Foreseen> {
    let ground = ground(look).await?;
    let now = SystemClock::from_env()?.now();
    let ready = document.ready(ground.lanes, now, Some("plan"), None);
    let document = hex::encode(Sha256::digest(&ready.data));
    let heard = match (ready.heard, ready.refusal) {
        (Some(heard), _) => heard,
        (None, refusal) => {
            let slug = ready.slug.map(|slug| slug.to_string()).unwrap_or_default();
            return Ok(nothing(document, slug, refusal.as_ref().map(Trouble::from)).sealed());
        }
    };
    ground.think(document, heard, now).await
}

/// A dry run that ends before a plan is found.
fn nothing(document: String, slug: String, refusal: Option<Trouble>) -> Foreseen {
    Foreseen {
        digest: String::new(),
        document,
        slug,
        environment: String::new(),
        plan: String::new(),
        template: None,
        preset: None,
        rows: Vec::new(),
        refusal,
        assumed: Vec::new(),
        estimate: None,
    }
}

async fn ground(look: &Look) -> anyhow::Result<Ground> {
    let running = look.find.running()?;
    let (governance, places, lanes) = match &running {
        Some(up) => (&up.governance, up.places.clone(), up.lanes),
        None => (&look.governance, look.work.places(&look.find.at.data_dir()), 0),
    };
    let tenants = match (look.tenants.url()?, &running) {
        (Some(url), _) => url,
        (None, Some(up)) => Secret::new(up.tenants_url.clone()),
        (None, None) => look.tenants.required()?,
    };
    let home = || Home::open(&look.find.at.data_dir());
    let entropy = OsEntropy::open()?;
    let master = match (look.key.given()?, &running) {
        (Some(key), _) => key,
        (None, Some(_)) => home()?.master_key(entropy)?,
        (None, None) => look.key.required()?,
    };
    let receipt_key = match (look.work.receipt_key()?, &running) {
        (None, Some(_)) => Some(home()?.receipt_key(entropy)?),
        (given, _) => given,
    };
    let rules = governance.rules()?;
    let work = look.work.needs(tenants, places, receipt_key, governance, &rules)?;
    let store = Queries::connect(look.find.store()?.expose()).await?;
    let lanes = match lanes {
        0 => u16::try_from(store.lanes().await?.len()).unwrap_or(u16::MAX).max(1),
        lanes => lanes,
    };
    let steps = Steps::new(&work, &master)?;
    Ok(Ground { fleet: look.find.fleet()?, lanes, plans: plans::all(rules), steps, store })
}

impl Ground {
    async fn think(&self, document: String, heard: Heard, now: Time) -> anyhow::Result<Foreseen> {
        let request = &heard.request;
        let (slug, environment) = (request.slug.clone(), request.environment.clone());
        let holder = self.store.find(&environment, &slug).await?.into_iter().next();
        if let Some(holder) = holder.filter(|row| row.holds_slug) {
            let message = format!("the slug is held by tenant {}", holder.tenant);
            let refusal = tenantry_contracts::Refusal::new(Code::SlugTaken, message).at("/slug");
            return Ok(nothing(document, slug.to_string(), Some(Trouble::from(&refusal))).sealed());
        }
        // The id that stands for the tenant's, which is made only when the request is heard.
        let stands_for =
            || Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{}/{document}", self.fleet).as_bytes());
        let tenant = request.tenant.unwrap_or_else(|| TenantId(stands_for()));
        let entropy = OsEntropy::open()?;
        let bytes = || {
            let mut bytes = [0; 32];
            entropy.fill(&mut bytes);
            bytes
        };
        let key = DataKey::new(bytes());
        let sealed = request.clone().seal(|field, clear| {
            let nonce: [u8; 12] = bytes()[..12].try_into().expect("12 of 32 bytes are 12 bytes");
            key.seal(&Place { fleet: &self.fleet, tenant, field }, clear, nonce)
        });
        let region = sealed.region.clone();
        let born = Born {
            tenant,
            id: heard.id.clone(),
            request: Arc::new(sealed),
            requesters: Vec::new(),
            traceparent: None,
            commitments: Default::default(),
        };
        let mut preview = match Preview::of(&self.plans, now, born) {
            Ok(preview) => preview,
            Err(refusal) => {
                return Ok(nothing(document, slug.to_string(), Some(Trouble::from(&refusal))).sealed());
            }
        };
        let cx = Cx::new(
            self.fleet.clone(),
            tenant,
            slug.clone(),
            environment.clone(),
            region,
            Token(1),
            now,
            now.plus(PATIENCE_MS),
            bytes(),
            Keyring::new(key),
            Arc::new(()),
        );
        let rows = self.rows(&mut preview, &cx).await?;
        let template = preview.template();
        Ok(Foreseen {
            digest: String::new(),
            document,
            slug: slug.to_string(),
            environment: environment.to_string(),
            plan: format!("{} sha256:{}", preview.plan().name, preview.plan().digest),
            template: template.map(|of| format!("{} {} sha256:{}", of.name, of.version, of.digest)),
            preset: preview.preset().map(str::to_owned),
            rows,
            refusal: None,
            assumed: heard
                .assumed
                .into_iter()
                .filter(|assumed| !assumed.field.starts_with("/request"))
                .collect(),
            estimate: self.estimate(&request.plan).await?,
        }
        .sealed())
    }

    /// Each row in the order of the plan, until one refuses.
    async fn rows(&self, preview: &mut Preview, cx: &Cx) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for row in preview.rows() {
            let mut told = Row {
                row: row.name,
                will: Will::Later,
                output: None,
                trouble: None,
                differences: Vec::new(),
                role: None,
            };
            match &row.what {
                What::Pivot => continue,
                What::Wait { .. } => {}
                What::Gate { role, .. } => {
                    told.will = Will::Ask;
                    told.role = Some(role);
                }
                What::Step { step, .. } => {
                    if let Some(Ok(input)) = preview.input(row) {
                        let looked = self.steps.look(step, cx, &input).await.ok_or_else(|| {
                            failed("bug", format!("this program has no step {step}; report this"))
                        })?;
                        told = tell(told, looked)?;
                        if let Some(output) = &told.output {
                            preview.suppose(row, output.clone());
                        }
                    }
                }
            }
            let ends = told.will == Will::Refuse;
            rows.push(told);
            if ends {
                break;
            }
        }
        Ok(rows)
    }

    async fn estimate(&self, plan: &str) -> anyhow::Result<Option<Estimate>> {
        let filter = TenantFilter { states: vec![State::Active], limit: HISTORY, ..TenantFilter::default() };
        let rows = self.store.tenants(&filter).await?;
        let took = rows.iter().filter(|row| row.plan == plan).map(|row| row.since.since(row.created));
        Ok(Estimate::of(took.collect()))
    }
}

/// What was seen, in one word.
fn tell(mut row: Row, looked: Looked) -> Result<Row, Refused> {
    let unreachable = |why: &str| {
        failed(
            "dry_run_failed",
            format!("row {}: {why}; see that what it looks at runs, then plan again", row.row),
        )
    };
    match looked.foreseen {
        Err(No::No { code, class, pointer, message }) => {
            row.will =
                if class == tenantry_contracts::Class::Conflict { Will::Conflict } else { Will::Refuse };
            row.trouble = Some(Trouble::of(code, pointer, message));
            return Ok(row);
        }
        Err(other) => return Err(unreachable(&other.to_string())),
        Ok(output) => row.output = output,
    }
    match looked.observed {
        Ok(Observed::Absent) => row.will = Will::Create,
        Ok(Observed::Ours { differences }) if differences.is_empty() => row.will = Will::Adopt,
        Ok(Observed::Ours { differences }) => {
            row.will = Will::Change;
            row.differences = differences.into_iter().map(|difference| difference.path).collect();
        }
        Ok(Observed::Foreign { hint }) => {
            row.will = Will::Conflict;
            row.trouble = Some(Trouble::of(Code::OwnedByOther, None, hint));
        }
        Ok(Observed::Unknown { why }) => return Err(unreachable(&why)),
        Err(trouble) => return Err(unreachable(&trouble.to_string())),
    }
    Ok(row)
}

/// Refuses where the digest of a plan that somebody saw is not what a dry run finds now.
///
/// # Errors
/// `plan_stale`, with what is in the way now.
pub(crate) fn still(foreseen: &Foreseen, digest: &str) -> Result<(), Refused> {
    if foreseen.digest == digest {
        return Ok(());
    }
    let why = foreseen
        .refused()
        .map(|trouble| format!(": {} ({})", trouble.message, trouble.code))
        .unwrap_or_default();
    let text = format!(
        "what the request would meet has changed since it was planned{why}; look at `tenantry plan`, whose digest is {} now",
        foreseen.digest
    );
    Err(Refused { exit: Outcome::Rejected.exit(), ..failed(Code::PlanStale.as_str(), text) })
}
