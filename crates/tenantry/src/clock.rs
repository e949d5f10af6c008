//! Time and chance of the real world. Nobody below this crate reads a clock or a random number by himself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tenantry_contracts::Time;
use tenantry_ports::{Clock, Entropy};

use crate::out::{Refused, failed, usage};

/// The longest sleep before the clock is read again: it may have been set, or the machine was asleep.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The system's clock, with an offset for tests of what takes weeks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SystemClock {
    offset_ms: i64,
}

impl SystemClock {
    /// The system's clock, moved by so many milliseconds.
    pub fn with_offset(offset_ms: i64) -> Self {
        Self { offset_ms }
    }

    /// The system's clock, moved by `TENANTRY_CLOCK_OFFSET_MS` where that is set.
    ///
    /// # Errors
    /// Where the variable is no whole number.
    pub fn from_env() -> Result<Self, Refused> {
        let Ok(text) = std::env::var("TENANTRY_CLOCK_OFFSET_MS") else { return Ok(Self::default()) };
        let offset_ms = text.trim().parse().map_err(|_| {
            usage(
                "clock_offset_invalid",
                format!("TENANTRY_CLOCK_OFFSET_MS is {text:?}; write whole milliseconds"),
            )
        })?;
        if offset_ms != 0 {
            tracing::warn!(offset_ms, "the clock is moved by TENANTRY_CLOCK_OFFSET_MS: for tests only");
        }
        Ok(Self { offset_ms })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)).plus(self.offset_ms)
    }

    async fn sleep_until(&self, at: Time) {
        loop {
            let left = at.since(self.now());
            if left <= 0 {
                return;
            }
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

/// The system's source of entropy.
#[derive(Clone, Copy, Debug)]
pub struct OsEntropy(());

impl OsEntropy {
    /// Opens the source and tries it once.
    ///
    /// # Errors
    /// Where the system has none.
    pub fn open() -> Result<Self, Refused> {
        getrandom::fill(&mut [0; 32]).map_err(|error| {
            failed("no_entropy", format!("the system's source of random numbers fails: {error}; see that getrandom or /dev/urandom works here"))
        })?;
        Ok(Self(()))
    }
}

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Predictable keys would be worse than no process.
        getrandom::fill(bytes).expect("the source worked when it was opened, and does not fail after that");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_now_and_what_is_past_is_not_waited_for() {
        let (here, there) = (SystemClock::default(), SystemClock::with_offset(3_600_000));
        assert!(there.now().since(here.now()) > 3_500_000);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(there.sleep_until(here.now()));
    }

    #[test]
    fn entropy_differs_each_time() {
        let (entropy, mut one, mut two) = (OsEntropy::open().unwrap(), [0; 32], [0; 32]);
        entropy.fill(&mut one);
        entropy.fill(&mut two);
        assert_ne!(one, two);
    }
}
