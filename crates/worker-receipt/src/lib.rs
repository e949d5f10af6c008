//! Worker `receipt`: signed, content-addressed proof of what was made.
//!
//! Three receipts, in this order: `TENANT_QUOTA_ASSIGNED`, `TENANT_PROVISIONED`, and `TENANT_RECEIPT` in seed 000's
//! form. The plan asks for them only after the isolation guard said yes; the guard's digest stands in the second. Who
//! asked and who validated stand in the receipts and nowhere else. Whoever has a receipt and the public key needs
//! nothing of the fleet to check it: [`verify`].

mod content;
mod envelope;
mod provider;

use std::path::{Path, PathBuf};

use deadpool_postgres::Pool;
use tenantry_contracts::steps::receipt::{Input, Output, SEAL};
use tenantry_contracts::{Class, Code, Json, StepName};
use tenantry_step::files::Folder;
use tenantry_step::shelf::Shelf;
use tenantry_step::{Answer, Cx, Difference, Observed, Resource, Step, Trouble};

use content::Content;
use provider::{Entry, Lying};

pub use ed25519_dalek::VerifyingKey;
pub use envelope::{Signer, key_id, verify};
pub use provider::{public_key, read};

/// The worker's own schema in the tenants' database.
const SCHEMA: &str = "worker_receipt";

/// Where a test, a drill or the demo can break this step, in the order of the work.
pub const POINTS: &[&str] = &[
    "receipt.before-index",
    "receipt.before-file",
    "receipt.before-answer",
    "receipt.before-withdraw",
    "receipt.before-forget",
    "receipt.after-forget",
];

/// Step `receipt.seal`.
pub struct Receipts {
    shelf: Shelf,
    folder: Folder,
    signer: Signer,
}

/// Makes what the worker needs for itself in the tenants' database: its fence and its index. Can be repeated and run at
/// once.
///
/// # Errors
/// PostgreSQL cannot be reached, or the account may not create schemas.
pub async fn prepare(pool: &Pool) -> Answer<()> {
    Shelf::new(pool.clone(), SCHEMA).prepare("").await
}

impl Receipts {
    /// The step with its index in the tenants' database. Envelopes and public keys are written into the directory
    /// `root`, which is made with mode 0700 if it is not there.
    pub fn new(pool: Pool, root: impl Into<PathBuf>, signer: Signer) -> Self {
        Self {
            shelf: Shelf::new(pool, SCHEMA),
            folder: Folder::new(root, "directory of receipts", ".fence"),
            signer,
        }
    }

    /// The tenant's entry for this input: the one that stands, or a new one, which is durable before it is answered.
    async fn entry(&self, cx: &Cx, input: &Input) -> Answer<Entry> {
        let resource = self.resource(cx, input);
        let mut client = self.shelf.connect(cx).await?;
        let place = self.shelf.begin(&mut client, cx, &resource).await?;
        if let Some(entry) = place.standing(input)? {
            return Ok(entry);
        }
        let receipts = content::all(cx, input, cx.now)?.into_iter().map(|content| content.sealing).collect();
        let before: Option<Entry> = place.latest()?;
        let earlier = before.iter().flat_map(Entry::digests).cloned().collect();
        let output = Output { receipts, key: self.signer.id().to_owned() };
        let entry = Entry { at: cx.now, output, earlier };
        place.put(input, &entry).await?;
        Ok(entry)
    }

    /// What lies where the receipts of an entry belong.
    async fn lying(&self, cx: &Cx, entry: &Entry) -> Answer<Vec<Lying>> {
        let (own, output) = (self.signer.public(), entry.output.clone());
        self.folder.look(cx, move |root, _, _| lying(root, own, &output)).await
    }
}

/// The same, inside the work on files. A receipt whose public key is lost cannot be told from something else.
fn lying(root: &Path, own: VerifyingKey, output: &Output) -> std::io::Result<Vec<Lying>> {
    let key = if key_id(&own) == output.key { Some(own) } else { public_key(root, &output.key)? };
    let each = output.receipts.iter().map(|sealing| match &key {
        Some(key) => provider::lying(root, sealing, key),
        None => Ok(Lying::Other),
    });
    each.collect()
}

impl Step for Receipts {
    const NAME: StepName = SEAL;
    type Input = Input;
    type Output = Output;

