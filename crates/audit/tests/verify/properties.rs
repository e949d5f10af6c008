//! Any trail, any repeat, any changed byte.

use proptest::prelude::*;
use tenantry_audit::Breach;
use tenantry_contracts::Origin;
use tenantry_contracts::audit::AuditKind;

use crate::trail::*;

proptest! {
    /// Any weave of chains with any repeats of earlier records is sound, and its counts are right.
    #[test]
    fn any_weave_with_any_repeats_is_ok(
        owners in proptest::collection::vec(proptest::option::of(0..5_u8), 1..80),
        repeats in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
    ) {
        let mut store = Store::default();
        for owner in &owners {
            store.append(*owner, AuditKind::StepSucceeded);
        }
        let mut trail = store.trail.clone();
        for (what, to) in &repeats {
            let what = what.index(trail.len());
            let copy = trail[what].clone();
            let to = what + 1 + to.index(trail.len() - what);
            trail.insert(to, copy);
        }
        number(&mut trail);
        let report = verify(&trail, Some(&store.expected(true))).unwrap();
        prop_assert_eq!(report.records, owners.len() as u64);
        prop_assert_eq!(report.repeats, repeats.len() as u64);
        prop_assert_eq!(report.chains, store.heads.len() as u64);
    }

    /// Whatever single byte of whatever record is changed, it is found; only the store knows the last bytes of a chain.
    #[test]
    fn any_changed_byte_is_found(
        owners in proptest::collection::vec(proptest::option::of(0..3_u8), 1..30),
        record in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        xor in 1..=255_u8,
    ) {
        let mut store = Store::default();
        for owner in &owners {
            store.append(*owner, AuditKind::StepSucceeded);
        }
        let mut trail = store.trail.clone();
        let at = record.index(trail.len());
        let mut value = trail[at].value.clone().unwrap().to_vec();
        let place = byte.index(value.len());
        value[place] ^= xor;
        trail[at].value = Some(value.into());
        let problem = verify(&trail, Some(&store.expected(true)));
        prop_assert!(problem.is_err());
    }

    /// Any record that is taken out, and any two of one chain that change places, are found.
    #[test]
    fn anything_taken_out_or_swapped_is_found(
        owners in proptest::collection::vec(0..3_u8, 2..40),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let mut store = Store::default();
        for owner in &owners {
            store.append(Some(*owner), AuditKind::StepSucceeded);
        }
        let (one, other) = (one.index(owners.len()), other.index(owners.len()));
        let mut without = store.trail.clone();
        without.remove(one);
        let missing = verify(&without, Some(&store.expected(true))).unwrap_err();
        prop_assert_eq!(missing.breach, Breach::Missing);
        let mut swapped = store.trail.clone();
        swapped.swap(one, other);
        let verdict = verify(&swapped, Some(&store.expected(true)));
        // Two records change the order of their chains only where one of them passes another of its own chain.
        let (low, high) = (one.min(other), one.max(other));
        let passes = |at: usize| (low..=high).any(|between| between != at && owners[between] == owners[at]);
        let breaks = low != high && (passes(low) || passes(high));
        prop_assert_eq!(verdict.err().map(|problem| problem.breach), breaks.then_some(Breach::OutOfOrder));
    }

    /// Arbitrary bytes never make it panic.
    #[test]
    fn arbitrary_records_are_never_taken_for_sound(
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200)),
    ) {
        let at = Origin { topic: "tenant.audit.events".into(), partition: 0, offset: 0 };
        let trail = vec![Rec { key: key.map(Into::into), value: value.map(Into::into), at }];
        prop_assert!(verify(&trail, None).is_err());
    }
}
