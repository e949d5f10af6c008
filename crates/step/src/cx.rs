//! What a step may know: whom it works for, under which token, until when; and how it opens what is sealed.

use std::fmt;
use std::sync::Arc;

use tenantry_contracts::sealed::Place;
use tenantry_contracts::{Class, Code, DataKey, Environment, Fleet, Sealed, Slug, TenantId, Time, Token};

use crate::{Answer, Trouble};

/// The context of one question.
#[derive(Clone)]
pub struct Cx {
    /// The installation.
    pub fleet: Fleet,
    /// The tenant.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: Slug,
    /// Its environment.
    pub environment: Environment,
    /// Its region, where known.
    pub region: Option<String>,
    /// The fencing number. Goes to every provider that can check it, and into every owner tag.
    pub token: Token,
    /// When the question was taken up, by the fleet's clock. The only time a step may use.
    pub now: Time,
    /// No effect may begin after it; statements and calls get it as their timeout.
    pub deadline: Time,
    /// Bytes of entropy for this try; what must be the same in a repeat must not come from here.
    pub entropy: [u8; 32],
    keys: Keyring,
    points: Arc<dyn Points>,
}

impl Cx {
    /// A context. `keys` opens what is sealed for this tenant; `points` is called wherever the step names a point.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        fleet: Fleet,
        tenant: TenantId,
        slug: Slug,
        environment: Environment,
        region: Option<String>,
        token: Token,
        now: Time,
        deadline: Time,
        entropy: [u8; 32],
        keys: Keyring,
        points: Arc<dyn Points>,
    ) -> Self {
        Self { fleet, tenant, slug, environment, region, token, now, deadline, entropy, keys, points }
    }

    /// Opens a sealed field of the request.
    ///
    /// # Errors
    /// A final no of class `config` where the key is gone or the value was sealed elsewhere.
    pub fn open(&self, field: &str, sealed: &Sealed) -> Answer<String> {
        let no = |message: &str| {
            Trouble::no(Code::Misconfigured, Class::Config, format!("field {field}: {message}"))
        };
        let key = self.keys.0.as_ref().ok_or_else(|| no("the tenant's key is gone"))?;
        let place = Place { fleet: &self.fleet, tenant: self.tenant, field };
        key.open(&place, sealed)
            .map_err(|_| no("it does not open with the tenant's key; is the master key the right one?"))
    }

    /// Milliseconds that are left for calls to the outside, at least one.
    pub fn left_ms(&self) -> u64 {
        u64::try_from(self.deadline.since(self.now)).unwrap_or(0).max(1)
    }

    /// Names a point between two effects. Does nothing unless a test, a drill or the demo armed it.
    ///
    /// # Errors
    /// What the armed point says.
    pub async fn point(&self, name: &'static str) -> Answer<()> {
        match self.points.at(self, name) {
            Point::Pass => Ok(()),
            Point::Trouble(trouble) => Err(trouble),
            Point::Hang => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Cx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cx").field("tenant", &self.tenant).field("token", &self.token).finish_non_exhaustive()
    }
}

/// The tenant's key, where it is known.
#[derive(Clone, Debug, Default)]
pub struct Keyring(Option<Arc<DataKey>>);

impl Keyring {
    /// A keyring that opens what this key sealed.
    pub fn new(key: DataKey) -> Self {
        Self(Some(Arc::new(key)))
    }
}

/// What happens at a named point.
#[derive(Clone, Debug)]
pub enum Point {
    /// Go on.
    Pass,
    /// Fail so.
    Trouble(Trouble),
    /// Never come back, as a frozen process would.
    Hang,
}

/// Switches at named points. The default lets everything pass.
pub trait Points: Send + Sync {
    /// What happens when `cx` comes by the point `name`.
    fn at(&self, _cx: &Cx, _name: &'static str) -> Point {
        Point::Pass
    }
}

/// No point is armed.
impl Points for () {}
