//! The error *is* the decision: try again now, ask again later, or no.

use std::fmt;
use std::time::Duration;

use tenantry_contracts::{Class, Code};

/// What a step answers.
pub type Answer<T> = Result<T, Trouble>;

/// Why a step did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is under way; ask again after so long. Not a failure and no attempt.
    NotYet(Duration),
    /// Something shook; the server tries again inside the deadline. The reason holds no secret and no personal data.
    Shaky(String),
    /// A final no.
    No {
        /// The stable code.
        code: Code,
        /// What the plan's end policy looks at.
        class: Class,
        /// JSON pointer into the input, where one place is to blame.
        pointer: Option<String>,
        /// One sentence for a person, without secrets and personal data.
        message: String,
    },
    /// The provider itself checked the token and holds a higher one. The server stays silent.
    Superseded,
}

impl Trouble {
    /// A final no.
    pub fn no(code: Code, class: Class, message: impl Into<String>) -> Self {
        Self::No { code, class, pointer: None, message: message.into() }
    }

    /// A final no about one place of the input.
    pub fn no_at(code: Code, class: Class, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::No { code, class, pointer: Some(pointer.into()), message: message.into() }
    }

    /// Something shook.
    pub fn shaky(reason: impl fmt::Display) -> Self {
        Self::Shaky(reason.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet(after) => write!(f, "not yet, ask again after {} ms", after.as_millis()),
            Self::Shaky(reason) => write!(f, "shaky: {reason}"),
            Self::No { code, message, pointer: Some(at), .. } => write!(f, "{code} at {at}: {message}"),
            Self::No { code, message, pointer: None, .. } => write!(f, "{code}: {message}"),
            Self::Superseded => f.write_str("superseded by a later question"),
        }
    }
}
