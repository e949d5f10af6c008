//! What the step needs from whoever keeps the tenants' files. The embedded provider is a directory (`directory`); an
//! object store gives the same.

use std::future::Future;

use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Cx, Trouble};

/// Keeps one bucket for each tenant. Every effect is fenced by the question's token.
pub(crate) trait Provider {
    /// Makes the tenant's bucket whole or not at all, or gives the one that stands this quota.
    ///
    /// # Errors
    /// A final no where something foreign has the name, or the bucket lies in another region.
    fn allocate(&self, cx: &Cx, bucket: Bucket) -> impl Future<Output = Answer<()>> + Send;

    /// Removes the tenant's bucket with all that is in it, wherever it lies.
    ///
    /// # Errors
    /// `owned_by_other` where what has the name is not ours; *not yet* while much is being deleted.
    fn remove(&self, cx: &Cx) -> impl Future<Output = Answer<()>> + Send;

    /// What has the name of the tenant's bucket. Read-only.
    fn find(&self, cx: &Cx) -> impl Future<Output = Answer<Found>> + Send;

    /// How many bytes lie in a bucket that was found. Read-only.
    fn used(&self, cx: &Cx, bucket: Bucket) -> impl Future<Output = Answer<u64>> + Send;
}

/// The name of the tenant's bucket.
pub(crate) fn bucket(cx: &Cx) -> String {
    format!("t-{}", cx.tenant)
}

/// What a bucket is made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) region: String,
    pub(crate) quota_bytes: u64,
}

/// What was found under the bucket's name.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The bucket that is ours.
    pub(crate) bucket: Option<Bucket>,
    /// Something that is not, and why it is taken for that.
    pub(crate) foreign: Option<String>,
    /// A crash left something half made or half deleted; the next question takes it away.
    pub(crate) remnants: bool,
}

impl Found {
    /// Whether a bucket as asked for can be made of this, or stands.
    pub(crate) fn or_refuse(&self, wanted: &Bucket) -> Answer<()> {
        self.ours_only()?;
        match &self.bucket {
            Some(have) if have.region != wanted.region => {
                let message = format!(
                    "the tenant's bucket lies in the region {}, and this step moves nothing; remove it there first",
                    have.region
                );
                Err(Trouble::no_at(Code::Misconfigured, Class::Conflict, "/region", message))
            }
            _ => Ok(()),
        }
    }

    /// Nothing of the name is somebody else's.
    pub(crate) fn ours_only(&self) -> Answer<()> {
        match &self.foreign {
            None => Ok(()),
            Some(hint) => Err(Trouble::no(Code::OwnedByOther, Class::Conflict, hint.clone())),
        }
    }
}
