//! Growing pauses between tries. The only file that knows `backoff`.
//!
//! `backoff` is unmaintained (RUSTSEC-2025-0012); it is what the project was asked to use, so it stays behind this
//! one type. Its own randomness is switched off (factor zero) and its clock has no say (no maximum elapsed time: the
//! deadline decides, elsewhere), so that equal entropy gives equal pauses.

use std::time::Duration;

use backoff::backoff::Backoff;
use tenantry_ports::Entropy;

/// Exponentially growing pauses with jitter from entropy that is handed in.
#[allow(clippy::disallowed_types, reason = "the one place that wraps the unmaintained crate")]
#[derive(Clone, Debug)]
pub(crate) struct Pauses(backoff::ExponentialBackoff);

impl Pauses {
    /// Pauses that begin at the first and double up to the second number of milliseconds.
    #[allow(clippy::disallowed_types, reason = "the one place that wraps the unmaintained crate")]
    pub(crate) fn new((first, longest): (u64, u64)) -> Self {
        let mut inner = backoff::ExponentialBackoff {
            initial_interval: Duration::from_millis(first.max(1)),
            multiplier: 2.0,
            randomization_factor: 0.0,
            max_interval: Duration::from_millis(longest.max(first).max(1)),
            max_elapsed_time: None,
            ..Default::default()
        };
        inner.reset();
        Self(inner)
    }

    /// The next pause in milliseconds: between half of the interval and the whole, at least one.
    pub(crate) fn next(&mut self, entropy: &impl Entropy) -> i64 {
        let whole = self.0.next_backoff().unwrap_or(self.0.max_interval).as_millis();
        let whole = u64::try_from(whole).unwrap_or(u64::MAX).max(1);
        let mut bytes = [0; 8];
        entropy.fill(&mut bytes);
        let half = whole / 2;
        let pause = half + u64::from_le_bytes(bytes) % (whole - half + 1);
        i64::try_from(pause.max(1)).unwrap_or(i64::MAX)
    }

    /// Begins anew with the first pause.
    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Fixed(u8);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn pauses_grow_to_their_bound_and_begin_anew() {
        let mut pauses = Pauses::new((100, 1_000));
        let row: Vec<_> = (0..6).map(|_| pauses.next(&Fixed(0))).collect();
        assert_eq!(row, [50, 100, 200, 400, 500, 500], "no jitter beyond the entropy that was handed in");
        pauses.reset();
        assert_eq!(pauses.next(&Fixed(0)), 50);
    }

    #[test]
    fn a_pause_lies_between_half_of_its_interval_and_the_whole() {
        for byte in 0..=255 {
            let pause = Pauses::new((100, 1_000)).next(&Fixed(byte));
            assert!((50..=100).contains(&pause), "{pause}");
        }
    }
}
