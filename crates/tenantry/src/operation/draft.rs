//! Operations in files, so that two people can read and sign the same bytes before they are sent.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tenantry_contracts::operation::Operation;

use crate::out::{Refused, failed, usage};

/// What stands in a file: one operation, or one for each lane in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    path: PathBuf,
    pub(crate) operations: Vec<Operation>,
}

impl Draft {
    /// A draft that will stand in this file.
    pub(crate) fn new(path: &Path, operations: Vec<Operation>) -> Self {
        Self { path: path.to_owned(), operations }
    }

    /// Reads a draft.
    ///
    /// # Errors
    /// `file_unreadable`, `draft_invalid`.
    pub(crate) fn read(path: &Path) -> Result<Self, Refused> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| usage("file_unreadable", format!("{}: {error}", path.display())))?;
        let invalid = |why: String| {
            let text = format!("{}: {why}; write it with --draft of a verb", path.display());
            usage("draft_invalid", text)
        };
        let many = text.trim_start().starts_with('[');
        let operations = if many { read(&text) } else { read(&text).map(|one| vec![one]) };
        let operations: Vec<Operation> = operations.map_err(|error| invalid(error.to_string()))?;
        if operations.is_empty() {
            return Err(invalid("it holds no operation".to_owned()));
        }
        Ok(Self::new(path, operations))
    }

    /// Writes it where nothing stands yet.
    ///
    /// # Errors
    /// `file_exists`, `file_unwritable`.
    pub(crate) fn create(&self) -> Result<(), Refused> {
        self.write(&self.path, OpenOptions::new().create_new(true))
    }

    /// Writes it in the place of what was read, in one step.
    ///
    /// # Errors
    /// `file_unwritable`.
    pub(crate) fn replace(&self) -> Result<(), Refused> {
        let new = self.path.with_extension("new");
        self.write(&new, OpenOptions::new().create(true).truncate(true))?;
        std::fs::rename(&new, &self.path).map_err(|error| unwritable(&self.path, &error))
    }

    fn write(&self, path: &Path, how: &mut OpenOptions) -> Result<(), Refused> {
        let text = match self.operations.as_slice() {
            [one] => serde_json::to_string_pretty(one),
            many => serde_json::to_string_pretty(many),
        };
        let text = text.map_err(|error| failed("internal", format!("{error}; report this")))?;
        let mut write = || {
            let mut file = how.write(true).open(path)?;
            writeln!(file, "{text}")?;
            file.sync_all()
        };
        write().map_err(|error: std::io::Error| unwritable(path, &error))
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Refused {
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            usage("file_exists", format!("{} is there already; name another file", path.display()))
        }
        _ => usage("file_unwritable", format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use tenantry_contracts::operation::OperationVerb;
    use tenantry_contracts::{Json, RequestId};

    use super::*;

    #[test]
    fn a_draft_reads_back_with_the_bytes_that_are_signed_and_replaces_nothing_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("draft.json");
        let id = RequestId { source: "cli".to_owned(), id: "1".to_owned() };
        let patch = Json::of(&serde_json::json!({"seats": 3, "region": null})).unwrap();
        let one = Operation::new(id, OperationVerb::Correct(patch), None, "ada", "sold more seats");
        let words = one.signed_bytes().unwrap();
        let draft = Draft::new(&path, vec![one]);
        draft.create().unwrap();
        assert_eq!(draft.create().unwrap_err().code, "file_exists");
        let read = Draft::read(&path).unwrap();
        assert_eq!(read.operations[0].signed_bytes().unwrap(), words);
        read.replace().unwrap();
        assert_eq!(Draft::read(&path).unwrap(), draft);
        for text in ["[]", "{", r#"{"verb": "retry"}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Draft::read(&path).unwrap_err().code, "draft_invalid", "{text}");
        }
    }
}
