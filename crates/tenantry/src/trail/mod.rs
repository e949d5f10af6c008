//! The audit as it lies on its two topics: the checkpoints, note after note, and the leaves of the log in their order.
//! The signer goes on from what is here, the export makes evidence of it.

mod leaves;
mod notes;

use std::path::PathBuf;

use tenantry_contracts::Fleet;
use tenantry_ports::BusError;

use crate::out::{self, Refused, failed};

pub(crate) use leaves::{Base, Leaves, unnamed};
pub(crate) use notes::{Notes, PLACE, read_notes};

/// The name of the log where none is given, and of the keys that sign for it.
pub(crate) fn origin(given: Option<&str>, fleet: &Fleet) -> String {
    given.map_or_else(|| format!("tenantry/audit/{fleet}"), str::to_owned)
}

/// Why something about the audit was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// What was found contradicts what was signed, or breaks a chain: nobody may go on.
    #[error(transparent)]
    Breach(Refused),
    /// A broker or a disk that may be right the next time.
    #[error(transparent)]
    Passing(Refused),
}

impl Trouble {
    /// A breach with its code.
    pub(crate) fn breach(code: &'static str, text: impl Into<String>) -> Self {
        Self::Breach(failed(code, text))
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |error| Self::Passing(failed("file_unusable", format!("{}: {error}", path.display())))
    }
}

impl From<BusError> for Trouble {
    fn from(error: BusError) -> Self {
        Self::Passing(out::bus(error))
    }
}

impl From<tenantry_audit::Problem> for Trouble {
    fn from(problem: tenantry_audit::Problem) -> Self {
        Self::Breach(out::told(problem))
    }
}

impl From<tenantry_audit::bundle::Refused> for Trouble {
    fn from(refused: tenantry_audit::bundle::Refused) -> Self {
        Self::Breach(failed(refused.code, refused.message))
    }
}