    fn resource(&self, cx: &Cx, _: &Input) -> Resource {
        Resource::of_tenant("receipt", cx)
    }

    async fn execute(&self, cx: &Cx, input: &Input) -> Answer<Output> {
        let held = self.folder.enter(cx).await?;
        cx.point("receipt.before-index").await?;
        let entry = self.entry(cx, input).await?;
        let (own, output) = (self.signer.public(), entry.output.clone());
        let (id, pem) = (self.signer.id().to_owned(), self.signer.public_pem());
        let look = move |root: &Path, cx: &Cx| {
            provider::keep_key(root, cx, &id, &pem)?;
            lying(root, own, &output)
        };
        let lying = held.work(cx, look).await?;
        let contents = content::all(cx, input, entry.at)?;
        for (at, sealing) in entry.output.receipts.iter().enumerate() {
            cx.point("receipt.before-file").await?;
            match lying[at] {
                Lying::Sound => continue,
                Lying::Nothing => {}
                Lying::Other => return Err(foreign()),
            }
            let Content { bytes, .. } = contents
                .get(at)
                .filter(|content| content.sealing == *sealing && entry.output.key == self.signer.id())
                .ok_or_else(|| lost(&entry.output.key))?;
            let (envelope, digest) = (self.signer.seal(bytes), sealing.digest.clone());
            held.work(cx, move |root, cx| provider::keep(root, cx, &digest, &envelope)).await?;
        }
        cx.point("receipt.before-answer").await?;
        Ok(entry.output)
    }

    async fn compensate(&self, cx: &Cx, input: &Input, _: Option<&Output>) -> Answer<()> {
        let resource = self.resource(cx, input);
        let held = self.folder.enter(cx).await?;
        cx.point("receipt.before-withdraw").await?;
        let mut client = self.shelf.connect(cx).await?;
        let entry: Option<Entry> = self.shelf.look(&mut client, cx).await?.latest()?;
        let digests: Vec<_> = entry.iter().flat_map(Entry::digests).cloned().collect();
        held.work(cx, move |root, cx| provider::withdraw(root, cx, &digests)).await?;
        cx.point("receipt.before-forget").await?;
        self.shelf.begin(&mut client, cx, &resource).await?.remove().await?;
        cx.point("receipt.after-forget").await
    }

    async fn observe(&self, cx: &Cx, input: &Input) -> Answer<Observed> {
        let mut client = self.shelf.connect(cx).await?;
        let place = self.shelf.look(&mut client, cx).await?;
        let mut seen = place.observed::<Entry>(input, None);
        if let Observed::Ours { differences } = &mut seen
            && let Some(entry) = place.latest::<Entry>()?
        {
            drop(place);
            for (at, lying) in self.lying(cx, &entry).await?.into_iter().enumerate() {
                let have = match lying {
                    Lying::Sound => continue,
                    Lying::Nothing => "nothing",
                    Lying::Other => "something else",
                };
                let (want, have) = (Json::of(&entry.output.receipts[at].digest), Json::of(&have));
                let told = want.ok().zip(have.ok());
                let path = format!("/receipts/{at}");
                differences.extend(told.map(|(want, have)| Difference { path, want, have }));
            }
        }
        Ok(seen)
    }

    /// Digests hold the time of sealing, so only what stands can be foreseen.
    async fn foresee(&self, cx: &Cx, input: &Input) -> Answer<Option<Output>> {
        let mut client = self.shelf.connect(cx).await?;
        let place = self.shelf.look(&mut client, cx).await?;
        let Some(entry) = place.standing::<Entry>(input)? else { return Ok(None) };
        drop(place);
        let sound = self.lying(cx, &entry).await?.iter().all(|lying| *lying == Lying::Sound);
        Ok(sound.then_some(entry.output))
    }
}

fn foreign() -> Trouble {
    let message =
        "a file in the directory of receipts has the name of a receipt and is not it; look who wrote it";
    Trouble::no(Code::OwnedByOther, Class::Conflict, message)
}

fn lost(key: &str) -> Trouble {
    let message = format!(
        "a receipt is missing that was signed with key {key}, and this worker cannot make it again: \
         restore the file, or start the worker with that key"
    );
    Trouble::no(Code::Misconfigured, Class::Config, message)
}
