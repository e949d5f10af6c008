//! What the step needs from whoever keeps the wrapped keys. The embedded provider is a directory (`directory`); a vault
//! gives the same. It sees no key in clear.

use std::future::Future;

use tenantry_contracts::{Class, Code};
use tenantry_step::{Answer, Cx, Trouble};

/// Keeps one text of wrapped keys for each tenant. Every effect is fenced by the question's token.
pub(crate) trait Provider {
    /// A tenant's place, which nobody else can take meanwhile.
    type Place: Send + Sync;

    /// Takes the tenant's place, without what a crash left there, and says what stands in it.
    ///
    /// # Errors
    /// [`Trouble::Superseded`] where a later question was there.
    fn enter(&self, cx: &Cx) -> impl Future<Output = Answer<(Self::Place, Found)>> + Send;

    /// Writes the text, whole or not at all, in place of an earlier one.
    fn write(&self, cx: &Cx, place: &Self::Place, text: String) -> impl Future<Output = Answer<()>> + Send;

    /// Destroys the text. One that is not there is destroyed already.
    fn destroy(&self, cx: &Cx, place: &Self::Place) -> impl Future<Output = Answer<()>> + Send;

    /// What stands in the tenant's place. Read-only.
    fn find(&self, cx: &Cx) -> impl Future<Output = Answer<Found>> + Send;
}

/// Where the tenant's keys lie, relative to the provider's root.
pub(crate) fn path(cx: &Cx) -> String {
    format!("{}.keys", cx.tenant)
}

/// What was found in a tenant's place.
#[derive(Default)]
pub(crate) struct Found {
    /// The text, where it has an owner tag of ours.
    pub(crate) text: Option<String>,
    /// Something that has none, and what it is.
    pub(crate) foreign: Option<String>,
    /// A crash left something half written or half destroyed; the next question takes it away.
    pub(crate) remnants: bool,
}

impl Found {
    /// The text, where nothing foreign stands in its place.
    pub(crate) fn ours_only(self) -> Answer<Option<String>> {
        match self.foreign {
            None => Ok(self.text),
            Some(hint) => Err(Trouble::no(Code::OwnedByOther, Class::Conflict, hint)),
        }
    }
}
