//! What a step's look found: what is there, against what was asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Json;

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Observed {
    /// Nothing of it is there.
    Absent,
    /// It is there and ours, with what differs from the input.
    Ours {
        /// Empty where everything is as it should be.
        differences: Vec<Difference>,
    },
    /// Something of that name is there and is not ours.
    Foreign {
        /// Whose it seems to be.
        hint: String,
    },
    /// It cannot be told.
    Unknown {
        /// Why not.
        why: String,
    },
}

/// One difference between what is and what should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// What differs, as a path into what was made.
    pub path: String,
    /// What the input asks for.
    pub want: Json,
    /// What is there.
    pub have: Json,
}

impl Difference {
    /// What differs at `path`; nothing where a side has no JSON form.
    pub fn of(path: impl Into<String>, want: &impl Serialize, have: &impl Serialize) -> Option<Self> {
        Some(Self { path: path.into(), want: Json::of(want).ok()?, have: Json::of(have).ok()? })
    }
}

/// What an observation gathers, one comparison after another.
#[derive(Default)]
pub struct Differences(Vec<Difference>);

impl Differences {
    /// Keeps the difference where the two sides are not equal.
    pub fn note<T: PartialEq + Serialize>(&mut self, path: &str, want: &T, have: &T) {
        if want != have {
            self.0.extend(Difference::of(path, want, have));
        }
    }

    /// The thing is there and ours, with what was gathered.
    pub fn ours(self) -> Observed {
        Observed::Ours { differences: self.0 }
    }
}
