//! Where every chain ended when a checkpoint was made. Its root stands in the checkpoint, so that it can be proved where
//! a chain ends, and that there is no chain but these: a tail cut off or a tenant left out is found without the store.
//!
//! It is a tree like the log's. The chains stand in the order of their names' bytes; a leaf is the lines
//! `tenantry-head/1`, the chain, its last seq and the hexadecimal digest of its last value, without a last line feed.

use std::collections::BTreeMap;

use crate::Head;
use crate::log::{self, Hash};

/// The ends of all chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads(BTreeMap<String, Head>);

impl Heads {
    /// No chains.
    pub fn new() -> Self {
        Self::default()
    }

    /// The chain ends here now.
    pub fn set(&mut self, chain: &str, head: Head) {
        match self.0.get_mut(chain) {
            Some(known) => *known = head,
            None => {
                self.0.insert(chain.to_owned(), head);
            }
        }
    }

    /// Where a chain ends.
    pub fn get(&self, chain: &str) -> Option<Head> {
        self.0.get(chain).copied()
    }

    /// How many chains there are.
    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// All chains in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Head)> {
        self.0.iter().map(|(chain, head)| (chain.as_str(), *head))
    }

    /// The root over them.
    pub fn root(&self) -> Hash {
        let mut frontier = log::Frontier::new();
        for (chain, head) in &self.0 {
            frontier.append(head_leaf(chain, *head));
        }
        frontier.root()
    }
}

impl FromIterator<(String, Head)> for Heads {
    fn from_iter<T: IntoIterator<Item = (String, Head)>>(heads: T) -> Self {
        Self(heads.into_iter().collect())
    }
}

/// The digest of a chain's leaf.
pub(crate) fn head_leaf(chain: &str, head: Head) -> Hash {
    log::leaf_hash(format!("tenantry-head/1\n{chain}\n{}\n{}", head.seq, head.prev()).as_bytes())
}
