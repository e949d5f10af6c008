//! Single bytes: every change is found, by both verifiers.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tenantry_audit::bundle::verify_bundle;

use crate::python::changes;
use crate::world::{all, only, tenant, trust, world};

fn every_change_is_found(places: usize) {
    let seed = std::env::var("TENANTRY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2024);
    println!("TENANTRY_SEED={seed}");
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let (world, first) = world();
    for selector in [all(), only(&[tenant(2)])] {
        let mut bundle = world.bundle(&first, selector);
        let sample: Vec<(usize, u8)> = (0..places / 2)
            .map(|_| {
                let at = chance.random_range(0..bundle.len());
                // Half of them one bit, half of them anything.
                let bit = if chance.random() {
                    1 << chance.random_range(0..8)
                } else {
                    chance.random_range(1..=255)
                };
                (at, bundle[at] ^ bit)
            })
            .collect();
        let said = changes(&bundle, &trust(), &sample);
        assert_eq!(said.len(), sample.len());
        for ((at, value), said) in sample.into_iter().zip(said) {
            let old = std::mem::replace(&mut bundle[at], value);
            let verdict = verify_bundle(bundle.as_slice(), &trust()).unwrap();
            let finding =
                verdict.finding.unwrap_or_else(|| panic!("byte {at} from {old} to {value} was not found"));
            assert_eq!(
                said,
                finding.kind.as_str(),
                "byte {at} from {old} to {value}: the two verifiers differ"
            );
            bundle[at] = old;
        }
    }
}

#[test]
fn a_change_of_any_of_some_hundred_bytes_is_found() {
    every_change_is_found(400);
}

/// More of them: `TENANTRY_SLOW=1 TENANTRY_PLACES=10000 cargo test -p tenantry-audit --release --test bundle slow_a_change`.
#[test]
fn slow_a_change_of_any_of_many_bytes_is_found() {
    let wanted = || std::env::var("TENANTRY_PLACES").ok()?.parse().ok();
    if std::env::var_os("TENANTRY_SLOW").is_some() {
        every_change_is_found(wanted().unwrap_or(2_000));
    }
}
