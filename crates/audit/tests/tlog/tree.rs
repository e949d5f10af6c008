//! The tree against RFC 6962's own words, written down naively, and against the vectors of Certificate Transparency.

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tenantry_audit::log::{
    self, Frontier, Hash, climb, consistency, cover, covered, extends, inclusion, leaf_hash,
};

/// MTH of RFC 6962, section 2.1.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let left = leaves.len().next_power_of_two() / 2;
            let (left, right) = (naive(&leaves[..left]), naive(&leaves[left..]));
            Sha256::digest([&[1], left.as_slice(), right.as_slice()].concat()).into()
        }
    }
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|at| leaf_hash(&at.to_be_bytes())).collect()
}

fn of(leaves: &[Hash]) -> impl Fn(u64) -> Result<Hash, &'static str> {
    |index| leaves.get(usize::try_from(index).unwrap()).copied().ok_or("a leaf that does not exist")
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let values =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    for (value, root) in values.iter().zip(roots) {
        frontier.append(leaf_hash(&hex::decode(value).unwrap()));
        assert_eq!(hex::encode(frontier.root()), root, "at {} leaves", frontier.size());
    }
}

#[test]
fn every_proof_of_every_small_log_holds_and_holds_for_nothing_else() {
    for size in 0..20 {
        let all = leaves(size);
        let root = naive(&all);
        assert_eq!(log::root(size, of(&all)), Ok(root));
        for index in 0..size {
            let proof = inclusion(index, size, of(&all)).unwrap();
            let leaf = all[usize::try_from(index).unwrap()];
            assert_eq!(climb(index, size, leaf, &proof), Some(root));
            for other in (0..size).filter(|other| *other != index) {
                assert_ne!(climb(other, size, leaf, &proof), Some(root), "{index} as {other} of {size}");
            }
            assert_eq!(climb(size, size, leaf, &proof), None);
        }
        for old in 0..=size {
            let before = naive(&all[..usize::try_from(old).unwrap()]);
            let proof = consistency(old, size, of(&all)).unwrap();
            assert!(extends((old, &before), (size, &root), &proof), "{old} to {size}");
            assert!(!extends((old, &[7; 32]), (size, &root), &proof), "another beginning of {old} in {size}");
            assert!(old == 0 || !extends((old, &before), (size, &[7; 32]), &proof), "another end");
            let longer = [proof.as_slice(), &[[0; 32]]].concat();
            assert!(!extends((old, &before), (size, &root), &longer), "a proof with something left over");
            assert!(!extends((size + 1, &root), (size, &root), &proof), "a log that became shorter");
        }
    }
}

#[test]
fn a_frontier_that_was_stored_goes_on_where_it_was() {
    let all = leaves(13);
    let mut frontier = Frontier::new();
    for leaf in &all[..6] {
        frontier.append(*leaf);
    }
    let mut again = Frontier::stored(frontier.size(), frontier.roots().to_vec()).unwrap();
    for (at, leaf) in (6..).zip(&all[6..]) {
        assert_eq!(again.append(*leaf), at);
    }
    assert_eq!(again.root(), naive(&all));
    assert_eq!(Frontier::stored(7, frontier.roots().to_vec()), None, "two roots are not seven leaves");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_proof_shows_any_set_of_leaves(size in 1u64..300, chosen in prop::collection::btree_set(0u64..300, 0..40)) {
        let all = leaves(size);
        let root = naive(&all);
        let indices: Vec<u64> = chosen.into_iter().filter(|index| *index < size).collect();
        let proof = cover(&indices, size, of(&all)).unwrap();
        let shown: Vec<_> = indices.iter().map(|index| (*index, all[usize::try_from(*index).unwrap()])).collect();
        prop_assert_eq!(covered(&shown, size, &proof), Some(root));
        for at in 0..shown.len() {
            let mut other = shown.clone();
            other[at].1[5] ^= 1;
            prop_assert_ne!(covered(&other, size, &proof), Some(root));
            let mut other = shown.clone();
            other.remove(at);
            prop_assert_ne!(covered(&other, size, &proof), Some(root));
        }
        let mut longer = proof.clone();
        longer.push([0; 32]);
        prop_assert_eq!(covered(&shown, size, &longer), None);
        if let [index] = indices.as_slice() {
            let path: std::collections::BTreeSet<_> = inclusion(*index, size, of(&all)).unwrap().into_iter().collect();
            prop_assert_eq!(path, proof.into_iter().collect());
        }
    }

    #[test]
    fn a_long_log_begins_with_a_short_one(old in 0u64..300, more in 0u64..300, swap in any::<prop::sample::Index>()) {
        let all = leaves(old + more);
        let (before, root) = (naive(&all[..usize::try_from(old).unwrap()]), naive(&all));
        let proof = consistency(old, old + more, of(&all)).unwrap();
        prop_assert!(extends((old, &before), (old + more, &root), &proof));
        if !proof.is_empty() {
            let mut bad = proof.clone();
            bad[swap.index(proof.len())][0] ^= 1;
            prop_assert!(!extends((old, &before), (old + more, &root), &bad));
            prop_assert!(!extends((old, &before), (old + more, &root), &proof[1..]));
        }
    }
}
