//! Time and chance, handed in.

use std::future::Future;

use tenantry_contracts::Time;

/// The fleet's clock. May carry an offset, so that a grace of thirty days can be tested on real servers.
pub trait Clock: Clone + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Time;
    /// Resolves when [`Clock::now`] has reached `at`.
    fn sleep_until(&self, at: Time) -> impl Future<Output = ()> + Send;
}

/// A source of entropy. What was used of it is in the journal or in the key table.
pub trait Entropy: Clone + Send + Sync + 'static {
    /// Fills the bytes.
    fn fill(&self, bytes: &mut [u8]);
}
