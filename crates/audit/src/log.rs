//! The log: every audit event of every chain is a leaf of one Merkle tree as RFC 6962 has it.
//!
//! A leaf is the exact bytes of an event's value. Whoever appends keeps a [`Frontier`]: one digest for each power of
//! two, however long the log is. Proofs are made from the stored digests of the leaves, which are asked for one by
//! one in ascending order, so that no copy of the tree is needed: one pass over the leaves a proof.

use sha2::{Digest, Sha256};

/// A digest of the tree.
pub type Hash = [u8; 32];

/// The digest of a leaf with these bytes.
pub fn leaf_hash(value: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(value).finalize().into()
}

/// The digest of a node over two others.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of the empty log.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// What somebody who appends must know of the tree: the roots of its complete subtrees, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    roots: Vec<Hash>,
}

impl Frontier {
    /// Of the empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// As it was stored: the number of leaves, and [`Frontier::roots`]. `None` where the two do not fit together.
    pub fn stored(size: u64, roots: Vec<Hash>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, the largest first; as many as `size` has ones in binary.
    pub fn roots(&self) -> &[Hash] {
        &self.roots
    }

    /// Appends a leaf and says its index.
    pub fn append(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        let mut hash = leaf;
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
        index
    }

    /// The root of the whole log.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev();
        let Some(last) = roots.next() else { return empty_root() };
        roots.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The root over the first `size` leaves.
///
/// # Errors
/// What `leaf` says.
pub fn root<E>(size: u64, mut leaf: impl FnMut(u64) -> Result<Hash, E>) -> Result<Hash, E> {
    if size == 0 { Ok(empty_root()) } else { subtree(0, size, &mut leaf) }
}

/// RFC 6962's audit path: that leaf `index` is in the log of `size` leaves, from the leaf upwards.
///
/// # Errors
/// What `leaf` says.
///
/// # Panics
/// Where `index` is not below `size`.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    mut leaf: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    assert!(index < size, "a leaf outside the log has no proof");
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(subtree(middle, to, &mut leaf)?);
            to = middle;
        } else {
            proof.push(subtree(from, middle, &mut leaf)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The root that an audit path leads to from a leaf; `None` where it has the wrong length.
pub fn climb(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Option<Hash> {
    fn up(index: u64, size: u64, leaf: Hash, proof: &[Hash]) -> Option<Hash> {
        if size == 1 {
            return proof.is_empty().then_some(leaf);
        }
        let (side, below) = proof.split_last()?;
        let left = split(size);
        if index < left {
            Some(node_hash(&up(index, left, leaf, below)?, side))
        } else {
            Some(node_hash(side, &up(index - left, size - left, leaf, below)?))
        }
    }
    (index < size).then(|| up(index, size, leaf, proof)).flatten()
}

/// RFC 6962's consistency proof: that the log of `old` leaves is the beginning of that of `new` leaves. Empty where
/// one of them is empty or they are equally long.
///
/// # Errors
/// What `leaf` says.
///
/// # Panics
/// Where `old` is above `new`.
pub fn consistency<E>(
    old: u64,
    new: u64,
    mut leaf: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    assert!(old <= new, "a log never becomes shorter");
    let mut proof = Vec::new();
    if old == 0 {
        return Ok(proof);
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(subtree(middle, to, &mut leaf)?);
            to = middle;
        } else {
            proof.push(subtree(from, middle, &mut leaf)?);
            (from, whole) = (middle, false);
        }
    }
    if !whole {
        proof.push(subtree(from, to, &mut leaf)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Whether a consistency proof shows that the log of the `new` leaves begins with that of the `old`.
pub fn extends(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    fn both(old: u64, new: u64, whole: Option<&Hash>, proof: &mut &[Hash]) -> Option<(Hash, Hash)> {
        if old == new {
            let hash = match whole {
                Some(root) => *root,
                None => take(proof)?,
            };
            return Some((hash, hash));
        }
        let left = split(new);
        if old <= left {
            let (a, b) = both(old, left, whole, proof)?;
            let side = take(proof)?;
            Some((a, node_hash(&b, &side)))
        } else {
            let (a, b) = both(old - left, new - left, None, proof)?;
            let side = take(proof)?;
            Some((node_hash(&side, &a), node_hash(&side, &b)))
        }
    }
    if old.0 > new.0 {
        return false;
    }
    if old.0 == 0 {
        return *old.1 == empty_root() && proof.is_empty();
    }
    let mut rest = proof;
    let roots = both(old.0, new.0, Some(old.1), &mut rest);
    rest.is_empty() && roots == Some((*old.1, *new.1))
}

/// One proof for many leaves: the roots of the largest subtrees that hold none of them, from left to right. With every
/// leaf it is empty, with a single one it has the digests of its audit path. `indices` ascend.
///
/// # Errors
/// What `leaf` says.
pub fn cover<E>(
    indices: &[u64],
    size: u64,
    mut leaf: impl FnMut(u64) -> Result<Hash, E>,
) -> Result<Vec<Hash>, E> {
    fn down<E>(
        (from, to): (u64, u64),
        indices: &[u64],
        leaf: &mut impl FnMut(u64) -> Result<Hash, E>,
        proof: &mut Vec<Hash>,
    ) -> Result<(), E> {
        if indices.is_empty() {
            proof.push(subtree(from, to, leaf)?);
        } else if indices.len() as u64 != to - from {
            let middle = from + split(to - from);
            let (left, right) = indices.split_at(indices.partition_point(|index| *index < middle));
            down((from, middle), left, leaf, proof)?;
            down((middle, to), right, leaf, proof)?;
        }
        Ok(())
    }
    let mut proof = Vec::new();
    if size > 0 {
        down((0, size), indices, &mut leaf, &mut proof)?;
    }
    Ok(proof)
}

/// The root that such a proof leads to from the leaves it was made for, each with its index, ascending; `None` where
/// it cannot be one of them.
pub fn covered(leaves: &[(u64, Hash)], size: u64, proof: &[Hash]) -> Option<Hash> {
    fn down(from: u64, to: u64, leaves: &[(u64, Hash)], proof: &mut &[Hash]) -> Option<Hash> {
        match leaves {
            [] => take(proof),
            [(_, hash)] if to - from == 1 => Some(*hash),
            _ if to - from == 1 => None,
            _ => {
                let middle = from + split(to - from);
                let (left, right) = leaves.split_at(leaves.partition_point(|(index, _)| *index < middle));
                let left = down(from, middle, left, proof)?;
                Some(node_hash(&left, &down(middle, to, right, proof)?))
            }
        }
    }
    let inside = leaves.last().is_none_or(|(index, _)| *index < size);
    let ascending = leaves.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if !inside || !ascending {
        return None;
    }
    if size == 0 {
        return proof.is_empty().then(empty_root);
    }
    let mut rest = proof;
    let root = down(0, size, leaves, &mut rest)?;
    rest.is_empty().then_some(root)
}

fn take(proof: &mut &[Hash]) -> Option<Hash> {
    let (first, rest) = proof.split_first()?;
    *proof = rest;
    Some(*first)
}

/// How many leaves stand on the left: the largest power of two below `size`.
fn split(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

fn subtree<E>(from: u64, to: u64, leaf: &mut impl FnMut(u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let mut frontier = Frontier::new();
    for index in from..to {
        frontier.append(leaf(index)?);
    }
    Ok(frontier.root())
}
