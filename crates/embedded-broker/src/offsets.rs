//! Committed offsets of all groups, in memory and in a journal.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::journal::Journal;

/// What a group committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

/// Topic (by id, so that a re-created one starts afresh) and partition.
pub(crate) type Place = (Uuid, i32);

/// All committed offsets.
pub(crate) struct Offsets {
    journal: Journal,
    groups: Groups,
}

type Groups = BTreeMap<String, BTreeMap<Place, Committed>>;

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Commit { group: String, offsets: Vec<(Place, Committed)> },
    Group { deleted: String },
    Topic { deleted: Uuid },
}

impl Offsets {
    /// Reads the journal.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub(crate) fn open(data_dir: &Path) -> Result<Offsets, Error> {
        let mut groups = Groups::new();
        let journal = Journal::open(data_dir.join("offsets.journal"), |change| apply(&mut groups, change))?;
        Ok(Offsets { journal, groups })
    }

    /// Commits all of `offsets` or none.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn commit(&mut self, group: &str, offsets: Vec<(Place, Committed)>) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.change(Change::Commit { group: group.to_owned(), offsets })
    }

    pub(crate) fn get(&self, group: &str, place: Place) -> Option<&Committed> {
        self.groups.get(group)?.get(&place)
    }

    /// All that a group committed, topic by topic.
    pub(crate) fn all(&self, group: &str) -> impl Iterator<Item = (&Place, &Committed)> {
        self.groups.get(group).into_iter().flatten()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    /// Forgets a group.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn delete_group(&mut self, group: &str) -> Result<(), Error> {
        self.change(Change::Group { deleted: group.to_owned() })
    }

    /// Forgets what all groups committed for a topic.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn delete_topic(&mut self, topic: Uuid) -> Result<(), Error> {
        self.change(Change::Topic { deleted: topic })
    }

    fn change(&mut self, change: Change) -> Result<(), Error> {
        self.journal.append(&change)?;
        apply(&mut self.groups, change);
        if self.journal.is_long() {
            let all = self.groups.iter();
            let rewritten = self.journal.rewrite(all.map(|(group, offsets)| Change::Commit {
                group: group.clone(),
                offsets: offsets.iter().map(|(place, committed)| (*place, committed.clone())).collect(),
            }));
            if let Err(error) = rewritten {
                tracing::warn!(%error, "the journal of offsets stays long");
            }
        }
        Ok(())
    }
}

fn apply(groups: &mut Groups, change: Change) {
    match change {
        Change::Commit { group, offsets } => groups.entry(group).or_default().extend(offsets),
        Change::Group { deleted } => drop(groups.remove(&deleted)),
        Change::Topic { deleted } => groups.retain(|_, offsets| {
            offsets.retain(|(topic, _), _| *topic != deleted);
            !offsets.is_empty()
        }),
    }
}
